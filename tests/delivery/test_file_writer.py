"""Files are put into their places whole, with owner and mode, or not at all; and what a killed program has left behind
is cleared up by the next."""

import fcntl
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from secrets_actor.delivery.file_writer import Content, FileWriter, Target, Written
from secrets_actor.errors import CheckFailed, DeliveryFailed
from tests.delivery.full_disk import room_for

CANARY = b"xK9-canary"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder / "app.conf"


def writer(path: Path, **target: Any) -> FileWriter:
    return FileWriter(Target(path, **target))


def state(path: Path) -> tuple[int, int, int, bytes]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, stat.S_IMODE(found.st_mode), path.read_bytes()


def beside(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir() if one != path)


def says_no(path: Path) -> None:
    raise CheckFailed("no", path=str(path))


# --- what is written --------------------------------------------------------------------------------------------------


def test_owner_and_mode_are_set_before_the_file_has_its_name(path: Path) -> None:
    seen: list[tuple[str, int, int, bytes]] = []

    def look(new: Path) -> None:
        found = new.stat()
        seen.append((new.name, stat.S_IMODE(found.st_mode), found.st_gid, new.read_bytes()))
        assert not path.exists()

    group = 12 if os.geteuid() == 0 else os.getgid()
    done = writer(path, mode=0o440, group=str(group), check=look, beforehand=True).write(Content(b"one"))

    assert (done.content, done.tell) == (True, False)
    [(name, *facts)] = seen
    assert facts == [0o440, group, b"one"]
    assert name != path.name
    assert beside(path) == []
    assert writer(path).differs(Content(b"one"))  # by its mode


def test_the_same_content_is_not_touched_and_another_one_is_a_new_file(path: Path) -> None:
    one = writer(path)
    one.write(Content(b"one"))
    before = state(path)

    assert not one.differs(Content(b"one"))
    assert one.write(Content(b"one")) == Written()
    assert state(path) == before
    assert one.differs(Content(b"two"))
    assert one.write(Content(b"two")).content
    assert path.read_bytes() == b"two"
    assert path.stat().st_ino != before[0]
    assert one.write(Content(b"")).content
    assert path.read_bytes() == b""


def test_an_owner_or_a_mode_that_drifted_is_put_right_in_place(path: Path) -> None:
    one = writer(path, mode=0o440)
    one.write(Content(b"one"))
    before = state(path)
    path.chmod(0o666)

    assert one.differs(Content(b"one"))
    done = one.write(Content(b"one"))
    assert (done.content, done.repaired) == (False, True)
    assert state(path) == before


@pytest.mark.parametrize("name", ["a" * 200, "with space", "-", ".hidden", "ü"])
def test_a_file_may_have_any_name(path: Path, name: str) -> None:
    writer(path.parent / name).write(Content(b"one"))

    assert [one.name for one in path.parent.iterdir()] == [name]


# --- what is in the way -----------------------------------------------------------------------------------------------


def refusal(path: Path, content: bytes = CANARY, **target: Any) -> str:
    before = state(path) if path.is_file() and not path.is_symlink() else None
    with pytest.raises(DeliveryFailed) as caught:
        writer(path, **target).write(Content(content))
    assert caught.value.path == str(path)
    assert "canary" not in str(caught.value)
    assert before is None or state(path) == before
    if path.parent.is_dir():
        assert [name for name in beside(path) if "secrets-actor" in name] == []
    return str(caught.value)


def test_a_folder_that_is_gone_or_open_to_all_is_told_and_works_again_when_it_is_mended(path: Path) -> None:
    folder = path.parent
    folder.rmdir()
    assert "make the folder" in refusal(path)
    folder.touch()
    refusal(path)
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o777)
    assert f"chmod o-w {folder}" in refusal(path)
    folder.chmod(0o1777)
    assert writer(path).write(Content(b"one")).content


def test_a_link_is_neither_followed_nor_replaced_and_nor_is_what_is_no_file(path: Path) -> None:
    (path.parent / "other").write_text("other")
    path.symlink_to("other")
    assert "it is a link" in refusal(path)
    assert path.is_symlink()
    path.unlink()
    path.mkdir()
    assert "no plain file" in refusal(path)
    path.rmdir()
    os.mkfifo(path)
    assert "no plain file" in refusal(path)
    assert (path.parent / "other").read_text() == "other"


def test_in_a_folder_where_all_may_make_files_what_another_user_puts_beside_it_is_no_former_file(path: Path) -> None:
    writer(path).write(Content(b"old"))
    path.parent.chmod(0o1777)
    for kind in ("former", "none", "tell"):
        beside_it = path.parent / f".app.conf.secrets-actor-{kind}"
        beside_it.symlink_to(path)
        with pytest.raises(DeliveryFailed, match="is no plain file"):
            writer(path, tells=True).write(Content(b"new"))
        beside_it.unlink()
        if os.geteuid() == 0:  # only root can have another user's file there
            beside_it.write_bytes(b"evil")
            os.chown(beside_it, 65_534, 65_534)
            with pytest.raises(DeliveryFailed, match="another user has put"):
                writer(path, tells=True).write(Content(b"new"))
            beside_it.unlink()
        assert path.read_bytes() == b"old"


