"""The default chain: where AWS's own tools look for keys, in botocore's order.

environment -> role of the profile -> web identity -> sso -> credentials file -> login -> credential_process ->
config file -> container -> instance metadata

Rule 1: the first that has keys gives them. One that is not configured declines; one that is, and fails, ends the search
        with its error. Nothing found is `NoCredentials`, with why each declined.
Rule 2: a profile that is named in the configuration leaves the environment out.
Rule 3: the chain is walked anew at each fetch: files and variables count as they are then.
Rule 4: a metadata service that nobody answers for, that is switched off or knows no role has declined; any other answer
        of it that holds no keys is a failure.
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
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import CredentialsError, MetadataServiceError, NoCredentials
from secrets_actor.domain.ports import CredentialSource

METADATA: Final = "instance metadata"


class DefaultChain:
    """Keys from wherever this machine has them. *region* is where STS is asked; None: that of AWS_REGION,
    AWS_DEFAULT_REGION or the profile. *sts* makes the client for it; None: as the environment and the profile say."""

    def __init__(
        self, profile: str | None = None, region: str | None = None, sts: Callable[[str | None], Sts] | None = None
    ) -> None:
        self._profile, self._region, self._sts = profile, region, sts

    def fetch(self, deadline: float) -> Credentials:
        """The keys, by *deadline* (clock seconds). Raises `NoCredentials`, or a step's `SecretsError`."""
        return first_of(self.providers(), deadline)

    def providers(self) -> list[Provider]:
        """The steps as they are now: (name, fetch). Files that cannot be read, and a profile that is named and in none
        of them, are steps that fail."""
        named = self._profile or profile_name(os.environ)
        profile = named or DEFAULT_PROFILE
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
        metadata = _Metadata(dict(profiles.merged.get(profile, {})))
        sources: dict[str, CredentialSource] = {
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


def _fail(text: str) -> Credentials:
    raise CredentialsError(text)


class _Metadata:
    """The instance's role, declining where there is none."""

    def __init__(self, profile: dict[str, object]) -> None:
        self._source = InstanceMetadataCredentials({k: v for k, v in profile.items() if isinstance(v, str)})

    def fetch(self, deadline: float) -> Credentials:
        try:
            return self._source.fetch(deadline)
        except MetadataServiceError as exc:
            error = exc.clone()
        if error.status not in (None, 404):
            raise error
        raise NoCredentials((METADATA, str(error)))
