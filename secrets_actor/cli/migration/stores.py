"""The two stores of a migration: adapts their settings to it, and starts a system for each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from secrets_actor.backends.local.master_key_source import MasterKeySource
from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.otp import Observer
from secrets_actor.runtime.backends import BACKENDS
from secrets_actor.runtime.local_factory import local_factory_for
from secrets_actor.runtime.settings import PrefetchSettings, Settings
from secrets_actor.runtime.system import RELEASE_SECONDS, System


def settings_for_both(source: Settings, target: Settings) -> tuple[Settings, Settings]:
    """Return the settings of both sides, changed so that nothing is cached: each value is read from its store, once.

    Raises `ConfigurationError` if both are the same store.
    """
    both = _fresh(source), _fresh(target)
    if _place(both[0]) == _place(both[1]):
        mistake = (
            "source and target are the same store: name another by --to (SECRETS_ACTOR_ variables rule both files)"
        )
        raise ConfigurationError((mistake,))
    return both[0], BACKENDS[both[1].backend].paced(both[1], os.environ)


def is_there(settings: Settings) -> bool:
    """Whether the store exists. A local store is made when it is first opened; a store on a server always exists."""
    return BACKENDS[settings.backend].is_there(settings)


def puts_stages(settings: Settings) -> bool:
    """Whether the store can put a stage on any version; a KV mount of Vault cannot."""
    return BACKENDS[settings.backend].puts_stages


@contextmanager
def running_system(settings: Settings, observe: Observer, key: MasterKeySource | None = None) -> Iterator[System]:
    """Start a system, and stop it at the end.

    After an exception, a Ctrl-C among them, it is stopped at once: a user who interrupts does not want to wait. *key*
    is the master key of a local store; None means the one that the settings name.
    """
    factory = None if key is None else local_factory_for(settings.local, observe, key)
    with System(settings, observer=observe, backend=factory) as system:
        try:
            yield system
            system.stop(drain=RELEASE_SECONDS)
        except BaseException:
            system.stop(0)
            raise


def _fresh(settings: Settings) -> Settings:
    return replace(
        settings, ttl_seconds=0.0, max_stale_seconds=0.0, missing_ttl_seconds=0.0, prefetch=PrefetchSettings()
    )


def _place(settings: Settings) -> tuple[Any, ...]:
    return settings.backend, *BACKENDS[settings.backend].identity(settings, os.environ)