@contextmanager
def as_a_user_who_may_not_read_all(folder: Path) -> Iterator[Path]:
    """Give a folder below *folder* that this user owns, and may write into; as root, be nobody for that time."""
    was = os.getcwd(), os.geteuid()
    os.chdir(folder)  # the folders above may be closed to nobody
    if was[1] == 0:
        os.chown(folder, 65_534, 65_534)
        os.seteuid(65_534)
    try:
        yield Path()
    finally:
        os.seteuid(was[1])
        os.chdir(was[0])


def test_a_file_that_we_could_not_read_again_is_told_and_not_made(path: Path) -> None:
    with as_a_user_who_may_not_read_all(path.parent) as folder:
        assert "CAP_DAC_READ_SEARCH" in refusal(folder / "app.conf", mode=0o040)
    assert list(path.parent.iterdir()) == []


def test_where_the_former_file_cannot_be_put_back_that_is_told_and_made_good_later(path: Path) -> None:
    def shuts(place: Path) -> None:
        place.parent.chmod(0o500)
        says_no(place)

    with as_a_user_who_may_not_read_all(path.parent) as folder:
        place = folder / "app.conf"
        writer(place).write(Content(b"old"))
        with pytest.raises(DeliveryFailed, match="cannot be put back: Permission denied") as caught:
            writer(place, check=shuts).write(Content(b"new"))
        assert "left as it was" not in str(caught.value)
        place.parent.chmod(0o700)
        with pytest.raises(CheckFailed):
            writer(place, check=says_no).write(Content(b"new"))
        assert place.read_bytes() == b"old"


def test_a_user_or_group_that_there_is_not_is_told(path: Path) -> None:
    writer(path).write(Content(b"old"))

    assert "owner: this machine knows no such user" in refusal(path, owner="nobody-of-ours")
    assert "group: this machine knows no such group" in refusal(path, group="nobody-of-ours")


def test_where_there_is_no_room_the_old_file_stays(path: Path) -> None:
    writer(path).write(Content(b"old"))
    with room_for(4096):
        assert "may not be that long" in refusal(path, CANARY * 1000)
    assert writer(path).write(Content(CANARY * 1000)).content


# --- checks -----------------------------------------------------------------------------------------------------------


def test_a_check_that_fails_beforehand_leaves_all_as_it_was(path: Path) -> None:
    writer(path).write(Content(b"old"))
    refusal(path, check=lambda _: says_no(path), beforehand=True, tells=True)


def test_a_check_in_place_sees_the_new_file_and_gets_the_old_one_back_if_it_fails(path: Path) -> None:
    refusal(path, check=says_no, tells=True)
    assert not path.exists(), "there was none"
    writer(path).write(Content(b"old"))
    seen: list[bytes] = []

    def look(place: Path) -> None:
        seen.append(place.read_bytes())
        says_no(place)

    refusal(path, b"new", check=look, tells=True)
    assert seen == [b"new"]
    assert writer(path, check=lambda place: seen.append(place.read_bytes())).write(Content(b"new")).content
    assert seen == [b"new", b"new"]
    assert beside(path) == []


@pytest.mark.parametrize("beforehand", [False, True])
def test_a_check_that_changes_or_removes_the_file_has_failed(path: Path, beforehand: bool) -> None:
    def edits(place: Path) -> None:
        place.chmod(0o600)
        place.write_bytes(b"other")

    def shows_all(place: Path) -> None:
        place.chmod(0o444)

    writer(path).write(Content(b"old"))
    before = state(path)
    for check in (edits, shows_all, Path.unlink):
        with pytest.raises(CheckFailed, match="the check has changed the file"):
            writer(path, check=check, beforehand=beforehand).write(Content(b"new"))
        assert state(path) == before
    assert beside(path) == []


def test_of_several_at_once_none_leaves_a_content_whose_check_has_failed(path: Path) -> None:
    def write(number: int) -> None:
        for turn in range(100):
            good = turn % 3 == 0
            with suppress(DeliveryFailed):  # another one is at it
                content = Content(b"%s %d %d" % (b"good" if good else b"bad", number, turn))
                writer(path, check=(lambda _: None) if good else says_no).write(content)

    writer(path).write(Content(b"good"))
    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes().startswith(b"good")


def test_a_check_is_not_run_for_the_same_content(path: Path) -> None:
    writer(path).write(Content(b"old"))

    assert not writer(path, check=says_no).write(Content(b"old")).content


def test_a_failed_check_forgets_no_program_that_was_not_told_before(path: Path) -> None:
    writer(path, tells=True).write(Content(b"one"))  # and its process ends before it tells
    with pytest.raises(CheckFailed):
        writer(path, tells=True, check=says_no).write(Content(b"two"))

    one = writer(path, tells=True)
    assert one.write(Content(b"one")).tell
    one.told()
    assert not one.write(Content(b"one")).tell
    assert beside(path) == []


