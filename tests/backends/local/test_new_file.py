"""A file that comes into place whole, for us alone, and never over another."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from secrets_actor.backends.local.files import existing_file, new_file
from secrets_actor.domain.errors import ExportFileError
from tests.architecture.house import ROOT


@pytest.fixture
def loose_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("loose_umask")
def test_it_is_ours_alone_from_the_first_byte_and_in_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "export"
    with new_file(path) as file:
        file.write(b"sealed")
        file.flush()
        [growing] = tmp_path.iterdir()
        assert growing != path
        assert stat.S_IMODE(growing.stat().st_mode) == 0o600

    assert (list(tmp_path.iterdir()), path.read_bytes()) == ([path], b"sealed")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_name_that_is_taken_stays_as_it_is(tmp_path: Path) -> None:
    path, link = tmp_path / "export", tmp_path / "link"
    path.write_bytes(b"theirs")
    link.symlink_to(tmp_path / "nowhere")
    for taken in (path, link):
        with pytest.raises(ExportFileError, match="is there already"), new_file(taken):
            raise AssertionError("nothing is to be done for it")

    with pytest.raises(ExportFileError, match="is there already"):
        overtaken(tmp_path / "later")

    assert (path.read_bytes(), (tmp_path / "later").read_bytes()) == (b"theirs", b"theirs")
    assert len(list(tmp_path.iterdir())) == 3


def overtaken(path: Path) -> None:
    with new_file(path) as file:
        path.write_bytes(b"theirs")
        file.write(b"ours")


def given_up(path: Path) -> None:
    with new_file(path) as file:
        file.write(b"half")
        raise KeyError


def test_of_what_fails_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        given_up(tmp_path / "export")

    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ExportFileError, match="cannot be written"), new_file(tmp_path / "no" / "folder"):
        raise AssertionError("there is no such folder")


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    full = (
        "import resource, sys, signal, pathlib\n"
        "from secrets_actor.backends.local.files import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    with new_file(pathlib.Path(sys.argv[1])) as file: file.write(bytes(200_000))\n"
        "except ExportFileError as error: print(error.code, error)\n"
    )
    command = [sys.executable, "-c", full, str(tmp_path / "export")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)

    assert "export_file_error" in ended.stdout
    assert "cannot be written (File too large); give a path on a disk with room" in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "export").write_bytes(b"sealed")
    with existing_file(tmp_path / "export") as file:
        assert file.read() == b"sealed"

    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "nothing", tmp_path, tmp_path / "fifo"):
        with pytest.raises(ExportFileError, match=r"cannot be read \(.*\); give the path of an export"):
            with existing_file(path):
                raise AssertionError("it was opened")
