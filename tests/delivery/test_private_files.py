"""Files in memory: nobody else reads them, nobody changes them, and none is left."""

import fcntl
import os
import shutil
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from secrets_actor.delivery.private_files import PREFIX, PrivateFolder, is_in_memory, memory_file
from secrets_actor.errors import DeliveryFailed
from tests.delivery.full_disk import room_for

VALUE = b"hunter2\0\xff" * 1000
SHM = "/dev/shm"
ADD_SEALS = 1033  # fcntl.h of Linux


def shown_by(error: BaseException) -> str:
    """What a traceback with local variables would show of our frames, which are not those of the test."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename != __file__]
    return repr([frame.f_locals for frame in frames])


def test_a_memory_file_is_read_as_often_as_one_likes_and_never_changed() -> None:
    descriptor = memory_file("DB_PASSWORD", VALUE)
    try:
        path = f"/proc/self/fd/{descriptor}"
        assert [Path(path).read_bytes() for _ in range(2)] == [VALUE, VALUE]
        assert os.read(descriptor, 10_000) == VALUE
        assert "DB_PASSWORD" in os.readlink(path)
        for change in (lambda: os.pwrite(descriptor, b"x", 0), lambda: os.truncate(descriptor, 1)):
            with pytest.raises(PermissionError):
                change()
        with pytest.raises(PermissionError):  # nor is it sealed further, or less
            fcntl.fcntl(descriptor, ADD_SEALS, 0)
        assert not os.get_inheritable(descriptor)
        assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o444, "also for a program that has given up its rights"
    finally:
        os.close(descriptor)


def test_a_name_that_the_kernel_refuses_is_an_error_without_the_value() -> None:
    with pytest.raises(DeliveryFailed, match="memory file") as failed:
        memory_file("x" * 300, VALUE)
    assert "hunter2" not in str(failed.value)


def test_where_there_is_no_room_nothing_is_left_and_no_frame_shows_the_value() -> None:
    with PrivateFolder() as folder:
        path = folder.write("DB_PASSWORD", b"old")
        before = os.listdir("/proc/self/fd")
        with room_for(4096), pytest.raises(DeliveryFailed) as memory:
            memory_file("DB_PASSWORD", VALUE)
        with room_for(4096), pytest.raises(DeliveryFailed) as file:
            folder.write("DB_PASSWORD", VALUE)

        assert os.listdir("/proc/self/fd") == before
        assert "hunter2" not in shown_by(memory.value) + shown_by(file.value)
        assert (os.listdir(folder.path), path.read_bytes()) == (["DB_PASSWORD"], b"old")


def test_a_folder_in_memory_is_for_this_user_only_and_is_removed() -> None:
    with PrivateFolder() as folder:
        path = folder.write("DB_PASSWORD", VALUE)

        assert is_in_memory(str(folder.path))
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o400
        assert path.read_bytes() == VALUE

        with path.open("rb") as before:
            assert folder.write("DB_PASSWORD", b"new") == path
            assert before.read() == VALUE, "who reads the old one reads it whole"
        assert path.read_bytes() == b"new"
        assert os.listdir(folder.path) == ["DB_PASSWORD"]
    folder.close()
    assert not folder.path.exists()


def test_a_file_that_cannot_be_written_is_an_error_and_the_one_before_stays() -> None:
    with PrivateFolder() as folder:
        (folder.path / "TAKEN").mkdir()
        with pytest.raises(DeliveryFailed, match="TAKEN") as failed:
            folder.write("TAKEN", VALUE)
        assert "hunter2" not in str(failed.value)
        assert os.listdir(folder.path) == ["TAKEN"]
        (folder.path / "TAKEN").rmdir()


def test_a_disk_is_no_place_in_memory(tmp_path: Path) -> None:
    assert not is_in_memory("/nowhere")
    assert not is_in_memory("/proc")
    with pytest.raises(DeliveryFailed, match="mount a tmpfs"):
        PrivateFolder(places=["/nowhere", "/proc"])


def test_a_place_on_a_disk_is_passed_over(tmp_path: Path) -> None:
    first = tmp_path if is_in_memory(str(tmp_path)) else Path(SHM)
    with PrivateFolder(places=[str(tmp_path), SHM]) as folder:
        assert folder.path.parent == first


def test_a_file_system_that_is_mounted_nowhere_is_not_taken_for_one_in_memory() -> None:
    reads, writes = os.pipe()
    try:
        assert not is_in_memory(f"/proc/self/fd/{reads}")
    finally:
        os.close(reads)
        os.close(writes)


def test_the_own_runtime_folder_comes_first(tmp_path: Path) -> None:
    own = Path(SHM) / f"own-{os.getpid()}"
    own.mkdir()
    try:
        with PrivateFolder({"XDG_RUNTIME_DIR": str(own)}) as folder:
            assert folder.path.parent == own
    finally:
        own.rmdir()


def test_a_folder_that_nobody_holds_is_removed_by_the_next_unless_it_is_another_users() -> None:
    place = Path(SHM) / f"left-{os.getpid()}"
    place.mkdir()
    left, others = (place / f"{PREFIX}{name}" for name in ("left", "others"))
    try:
        with PrivateFolder(places=[str(place)]) as held:
            left.mkdir()
            (left / "A").touch()
            if os.geteuid() == 0:  # only root can have another user's folder there
                others.mkdir()
                os.chown(others, 12, 12)
            with PrivateFolder(places=[str(place)]) as own:
                assert set(place.iterdir()) - {others} == {held.path, own.path}
                assert others.exists() == (os.geteuid() == 0)
    finally:
        shutil.rmtree(place)


@pytest.mark.slow
def test_what_a_killed_program_left_is_removed_by_the_next_and_what_is_held_is_not() -> None:
    script = (
        "import os, signal; from secrets_actor.delivery.private_files import PrivateFolder\n"
        "folder = PrivateFolder(places=['/dev/shm']); folder.write('A', b'x'); print(folder.path, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    with PrivateFolder(places=[SHM]) as held:
        held.write("B", b"y")
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
        left = Path(done.stdout.strip())
        assert left.name.startswith(PREFIX)
        assert (left / "A").exists()
        with PrivateFolder(places=[SHM]):
            assert not left.exists()
            assert (held.path / "B").exists()
