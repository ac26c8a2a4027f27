"""The key file in the store's folder, by its folder; see `keys/key_file.py`."""

from collections.abc import Callable
from pathlib import Path

from secrets_actor.backends.local.keys.first_use import load_or_create as _load_or_create
from secrets_actor.backends.local.keys.key_file import KEY_NAME as KEY_NAME
from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.keys.private_file import prepare_folder as prepare_folder
from secrets_actor.backends.local.master_key import KEY_BYTES as KEY_BYTES


def load(path: Path) -> bytes | None:
    """As `KeyFile.load`."""
    return KeyFile(path).load()


def load_or_create(folder: Path, *, data_exists: Callable[[], bool]) -> bytes:
    """As `first_use.load_or_create`, of the key file in *folder*."""
    return _load_or_create(KeyFile(folder / KEY_NAME), data_exists=data_exists)[0]
