"""The steps of the default chain that a profile of the shared files brings, in botocore's order.

Rule 1: a step that is not configured declines (`NoCredentials`). A step that is configured and fails ends the chain.
Rule 2: `role_arn` needs either a `source_profile` or a `credential_source`. A source profile is resolved like the first
        profile, without the environment. It may be a role again, but not one that led to it. A profile may be its own
        source if it holds credentials.
Rule 3: errors name the profile and the key of the file, and quote no value.

Source: AWS SDKs and Tools Reference Guide; botocore's `AssumeRoleProvider`, `ProfileProviderBuilder`.
"""

import os
from collections.abc import Callable
from typing import Final

from secrets_actor.backends.aws.credentials.assume_role import AssumeRoleCredentials, Role
from secrets_actor.backends.aws.credentials.botocore_extra import BotocoreCredentials
from secrets_actor.backends.aws.credentials.credential_process import ProcessCredentials
from secrets_actor.backends.aws.credentials.profile_parser import Profiles
from secrets_actor.backends.aws.credentials.static import checked
from secrets_actor.backends.aws.credentials.sts import Sts
from secrets_actor.backends.aws.credentials.web_identity import WebIdentityCredentials
from secrets_actor.backends.aws.sdk_settings import Section
from secrets_actor.backends.aws_credentials import AwsCredentials, AwsCredentialSource
from secrets_actor.domain.errors import CredentialsError, MissingSecretKey, NoCredentials
from secrets_actor.domain.secret import SecretValue

ACCESS_KEY: Final = "aws_access_key_id"
SECRET_KEY: Final = "aws_secret_access_key"  # noqa: S105  a key of the file
TOKENS: Final = ("aws_security_token", "aws_session_token")
WEB_TOKEN: Final = "web_identity_token_file"  # noqa: S105  likewise
WEB_VARIABLE: Final = "AWS_WEB_IDENTITY_TOKEN_FILE"
# The profiles that only botocore can follow: botocore's name of the provider, and the keys that such a profile has.
FOREIGN: Final = (("sso", ("sso_role_name", "sso_account_id")), ("login", ("login_session",)))

# How many roles may follow one another. Each costs a call of STS and some frames of the stack, which are botocore's
# only limit.
MAX_ROLES: Final = 50
# `int` is given no more digits than this: any longer number is too long for a duration as well.
_MAX_DIGITS: Final = 9

Provider = tuple[str, Callable[[float], AwsCredentials]]


