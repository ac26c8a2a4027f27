"""A key made of a passphrase: by costs that the store keeps, within bounds, once."""

import threading
from pathlib import Path

import pytest

from secrets_actor.backends.local.keys import scrypt
from secrets_actor.backends.local.keys.passphrase import Passphrase
from secrets_actor.backends.local.keys.readers import FileReader, VariableReader
from secrets_actor.backends.local.keys.sources import typed_passphrase
from secrets_actor.backends.local.master_key_source import Derivation
from secrets_actor.domain.errors import KeySourceError, StoreDamaged
from tests.backends.local.helpers import run_python

CHEAP = scrypt.LEAST_N
# RFC 7914, 12, the third vector (N = 16384, r = 8, p = 1), its first 32 bytes.
PHRASE = "pleaseletmein"
SALT = b"SodiumChloride"
KNOWN = bytes.fromhex("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2")


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Passphrase:
    monkeypatch.setenv("PHRASE", "correct horse")
    return Passphrase(VariableReader("PHRASE"), n=CHEAP)


def test_it_is_scrypt_as_others_have_it() -> None:
    assert scrypt.derived(PHRASE.encode(), Derivation(SALT, 16384, 8, 1)) == KNOWN


def test_a_new_store_has_a_salt_of_its_own_and_the_key_comes_back_by_it(source: Passphrase) -> None:
    key, derivation = source.create()
    other, another = source.create()

    assert (len(key), len(derivation.salt), derivation.n, derivation.r, derivation.p) == (32, 16, CHEAP, 8, 1)
    assert key != other
    assert derivation.salt != another.salt
    afresh = Passphrase(VariableReader("PHRASE"))
    assert (afresh.load(derivation), afresh.load(another)) == (key, other)
    assert (source.kind, source.makes, source.load(None), source.load_next(derivation)) == (
        "passphrase",
        False,
        None,
        None,
    )


def test_the_costs_of_a_new_store_are_owasps() -> None:
    _, derivation = typed_passphrase(lambda: "correct horse").create()

    assert derivation is not None
    assert (derivation.n, derivation.r, derivation.p) == (2**17, 8, 1)


def test_another_passphrase_makes_another_key(source: Passphrase, monkeypatch: pytest.MonkeyPatch) -> None:
    key, derivation = source.create()
    identity = source.identity()
    monkeypatch.setenv("PHRASE", "correct horse battery")

    assert source.load(derivation) != key
    assert source.identity() != identity


@pytest.mark.parametrize("content", [b"correct horse\n", b"\ncorrect horse", b"correct horse"])
def test_a_file_and_a_prompt_hold_the_same_passphrase(source: Passphrase, tmp_path: Path, content: bytes) -> None:
    key, derivation = source.create()
    path = tmp_path / "phrase"
    path.touch(0o600)
    path.write_bytes(content)

    assert Passphrase(FileReader(str(path))).load(derivation) == key
    assert typed_passphrase(lambda: "correct horse").load(derivation) == key


def test_a_passphrase_in_an_open_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "phrase").write_text("correct horse")
    (tmp_path / "phrase").chmod(0o644)
    source = Passphrase(FileReader(str(tmp_path / "phrase")))

    for call in (source.present, source.create):
        with pytest.raises(KeySourceError, match=r"the passphrase in the file .* is open to group or others"):
            call()


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_an_empty_passphrase_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "phrase").touch(0o600)
    (tmp_path / "phrase").write_bytes(content)

    with pytest.raises(KeySourceError, match="empty passphrase: give at least one character"):
        Passphrase(FileReader(str(tmp_path / "phrase"))).present()


def test_a_passphrase_that_is_not_there_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PHRASE", raising=False)
    source = Passphrase(VariableReader("PHRASE"), n=CHEAP)

    assert (source.present(), source.load(Derivation(b"s" * 16, CHEAP, 8, 1))) == (False, None)
    for call in (source.create, typed_passphrase(lambda: "").create):
        with pytest.raises(KeySourceError, match=r"the passphrase (in the environment|that was typed).* holds nothing"):
            call()


@pytest.mark.parametrize("n", [2**30, 2**17 + 1, 1, -1])
def test_a_header_that_asks_for_too_much_is_damage_and_nothing_is_derived(source: Passphrase, n: int) -> None:
    with pytest.raises(StoreDamaged, match="put the store back from a backup"):
        source.load(Derivation(b"s" * 16, n, 8, 1))


def test_it_is_derived_once_however_many_ask_and_asked_for_once(source: Passphrase) -> None:
    asked = []

    def ask() -> str:
        asked.append(1)
        return "correct horse"

    _, derivation = source.create()
    typed = typed_passphrase(ask)
    gate = threading.Barrier(4)
    keys = []

    def one() -> None:
        gate.wait()
        keys.append(typed.load(derivation))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    typed.create()

    assert len(asked) == 1
    assert keys == [source.load(derivation)] * 4
    assert len({id(key) for key in keys}) == 1, "one derivation"


def test_too_little_memory_is_told() -> None:
    ran = run_python(
        """
import os, resource
from secrets_actor.backends.local.keys.passphrase import Passphrase
from secrets_actor.backends.local.keys.readers import VariableReader
from secrets_actor.domain.errors import KeySourceError
os.environ["PHRASE"] = "hunter2"
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 64 * 2**20,) * 2)
try:
    Passphrase(VariableReader("PHRASE")).create()
except KeySourceError as exc:
    print(exc)
"""
    )

    assert "scrypt wants 128 MiB of memory; give this process as much" in ran.stdout, ran.stderr
    assert "hunter2" not in ran.stdout + ran.stderr


def test_it_shows_neither_passphrase_nor_key(source: Passphrase) -> None:
    key, _ = source.create()
    shown = f"{source} {source!r} {source._kept!r} {source.missing()} {typed_passphrase(lambda: 'hunter2')!r}"

    assert "hunter2" not in shown
    assert "correct horse" not in shown
    assert repr(key) not in shown
    assert str(source) == "the passphrase in the environment variable PHRASE"
    assert str(typed_passphrase(str)) == "the passphrase that was typed"
