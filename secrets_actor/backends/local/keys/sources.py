"""The configured place becomes a source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from secrets_actor.backends.local.master_key import MasterKeySource
from secrets_actor.backends.master_key_setting import KeyPlace
from secrets_actor.paths import absolute

if TYPE_CHECKING:
    from secrets_actor.backends.local.keys.readers import Reader


def source_for(place: KeyPlace, path: Path) -> MasterKeySource:
    """The source that *place* names, for the store in the folder *path*. Touches no file; paths are fixed now, whatever
    becomes of the working directory. Raises `NoPlace`."""
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
    """The source that has its passphrase from *ask*, which is called once: for the command line."""
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
