"""What the local store leaves on the disk, at work, rekeyed and killed: nothing in clear, and nothing for others."""

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import pytest

from tests.canaries.canary_forms import canary, plain_canary
from tests.canaries.canary_search import Hunt

# Does what its standard input says, one thing a line, and says when it is done. Its arguments are the canaries.
CHILD: Final = """
import pathlib, sys, time
from secrets_actor import LocalSettings, Settings, start
from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.upkeep.copies import backup
from secrets_actor.backends.local.upkeep.rekey import rekey
folder, name, description, key, tag, value, other = pathlib.Path(sys.argv[1]), *sys.argv[2:]
system = start(Settings(local=LocalSettings(path=folder)))
secrets, later = system.secrets, lambda: time.clock_gettime(time.CLOCK_BOOTTIME) + 60
def write():
    for number in range(12):
        secrets.set(f"{name}/{number}", value * (1 + 40 * number), description=description, tags={key: tag})
    secrets.set(f"{name}/binary", value.encode())
def change():
    for number in range(12):
        secrets.set(f"{name}/{number}", other * (1 + 40 * number))
    secrets.put(f"{name}/1", value, stages=["blue"])
    secrets.tag(f"{name}/2", {key + "2": tag})
    assert len(secrets.list()) == 13
    assert secrets.get(f"{name}/1", stage="blue").reveal() == value
def delete():
    secrets.delete(f"{name}/3")
    secrets.delete(f"{name}/4", force=True)
    secrets.restore(f"{name}/3")
def change_keys():
    rekey(folder, KeyFile(folder / "key"), deadline=later())
    rekey(folder, KeyFile(folder / "key"), deep=True, deadline=later())
def copy():
    backup(folder, KeyFile(folder / "key"), folder.parent / "copy", deadline=later())
for line in sys.stdin:
    globals()[line.strip()]()
    print("done", flush=True)
"""


def test_names_descriptions_tags_and_values_are_in_no_file(hunt: Hunt, tmp_path: Path) -> None:
    """Looked for in the store and its log after each step, in the folders for temporary files, in files that were
    deleted and are still open, in a copy, and in what a kill leaves."""
    store, temporary = tmp_path / "store", tmp_path / "temporary"
    temporary.mkdir()
    planted = {
        "name": "canary/" + plain_canary(),
        "description": canary(),
        "tag key": plain_canary(),
        "tag": plain_canary(),
        "value": canary(),
        "other value": canary(),
    }
    for what, text in planted.items():
        hunt.plant(what, text)
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP", "SQLITE_TMPDIR"), str(temporary))
    keys: list[bytes] = []
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(store), *planted.values()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=temporary,
        env=os.environ | places | {"PYTHONPATH": os.getcwd()},
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            for step in ("write", "change", "delete", "change_keys", "copy", "change"):
                child.stdin.write(step + "\n")
                child.stdin.flush()
                assert child.stdout.readline() == "done\n", step
                keys.append((store / "key").read_bytes())
                hunt.files(tmp_path, store / "key")
                look_into_deleted_files(hunt, child.pid)
        finally:
            child.kill()
    hunt.files(tmp_path, store / "key")
    for number, key in enumerate(dict.fromkeys(keys)):
        hunt.plant(f"key {number}", key)

    assert len(set(keys)) == 2
    assert child.returncode == -signal.SIGKILL
    assert (store / "secrets.db-wal").stat().st_size > 0
    assert sorted(path.name for path in store.iterdir()) == ["key", "secrets.db", "secrets.db-shm", "secrets.db-wal"]
    assert not list(temporary.iterdir())
    hunt.nothing_was_found(file=20)


def look_into_deleted_files(hunt: Hunt, pid: int) -> None:
    """SQLite deletes its temporary files as soon as it has opened them."""
    folder = Path(f"/proc/{pid}/fd")
    if not folder.is_dir():
        return
    for one in folder.iterdir():
        if str(os.readlink(one)).endswith(" (deleted)"):
            hunt.text("deleted_file", str(one), one.read_bytes())


