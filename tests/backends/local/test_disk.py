"""A disk without room or inodes, one that cannot be written to, and files and folders without permission: each is a
typed error that says what to do, nothing is lost, and all goes on when the disk does."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.operations import Get, List, Operation, Set
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import do, files
from tests.forking import in_child

NOBODY: Final = 65534
# Runs in a mount namespace of its own, where the disk is mounted at the folder above the store's.
BEGINNING: Final = """
import os, pathlib, subprocess, sys, time
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.upkeep.verify import verify
from secrets_actor.domain.errors import KeyFileError, SecretsError, StoreUnavailable
from secrets_actor.domain.operations import Delete, Get, List, Set
from secrets_actor.domain.ports import CallContext
disk = pathlib.Path(sys.argv[1])
folder = disk / "store"
def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)
def ask(operation, backend=None):
    own = backend or local_backend_factory(path=folder, recovery_window=30).connect()
    try:
        return own.perform(operation, CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 20)).value
    finally:
        if backend is None:
            own.close()
def refused(operation, backend=None):
    try:
        ask(operation, backend)
    except (StoreUnavailable, KeyFileError) as exc:
        assert exc.__context__ is None and exc.__cause__ is None
        return str(exc)
def clean():
    return verify(folder, KeyFile(folder / "key"), deadline=time.clock_gettime(time.CLOCK_BOOTTIME) + 20).clean
