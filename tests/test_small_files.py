"""Files that others write are read without waiting for anybody, and without end by nobody."""

import os
import socket
import threading
from pathlib import Path

import pytest

from secrets_actor.small_files import Problem, is_marked, read, read_text, text_of


def problem(found: object) -> str:
    assert isinstance(found, Problem)
    return str(found)


def test_what_is_in_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"12345")

    assert read(file, 5) == b"12345"
    assert read(str(file), 1000) == b"12345"
    assert problem(read(file, 4)) == "is larger than 4 bytes"
    assert read(tmp_path / "none", 4) is None


def test_a_file_that_grows_while_it_is_read_stays_within_its_limit() -> None:
    """One of /proc says that its size is 0, and gives more than one read takes."""
    assert isinstance(read("/proc/self/maps", 1_000_000), bytes)
    assert problem(read("/proc/self/maps", 10)) == "is larger than 10 bytes"


def test_what_is_no_plain_file_is_refused_at_once_and_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))

    assert problem(read(tmp_path / "fifo", 9)) == "is a pipe, not a plain file"
    assert problem(read(tmp_path, 9)) == "is a folder, not a plain file"
    assert problem(read("/dev/zero", 9)) == "is a device, not a plain file"
    assert problem(read("/dev/stdin/x", 9)).startswith("cannot be read (")
    assert problem(read(tmp_path / "socket", 9)) == "cannot be read (No such device or address)"
    assert problem(read("/proc/self/mem", 9)) == "cannot be read (Input/output error)"
    assert problem(read("a\0b", 9)) == "cannot be read (no path)"


def test_a_pipe_is_read_to_its_end_where_that_is_asked_for() -> None:
    source, sink = os.pipe()
    os.write(sink, b"x" * 10)
    threading.Thread(target=lambda: (os.write(sink, b"y" * 70_000), os.close(sink))).start()
    place = f"/dev/fd/{source}"
    try:
        assert read(place, 100_000, pipe_seconds=30) == b"x" * 10 + b"y" * 70_000
        assert problem(read(place, 100, pipe_seconds=30)).startswith("is a pipe that gave nothing")
    finally:
        os.close(source)


def test_a_pipe_that_gives_too_much_or_nothing_is_left(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    source, sink = os.pipe()
    os.write(sink, b"x" * 10)
    try:
        assert problem(read(f"/dev/fd/{source}", 5, pipe_seconds=30)) == "is larger than 5 bytes"
        assert problem(read(tmp_path / "fifo", 5, pipe_seconds=0.01)).startswith("is a pipe that gave nothing")
    finally:
        os.close(source)
        os.close(sink)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"text\r\n", "text\r\n"),
        ("grüße".encode(), "grüße"),
        (b"\xef\xbb\xbftext", "text"),
        (b"\xef\xbb\xbf", ""),
        (b"text\xff", "is not UTF-8; save it as UTF-8"),
        ("text ü".encode("utf-16"), "is not UTF-8, but UTF-16; save it as UTF-8"),
        (b"\xfe\xff\x00t", "is not UTF-8, but UTF-16; save it as UTF-8"),
    ],
)
def test_text_is_utf_8_and_the_mark_before_it_is_no_part_of_it(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "f").write_bytes(content)

    assert str(text_of(content)) == found
    assert str(read_text(tmp_path / "f", 100)) == found
    assert is_marked(content) == content.startswith(b"\xef\xbb\xbf")
    assert read_text(tmp_path / "none", 100) is None


def test_a_home_takes_the_place_of_its_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "f").write_bytes(b"x")

    assert read("~/f", 1) == b"x"
    monkeypatch.setenv("HOME", "")
    assert problem(read("~/f", 1)).startswith(
        "is no path: it begins with ~, and the environment variable HOME is empty"
    )
