"""The two stores of a migration: their settings, as a migration needs them, and their systems."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from secrets_actor.backends.local.master_key import MasterKeySource
from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.otp import Observer
from secrets_actor.paths import expanded
from secrets_actor.runtime.settings import PrefetchSettings, Settings, profile_of, region_of
from secrets_actor.runtime.system import System
from secrets_actor.runtime.wiring import factory_for


def for_both(source: Settings, target: Settings) -> tuple[Settings, Settings]:
    """The settings of both sides, with caches that keep nothing: all is asked of the stores, and once.

    Raises `ConfigurationError` for one store that is both.
    """
    both = _fresh(source), _fresh(target)
    if _place(both[0]) == _place(both[1]):
        mistake = (
            "source and target are the same store: name another by --to (SECRETS_ACTOR_ variables rule both files)"
        )
        raise ConfigurationError((mistake,))
    return both[0], _paced(both[1], os.environ)


def is_there(settings: Settings) -> bool:
    """Whether the store is there already. A local store is made when it is first opened; one on a server always is."""
    return settings.backend != "local_encrypted" or _folder(settings).exists()


@contextmanager
def running(settings: Settings, observe: Observer, key: MasterKeySource | None = None) -> Iterator[System]:
    """A system; cut off by what is raised: who interrupts does not want to wait. *key*: that of a local store, whatever
    the settings say."""
    factory = None if key is None else factory_for(settings, observe, key)
    with System(settings, observer=observe, factory=factory) as system:
        try:
            yield system
        except BaseException:
            system.stop(0)
            raise


def _fresh(settings: Settings) -> Settings:
    return replace(
        settings, ttl_seconds=0.0, max_stale_seconds=0.0, missing_ttl_seconds=0.0, prefetch=PrefetchSettings()
    )


def _paced(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """At AWS, with a send rate that follows its throttling: many writes are more than its 50 a second (service quotas:
    CreateSecret, PutSecretValue and UpdateSecret)."""
    aws = settings.aws
    if settings.backend == "local_encrypted" or aws.retry_mode or environ.get("AWS_RETRY_MODE"):
        return settings
    if profile_of(aws, environ).text("retry_mode"):
        return settings
    return replace(settings, aws=replace(aws, retry_mode="adaptive"))


def _folder(settings: Settings) -> Path:
    return Path(os.path.realpath(expanded(settings.local.path)))


def _place(settings: Settings) -> tuple[Any, ...]:
    if settings.backend == "local_encrypted":
        return settings.backend, _folder(settings)
    aws = settings.aws
    who = aws.profile, aws.role_arn, aws.access_key
    return settings.backend, region_of(aws, os.environ), aws.endpoint_url, who
