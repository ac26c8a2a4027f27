"""The key file: made once, whole, for us alone; exchanged without a moment in which there is none."""

import os
import stat
import threading
from pathlib import Path

import pytest

from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.domain.errors import KeyFileError, StoreUnavailable
from tests.backends.local.helpers import files, no_file_grows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "store.key"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o177])
def test_the_first_use_makes_it_for_us_alone(path: Path, umask: int) -> None:
    source = KeyFile(path)
    assert (source.load(), source.load_next(), source.present(), source.identity()) == (None, None, False, None)

    before = os.umask(umask & ~0o700)
    try:
        key, derivation = source.create()
        other, _ = source.replace()
    finally:
        os.umask(before)

    assert (mode(path.parent), mode(path), mode(path.with_name("store.key.next"))) == (0o700, 0o600, 0o600)
    assert (source.load(), derivation, source.present()) == (key, None, True)
    assert (len(key), len(other), key == other) == (32, 32, False)
    assert source.create()[0] == key, "what is there stays"


def test_the_next_key_is_made_once_lies_beside_and_takes_the_place(path: Path) -> None:
    source = KeyFile(path)
    old, _ = source.create()
    identity = source.identity()

    new, _ = source.replace()
    assert (source.load(), source.load_next(), source.replace()[0]) == (old, new, new)
    assert source.identity() == identity

    source.replaced()
    assert (source.load(), source.load_next()) == (new, None)
    assert source.identity() != identity
    source.replaced()
    assert files(path.parent) == {"store.key": new}


def test_many_threads_get_one_key_and_one_next_key(path: Path) -> None:
    source = KeyFile(path)
    gate = threading.Barrier(8)
    keys: list[tuple[bytes, bytes]] = []

    def one() -> None:
        gate.wait()
        keys.append((source.create()[0], source.replace()[0]))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys) == 8
    assert set(keys) == {(path.read_bytes(), path.with_name("store.key.next").read_bytes())}
    assert len(files(path.parent)) == 2


@pytest.mark.parametrize("name", ["store.key", "store.key.next"])
@pytest.mark.parametrize("bits", [0o640, 0o440, 0o604, 0o620, 0o610])
def test_a_loose_mode_is_refused_with_the_remedy(path: Path, name: str, bits: int) -> None:
    source = KeyFile(path)
    source.create()
    source.replace()
    loose = path.with_name(name)
    loose.chmod(bits)

    load = source.load if name == "store.key" else source.load_next
    with pytest.raises(KeyFileError, match=f"mode {bits:04o}.*; run: chmod 600 {loose}$") as caught:
        load()

    assert caught.value.path == str(loose)


@pytest.mark.parametrize("bits", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused_with_the_remedy(path: Path, bits: int) -> None:
    source = KeyFile(path)
    source.create()
    path.parent.chmod(bits)

    with pytest.raises(KeyFileError, match=f"run: chmod go-w {path.parent}"):
        source.load()
    with pytest.raises(KeyFileError, match=f"run: chmod 700 {path.parent}"):
        source.replace()


@pytest.mark.parametrize(
    ("content", "told"), [(b"", "short: 0"), (b"k" * 31, "short: 31"), (b"k" * 3300, "long: 3300")]
)
def test_another_length_is_refused(path: Path, content: bytes, told: str) -> None:
    source = KeyFile(path)
    source.create()
    path.write_bytes(content)

    with pytest.raises(KeyFileError, match=f"too {told} bytes"):
        source.present()


def test_no_room_is_told_and_leaves_nothing_behind(path: Path) -> None:
    source = KeyFile(path)
    old, _ = source.create()
    with no_file_grows(), pytest.raises(KeyFileError, match="cannot be made"):
        source.replace()

    assert files(path.parent) == {"store.key": old}


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    source = KeyFile(tmp_path / "file" / "key")

    with pytest.raises(KeyFileError, match="cannot be read"):
        source.load()
    with pytest.raises(StoreUnavailable, match=r"the key's folder .* cannot be made"):
        source.create()


def test_a_place_that_cannot_be_taken_is_an_error_of_ours(path: Path) -> None:
    source = KeyFile(path)
    new, _ = source.replace()
    path.mkdir()

    with pytest.raises(KeyFileError, match="cannot take the place"):
        source.replaced()
    path.rmdir()
    source.replaced()
    assert source.load() == new


def test_it_shows_its_path_and_nothing_else(path: Path) -> None:
    source = KeyFile(path)
    source.create()

    assert (str(source), repr(source)) == (f"the key file {path}", f"<KeyFile {path}>")
    assert str(path) in str(source.missing())
    assert (source.kind, source.makes) == ("key_file", True)
