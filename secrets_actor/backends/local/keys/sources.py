"""The making of a master key source from the place that the settings name.

Each source is imported only where it is used: a program that never uses the key ring need not load it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from secrets_actor.backends.local.master_key_source import MasterKeySource
from secrets_actor.backends.master_key_setting import KeyPlace
from secrets_actor.paths import absolute

if TYPE_CHECKING:
    from secrets_actor.backends.local.keys.readers import Reader


def source_for(place: KeyPlace, path: Path) -> MasterKeySource:
    """Return the source that *place* names, for the store in the folder *path*. Touches no file. Paths are made
    absolute now, so a later change of the working directory does not matter. Raises `NoPlace`."""
    folder = absolute(path)
    if place.kind == "keyring":
        from secrets_actor.backends.local.keys.keyring_key import KeyringKey

        return KeyringKey(place.reveal(), folder)
    if place.kind in ("env", "file"):
        from secrets_actor.backends.local.keys.external_key import ExternalKey

        return ExternalKey(_reader(place, folder))
    if place.kind in ("passphrase_env", "passphrase_file"):
        from secrets_actor.backends.local.keys.passphrase import Passphrase

        return Passphrase(_reader(place, folder))
    from secrets_actor.backends.local.keys.key_file import KEY_NAME, KeyFile

    if place.kind == "made_at":
        return KeyFile(absolute(place.reveal()), folder)
    return KeyFile(folder / KEY_NAME)


def typed_passphrase(ask: Callable[[], str]) -> MasterKeySource:
    """Return the source whose passphrase comes from *ask*, which is called once: for the command line."""
    from secrets_actor.backends.local.keys.passphrase import Passphrase
    from secrets_actor.backends.local.keys.readers import PromptReader

    return Passphrase(PromptReader(ask))


def _reader(place: KeyPlace, folder: Path) -> Reader:
    from secrets_actor.backends.local.keys.readers import FileReader, VariableReader

    return (
        VariableReader(place.reveal())
        if place.kind in ("env", "passphrase_env")
        else FileReader(place.reveal(), folder)
    )
