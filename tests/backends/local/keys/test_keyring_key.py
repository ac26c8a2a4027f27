"""The key in the system's key ring: with the package keyring itself, and key rings of its own sorts."""

import base64
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.errors import InitError, KeyringLocked, NoKeyringError, PasswordSetError
from keyrings.alt.file import PlaintextKeyring

from secrets_actor.backends.local.keys.keyring_key import NEXT, PRESENT, KeyringKey
from secrets_actor.domain.errors import KeyFileError, KeySourceError, StoreUnavailable

SERVICE = "my-daemon"


@pytest.fixture
def source(ring: PlaintextKeyring, tmp_path: Path) -> KeyringKey:
    return KeyringKey(SERVICE, tmp_path / "store")


class LockedException(Exception):
    """As secretstorage has it."""


class Failing(PlaintextKeyring):
    """A key ring that fails in one of its methods, quoting what it was given."""

    priority = 0.1

    def __init__(self, error: type[Exception], method: str, path: str) -> None:
        super().__init__()
        self.file_path = path
        self._error, self._method = error, method

    def _fail(self, method: str, *quoted: str) -> None:
        if method == self._method:
            raise self._error(" ".join(quoted))

    def get_password(self, service: str, username: str) -> str | None:
        found: str | None = super().get_password(service, username)
        self._fail("get", str(found))
        return found

    def set_password(self, service: str, username: str, password: str) -> None:
        self._fail("set", password)
        super().set_password(service, username, password)

    def delete_password(self, service: str, username: str) -> None:
        self._fail("delete", str(super().get_password(service, username)))
        super().delete_password(service, username)


def test_the_first_use_makes_it_and_every_other_finds_it(source: KeyringKey, tmp_path: Path) -> None:
    assert (source.load(), source.load_next(), source.present()) == (None, None, False)
    key, derivation = source.create()

    assert (len(key), derivation, source.load(), source.create()[0], source.present()) == (32, None, key, key, True)
    assert KeyringKey(SERVICE, tmp_path / "store").load() == key
    assert keyring.get_password(SERVICE, PRESENT) == base64.b64encode(key).decode()
    assert KeyringKey("another", tmp_path / "store").load() is None
    assert (source.kind, source.makes, source.identity()) == ("keyring", True, None)


def test_the_next_key_lies_beside_and_takes_the_place(source: KeyringKey) -> None:
    old, _ = source.create()
    new, _ = source.replace()
    assert (source.load(), source.load_next(), source.replace()[0]) == (old, new, new)

    source.replaced()
    assert (source.load(), source.load_next()) == (new, None)
    source.replaced()
    assert source.load() == new
    third, _ = source.replace()
    assert third not in (old, new)


def test_an_exchange_that_broke_off_goes_on(source: KeyringKey) -> None:
    source.create()
    new, _ = source.replace()
    keyring.set_password(SERVICE, PRESENT, base64.b64encode(new).decode())  # written over, and not yet deleted
    assert (source.load(), source.load_next()) == (new, new)
    assert source.replace()[0] != new, "the same key again would be no change"

    keyring.delete_password(SERVICE, PRESENT)  # by a key ring that deletes first
    assert source.load() == source.load_next()
    source.replaced()
    assert source.load_next() is None
    assert source.present()


