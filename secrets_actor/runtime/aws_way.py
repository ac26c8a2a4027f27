"""The way to AWS: what the settings and AWS's own variables say together about endpoint, proxy, CAs and tries.

A setting stands over a variable; an empty variable is none. Source of the names: botocore's configprovider.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from secrets_actor.backends.aws.endpoint import Endpoint, endpoint_for
from secrets_actor.backends.aws.proxy import Proxy, proxy_for
from secrets_actor.backends.aws.retry import MAX_ATTEMPTS, RetryPolicy
from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.records import dataclass
from secrets_actor.runtime.settings import AwsSettings

T = TypeVar("T")
# AWS's oldest mode is not had here; programs beside us may want it, and get what they ask for.
_MODES: Final = {"standard": False, "legacy": False, "adaptive": True}


@dataclass(frozen=True, slots=True)
class Way:
    """What `backends.aws.backend.kit` takes; the URL None where the region alone decides."""

    endpoint_url: str | None
    use_fips: bool
    use_dualstack: bool
    ca_bundle: str | None
    retries: RetryPolicy
    proxy: Proxy | None


def way_for(aws: AwsSettings, region: str, environ: Mapping[str, str]) -> Way:
    """The way in force. Raises `ConfigurationError` with all mistakes, which names settings and variables, and quotes
    no URL."""
    mistakes: list[str] = []
    url, source = _endpoint_url(aws, environ)
    fips = _chosen(aws.use_fips, "AWS_USE_FIPS_ENDPOINT", environ)
    dual = _chosen(aws.use_dualstack, "AWS_USE_DUALSTACK_ENDPOINT", environ)
    endpoint: Endpoint | None = _or_mistake(
        mistakes, lambda: endpoint_for(region, url, use_fips=fips, use_dualstack=dual, setting=source)
    )
    proxy = None if endpoint is None else _or_mistake(mistakes, lambda: proxy_for(endpoint, aws.proxy_url, environ))
    retries = _or_mistake(mistakes, lambda: _retries(aws, environ))
    if mistakes or retries is None:
        raise ConfigurationError(tuple(mistakes))
    bundle = environ.get("AWS_CA_BUNDLE") or None if aws.ca_bundle is None else str(aws.ca_bundle)
    return Way(url, fips, dual, bundle, retries, proxy)


def _endpoint_url(aws: AwsSettings, environ: Mapping[str, str]) -> tuple[str | None, str]:
    """The URL, if there is one, and who says so."""
    if aws.endpoint_url is None and environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
        for name in ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL"):
            if environ.get(name):
                return environ[name], name
    return aws.endpoint_url, "aws.endpoint_url"


def _chosen(setting: bool | None, name: str, environ: Mapping[str, str]) -> bool:
    return environ.get(name, "").lower() == "true" if setting is None else setting


def _retries(aws: AwsSettings, environ: Mapping[str, str]) -> RetryPolicy:
    mode = aws.retry_mode or environ.get("AWS_RETRY_MODE", "").lower() or "standard"
    if mode not in _MODES:
        raise ConfigurationError(("AWS_RETRY_MODE: standard or adaptive",))
    attempts = aws.max_attempts
    if attempts is None:
        stated = environ.get("AWS_MAX_ATTEMPTS") or str(MAX_ATTEMPTS)
        if not (stated.isascii() and stated.isdigit() and 1 <= int(stated[:9]) <= 100):
            raise ConfigurationError(("AWS_MAX_ATTEMPTS: a whole number from 1 to 100",))
        attempts = int(stated)
    return RetryPolicy(attempts, _MODES[mode])


def _or_mistake(mistakes: list[str], make: Callable[[], T]) -> T | None:
    try:
        return make()
    except ConfigurationError as error:
        mistakes += error.mistakes
        return None
