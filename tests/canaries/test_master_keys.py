"""Master keys and passphrases: no place they come from, and nothing that fails on the way, lets them out."""

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.errors import KeyringLocked
from keyrings.alt.file import PlaintextKeyring

from secrets_actor import LocalSettings, LogSettings, Settings, start
from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.keys.keyring_key import PRESENT, KeyringKey
from secrets_actor.backends.local.keys.passphrase import Passphrase
from secrets_actor.backends.local.keys.readers import VariableReader
from secrets_actor.backends.local.keys.sources import source_for, typed_passphrase
from secrets_actor.backends.local.master_key_source import Derivation, MasterKeySource
from secrets_actor.backends.local.open_store import MAKING
from secrets_actor.backends.master_key_setting import place_of
from secrets_actor.errors import KeyFileError, StoreDamaged, WrongKey
from tests.backends.local.helpers import no_file_grows
from tests.canaries.canary_forms import canary
from tests.canaries.canary_search import Hunt


@pytest.fixture
def ring(tmp_path: Path) -> Iterator["Locking"]:
    before = keyring.get_keyring()
    made = Locking()
    made.file_path = str(tmp_path / "ring" / "keyring.cfg")
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


class Locking(PlaintextKeyring):
    """A key ring that is locked while it is written to, and says what was to be written."""

    priority = 0.1
    locked = False

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked:
            raise KeyringLocked(f"not {password} over {super().get_password(service, username)}")
        super().set_password(service, username, password)


def tried(hunt: Hunt, source: MasterKeySource) -> None:
    """All that a source says of itself."""
    for shown in (str(source), repr(source), f"{source}", repr(source.identity()), repr(vars(source))):
        hunt.text("source", type(source).__name__, shown)
    hunt.error("missing", source.missing())
    hunt.text("source", "present", repr(source.present()))


