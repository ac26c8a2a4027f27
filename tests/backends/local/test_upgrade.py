"""A store of an earlier release (format 1; its code made `data/format1.db`) is brought to the present form."""

import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from secrets_actor.backends.local import diagnose, entry_codec
from secrets_actor.backends.local.backend import LocalBackend
from secrets_actor.clock import utc_now
from secrets_actor.domain.diagnosis import Verdict
from secrets_actor.domain.errors import DecryptionFailed, KeyFileError, SecretDeleted, StoreDamaged, WrongKey
from secrets_actor.domain.operations import Get, List, Restore, Set
from secrets_actor.domain.secret import SecretInfo
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import LONG, START, WallClock, do, files, run_killed, run_python, within

DATA: Final = Path(__file__).parent / "data"
NAMES: Final = (b"db/password", b"certificate", b"unused", b"going", "für alle".encode(), b"database's")

OPEN: Final = """
import pathlib, time
from datetime import UTC, datetime
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.operations import List
from secrets_actor.domain.ports import CallContext
at = datetime(2026, 1, 2, tzinfo=UTC)
backend = local_backend_factory(path=pathlib.Path(sys.argv[1]), recovery_window=30, wall_clock=lambda: at).connect()
"""
LIST: Final = "backend.perform(List(), CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 30))\n"


def token(number: int) -> str:
    return f"{number:032d}"


@pytest.fixture
def old(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    for name, kept in (("secrets.db", "format1.db"), ("key", "format1.key")):
        shutil.copyfile(DATA / kept, folder / name)
        (folder / name).chmod(0o600)
    return folder


def version_of(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "secrets.db")) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def assert_all_is_there(backend: LocalBackend) -> None:
    at = [START + timedelta(hours=hours) for hours in range(40)]
    arns = [f"{entry_codec.ARN_PREFIX}{name}" for name in ("certificate-Lbnqus", "db/password-73yPZm", "unused-cARlnL")]
    assert do(backend, List()) == (
        SecretInfo("certificate", arns[0], None, at[4], at[4], None),
        SecretInfo("db/password", arns[1], "the database's", at[1], at[3], None),
        SecretInfo("unused", arns[2], "für alle", at[5], at[5], None),
    )
    for number, value, stages in ((1, "first", ()), (2, "second", ("AWSPREVIOUS",)), (3, "third", ("AWSCURRENT",))):
        secret = do(backend, Get("db/password", version_id=token(number)))
        assert (secret.reveal(), secret.stages, secret.created_at) == (value, stages, at[number])
    assert do(backend, Get(arns[0])).reveal() == b"\x00\xff binary"
    assert do(backend, Get(arns[0])).version_id == "3f0b8c54-7d0a-4f0e-9a53-0d6d0ad8c1b2"
    assert do(backend, Get("unused")).reveal() == "Grüße \0 日本"
    with pytest.raises(SecretDeleted, match="2026-01-31 19:00"):
        do(backend, Get("going"))


def test_nothing_is_lost_and_the_store_goes_on(old: Path, connect: Connect) -> None:
    backend = connect()
    assert_all_is_there(backend)

    assert version_of(old) == 2
    # A token that was used once is known as before, and so is whether it made the secret.
    assert do(backend, Set("db/password", "first", token=token(1))).created
    assert not do(backend, Set("db/password", "third", token=token(3))).created
    do(backend, Restore("going"))
    assert do(backend, Get("going")).reveal() == "away"
    assert do(backend, Set("new", "value")).created


def test_what_is_past_its_window_goes_as_always(old: Path, connect: Connect, clock: WallClock) -> None:
    clock.advance(days=31)
    do(connect(), List())
    clock.advance(hours=1)
    do(connect(), List())

    assert [one.name for one in do(connect(), List(include_deleted=True))] == ["certificate", "db/password", "unused"]


def test_no_name_stays_in_clear(old: Path, connect: Connect) -> None:
    before = (old / "secrets.db").read_bytes()
    assert all(name in before for name in NAMES)
    backend = connect()
    do(backend, List())

    for name, content in files(old).items():
        assert not [word for word in NAMES if word in content], name
    backend.close()
    assert sorted(files(old)) == ["key", "secrets.db"]
    assert not [word for word in NAMES if word in (old / "secrets.db").read_bytes()]


