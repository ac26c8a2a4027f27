"""Our metadata server is judged by botocore's own providers, and our providers are judged by it."""

import urllib.error
import urllib.request

import pytest
from botocore.credentials import ContainerProvider, InstanceMetadataProvider
from botocore.utils import InstanceMetadataFetcher

from secrets_actor.backends.aws.credentials.container import ContainerCredentials
from secrets_actor.backends.aws.credentials.instance_metadata import InstanceMetadataCredentials
from tests.backends.aws.credentials.conftest import Keys, Machine, fetch, of_botocore, plain
from tests.servers.metadata import MetadataServer

KEYS: Keys = ("ASIAMETADATA00000001", "secret/canary+1", "session-canary-1")


def ask(url: str, method: str = "GET", **headers: str) -> int:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, method=method, headers=names), timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_botocores_instance_provider_gets_what_ours_gets(machine: Machine, metadata: MetadataServer) -> None:
    fetcher = InstanceMetadataFetcher(config={"ec2_metadata_service_endpoint": metadata.url})
    theirs = InstanceMetadataProvider(fetcher).load().get_frozen_credentials()

    assert (theirs.access_key, theirs.secret_key, theirs.token) == KEYS
    first = metadata.paths()
    assert plain(fetch(InstanceMetadataCredentials())) == KEYS
    assert metadata.paths() == first * 2
    assert {status for _, _, status in metadata.seen} == {200}


def test_botocores_container_provider_gets_what_ours_gets(machine: Machine, metadata: MetadataServer) -> None:
    token = machine.write("token", "Bearer canary")
    metadata.switches.authorization = token
    machine.set(
        AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{metadata.url}/v1/credentials",
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(token),
    )
    theirs = ContainerProvider().load().get_frozen_credentials()

    assert (theirs.access_key, theirs.secret_key, theirs.token) == KEYS
    assert plain(fetch(ContainerCredentials())) == KEYS
    assert of_botocore() == KEYS


@pytest.mark.parametrize("ttl", [None, "0", "-1", "21601", "soon"])
def test_a_token_needs_a_ttl_that_aws_allows(metadata: MetadataServer, ttl: str | None) -> None:
    headers = {} if ttl is None else {"X_aws_ec2_metadata_token_ttl_seconds": ttl}

    assert ask(f"{metadata.url}/latest/api/token", "PUT", **headers) == 400


def test_the_token_is_put_not_got_not_forwarded_and_must_be_shown(metadata: MetadataServer) -> None:
    token, role = f"{metadata.url}/latest/api/token", f"{metadata.url}/latest/meta-data/iam/security-credentials/"
    ttl = {"X_aws_ec2_metadata_token_ttl_seconds": "60"}

    assert ask(token) == 405
    assert ask(token, "PUT", X_Forwarded_For="10.0.0.1", **ttl) == 403
    assert ask(token, "PUT", **ttl) == 200
    assert ask(role) == 401
    assert ask(role, X_aws_ec2_metadata_token="made-up") == 401
    [good] = metadata.tokens
    assert ask(role, X_aws_ec2_metadata_token=good) == 200
    assert ask(f"{role}other-role", X_aws_ec2_metadata_token=good) == 404
    metadata.tokens[good] = 0.0
    assert ask(role, X_aws_ec2_metadata_token=good) == 401


def test_the_pods_token_must_be_that_of_the_file(machine: Machine, metadata: MetadataServer) -> None:
    file = metadata.switches.authorization = machine.write("token", "one")

    assert ask(f"{metadata.url}/v1/credentials") == 401
    assert ask(f"{metadata.url}/v1/credentials", Authorization="one") == 200
    file.write_text("two")
    assert ask(f"{metadata.url}/v1/credentials", Authorization="one") == 401