"""


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Where `mounted` may mount."""
    probe = subprocess.run(["unshare", "-rm", "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(
            f"a full disk is a mount of its own, and this kernel lets this user make none: {probe.stderr.strip()}"
        )
    place = tmp_path / "disk"
    place.mkdir(mode=0o700)
    return place


def mounted(script: str, disk: Path) -> list[str]:
    """What *script* prints in a namespace of its own."""
    ran = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", BEGINNING + script, str(disk)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_a_full_disk_loses_nothing_and_works_again_when_there_is_room(disk: Path) -> None:
    said = mounted(
        """
mount("-t", "tmpfs", "-o", "size=1m", "none", str(disk))
backend = local_backend_factory(path=folder, recovery_window=30).connect()
ask(Set("first", "one"), backend)
(disk / "ballast").write_bytes(bytes(400_000))
done, why = [], None
while why is None:
    why = refused(Set(f"s{len(done)}", "x" * 20_000), backend)
    if why is None:
        done.append(f"s{len(done)}")
print(why)
(disk / "more").write_bytes(b"")
left = os.statvfs(disk)
with open(disk / "more", "wb", buffering=0) as more:
    try:
        while more.write(bytes(512)): pass
    except OSError: pass
print(refused(Set("small", "x", description="y" * 2000), backend) or "it had room in the log")
for other in (backend, None):
    assert len(ask(List(), other)) in (len(done) + 1, len(done) + 2)
    assert ask(Get("first"), other).reveal() == "one"
    for name in done:
        assert ask(Get(name), other).reveal() == "x" * 20_000
(disk / "ballast").unlink(); (disk / "more").unlink()
ask(Set("again", "y" * 20_000), backend)
backend.close()
assert ask(Get("again")).reveal() == "y" * 20_000 and clean()
print(len(done))
""",
        disk,
    )

    assert "disk is full" in said[0] or "full or at a limit" in said[0]
    assert "Nothing stored was lost" in said[0]
    assert int(said[2]) > 5


def test_a_disk_too_small_for_a_new_store_makes_none_and_a_larger_one_does(disk: Path) -> None:
    said = mounted(
        """
for kind, sizes in (("size", (4, 12, 24, 60, 120, 400)), ("nr_inodes", (2, 3, 4, 5, 6, 9))):
    ends = []
    for most in sizes:
        folder = disk / f"store-{kind}-{most}"  # a store that this process has seen does not begin anew
        options = f"size={most}k" if kind == "size" else f"size=1m,nr_inodes={most}"
        mount("-t", "tmpfs", "-o", options, "none", str(disk))
        ends.append(refused(Set("a", "one")))
        mount("-o", "remount," + ("size=1m" if kind == "size" else "nr_inodes=100"), str(disk))
        kept = [info.name for info in ask(List())]
        assert kept == ([] if ends[-1] else ["a"]), (most, kept, ends[-1])
        ask(Set("a", "two"))
        assert ask(Get("a")).reveal() == "two" and clean()
        subprocess.run(["umount", str(disk)], check=True)
    for why in dict.fromkeys(ends):
        print(kind, why)
""",
        disk,
    )

    for kind in ("size", "nr_inodes"):
        ends = [line for line in said if line.startswith(kind)]
        assert f"{kind} None" in ends
        assert len(ends) > 1
        assert all("None" in line or "room" in line or "disk" in line for line in ends), ends


def test_a_disk_mounted_for_reading_is_told_and_left_as_it_is(disk: Path, connect: Connect) -> None:
    backend = local_backend_factory(path=disk / "store", recovery_window=30).connect()
    do(backend, Set("a", "one"))
    backend.close()
    before = files(disk / "store")

    said = mounted(
        """
mount("--bind", str(disk), str(disk))
mount("-o", "remount,bind,ro", str(disk))
for operation in (Set("a", "two"), Set("b", "two"), Delete("a"), List(), Get("a")):
    print(refused(operation) or ask(operation))
""",
        disk,
    )

    assert len(said) == 5
    assert all("give this user the right" in line or "give another path" in line for line in said), said
    assert files(disk / "store") == before


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that others may walk through, unlike pytest's."""
    place = Path(tempfile.mkdtemp(prefix="secrets-actor-"))
    place.chmod(0o711)
    yield place
    for path in [place, *place.rglob("*")]:
        path.chmod(0o700)
    shutil.rmtree(place)


def as_another(question: Callable[[], str]) -> str:
    """What *question* says in a child without root's rights, which no mode keeps out."""

    def asked() -> str:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        return question()

    return in_child(asked)


def give(place: Path) -> None:
    """Let the child without rights own all in *place*."""
    if os.geteuid() == 0:
        for path in [place, *place.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)


@pytest.mark.parametrize(
    ("which", "mode", "reads"),
    [
        ("", 0o000, False),
        ("", 0o400, False),
        ("", 0o500, False),
        ("key", 0o000, False),
        ("secrets.db", 0o000, False),
        ("secrets.db", 0o400, True),
    ],
)
def test_files_and_folders_without_permission_are_told_and_left_as_they_are(
    open_place: Path, which: str, mode: int, reads: bool
) -> None:
    folder = open_place / "store"
    backend = local_backend_factory(path=folder, recovery_window=30).connect()
    do(backend, Set("a", "one"))
    backend.close()
    before = files(folder)
    give(folder)
    (folder / which).chmod(mode)

    said = as_another(lambda: "\n".join(outcome(folder, one) for one in (Set("a", "two"), Get("a"), List())))

    (folder / which).chmod(0o700 if which == "" else 0o600)
    assert files(folder)["secrets.db"] == before["secrets.db"]
    ends = said.splitlines()
    assert len(ends) == 3
    refused = ends[:1] if reads else ends
    assert all(line.startswith(("StoreUnavailable: ", "KeyFileError: ")) for line in refused), ends
    assert all("give this user" in line or "its permissions" in line for line in refused), ends
    assert not reads or ends[1:] == ["fine", "fine"]
    for beside in folder.glob("secrets.db-*"):  # SQLite has given them the file's mode
        beside.chmod(0o600)
    assert as_another(lambda: outcome(folder, Set("a", "two"))) == "fine"


@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_a_new_store_where_none_may_be_made_is_told(open_place: Path, mode: int) -> None:
    parent = open_place / "parent"
    parent.mkdir()
    give(parent)
    parent.chmod(mode)

    said = as_another(lambda: outcome(parent / "deep" / "store", Set("a", "one")))

    assert said.startswith("StoreUnavailable: ")
    assert "name another one" in said
    parent.chmod(0o700)
    assert list(parent.iterdir()) == []
    assert as_another(lambda: outcome(parent / "deep" / "store", Set("a", "one"))) == "fine"
    assert (parent / "deep" / "store" / "secrets.db").stat().st_mode & 0o777 == 0o600


def outcome(folder: Path, operation: Operation[object]) -> str:
    """`fine`, or the error."""
    backend = local_backend_factory(path=folder, recovery_window=30).connect()
    try:
        do(backend, operation)
    except SecretsError as exc:
        return f"{type(exc).__name__}: {exc}" if exc.__context__ is None else f"raised with a context: {exc!r}"
    finally:
        backend.close()
    return "fine"


def test_the_store_s_path_may_be_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("something else")

    for folder in (tmp_path / "file", tmp_path / "file" / "store"):
        assert outcome(folder, Set("a", "one")).startswith("StoreUnavailable: ")

    assert (tmp_path / "file").read_text() == "something else"