def test_what_ends_badly_writes_no_memory_and_leaves_the_host_s_settings(hunt: Hunt, tmp_path: Path) -> None:
    """A core dump holds what memory held, and is the host's matter: where he has switched it off, nothing of ours
    switches it on, and what Python itself tells of a crash holds no value."""
    value = canary()
    hunt.plant("value", value)
    script = """
import faulthandler, os, pathlib, resource, sys
from secrets_actor import LocalSettings, Settings, start
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
faulthandler.enable(open("crash.txt", "w"))
value = sys.stdin.read()
system = start(Settings(local=LocalSettings(path=pathlib.Path("store"))))
system.secrets.set("canary", value)
assert system.secrets.get("canary").reveal() == value
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
os.abort()
"""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        input=value,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
        timeout=60,
        check=False,
    )

    assert ran.returncode == -signal.SIGABRT, ran.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crash.txt", "store"]
    assert "Current thread" in (tmp_path / "crash.txt").read_text()
    hunt.files(tmp_path, tmp_path / "store" / "key")
    hunt.text("error output", "child", ran.stderr)
    hunt.nothing_was_found(file=3)


MAKER: Final = """
import json, os, pathlib, sys, time
changed, opened = [], []
def audit(event, arguments):
    if event == "os.chmod":
        changed.append((str(arguments[0]), arguments[1]))
    elif event == "open" and isinstance(arguments[0], str) and sys.argv[1] in arguments[0]:
        opened.append(arguments[0])
sys.addaudithook(audit)
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.upkeep.copies import backup
from secrets_actor.backends.local.upkeep.rekey import rekey
from secrets_actor.domain.operations import Set
from secrets_actor.domain.ports import CallContext
os.umask(int(sys.argv[2], 8))
for turn in range(4):
    folder = pathlib.Path(sys.argv[1]) / f"store{turn}"
    if sys.argv[2] == "777":
        folder.mkdir(); os.system(f"chmod 700 {folder}")
    backend = local_backend_factory(path=folder, recovery_window=30).connect()
    for name in "ab":
        backend.perform(Set(name, "x" * 9000), CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 30))
    rekey(folder, KeyFile(folder / "key"), deep=True, deadline=time.clock_gettime(time.CLOCK_BOOTTIME) + 30)
    backup(folder, KeyFile(folder / "key"), folder / "copy", deadline=time.clock_gettime(time.CLOCK_BOOTTIME) + 30)
    backend.close()
print(json.dumps(changed)); print(len(opened))
"""


@pytest.mark.parametrize("umask", ["0", "22", "777"])
def test_no_file_is_ever_open_to_others_not_even_as_it_is_made(umask: str, tmp_path: Path) -> None:
    """Looked at again and again while stores are made, rekeyed and copied; and no file has its mode changed by its
    name: what a umask takes away is given back to a new file that has no name in the store yet."""
    tmp_path.chmod(0o755)
    seen: dict[tuple[str, bool], set[int]] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for folder in [tmp_path, *tmp_path.glob("store?")]:
                look(folder, seen)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        ran = subprocess.run(
            [sys.executable, "-c", MAKER, str(tmp_path), umask], capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        over.set()
        watcher.join()
    for folder in [tmp_path, *tmp_path.glob("store?")]:
        look(folder, seen)

    assert ran.returncode == 0, ran.stderr
    changed, opened = ran.stdout.splitlines()
    assert int(opened) > 10
    assert changed.count("[") > 4  # our own files, by descriptor, to 0600 (384)
    assert all(one.split('"')[1].isdigit() and one.endswith("384") for one in changed[2:-2].split("], ["))
    files = {name: modes for (name, is_file), modes in seen.items() if is_file}
    assert {"key", "secrets.db", "copy", "secrets.db-wal", "secrets.db-shm"} <= files.keys()
    assert all(mode & ~0o600 == 0 for modes in files.values() for mode in modes), files
    assert all(0o600 in files[name] for name in ("key", "secrets.db", "copy"))
    if umask != "777":
        assert all(modes == {0o700} for (_, is_file), modes in seen.items() if not is_file), seen


def look(folder: Path, seen: dict[tuple[str, bool], set[int]]) -> None:
    """Note the modes of what is in *folder*."""
    try:
        for one in os.scandir(folder):
            try:
                mode = one.stat(follow_symlinks=False).st_mode
            except FileNotFoundError:
                continue
            seen.setdefault((one.name, stat.S_ISREG(mode)), set()).add(stat.S_IMODE(mode))
    except FileNotFoundError:
        return
