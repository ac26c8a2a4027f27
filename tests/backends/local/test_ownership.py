"""Whose the files are, and who could exchange them. Most of it only root can try: it becomes other users."""

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import LogSettings
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.backends.local.keys.sources import source_for
from secrets_actor.backends.local.upkeep import copies, rekey
from secrets_actor.backends.master_key_setting import place_of
from secrets_actor.domain.diagnosis import Finding, Verdict
from secrets_actor.domain.errors import ConfigurationError, KeyFileError, SecretsError, StoreDamaged
from secrets_actor.domain.operations import Get, List, Operation, Set
from secrets_actor.telemetry.logs import make_logger
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import do, files, key_of, within
from tests.forking import in_child
from tests.needs import AS_ROOT

SERVICE, MALLORY = 12_345, 65_534
needs_root = AS_ROOT


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of ours that others may walk through, unlike pytest's."""
    made = Path(tempfile.mkdtemp(prefix="secrets-actor-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def as_user(uid: int, question: Callable[[], object]) -> str:
    """What *question* says in a child of this user; an error of ours by its type and text."""

    def asked() -> str:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        try:
            return str(question())
        except SecretsError as error:
            return f"{type(error).__name__}: {error}"

    return in_child(asked)


def ask(folder: Path, operation: Operation[Any], key: object = None) -> object:
    """The answer of a backend that is opened for it; of a get the value."""
    source = None if key is None else source_for(place_of(key), folder)
    backend = local_backend_factory(path=folder, recovery_window=30, key=source).connect()
    try:
        answer = do(backend, operation)
    finally:
        backend.close()
    return answer.reveal() if isinstance(operation, Get) else "done"


def findings(folder: Path) -> list[Finding]:
    diagnose = local_backend_factory(path=folder, recovery_window=30).diagnose
    assert diagnose is not None
    return list(diagnose(within().deadline, ""))


def owners(folder: Path) -> set[int]:
    return {path.stat().st_uid for path in [folder, *folder.rglob("*")]}


def home_of(uid: int, place: Path) -> Path:
    home = place / "home"
    home.mkdir(mode=0o755)
    os.chown(home, uid, uid)
    return home


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o177, 0o777])
def test_the_folders_above_are_made_for_us_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "one" / "two" / "store"
    before = os.umask(umask)
    try:
        ask(folder, Set("a", "one"))
        copies.backup(folder, key_of(folder), tmp_path / "copy", deadline=within().deadline)
    finally:
        os.umask(before)

    for one in (folder.parent.parent, folder.parent, folder):
        assert stat.S_IMODE(one.stat().st_mode) == 0o700
    for path in [*folder.iterdir(), tmp_path / "copy"]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


@pytest.mark.parametrize("made", [False, True], ids=["before it is made", "with a store"])
def test_a_folder_above_that_everybody_can_write_to_is_refused_with_the_remedy(tmp_path: Path, made: bool) -> None:
    above = tmp_path / "above"
    above.mkdir(mode=0o700)
    folder = above / "between" / "store"
    if made:
        ask(folder, Set("a", "one"))
    above.chmod(0o777)

    for operation in (Get("a"), List(), Set("a", "two")):
        with pytest.raises(KeyFileError, match=f"everybody can write to, .* run: chmod o-w {above}"):
            ask(folder, operation)
    assert (folder.exists(), (above / "between").exists()) == (made, made)
    told = next(one for one in findings(folder) if one.check == "folder")
    assert (told.verdict, told.remedy) == (Verdict.FAULT, f"chmod o-w {above}")

    above.chmod(0o1777)  # as /tmp is
    ask(folder, Set("a", "two"))


def test_a_folder_above_that_a_group_can_write_to_is_told_by_doctor(tmp_path: Path) -> None:
    above = tmp_path / "above"
    ask(above / "store", Set("a", "one"))
    if os.geteuid() == 0:
        os.chown(above, 0, 4242)  # of no group that this user has for itself
    above.chmod(0o770)

    assert ask(above / "store", Get("a")) == "one"
    if os.geteuid() == 0:
        [told] = [one for one in findings(above / "store") if one.check == "owner"]
        assert (told.verdict, told.remedy) == (Verdict.WARNING, f"chmod g-w {above}")


@needs_root
def test_a_folder_of_another_user_is_none_of_ours(place: Path) -> None:
    folder = home_of(MALLORY, place) / "store"
    assert as_user(MALLORY, lambda: ask(folder, Set("a", "evil"))) == "done"
    folder.chmod(0o755)
    (folder / "secrets.db").chmod(0o644)
    before = files(folder)

    for operation in (Get("a"), Set("a", "mine")):
        said = as_user(SERVICE, lambda one=operation: ask(folder, one))
        assert said.startswith(f"KeyFileError: the store's folder {folder} belongs to another user ({MALLORY})")
    assert files(folder) == before
    assert stat.S_IMODE((folder / "secrets.db").stat().st_mode) == 0o644


