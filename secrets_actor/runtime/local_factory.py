"""Makes the backend factory of the local store from the settings. Loads the backend only when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secrets_actor.backends.master_key_setting import KeyPlace, place_of
from secrets_actor.domain.names import arn_prefix_of
from secrets_actor.domain.ports import BackendFactory
from secrets_actor.otp import LifecycleEvent, Observer
from secrets_actor.runtime.settings import LocalSettings

if TYPE_CHECKING:
    from secrets_actor.backends.local.master_key_source import MasterKeySource


class StoreMade(LifecycleEvent, frozen=True):
    """The life-cycle event of a new, empty local store in *folder*. *sealed_by* is the place of its master key."""

    folder: str
    sealed_by: str
    advice: str = "keep a copy of the key in another place: without it nobody can read the store or a backup of it"


def local_arn_prefixes(local: LocalSettings) -> tuple[str, ...]:
    """Return how the ARNs of the store's secrets begin, and how they began before there were settings for it: the store
    still takes those."""
    from secrets_actor.backends.local.entry_codec import FORMER_ARN_PREFIX

    return arn_prefix_of(local.partition, local.region, local.account), FORMER_ARN_PREFIX


def local_factory_for(
    local: LocalSettings, observe: Observer | None = None, key: MasterKeySource | None = None
) -> BackendFactory:
    """Return the factory that opens the store. Nothing is opened yet.

    *observe* is told if a store is made. *key*, if given, replaces the place of the master key in the settings.
    """
    from secrets_actor.backends.local.backend import local_backend_factory

    if key is None and local.key != KeyPlace():
        from secrets_actor.backends.local.keys.sources import source_for

        key = source_for(place_of(local.key), local.path)

    def made(folder: str, sealed_by: str) -> None:
        if observe is not None:
            observe(StoreMade("local", folder, sealed_by))

    return local_backend_factory(
        path=local.path,
        recovery_window=local.recovery_window,
        key=key,
        makes=local.make,
        on_made=made,
        arn_prefix=arn_prefix_of(local.partition, local.region, local.account),
    )
