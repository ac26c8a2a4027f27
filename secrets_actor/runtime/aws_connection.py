"""Decides how AWS is reached: endpoint, proxy, CAs and retries, from the settings, AWS's own variables and the profile.

Rule 1: a setting stands over a variable, and a variable over the profile.
Rule 2: a value is passed on together with its source, so that an error can name the place to mend.

Source of the names: botocore's configprovider.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, TypeVar

from secrets_actor.backends.aws.endpoint import PROXY_SETTING, Endpoint, endpoint_for
from secrets_actor.backends.aws.retry import MAX_ATTEMPTS, RetryPolicy
from secrets_actor.backends.aws.sdk_settings import (
    NO_PROFILE,
    SECRETS_MANAGER,
    ProfileSettings,
    Stated,
    configured_url,
    dualstack_chosen,
    fips_chosen,
    stated,
)
from secrets_actor.backends.http.proxy import Proxy, proxy_for
from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.runtime.settings import AwsSettings, profile_of, proxy_url_of, stated_region
from secrets_actor.structs import SelectiveStruct

T = TypeVar("T")
# Retry mode -> whether it is adaptive. AWS's oldest mode does not exist here, and becomes the standard one: the
# variable may be set for other programs on the machine, and must not be an error.
_MODES: Final = {"standard": False, "legacy": False, "adaptive": True}


_NO_REGION: Final = "aws.region: required with backend aws_secrets_manager, such as us-east-1 (or set AWS_REGION)"


class AwsConnection(SelectiveStruct, frozen=True):
    """How AWS is reached: arguments for `backends.aws.backend.aws_backend_factory`.

    *ca_setting* is the setting or variable that names the *ca_bundle*. *profile* has the settings of the profile, which
    also hold for STS.
    """

    UNCOMPARED: ClassVar = frozenset({"profile"})

    endpoint: Endpoint
    ca_bundle: str | None
    retries: RetryPolicy
    proxy: Proxy | None
    ca_setting: str = "aws.ca_bundle"
    profile: ProfileSettings = NO_PROFILE


def aws_connection_for(aws: AwsSettings, environ: Mapping[str, str]) -> AwsConnection:
    """Return how AWS is reached. Raises `ConfigurationError` with all mistakes; without a region it looks no further.

    The mistakes name settings, variables and the profile. They quote no URL, which may hold a password.
    """
    mistakes: list[str] = []
    # The profile's file is read here and nowhere else, so that all that is decided is decided by one state of it.
    known_profile = _or_mistake(mistakes, lambda: profile_of(aws, environ))
    profile = known_profile or NO_PROFILE
    region = stated_region(aws, environ, profile)
    if region is None:
        if known_profile is not None:  # if it cannot be read, the region may be in it: then that is the mistake
            mistakes.append(_NO_REGION)
        raise ConfigurationError(tuple(mistakes))
    url = _or_mistake(mistakes, lambda: _url(aws, environ, profile))
    # A choice in our own settings beside a URL is a contradiction, and an error of `endpoint_for`. A variable or
    # profile is meant for all programs, so a URL simply stands over it.
    fips, dual = aws.use_fips, aws.use_dualstack
    if fips is None:
        fips = url is None and fips_chosen(environ, profile) is not None
    if dual is None:
        dual = url is None and dualstack_chosen(environ, profile) is not None
    endpoint: Endpoint | None = _or_mistake(
        mistakes,
        lambda: endpoint_for(
            region.value,
            None if url is None else url.value,
            use_fips=fips,
            use_dualstack=dual,
            setting="" if url is None else url.source,
            region_setting=region.source,
        ),
    )
    proxy = (
        None
        if endpoint is None
        else _or_mistake(mistakes, lambda: proxy_for(endpoint, proxy_url_of(aws), environ, PROXY_SETTING))
    )
    retries = _or_mistake(mistakes, lambda: _retries(aws, environ, profile))
    if mistakes or endpoint is None or retries is None:
        raise ConfigurationError(tuple(mistakes))
    bundle = _bundle(aws, environ, profile)
    return AwsConnection(
        endpoint,
        bundle.value or None,
        retries,
        proxy,
        bundle.source if bundle.value else "aws.ca_bundle",
        profile,
    )


def _url(aws: AwsSettings, environ: Mapping[str, str], profile: ProfileSettings) -> Stated | None:
    if aws.endpoint_url is not None:
        return Stated(aws.endpoint_url, "aws.endpoint_url")
    return configured_url(SECRETS_MANAGER, environ, profile)


def _bundle(aws: AwsSettings, environ: Mapping[str, str], profile: ProfileSettings) -> Stated:
    if aws.ca_bundle is None:
        # An empty variable means the usual CAs; to botocore it is a mistake. REQUESTS_CA_BUNDLE is another library's
        # variable, which botocore takes, too: where a proxy inspects TLS, it is often the only one that is set.
        found = stated(environ, "AWS_CA_BUNDLE", profile, "ca_bundle")
        return found or Stated(environ.get("REQUESTS_CA_BUNDLE", ""), "REQUESTS_CA_BUNDLE")
    own, path = "SECRETS_ACTOR_AWS__CA_BUNDLE", str(aws.ca_bundle)
    return Stated(path, f"aws.ca_bundle ({own})" if environ.get(own) == path else "aws.ca_bundle")


def _retries(aws: AwsSettings, environ: Mapping[str, str], profile: ProfileSettings) -> RetryPolicy:
    mistakes = []
    mode: str = aws.retry_mode or "standard"
    attempts = aws.max_attempts or MAX_ATTEMPTS
    found = None if aws.retry_mode else _filled(environ, "AWS_RETRY_MODE", profile, "retry_mode")
    if found is not None:
        mode = found.value.lower()
        if mode not in _MODES:
            mistakes.append(f"{found.source}: standard or adaptive")
    found = None if aws.max_attempts else _filled(environ, "AWS_MAX_ATTEMPTS", profile, "max_attempts")
    if found is not None:
        attempts = _whole(found.value)
        if not 1 <= attempts <= 100:
            mistakes.append(f"{found.source}: a whole number from 1 to 100")
    if mistakes:
        raise ConfigurationError(tuple(mistakes))
    return RetryPolicy(attempts, _MODES[mode])


def _whole(text: str) -> int:
    """Return *text* as a number, in any form that Python, and so botocore, reads; 0 if it is none."""
    try:
        return int(text) if len(text) < 20 else 0
    except ValueError:
        return 0


def _filled(environ: Mapping[str, str], variable: str, profile: ProfileSettings, key: str) -> Stated | None:
    """Return what `stated` returns, but ignore empty texts: botocore fails on them, so they cannot be meant."""
    filled = {name: value for name, value in environ.items() if name == variable and value}
    found = stated(filled, variable, profile, key)
    return found if found is not None and found.value else None


def _or_mistake(mistakes: list[str], make: Callable[[], T]) -> T | None:
    try:
        return make()
    except ConfigurationError as error:
        mistakes += error.mistakes
        return None