@needs_root
@pytest.mark.parametrize("which", ["key", "secrets.db", "both"])
def test_a_key_or_a_database_of_another_user_is_not_taken(place: Path, which: str) -> None:
    folder = place / "store"
    ask(folder, Set("a", "mine"))
    for path in folder.iterdir() if which == "both" else [folder / which]:
        os.chown(path, MALLORY, MALLORY)
    before = files(folder)

    for operation in (Get("a"), Set("a", "b")):
        with pytest.raises(KeyFileError, match=rf"belongs to another user \({MALLORY}\)"):
            ask(folder, operation)
    assert Verdict.FAULT in {one.verdict for one in findings(folder)}
    assert files(folder) == before


@needs_root
def test_a_given_key_of_another_user_is_not_taken(place: Path) -> None:
    key = place / "given"
    key.write_bytes(b"k" * 31 + b"\0")
    key.chmod(0o600)
    os.chown(key, MALLORY, MALLORY)

    with pytest.raises(KeyFileError, match=rf"belongs to another user \({MALLORY}\)"):
        ask(place / "store", Set("a", "one"), {"file": str(key)})
    assert not (place / "store").exists()


@needs_root
@pytest.mark.parametrize("mode", [0o440, 0o640])
def test_a_key_that_is_roots_for_a_group_is_taken(place: Path, mode: int) -> None:
    key, home = place / "given", home_of(SERVICE, place)
    key.write_bytes(b"k" * 31 + b"\0")
    os.chown(key, 0, SERVICE)
    key.chmod(mode)

    assert as_user(SERVICE, lambda: ask(home / "store", Set("a", "one"), {"file": str(key)})) == "done"
    key.chmod(0o644)
    said = as_user(SERVICE, lambda: ask(home / "store", Get("a"), {"file": str(key)}))
    assert "one that is mounted gets its mode there (Kubernetes: defaultMode: 0440" in said


# --- root and another user's store ------------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("first", ["root", "user"])
def test_what_root_makes_in_a_users_folder_is_the_users(place: Path, first: str) -> None:
    home = home_of(SERVICE, place)
    folder = home / ".local" / "share" / "store"
    if first == "user":
        as_user(SERVICE, lambda: ask(folder, Set("mine", "one")))

    ask(folder, Set("of-root", "two"))
    assert owners(home) == {SERVICE}
    assert as_user(SERVICE, lambda: ask(folder, Set("mine", "three"))) == "done"
    assert as_user(SERVICE, lambda: ask(folder, Get("of-root"))) == "two"
    [told] = [one for one in findings(folder) if one.check == "owner"]
    assert told.fact.startswith(f"the store belongs to user {SERVICE}")


@needs_root
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["key in the folder", "key elsewhere"])
def test_a_service_s_store_is_the_service_s_after_root_has_looked_after_it(
    place: Path, deep: bool, elsewhere: bool
) -> None:
    home, end = home_of(SERVICE, place), within().deadline
    folder, keys = home / "store", place / "keys"
    keys.mkdir(mode=0o700)
    os.chown(keys, SERVICE, SERVICE)
    place_of_key = {"file": str(keys / "key"), "make": True} if elsewhere else None
    source = source_for(place_of(place_of_key or "file"), folder)
    assert as_user(SERVICE, lambda: ask(folder, Set("a", "one"), place_of_key)) == "done"
    if elsewhere:  # root's folder, with the service's key in it
        os.chown(keys, 0, 0)
        keys.chmod(0o755)

    rekey.rekey(folder, source, deep=deep, deadline=end)
    copies.backup(folder, source, folder / "copy", deadline=end)
    copies.restore(folder, source, folder / "copy", replace=True, deadline=end)
    (folder / "secrets.db").write_bytes(b"damaged")
    copies.restore(folder, source, folder / "copy", replace=True, deadline=end)

    assert owners(folder) == {SERVICE}
    assert (keys / "key").stat().st_uid == SERVICE if elsewhere else (folder / "key").stat().st_uid == SERVICE
    assert as_user(SERVICE, lambda: ask(folder, Set("a", "two"), place_of_key)) == "done"


@needs_root
def test_a_key_that_root_makes_elsewhere_for_a_service_is_the_service_s(place: Path) -> None:
    folder, keys = home_of(SERVICE, place) / "store", place / "etc"
    key = {"file": str(keys / "made" / "key"), "make": True}
    keys.mkdir(mode=0o755)

    ask(folder, Set("a", "of root"), key)

    assert owners(keys / "made") == {SERVICE}
    assert keys.stat().st_uid == 0
    assert as_user(SERVICE, lambda: ask(folder, Get("a"), key)) == "of root"