def test_while_another_program_checks_the_file_it_is_left_to_that(path: Path) -> None:
    writer(path).write(Content(b"old"))
    texts: list[str] = []

    def meanwhile(place: Path) -> None:
        with pytest.raises(DeliveryFailed) as caught:
            writer(path).write(Content(b"third"))
        texts.append(str(caught.value))

    writer(path, check=meanwhile).write(Content(b"new"))

    assert "another program is just checking" in texts[0]
    assert path.read_bytes() == b"new"


# --- after a crash ----------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from secrets_actor.delivery.file_writer import Content, FileWriter, Target

path, point, beforehand = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "beforehand"
calls = 0

def count(event, _arguments):
    # Each of these is a step at the file system; the program is killed at the chosen one, before it is done.
    global calls
    if event in ("os.rename", "os.link", "os.remove", "os.chmod", "os.chown", "open"):
        calls += 1
        if calls == point:
            os.kill(os.getpid(), signal.SIGKILL)

check = lambda place: place.read_bytes()
writer = FileWriter(Target(path, check=check, beforehand=beforehand, tells=True))
content = Content(b"new")
sys.addaudithook(count)
writer.write(content)
writer.told()
print("whole")
"""


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("how", ["beforehand", "in place"])
def test_whenever_it_is_killed_the_file_is_whole_and_the_next_program_ends_what_was_begun(
    path: Path, how: str, first: bool
) -> None:
    for point in range(1, 40):
        for one in path.parent.iterdir():
            one.unlink()
        if not first:
            writer(path).write(Content(b"old"))
        before = path.stat().st_ino if not first else None
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, str(path), str(point), how], check=False, capture_output=True, timeout=30
        )
        if ended.stdout:
            break
        assert ended.returncode == -9, ended.stderr

        assert not path.exists() or path.read_bytes() in (b"old", b"new")
        assert not [one for one in path.parent.iterdir() if one.stat().st_mode & 0o077], "nobody else could read any"
        assert first or path.exists(), "the old file was there all the time, or the new one"
        following = writer(path, check=lambda place: None, beforehand=how == "beforehand", tells=True)
        assert following.write(Content(b"new")).tell, f"at step {point}: the killed program has told nobody"
        following.told()
        assert path.read_bytes() == b"new"
        assert beside(path) == [], f"at step {point}"
        assert before is None or before != path.stat().st_ino
    assert point > 5


def test_a_content_whose_check_was_not_over_is_taken_back(path: Path) -> None:
    """As a program leaves it that is killed while the check runs."""
    writer(path).write(Content(b"old"))
    inode = path.stat().st_ino
    former = path.parent / f".{path.name}.secrets-actor-former"
    os.link(path, former)
    path.unlink()
    path.write_bytes(b"unchecked")

    with pytest.raises(CheckFailed):
        writer(path, check=says_no).write(Content(b"newer"))
    assert (path.read_bytes(), path.stat().st_ino, beside(path)) == (b"old", inode, [])

    (path.parent / f".{path.name}.secrets-actor-none").touch()
    path.chmod(0o600)
    path.write_bytes(b"unchecked")
    with pytest.raises(CheckFailed):
        writer(path, check=says_no).write(Content(b"newer"))
    assert (path.exists(), beside(path)) == (False, [])


def test_what_is_just_being_checked_is_no_leftover_to_another_program(path: Path) -> None:
    def another_writes(new: Path) -> None:
        writer(path).write(Content(b"two"))
        assert new.read_bytes() == b"one"

    writer(path, check=another_writes, beforehand=True).write(Content(b"one"))

    assert (path.read_bytes(), beside(path)) == (b"one", [])


def test_a_user_or_a_group_that_drifted_is_put_right_in_place(path: Path) -> None:
    uid, gid = owned = (11, 12) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    one = writer(path, owner=str(uid), group=str(gid), mode=0o440)
    one.write(Content(b"one"))
    before = state(path)
    for drifted in ((0, gid), (uid, 0)) if os.geteuid() == 0 else ():  # only root can give a file away
        os.chown(path, *drifted)

        assert one.differs(Content(b"one"))
        assert one.write(Content(b"one")).repaired
        assert (path.stat().st_uid, path.stat().st_gid) == owned
        assert state(path) == before


def test_leftovers_are_removed_but_not_what_another_program_is_just_writing(path: Path) -> None:
    left, used = (path.parent / f".{path.name}.{digit * 16}.secrets-actor-new" for digit in "ab")
    left.write_bytes(CANARY)
    used.write_bytes(CANARY)
    other = path.parent / ".other.conf.aaaaaaaaaaaaaaaa.secrets-actor-new"
    other.touch()
    with used.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        writer(path).write(Content(b"one"))

    assert beside(path) == [used.name, other.name]


def test_no_repr_shows_the_content(path: Path) -> None:
    assert "canary" not in repr(Content(CANARY))
    assert "canary" not in repr(writer(path).write(Content(CANARY)))
