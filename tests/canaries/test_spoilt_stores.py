"""A local store that was spoilt, locked or has no room: what it held is not let out."""

import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from secrets_actor import LocalSettings, LogSettings, SecretsError, Settings, start
from secrets_actor.errors import KeyFileError, StoreDamaged, StoreUnavailable, WrongKey
from tests.canaries.canary_search import Hunt
from tests.canaries.planted_canaries import Values


@pytest.fixture
def store(hunt: Hunt, tmp_path: Path) -> tuple[Path, Values]:
    """A local store with secrets in it, closed."""
    values = Values.planted(hunt)
    with start(Settings(local=LocalSettings(path=tmp_path / "store"))) as system:
        for number, value in enumerate((values.text, values.json, values.binary)):
            system.secrets.set(f"canaries/{number}", value)
    return tmp_path / "store", values


def missing_key(store: Path) -> None:
    (store / "key").unlink()


def short_key(store: Path) -> None:
    (store / "key").write_bytes((store / "key").read_bytes()[:20])


def other_key(store: Path) -> None:
    (store / "key").write_bytes(os.urandom(32))


def open_key(store: Path) -> None:
    (store / "key").chmod(0o644)


def rubbish(store: Path) -> None:
    (store / "secrets.db").write_bytes(b"rubbish" * 1000)


def folder_for_a_database(store: Path) -> None:
    for file in store.glob("secrets.db*"):
        file.unlink()
    (store / "secrets.db").mkdir()


def spoilt_values(store: Path) -> None:
    database = sqlite3.connect(store / "secrets.db")
    database.execute("UPDATE versions SET sealed = zeroblob(40)")
    database.commit()
    database.close()


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (missing_key, KeyFileError),
        (short_key, KeyFileError),
        (other_key, WrongKey),
        (open_key, KeyFileError),
        (rubbish, StoreDamaged),
        (folder_for_a_database, StoreUnavailable),
        (spoilt_values, SecretsError),
    ],
)
def test_a_spoilt_store_tells_nothing_of_what_it_held(
    hunt: Hunt, store: tuple[Path, Values], spoil: Callable[[Path], None], error: type[SecretsError]
) -> None:
    path, values = store
    key = (path / "key").read_bytes()
    hunt.plant("the key", key)
    spoil(path)

    with start(Settings(local=LocalSettings(path=path))) as system:
        for number in range(3):
            hunt.failure("get", error, lambda number=number: system.secrets.get(f"canaries/{number}"))
        if spoil is not spoilt_values:
            hunt.failure("set", error, lambda: system.secrets.set("canaries/0", values.other))
            hunt.failure("list", error, system.secrets.list)
        hunt.objects("spoilt", system)

    hunt.files(path, path / "key")
    hunt.nothing_was_found(texts=300, error=15, log_of_secrets_actor=10)


def test_a_locked_store_and_a_full_disk_let_nothing_out(hunt: Hunt, store: tuple[Path, Values], tmp_path: Path) -> None:
    path, values = store
    log = LogSettings(output=str(tmp_path / "audit.log"))
    with start(Settings(local=LocalSettings(path=path), log=log)) as system:
        other = sqlite3.connect(path / "secrets.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        hunt.failure("locked", SecretsError, lambda: system.secrets.set("canaries/0", values.other, timeout=0.2))
        other.close()
        with _no_file_grows():
            hunt.failure("full", SecretsError, lambda: system.secrets.set("canaries/0", values.other, timeout=2))
        hunt.attempt("room again", lambda: system.secrets.set("canaries/0", values.other))
        hunt.objects("full", system)

    hunt.files(tmp_path, path / "key")
    hunt.nothing_was_found(texts=300, error=10, file=2)


@contextmanager
def _no_file_grows() -> Iterator[None]:
    """What a full disk is to a program: every write fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
