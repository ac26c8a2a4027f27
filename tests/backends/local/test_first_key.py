"""The key: made once, whole, for us alone; and never made anew over data."""

import os
import stat
import threading
from pathlib import Path

import pytest

from secrets_actor.backends.local.backend import LocalBackend
from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.keys.private_file import prepare_folder
from secrets_actor.domain.errors import KeyFileError, StoreDamaged, StoreUnavailable, WrongKey
from secrets_actor.domain.operations import Get, List, Set
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import do, files, no_file_grows, tamper, told_with_locals


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def sealed_store(connect: Connect, folder: Path) -> Path:
    """A folder with a key and data, and nobody at it."""
    backend = connect()
    do(backend, Set("db/password", "hunter2"))
    backend.close()
    return folder


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o177])
def test_the_first_use_makes_everything_for_us_alone(folder: Path, connect: Connect, umask: int) -> None:
    before = os.umask(umask & ~0o700)
    try:
        do(connect(), Set("a", "b"))
    finally:
        os.umask(before)

    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {
        "key": 0o600,
        "secrets.db": 0o600,
        "secrets.db-wal": 0o600,
        "secrets.db-shm": 0o600,
    }
    assert len((folder / "key").read_bytes()) == 32


def test_connecting_touches_no_file(folder: Path, connect: Connect) -> None:
    assert "not opened yet" in repr(connect())
    assert not folder.exists()


def test_many_threads_that_make_the_key_at_once_get_the_same_one(folder: Path) -> None:
    prepare_folder(folder)
    gate = threading.Barrier(8)
    keys: list[bytes] = []

    def one() -> None:
        gate.wait()
        keys.append(KeyFile(folder / "key").create()[0])

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys) == 8
    assert set(keys) == {(folder / "key").read_bytes()}
    assert [path.name for path in folder.iterdir()] == ["key"]


def test_two_first_uses_make_two_different_keys(tmp_path: Path) -> None:
    for name in ("one", "other"):
        prepare_folder(tmp_path / name)
    keys = {KeyFile(tmp_path / name / "key").create()[0] for name in ("one", "other")}

    assert len(keys) == 2


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o660, 0o644, 0o610])
def test_a_key_open_to_others_is_refused_with_the_remedy(sealed_store: Path, connect: Connect, bits: int) -> None:
    key = sealed_store / "key"
    key.chmod(bits)
    before = files(sealed_store)

    with pytest.raises(KeyFileError, match=f"chmod 600 {key}") as caught:
        do(connect(), Get("db/password"))

    assert caught.value.path == str(key)
    assert files(sealed_store) == before


@pytest.mark.parametrize(("content", "word"), [(b"", "short"), (b"k" * 31, "short"), (b"k" * 33, "long")])
def test_a_key_of_another_length_is_refused_and_nothing_changes(
    sealed_store: Path, connect: Connect, content: bytes, word: str
) -> None:
    (sealed_store / "key").write_bytes(content)
    before = files(sealed_store)

    with pytest.raises(KeyFileError, match=f"too {word}: {len(content)} bytes"):
        do(connect(), Set("db/password", "new"))

    assert files(sealed_store) == before


def test_a_wrong_key_is_told_from_a_damaged_record_and_nothing_changes(sealed_store: Path, connect: Connect) -> None:
    (sealed_store / "key").write_bytes(os.urandom(32))
    before = files(sealed_store)
    backend = connect()

    for operation in (Get("db/password"), Set("db/password", "new"), List()):
        with pytest.raises(WrongKey, match="put the right key back"):
            do(backend, operation)

    backend.close()
    assert files(sealed_store) == before


def test_no_frame_that_an_error_leaves_holds_the_key(sealed_store: Path, connect: Connect) -> None:
    key = (sealed_store / "key").read_bytes()
    wrong = os.urandom(32)
    (sealed_store / "key").write_bytes(wrong)
    with pytest.raises(WrongKey) as refused:
        do(connect(), List())
    (sealed_store / "key").write_bytes(key)
    tamper(sealed_store, "UPDATE keys SET wrapped = zeroblob(61)")
    with pytest.raises(StoreDamaged) as damaged:
        do(connect(), List())

    for error in (refused.value, damaged.value):
        shown = "".join(told_with_locals(error))
        for one in (key, wrong):
            assert repr(one)[2:-1] not in shown


def test_a_missing_key_is_not_made_anew_while_there_is_data(sealed_store: Path, connect: Connect) -> None:
    key = (sealed_store / "key").read_bytes()
    (sealed_store / "key").unlink()
    before = files(sealed_store)
    backend = connect()

    for operation in (Get("db/password"), Set("db/password", "new")):
        with pytest.raises(KeyFileError, match="is missing"):
            do(backend, operation)

    assert files(sealed_store) == before
    keyfile_back = sealed_store / "key"
    keyfile_back.touch(0o600)
    keyfile_back.write_bytes(key)
    assert do(backend, Get("db/password")).reveal() == "hunter2"


def test_a_key_taken_away_from_a_running_store_is_missed_at_once(backend: LocalBackend, folder: Path) -> None:
    do(backend, Set("a", "b"))
    (folder / "key").unlink()

    with pytest.raises(KeyFileError, match="is missing"):
        do(backend, Set("a", "c"))


def test_a_key_that_is_there_is_not_made_anew(folder: Path) -> None:
    prepare_folder(folder)
    theirs = KeyFile(folder / "key").create()

    assert KeyFile(folder / "key").create() == theirs


def test_what_is_not_a_plain_file_is_no_key(folder: Path) -> None:
    prepare_folder(folder)
    os.mkfifo(folder / "key", 0o600)
    with pytest.raises(KeyFileError, match="not a plain file"):
        KeyFile(folder / "key").create()

    (folder / "key").unlink()
    (folder / "key").mkdir()
    with pytest.raises(KeyFileError, match="not a plain file"):
        KeyFile(folder / "key").create()


def test_a_key_that_cannot_be_read_or_made_is_an_error_of_ours(folder: Path) -> None:
    prepare_folder(folder)
    (folder / "key").symlink_to(folder / "key")
    with pytest.raises(KeyFileError, match="cannot be read"):
        KeyFile(folder / "key").load()

    (folder / "key").unlink()
    with no_file_grows(), pytest.raises(KeyFileError, match="cannot be made"):
        KeyFile(folder / "key").create()
    assert list(folder.iterdir()) == []


def test_a_folder_that_others_may_write_to_is_refused_with_the_remedy(folder: Path, connect: Connect) -> None:
    folder.mkdir()
    folder.chmod(0o770)

    with pytest.raises(KeyFileError, match=f"chmod 700 {folder}"):
        do(connect(), List())

    assert files(folder) == {}


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreUnavailable, match="cannot be made or read"):
        prepare_folder(tmp_path / "file" / "store")