def test_another_key_opens_nothing_and_changes_nothing(old: Path, connect: Connect) -> None:
    key = (old / "key").read_bytes()
    (old / "key").write_bytes(key[::-1])
    before = files(old)
    backend = connect()
    with pytest.raises(WrongKey, match="put the right key back"):
        do(backend, List())
    (old / "key").unlink()
    with pytest.raises(KeyFileError, match="is missing"):
        do(backend, List())

    assert (old / "secrets.db").read_bytes() == before["secrets.db"]
    (old / "key").touch(0o600)
    (old / "key").write_bytes(key)
    assert_all_is_there(backend)


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE versions SET sealed = zeroblob(60) WHERE id = 1", DecryptionFailed),
        ("UPDATE versions SET sealed = (SELECT sealed FROM versions v WHERE v.id = 1)", DecryptionFailed),
        ("UPDATE versions SET created_at = 'never'", StoreDamaged),
        ("UPDATE versions SET version_id = x'00' WHERE id = 1", StoreDamaged),
        ("UPDATE secrets SET name = x'ff' WHERE id = 1", StoreDamaged),
        ("UPDATE stages SET version = 4 WHERE stage = 'AWSPREVIOUS'", StoreDamaged),
        ("DELETE FROM meta", StoreDamaged),
    ],
)
def test_what_is_damaged_is_told_and_stays_as_it_was(
    old: Path, connect: Connect, statement: str, error: type[Exception]
) -> None:
    with closing(sqlite3.connect(old / "secrets.db", isolation_level=None)) as connection:
        connection.execute(statement)

    with pytest.raises(error, match=r"db/password|damaged"):
        do(connect(), List())

    assert version_of(old) == 1


def test_an_empty_store_of_the_earlier_release_becomes_an_empty_one(old: Path, connect: Connect) -> None:
    with closing(sqlite3.connect(old / "secrets.db", isolation_level=None)) as connection:
        for table in ("stages", "versions", "secrets", "meta"):
            connection.execute(f"DELETE FROM {table}")

    assert do(connect(), List()) == ()


@pytest.mark.parametrize(
    ("name", "turn", "event"),
    [("_carry_over", 1, "call"), ("_carry_over", 4, "return"), ("Store.clear_log", 1, "call")],
)
def test_a_crash_in_the_middle_leaves_the_old_store_or_the_new(
    old: Path, connect: Connect, name: str, turn: int, event: str
) -> None:
    assert run_killed(OPEN + LIST, old, name, turn, event)

    assert version_of(old) == (2 if name == "Store.clear_log" else 1)
    assert_all_is_there(connect())


def test_a_full_disk_in_the_middle_leaves_the_old_store(old: Path, connect: Connect) -> None:
    ended = run_python(
        "import resource, sys"
        + OPEN
        + """
for limit in (41_000, 37_000, 33_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        backend.perform(List(), CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 30))
    except SecretsError as error:
        print(type(error).__name__)
""",
        str(old),
    )

    assert ended.stdout.split() == ["StoreUnavailable"] * 3, ended.stderr
    assert version_of(old) == 1
    assert_all_is_there(connect())


def test_those_who_open_it_at_once_all_find_all(old: Path, connect: Connect) -> None:
    gate = threading.Barrier(4)
    found: list[object] = []

    def list_all(backend: LocalBackend) -> None:
        gate.wait(LONG)
        found.append(do(backend, List()))

    threads = [threading.Thread(target=list_all, args=(connect(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)

    assert found == [do(connect(), List())] * 4
    assert_all_is_there(connect())


def test_an_examination_does_not_change_it(old: Path) -> None:
    before = files(old)

    findings = list(diagnose.diagnose(old, utc_now(), within(LONG).deadline))

    assert findings[-1].verdict is Verdict.OK
    assert "earlier release" in findings[-1].fact
    assert files(old) == before
