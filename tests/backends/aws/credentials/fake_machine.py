"""A machine with services around it, each place of the chain to be filled or not; and what we find there."""

import shlex
import sys
from dataclasses import dataclass

from secrets_actor.backends.aws.credentials.chain import DefaultChain
from secrets_actor.domain import errors
from tests.backends.aws.credentials.conftest import Keys, Machine, fetch, plain
from tests.servers.faulty import FaultyServer
from tests.servers.metadata import MetadataServer

ARN = "arn:aws:iam::123456789012:role/"
PROCESS = f"{shlex.quote(sys.executable)} -c " + shlex.quote(
    "import json; print(json.dumps(dict(Version=1, AccessKeyId='PROCESS', SecretAccessKey='s', SessionToken='t')))"
)


@dataclass
class World:
    """A machine with an STS, a container's service and a metadata service, each to be used or not."""

    machine: Machine
    sts: FaultyServer
    container: MetadataServer
    instance: MetadataServer

    def arrange(self, has: frozenset[str], profile: str) -> None:
        """Set up what is in *has*, for *profile*, and nothing else."""
        machine = self.machine
        machine.unset(
            *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_ROLE_ARN"),
            *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_PROFILE"),
        )
        machine.set(AWS_EC2_METADATA_DISABLED="true")
        config, credentials = [f"[profile {profile}]"] if profile != "default" else ["[default]"], [f"[{profile}]"]
        if "role" in has:
            config += [f"role_arn = {ARN}profile", "source_profile = base"]
        if "web" in has:
            config += [f"role_arn = {ARN}web", f"web_identity_token_file = {machine.write('token', 'jwt1')}"]
        if "web" in has and "role" in has:
            config.remove(f"role_arn = {ARN}web")
        if "shared" in has:
            credentials += ["aws_access_key_id = SHARED", "aws_secret_access_key = s"]
        if "process" in has:
            config.append(f"credential_process = {PROCESS}")
        if "config" in has:
            config += ["aws_access_key_id = CONFIG", "aws_secret_access_key = s", "aws_session_token = t"]
        credentials += ["[base]", "aws_access_key_id = BASE", "aws_secret_access_key = s"]
        machine.config("\n".join(config))
        machine.credentials("\n".join(credentials))
        if "environment" in has:
            machine.set(AWS_ACCESS_KEY_ID="ENVIRONMENT", AWS_SECRET_ACCESS_KEY="s")
        if "web variables" in has:
            token = str(machine.write("other-token", "jwt2"))
            machine.set(AWS_WEB_IDENTITY_TOKEN_FILE=token, AWS_ROLE_ARN=f"{ARN}variables")
        if "container" in has:
            machine.set(AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{self.container.url}/v2/credentials/x")
        if "instance" in has:
            machine.unset("AWS_EC2_METADATA_DISABLED")
            machine.set(AWS_EC2_METADATA_SERVICE_ENDPOINT=self.instance.url)


def ours(profile: str | None) -> Keys | None:
    """The keys our chain finds; None when it finds none."""
    try:
        return plain(fetch(DefaultChain(profile)))
    except errors.NoCredentials:
        return None