def test_what_is_given_is_not_repeated_whatever_is_wrong_with_it(
    hunt: Hunt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = os.urandom(32)
    hunt.plant("key", key)
    path = tmp_path / "given"
    path.touch(0o600)
    for content in (key, base64.b64encode(key), key.hex().encode()):
        path.write_bytes(content)
        for place in (place_of({"file": str(path)}), place_of({"env": "STORE_KEY"})):
            monkeypatch.setenv("STORE_KEY", base64.b64encode(key).decode())
            source = source_for(place, tmp_path)
            assert source.load(None) == key
            tried(hunt, source)
            hunt.failure("replace", KeyFileError, source.replace)
            hunt.text("source", "place", f"{place!r} {place}")
    for wrong in (
        key[:31],
        key + b"\n",
        base64.b64encode(key) * 2,
        key.hex().encode()[1:],
        b"=" + key,
        b"x" * 2000 + key,
    ):
        path.write_bytes(wrong)
        monkeypatch.setenv("STORE_KEY", wrong.hex()[:-1])
        for table in ({"file": str(path)}, {"env": "STORE_KEY"}):
            bad = source_for(place_of(table), tmp_path)
            for call in (lambda bad=bad: bad.load(None), bad.present, bad.create):
                hunt.failure(str(table), KeyFileError, call)
    path.write_bytes(key)
    path.chmod(0o644)
    hunt.failure("loose", KeyFileError, source_for(place_of({"file": str(path)}), tmp_path).create)

    hunt.nothing_was_found(source=30, error=100, traceback=30, frames=30)


def test_a_key_file_is_not_repeated(hunt: Hunt, tmp_path: Path) -> None:
    source = KeyFile(tmp_path / "keys" / "key")
    hunt.plant("key", source.create()[0])
    tried(hunt, source)
    with no_file_grows():
        hunt.failure("no room", KeyFileError, source.replace)
    hunt.plant("next key", source.replace()[0])
    (tmp_path / "keys" / "key").chmod(0o644)
    for call in (source.load, source.present, source.create):
        hunt.failure("loose", KeyFileError, call)
    (tmp_path / "keys" / "key").chmod(0o600)
    (tmp_path / "keys" / "key").write_bytes(source.create()[0] + b"longer")
    hunt.failure("long", KeyFileError, source.load)

    hunt.nothing_was_found(source=5, error=20, frames=10)


def test_a_passphrase_and_its_key_are_not_repeated(hunt: Hunt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phrase = canary()
    hunt.plant("passphrase", phrase)
    monkeypatch.setenv("PHRASE", phrase)
    source = Passphrase(VariableReader("PHRASE"), n=2**14)
    key, derivation = source.create()
    hunt.plant("key", key)
    typed = typed_passphrase(lambda: phrase)
    assert typed.load(derivation) == key
    (tmp_path / "phrase").touch(0o600)
    (tmp_path / "phrase").write_text(phrase * 40)

    for one in (source, typed):
        tried(hunt, one)
        hunt.failure("replace", KeyFileError, one.replace)
        for wrong in (Derivation(b"s" * 16, 2**26, 8, 1), Derivation(b"", 2**17, 8, 1)):
            hunt.failure("header", StoreDamaged, lambda one=one, wrong=wrong: one.load(wrong))
    in_file = source_for(place_of({"passphrase": {"file": str(tmp_path / "phrase")}}), tmp_path)
    hunt.failure("long", KeyFileError, in_file.create)
    (tmp_path / "phrase").chmod(0o644)
    hunt.failure("loose", KeyFileError, in_file.create)
    monkeypatch.setenv("PHRASE", phrase * 40)
    hunt.failure("long, with the key of the one before at hand", KeyFileError, lambda: source.load(derivation))

    hunt.nothing_was_found(source=10, error=40, frames=10)


def test_a_key_ring_that_quotes_is_not_repeated(hunt: Hunt, tmp_path: Path, ring: Locking) -> None:
    source = KeyringKey("my-daemon", tmp_path / "store")
    old, _ = source.create()
    new, _ = source.replace()
    hunt.plant("key", old)
    hunt.plant("next key", new)
    tried(hunt, source)

    ring.locked = True
    hunt.failure("locked", KeyFileError, source.replaced)
    hunt.failure("locked", KeyFileError, KeyringKey("other", tmp_path / "store").create)
    ring.locked = False
    keyring.set_password("my-daemon", PRESENT, base64.b64encode(old).decode() + "!")
    for call in (source.load, source.present, source.create):
        hunt.failure("spoilt", KeyFileError, call)

    hunt.nothing_was_found(source=5, error=20, frames=10)


@pytest.mark.parametrize(
    "where", ["file", "env", *(pytest.param(one, marks=pytest.mark.slow) for one in ("given", "phrase", "keyring"))]
)
def test_a_system_lets_no_key_out(
    hunt: Hunt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ring: Locking, where: str
) -> None:
    key = os.urandom(32)
    hunt.plant("key", key)
    text = base64.b64encode(key).decode()
    monkeypatch.setenv("STORE_KEY", text)
    (tmp_path / "given").touch(0o600)
    (tmp_path / "given").write_text(text)
    (tmp_path / "store").mkdir(0o700)
    (tmp_path / "store" / "key").touch(0o600)
    (tmp_path / "store" / "key").write_bytes(key)
    (tmp_path / "store" / MAKING).touch(0o600)  # else it would be the key of a store that is lost
    keyring.set_password("my-daemon", PRESENT, text)
    tables: dict[str, Any] = {
        "env": {"env": "STORE_KEY"},
        "given": {"file": str(tmp_path / "given")},
        "phrase": {"passphrase": {"env": "STORE_KEY"}},
        "keyring": {"keyring": "my-daemon"},
    }
    spoil: dict[str, Callable[[bytes], object]] = {
        "env": lambda content: monkeypatch.setenv("STORE_KEY", content.hex()),
        "phrase": lambda content: monkeypatch.setenv(
            "STORE_KEY", (content * 40).hex() if len(content) < 32 else "other"
        ),
        "given": lambda content: (tmp_path / "given").write_text(content.hex()),
        "keyring": lambda content: keyring.set_password("my-daemon", PRESENT, content.hex()),
        "file": (tmp_path / "store" / "key").write_bytes,
    }
    settings = Settings(
        local=LocalSettings(path=tmp_path / "store", key=tables.get(where, "file")),
        log=LogSettings(output=str(tmp_path / "log")),
    )
    with start(settings) as system:
        hunt.attempt("set", lambda: system.secrets.set("a", "v"))
        hunt.attempt("get", lambda: system.secrets.get("a", refresh=True))
        hunt.text("settings", where, f"{system.settings!r} {system.settings}")
        hunt.objects(where, system)
    spoil[where](key[:30])
    with start(settings) as system:
        hunt.failure("short", KeyFileError, lambda: system.secrets.get("a", refresh=True))
        spoil[where](key[1:] + key[:1])
        hunt.failure("other", WrongKey, lambda: system.secrets.get("a", refresh=True))
        hunt.objects(where, system)
    kept = [tmp_path / "given", tmp_path / "store" / "key", tmp_path / "ring" / "keyring.cfg"]
    hunt.files(tmp_path, *kept)

    hunt.nothing_was_found(texts=300, error=10, file=2, settings=1)