class ProfileProviders:
    """Makes the steps for a profile, from one reading of the files.

    *sources* are the sources that `credential_source` may name. With *from_environment*, the web identity variables
    count as well.
    """

    def __init__(
        self,
        profiles: Profiles,
        sts: Sts,
        sources: dict[str, AwsCredentialSource],
        *,
        from_environment: bool,
    ) -> None:
        self._profiles, self._sts, self._sources = profiles, sts, sources
        self._from_environment = from_environment

    def providers(self, profile: str) -> list[Provider]:
        """Return the steps for *profile*: its role first, then the credentials that it holds itself."""
        return [
            ("role of the profile", lambda deadline: self._role(profile, [profile], deadline)),
            *self._own(profile, self._from_environment),
        ]

    def _own(self, profile: str, from_environment: bool) -> list[Provider]:
        files = self._profiles
        return [
            ("web identity", lambda deadline: self._web_identity(profile, from_environment, deadline)),
            ("sso", lambda deadline: self._foreign(profile, 0, deadline)),
            ("credentials file", lambda _: _keys(files.credentials.get(profile, {}), profile, "credentials file")),
            ("login", lambda deadline: self._foreign(profile, 1, deadline)),
            ("credential_process", lambda deadline: self._process(profile, deadline)),
            ("config file", lambda _: _keys(files.config.get(profile, {}), profile, "config file")),
        ]

    # --- roles ----------------------------------------------------------------------------------------------------

    def _is_role(self, profile: str) -> bool:
        section = self._profiles.merged.get(profile, {})
        return "role_arn" in section and WEB_TOKEN not in section

    def _has_keys(self, profile: str) -> bool:
        section = self._profiles.merged.get(profile, {})
        return ACCESS_KEY in section or SECRET_KEY in section

    def _role(self, profile: str, visited: list[str], deadline: float) -> AwsCredentials:
        if not self._is_role(profile):
            raise NoCredentials(("role of the profile", f"profile {profile} has no role_arn"))
        text, place = self._profiles.text, f"profile {profile}"
        if text(profile, "mfa_serial") is not None:
            raise CredentialsError(f"{place}: mfa_serial wants a code that nobody can type here; use another role")
        duration = text(profile, "duration_seconds") or ""
        role = Role(
            text(profile, "role_arn") or "",
            text(profile, "role_session_name"),
            text(profile, "external_id"),
            int(duration[:_MAX_DIGITS]) if duration.isascii() and duration.isdigit() else None,
        )
        source = self._source(profile, visited)
        return AssumeRoleCredentials(source, role, self._sts, place).fetch(deadline)

    def _source(self, profile: str, visited: list[str]) -> AwsCredentialSource:
        place = f"profile {profile}"
        named = self._profiles.text(profile, "credential_source")
        source = self._profiles.text(profile, "source_profile")
        if (named is None) == (source is None):
            raise CredentialsError(f"{place}: role_arn wants either source_profile or credential_source")
        if named is not None:
            if named not in self._sources:
                raise CredentialsError(f"{place}: credential_source is one of {', '.join(self._sources)}")
            return _Required(self._sources[named].fetch, f"{place}: its credential_source {named} has no credentials")
        assert source is not None
        if source not in self._profiles.merged:
            raise CredentialsError(f"{place}: its source_profile is in neither of AWS's shared files")
        if source in visited and (source != profile or not self._has_keys(source)):
            raise CredentialsError(f"{place}: its source_profile leads back to a profile on the way here")
        if self._has_keys(source) or not self._is_role(source):
            own = self._own(source, from_environment=False)
            complaint = f"{place}: its source_profile has no credentials"
            return _Required(lambda deadline: first_of(own, deadline), complaint)
        if len(visited) >= MAX_ROLES:
            raise CredentialsError(
                f"{place}: its source_profile is one role more than {MAX_ROLES} in a row; shorten them"
            )
        return _Required(lambda deadline: self._role(source, [*visited, source], deadline), place)

    # --- credentials of the profile itself ------------------------------------------------------------------------

    def _web_identity(self, profile: str, from_environment: bool, deadline: float) -> AwsCredentials:
        def setting(variable: str, key: str) -> str | None:
            stated = os.environ.get(variable) if from_environment else None
            return stated or self._profiles.text(profile, key)

        token_file = setting(WEB_VARIABLE, WEB_TOKEN)
        if not token_file:
            variable = f"{WEB_VARIABLE} is not set, " if from_environment else ""
            raise NoCredentials(("web identity", f"{variable}profile {profile} has no {WEB_TOKEN}"))
        stated = from_environment and os.environ.get(WEB_VARIABLE)
        source = WEB_VARIABLE if stated else f"{WEB_TOKEN} of profile {profile}"
        arn = setting("AWS_ROLE_ARN", "role_arn")
        if not arn:
            raise CredentialsError("web identity: a token file, but no role: set AWS_ROLE_ARN or role_arn")
        role = Role(arn, setting("AWS_ROLE_SESSION_NAME", "role_session_name"))
        named = [name for name in ("AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME") if os.environ.get(name)]
        place = f"web identity ({', '.join(named) if from_environment and named else f'profile {profile}'})"
        return WebIdentityCredentials(token_file, role, self._sts, place, source).fetch(deadline)

    def _process(self, profile: str, deadline: float) -> AwsCredentials:
        command = self._profiles.text(profile, "credential_process")
        if command is None:
            raise NoCredentials(("credential_process", f"profile {profile} has none"))
        return ProcessCredentials(command, f"credential_process of profile {profile}").fetch(deadline)

    def _foreign(self, profile: str, which: int, deadline: float) -> AwsCredentials:
        name, credentials = FOREIGN[which]
        if not any(key in self._profiles.merged.get(profile, {}) for key in credentials):
            raise NoCredentials((name, f"profile {profile} has no {' or '.join(credentials)}"))
        return BotocoreCredentials(name, profile).fetch(deadline)


class _Required:
    """A source that must have credentials: where it declines, this fails with *complaint*."""

    def __init__(self, fetch: Callable[[float], AwsCredentials], complaint: str) -> None:
        self._fetch, self._complaint = fetch, complaint

    def fetch(self, deadline: float) -> AwsCredentials:
        try:
            return self._fetch(deadline)
        except NoCredentials as exc:
            tried = exc.tried
        reasons = "; ".join(f"{place}: {reason}" for place, reason in tried)
        raise CredentialsError(f"{self._complaint}: {reasons}")


def first_of(providers: list[Provider], deadline: float) -> AwsCredentials:
    """Return the credentials of the first step that has any.

    Raises `NoCredentials`, with each step's reason, when all decline, or the error of a step that is configured and
    fails.
    """
    tried: list[tuple[str, str]] = []
    for _, fetch in providers:
        try:
            return fetch(deadline)
        except NoCredentials as exc:
            tried += exc.tried
    raise NoCredentials(*tried)


def _keys(section: Section, profile: str, file: str) -> AwsCredentials:
    if ACCESS_KEY not in section:
        raise NoCredentials((file, f"no {ACCESS_KEY} for profile {profile}"))
    if SECRET_KEY not in section:
        raise MissingSecretKey(f"profile {profile} of AWS's {file}: {ACCESS_KEY} without {SECRET_KEY}; set both")
    access_key, secret_key = section[ACCESS_KEY], section[SECRET_KEY]
    token = next((section[name] for name in TOKENS if name in section), None)
    if not isinstance(access_key, str) or not isinstance(secret_key, str) or isinstance(token, dict):
        raise CredentialsError(f"profile {profile} of AWS's {file}: a key that is a table; set it anew")
    if not access_key or not secret_key:
        raise CredentialsError(f"profile {profile} of AWS's {file}: a key is empty; set it, or remove both")
    return checked(AwsCredentials(access_key, SecretValue(secret_key), SecretValue(token) if token else None))