@needs_root
@pytest.mark.parametrize("which", ["key", "secrets.db"])
def test_root_is_not_told_to_take_a_service_s_file_for_itself(place: Path, which: str) -> None:
    folder = home_of(SERVICE, place) / "store"
    ask(folder, Set("a", "of root"))
    os.chown(folder / which, MALLORY, MALLORY)

    with pytest.raises(KeyFileError, match=f"run: chown {SERVICE} {folder / which}"):
        ask(folder, Get("a"))


@needs_root
@pytest.mark.parametrize("below", ["", "store", "not/there"])
def test_doctor_tells_who_could_not_make_a_store(place: Path, below: str) -> None:
    folder = place / "roots" / below
    (place / "roots").mkdir(mode=0o700)
    (place / "roots").chmod(0o755)
    told = as_user(SERVICE, lambda: [one.fact for one in findings(folder) if one.verdict is Verdict.FAULT])

    assert told == f"['no store yet, and none can be made: this user may not write to {place / 'roots'}']"
    assert Verdict.FAULT not in {one.verdict for one in findings(folder)}, "root may"


@needs_root
def test_root_uses_no_folder_that_anybody_could_have_put_there(place: Path) -> None:
    tmp = place / "tmp"
    tmp.mkdir()
    tmp.chmod(0o1777)
    folder = tmp / "store"
    folder.mkdir(mode=0o700)
    os.chown(folder, MALLORY, MALLORY)

    for operation in (Get("a"), Set("a", "one")):
        with pytest.raises(KeyFileError, match=f"and lies in {tmp}, where anybody could have put it"):
            ask(folder, operation)
    assert files(folder) == {}


# --- links ------------------------------------------------------------------------------------------------------------


def test_a_foreign_file_behind_a_link_is_not_touched_and_neither_is_its_mode(folder: Path, tmp_path: Path) -> None:
    folder.mkdir(mode=0o700)
    theirs = tmp_path / "theirs"
    theirs.write_text("hello, this is no database, and somebody else's\n" * 100)
    theirs.chmod(0o644)
    (folder / "secrets.db").symlink_to(theirs)
    (folder / "key").write_bytes(bytes(32))
    (folder / "key").chmod(0o600)

    for operation in (Get("a"), Set("a", "one")):
        with pytest.raises(StoreDamaged):
            ask(folder, operation)
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o644
    assert theirs.read_text().startswith("hello")


def test_a_database_behind_a_link_of_ours_is_used_with_its_log(folder: Path, tmp_path: Path, connect: Connect) -> None:
    ask(folder, Set("a", "one"))
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o700)
    (folder / "secrets.db").rename(disk / "secrets.db")
    (folder / "secrets.db").symlink_to(disk / "secrets.db")

    backend = connect()
    do(backend, Set("a", "two"))
    assert (disk / "secrets.db-wal").exists()
    assert ask(folder, Get("a")) == "two"
    disk.chmod(0o777)
    with pytest.raises(KeyFileError, match="the folder of the store's database"):
        ask(folder, Get("a"))
    disk.chmod(0o700)


@needs_root
def test_a_folder_behind_a_link_of_another_user_is_refused(place: Path) -> None:
    ask(place / "store", Set("a", "one"))
    os.symlink(place / "store", place / "link")
    assert ask(place / "link", Get("a")) == "one"
    os.lchown(place / "link", MALLORY, MALLORY)

    with pytest.raises(KeyFileError, match="a link of another user"):
        ask(place / "link", Get("a"))


def test_doctor_tells_of_another_name_of_the_key(folder: Path, tmp_path: Path) -> None:
    ask(folder, Set("a", "one"))
    os.link(folder / "key", tmp_path / "other")

    assert "2 names" in next(one.fact for one in findings(folder) if one.verdict is Verdict.WARNING)


# --- the log's file ---------------------------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_log_is_not_written_to_what_another_user_has_put_there(place: Path, kind: str) -> None:
    tmp, precious = place / "tmp", place / "precious"
    tmp.mkdir()
    tmp.chmod(0o1777)
    precious.write_text("precious")
    if kind == "link":
        (tmp / "app.log").symlink_to(precious)
    else:
        (tmp / "app.log").touch(0o666)
    os.lchown(tmp / "app.log", MALLORY, MALLORY)

    with pytest.raises(ConfigurationError, match="another user"):
        make_logger(format="json", output=LogSettings(output=str(tmp / "app.log")).output)
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_a_log_is_made_for_its_owner_alone_and_follows_a_link_of_ours(tmp_path: Path, umask: int) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "log")
    before = os.umask(umask)
    try:
        for output in ("link", "log", "other"):
            log = make_logger(format="json", output=str(tmp_path / output))
            log.info("hello")
            log.close()
    finally:
        os.umask(before)

    assert (tmp_path / "log").read_text().count("hello") == 2
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o600


@needs_root
def test_a_log_that_root_makes_in_a_users_folder_is_the_users(place: Path) -> None:
    home = home_of(SERVICE, place)
    make_logger(format="json", output=str(home / "log")).close()

    assert (home / "log").stat().st_uid == SERVICE
