"""The local store's yardsticks: plain sqlite3 that does the same input and output without sealing, the same behind our
Backend port, and other ways to keep secrets in a file."""

import contextlib
import importlib.util
import json
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from secrets_actor.domain.operations import Get, List, Set
from secrets_actor.domain.ports import Answer, BackendFactory
from secrets_actor.domain.results import SecretDescription
from secrets_actor.domain.secret import Secret, SecretValue, SetReceipt

Pair = tuple[Callable[[str], Any], Callable[[str, str], Any]]
AT = datetime(2026, 1, 1, tzinfo=UTC)
PEERS = {"keyrings.alt": "keyrings.alt", "keyrings.cryptfile": "keyrings.cryptfile", "sqlcipher3": "sqlcipher3"}


class Plain:
    """A head and a version a secret in the write-ahead log, each write synced: one transaction an operation."""

    def __init__(self, path: Path, module: Any = sqlite3, key: str | None = None) -> None:
        path.touch(0o600)
        self.connection = module.connect(path, isolation_level=None, check_same_thread=False)
        if key is not None:
            self.connection.execute(f"PRAGMA key = \"x'{key}'\"")
        self.do = self.connection.execute
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            self.do(f"PRAGMA {pragma}").fetchone()
        self.do("CREATE TABLE IF NOT EXISTS secrets (id INTEGER PRIMARY KEY, name TEXT UNIQUE, head TEXT NOT NULL)")
        self.do(
            "CREATE TABLE IF NOT EXISTS versions (secret INTEGER, version_id TEXT, value BLOB,"
            " PRIMARY KEY (secret, version_id)) WITHOUT ROWID"
        )

    def get(self, name: str) -> tuple[dict[str, Any], str]:
        """What is known of a secret, and its current value."""
        self.do("BEGIN")
        key, text = self.do("SELECT id, head FROM secrets WHERE name = ?", (name,)).fetchone()
        head: dict[str, Any] = json.loads(text)
        value = self.do("SELECT value FROM versions WHERE secret = ? AND version_id = ?", (key, head["current"]))
        (found,) = value.fetchone()
        self.do("COMMIT")
        return head, found

    def set(self, name: str, value: str, version_id: str | None = None) -> None:
        """A new current version; the one before is kept."""
        version_id = version_id or str(uuid.uuid4())
        self.do("BEGIN IMMEDIATE")
        self._set(name, value, version_id)
        self.do("COMMIT")

    def fill(self, names: list[str], value: str) -> None:
        """All at once."""
        self.do("BEGIN IMMEDIATE")
        for name in names:
            self._set(name, value, str(uuid.uuid4()))
        self.do("COMMIT")

    def _set(self, name: str, value: str, version_id: str) -> None:
        row = self.do("SELECT id, head FROM secrets WHERE name = ?", (name,)).fetchone()
        head = {"name": name, "versions": []} if row is None else json.loads(row[1])
        head |= {"current": version_id, "versions": [*head["versions"][-1:], version_id], "at": time.time()}
        text = json.dumps(head)
        if row is None:
            key = self.do("INSERT INTO secrets (name, head) VALUES (?, ?)", (name, text)).lastrowid
        else:
            key = row[0]
            self.do("UPDATE secrets SET head = ? WHERE id = ?", (text, key))
        self.do("INSERT INTO versions VALUES (?, ?, ?)", (key, version_id, value))

    def heads(self) -> list[dict[str, Any]]:
        """What is known of all."""
        self.do("BEGIN")
        found = [json.loads(head) for (head,) in self.do("SELECT head FROM secrets ORDER BY name")]
        self.do("COMMIT")
        return found

    def close(self) -> None:
        """Give it up."""
        self.connection.close()


class PlainBackend:
    """The same as a backend: what our tree costs over a store that seals nothing."""

    name = "plain"

    def __init__(self, path: Path) -> None:
        self._plain = Plain(path)

    def perform(self, operation: Any, context: Any) -> Answer[Any]:
        """What the bench asks for."""
        match operation:
            case Get():
                head, value = self._plain.get(operation.secret_id)
                version = head["current"]
                return Answer(Secret(head["name"], head["name"], SecretValue(value), version, ("AWSCURRENT",), AT))
            case Set():
                self._plain.set(operation.secret_id, str(operation.value.reveal()), operation.token)
                return Answer(SetReceipt(operation.secret_id, operation.secret_id, str(operation.token), False))
            case List():
                return Answer(
                    tuple(
                        SecretDescription(head["name"], head["name"], created_at=AT, changed_at=AT)
                        for head in self._plain.heads()
                    )
                )
        raise NotImplementedError(operation)

    def close(self) -> None:
        """Give it up."""
        self._plain.close()


def plain_kit(path: Path) -> BackendFactory:
    """What `System` starts over."""
    return BackendFactory("plain", lambda: PlainBackend(path))


def missing() -> list[str]:
    """The peers that are not installed."""
    return [name for name, module in PEERS.items() if not _has(module)]


def _has(module: str) -> bool:
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.util.find_spec(module) is not None
    return False


@contextlib.contextmanager
def peer(name: str, folder: Path, names: list[str], value: str) -> Iterator[Pair]:
    """The (get, set) of another store with all *names* in it."""
    if name == "sqlcipher3":
        import sqlcipher3

        ciphered = Plain(folder / "ciphered.db", sqlcipher3, os.urandom(32).hex())
        ciphered.fill(names, value)
        yield ciphered.get, ciphered.set
        ciphered.close()
        return
    if name == "keyrings.alt":
        from keyrings.alt.file import PlaintextKeyring

        ring: Any = PlaintextKeyring()
    else:
        from keyrings.cryptfile.cryptfile import CryptFileKeyring

        ring = CryptFileKeyring()
        ring.keyring_key = "correct horse"
    ring.file_path = str(folder / "ring.cfg")
    for one in names:
        ring.set_password("bench", one, value)
    yield lambda one: ring.get_password("bench", one), lambda one, new: ring.set_password("bench", one, new)
