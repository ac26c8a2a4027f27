"""The default chain: looks for credentials where AWS's own tools look for them, in botocore's order.

environment -> role of the profile -> web identity -> sso -> credentials file -> login -> credential_process ->
config file -> container -> instance metadata

Rule 1: the first step that has credentials gives them. A step that is not configured declines; a step that is
        configured and fails ends the search with its error. When all decline, the error is `NoCredentials`, with each
        step's reason.
Rule 2: with a profile named in the configuration, the environment is not asked.
Rule 3: the chain is walked anew at each fetch, with the files and variables of that moment.
Rule 4: the metadata service declines when nobody answers, when it is switched off, or when the instance has no role.
        Any other answer without credentials is a failure.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import Final

from secrets_actor.backends.aws.credentials.container import ContainerCredentials
from secrets_actor.backends.aws.credentials.environment import EnvironmentCredentials
from secrets_actor.backends.aws.credentials.instance_metadata import InstanceMetadataCredentials
from secrets_actor.backends.aws.credentials.profile_providers import ProfileProviders, Provider, first_of
from secrets_actor.backends.aws.credentials.shared_files import (
    DEFAULT_PROFILE,
    profile_name,
    profile_variable,
    read_profiles,
)
from secrets_actor.backends.aws.credentials.sts import Sts
from secrets_actor.backends.aws_credentials import AwsCredentials, AwsCredentialSource
from secrets_actor.domain.errors import CredentialsError, MetadataServiceError, NoCredentials

METADATA: Final = "instance metadata"


class DefaultChain:
    """Fetches credentials from wherever this machine has them.

    *region* is the region of STS; None means that of AWS_REGION, AWS_DEFAULT_REGION or the profile. *sts* makes the
    STS client for a region; None means one that is configured by the environment and the profile.
    """

    def __init__(
        self, profile: str | None = None, region: str | None = None, sts: Callable[[str | None], Sts] | None = None
    ) -> None:
        self._profile, self._region, self._sts = profile, region, sts

    def fetch(self, deadline: float) -> AwsCredentials:
        """Fetch the credentials, by *deadline* (clock seconds). Raises `NoCredentials`, or a step's `SecretsError`."""
        return first_of(self.providers(), deadline)

    def providers(self) -> list[Provider]:
        """Return the steps as they are now: (name, fetch).

        Files that cannot be read, and a named profile that is in neither file, become a step that fails, after the
        environment: credentials there are found all the same.
        """
        named = self._profile or profile_name(os.environ)
        profile = named or DEFAULT_PROFILE
        # Only a profile of the configuration: one that AWS_PROFILE names leaves the environment in, as in botocore.
        environment: list[Provider] = [] if self._profile else [("environment", EnvironmentCredentials().fetch)]
        try:
            profiles = read_profiles(os.environ)
        except CredentialsError as exc:
            text = str(exc)
            return [*environment, ("shared files", lambda _: _fail(text))]
        if named is not None and named not in profiles.merged:
            source = "aws.profile" if self._profile else profile_variable(os.environ)
            text = f"profile {named} ({source}) is in neither of AWS's shared files: mend that, or one of them"
            return [*environment, ("profile", lambda _: _fail(text))]
        # A profile may name one of these as its `credential_source`.
        metadata = _Metadata(dict(profiles.merged.get(profile, {})))
        sources: dict[str, AwsCredentialSource] = {
            "Environment": EnvironmentCredentials(),
            "EcsContainer": ContainerCredentials(),
            "Ec2InstanceMetadata": metadata,
        }
        region = self._region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        make = self._sts or partial(Sts, profile=profiles.settings(profile))
        sts = make(region or profiles.text(profile, "region"))
        inner = ProfileProviders(profiles, sts, sources, from_environment=not self._profile)
        rest: list[Provider] = [("container", ContainerCredentials().fetch), (METADATA, metadata.fetch)]
        return [*environment, *inner.providers(profile), *rest]

    def __repr__(self) -> str:
        return "<DefaultChain>" if self._profile is None else "<DefaultChain of a profile>"


def _fail(text: str) -> AwsCredentials:
    raise CredentialsError(text)


class _Metadata:
    """The instance metadata service as a step of the chain: it declines where there is no role (rule 4)."""

    def __init__(self, profile: dict[str, object]) -> None:
        self._source = InstanceMetadataCredentials({k: v for k, v in profile.items() if isinstance(v, str)})

    def fetch(self, deadline: float) -> AwsCredentials:
        try:
            return self._source.fetch(deadline)
        except MetadataServiceError as exc:
            error = exc.clone()
        if error.status not in (None, 404):
            raise error
        raise NoCredentials((METADATA, str(error)))