def test_many_who_start_at_once_get_one_key(source: KeyringKey, tmp_path: Path) -> None:
    gate = threading.Barrier(6)
    keys = set()

    def one() -> None:
        mine = KeyringKey(SERVICE, tmp_path / "store")
        gate.wait()
        keys.add(mine.create()[0])

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert keys == {source.load()}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NoKeyringError, "there is no key ring on this machine"),
        (KeyringLocked, "is locked: log in to the desktop or unlock"),
        (LockedException, "is locked: unlock"),
        (InitError, "does not open; see that the session's key ring"),
        (PasswordSetError, "cannot be changed: the key ring refuses"),
        (PermissionError, "denies this user access"),
        (ModuleNotFoundError, "backend is not installed whole"),
        (RuntimeError, "the key ring says RuntimeError; see `keyring diagnose`"),
    ],
)
@pytest.mark.parametrize("method", ["get", "set", "delete"])
def test_what_goes_wrong_in_a_key_ring_is_told_as_what_to_do(
    ring: PlaintextKeyring, source: KeyringKey, error: type[Exception], told: str, method: str
) -> None:
    source.create()
    text = keyring.get_password(SERVICE, PRESENT)
    assert text is not None
    source.replace()
    calls: dict[str, list[Callable[[], Any]]] = {
        "get": [source.load, source.load_next, source.present, source.create, source.replace, source.replaced],
        "set": [KeyringKey("new", source._folder).create, source.replaced],
        "delete": [source.replaced],
    }
    keyring.set_keyring(Failing(error, method, ring.file_path))

    for call in calls[method]:
        with pytest.raises(KeySourceError, match="the key ring's entry master-key of ") as caught:
            call()
        assert told in str(caught.value)
        assert caught.value.__context__ is None
        assert text not in str(caught.value)
        assert caught.value.path in (SERVICE, "new")


def test_a_key_ring_that_keeps_nothing_is_found_out(source: KeyringKey) -> None:
    from keyring.backends.null import Keyring

    keyring.set_keyring(Keyring())

    with pytest.raises(KeySourceError, match="does not give it back"):
        source.create()


def test_a_key_ring_that_forgets_is_found_out_before_the_next_key_is_deleted(
    ring: PlaintextKeyring, source: KeyringKey
) -> None:
    class Stubborn(PlaintextKeyring):
        priority = 0.1

        def set_password(self, service: str, username: str, password: str) -> None:
            """Keeps what it has."""

    old, _ = source.create()
    new, _ = source.replace()
    stubborn = Stubborn()
    stubborn.file_path = ring.file_path
    keyring.set_keyring(stubborn)

    with pytest.raises(KeySourceError, match="does not give it back"):
        source.replaced()
    assert (source.load(), source.load_next()) == (old, new)


@pytest.mark.parametrize("account", [PRESENT, NEXT])
def test_an_entry_that_is_no_key_is_refused(source: KeyringKey, account: str) -> None:
    keyring.set_password(SERVICE, account, "hunter2")

    with pytest.raises(KeySourceError, match="holds no key") as caught:
        source.load() if account == PRESENT else source.load_next()
    assert "hunter2" not in str(caught.value)


def test_a_folder_that_cannot_be_had_is_an_error_of_ours(ring: PlaintextKeyring, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable):
        KeyringKey(SERVICE, tmp_path / "file" / "store").create()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(KeyFileError):
        KeyringKey(SERVICE, tmp_path / "open").create()
    assert keyring.get_password(SERVICE, PRESENT) is None


def test_without_the_package_it_is_told_what_to_install(tmp_path: Path) -> None:
    """In an interpreter that finds the package nowhere."""
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.modules['keyring'] = None\n"
            "from pathlib import Path\n"
            "from secrets_actor.backends.local.keys.keyring_key import KeyringKey\n"
            "from secrets_actor.domain.errors import KeySourceError\n"
            "try:\n    KeyringKey('my-daemon', Path(sys.argv[1])).create()\n"
            "except KeySourceError as exc:\n    print(exc)",
            str(tmp_path / "store"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "needs the package keyring: pip install 'secrets-actor[keyring]'" in ran.stdout


def test_it_shows_a_name_and_never_what_may_be_a_key(source: KeyringKey) -> None:
    key = os.urandom(32).hex()
    misplaced = KeyringKey(key, Path("/nonexistent"))

    assert (str(source), repr(source)) == ("the key ring's entry master-key of my-daemon", "<KeyringKey my-daemon>")
    assert key not in f"{misplaced} {misplaced!r} {misplaced.missing()} {misplaced.missing().path}"
    assert "keyring set SERVICE master-key" in str(source.missing())
    assert source.missing().path == SERVICE
