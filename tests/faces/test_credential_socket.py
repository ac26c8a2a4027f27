"""The face `systemd` on real sockets: each unit gets its secret, or more than systemd takes, and so does not start."""

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from secrets_actor.errors import Unreachable
from secrets_actor.events import CredentialRefused, HandlerFailed
from secrets_actor.faces.address import UnixAddress
from secrets_actor.faces.connection import Limits
from secrets_actor.faces.credential_socket import Asked, CredentialConnection, CredentialFace
from secrets_actor.faces.policy import Rule
from secrets_actor.faces.systemd_credentials import CredentialRow
from secrets_actor.otp import stop
from tests.faces.served import PATIENCE, Served, eventually
from tests.faces.served_system import Served as SystemServed
from tests.faces.served_system import served_system
from tests.faces.systemd_client import MIB, Manager, asked_by
from tests.forking import in_child
from tests.needs import AS_ROOT

ROWS: Final = (
    CredentialRow("web@*.service", "key", "certs/{instance}"),
    CredentialRow("*", "login", "app/{unit_name}#{credential}"),
)
Handler = Callable[[Any], Awaitable[Any]]


@contextlib.contextmanager
def listening(handler: Handler, folder: Path, **options: Any) -> Iterator[Served]:
    one = Served(UnixAddress(str(folder / "credentials.sock")), lambda: handler, speaks=CredentialConnection, **options)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def system() -> Iterator[SystemServed]:
    rules = (
        Rule((asked_by("web.service"),), ("db/*", "app/web"), ("get",)),
        Rule((asked_by("web@.service"),), ("certs/*",), ("get",)),
        Rule(("user:root", f"uid:{os.getuid()}"), ("**",), ("admin",)),  # who asks is the unit, and not its manager
    )
    with served_system(*rules) as one:
        yield one


def face(system: SystemServed) -> CredentialFace:
    return CredentialFace(system.service, ROWS, "listener", os.getuid())


def refused(one: Served) -> list[tuple[str, str, str]]:
    """What was told of refusals."""
    return [(event.unit, event.asked, event.reason) for event in one.events if isinstance(event, CredentialRefused)]


def test_a_unit_gets_its_secret_and_nothing_else(system: SystemServed, tmp_path: Path) -> None:
    system.store.put("db/password", "hünter2")
    system.store.put("db/key", b"\0\1\xff" * 20_000)
    system.store.put("app/web", '{"login": "deploy", "other": 1}')
    system.store.put("certs/7", "a certificate")
    with listening(face(system), tmp_path) as one:
        answers = [
            Manager(one.place, *asked).read()
            for asked in (
                ("web.service", "db~password"),
                ("web.service", "db~key"),
                ("web.service", "login"),
                ("web@7.service", "key"),
                ("web.service", "app~web#other"),
                ("web.service", "db~password@AWSCURRENT"),
            )
        ]

        assert answers == ["hünter2".encode(), b"\0\1\xff" * 20_000, b"deploy", b"a certificate", b"1", answers[0]]
        assert eventually(lambda: one.node.registry.whereis("listener") is not None)
        assert not refused(one)


@pytest.mark.parametrize(
    ("unit", "credential", "reason", "record"),
    [
        ("other.service", "db~password", "other.service may not get db/password", ("db/password", "access_denied")),
        ("web.service", "db,password", "a secret name is made of", (None, "invalid_name")),
        ("web@a:b.service", "key", "{instance}: letters, digits", (None, "invalid_parameter")),
        ("web.service", "db~password#user", "member: one of a value", ("db/password", "invalid_parameter")),
        ("web.service", "db~no", "", None),
    ],
)
def test_a_refused_unit_gets_more_than_systemd_takes_and_the_audit_log_says_why(
    system: SystemServed, tmp_path: Path, unit: str, credential: str, reason: str, record: tuple[str, str] | None
) -> None:
    system.store.put("db/password", "hunter2")
    with listening(face(system), tmp_path) as one:
        answer = Manager(one.place, unit, credential).read()

        assert len(answer) > MIB * 9 // 8, "systemd takes an eighth more where a credential is encrypted"
        assert b"hunter2" not in answer
        [(about, asked, told)] = refused(one)
        assert (about, asked) == (unit, credential)
        assert reason in told
        assert "hunter2" not in told
    records = [(one.operation, one.secret_id, one.outcome, str(one.caller)) for one in system.audit.kept]
    if record is None:
        assert not records, "the client's own record says it"
    else:
        [(operation, *found, caller)] = records
        assert (operation, *found) == ("get", *record)
        assert asked_by(unit).rpartition(":")[2] in caller


def test_a_unit_may_ask_for_the_version_before(system: SystemServed, tmp_path: Path) -> None:
    for value in ("old", "new"):
        system.store.put("db/password", value)
    with listening(face(system), tmp_path) as one:
        answers = [Manager(one.place, credential=f"db~password{stage}").read() for stage in ("@AWSPREVIOUS", "")]

    assert answers == [b"old", b"new"]


def test_a_store_that_is_away_refuses(system: SystemServed, tmp_path: Path) -> None:
    with system.store.failing(Unreachable("gone")), listening(face(system), tmp_path) as one:
        assert len(Manager(one.place, "web.service", "db~password").read()) > MIB
        assert len(refused(one)) == 1


def test_a_refusal_ends_its_connection_once(system: SystemServed, tmp_path: Path) -> None:
    with listening(face(system), tmp_path) as one:
        lengths = {len(Manager(one.place, f"{number}.service", "x").read()) for number in range(40)}

    assert len(lengths) == 1
    assert len(refused(one)) == 40
    assert not [event for event in one.events if isinstance(event, HandlerFailed)]


@pytest.mark.parametrize("name", [b"", b"\0f/unit/web.service/db~password/more", b"\0anything"], ids=str)
def test_a_process_that_is_no_manager_gets_no_secret(system: SystemServed, tmp_path: Path, name: bytes) -> None:
    system.store.put("db/password", "hunter2")
    with listening(face(system), tmp_path) as one:
        answer = Manager(one.place, name=name).read()

    assert len(answer) > MIB, "if it is a manager of another kind, its unit does not start"
    assert b"hunter2" not in answer
    [record] = system.audit.kept
    assert (record.operation, record.secret_id, record.outcome, record.source) == (
        "get",
        None,
        "access_denied",
        "proof",
    )
    assert not system.store.calls


def test_a_slow_store_is_waited_for_but_not_beyond_the_deadline(system: SystemServed, tmp_path: Path) -> None:
    system.store.put("db/password", "hunter2")
    system.store.put("db/other", "another")
    with listening(face(system), tmp_path, limits=Limits(request_seconds=0.3)) as one:
        with system.store.hold("get") as gate:
            slow = Manager(one.place, "web.service", "db~password")
            gate.wait_until_held()
            assert len(slow.read()) > MIB, "its time is over"
            assert one.meter.refusals() == {"late": 1}
            assert refused(one) == [("web.service", "db~password", "the answer took too long")]
        with system.store.hold("get") as gate:
            slow = Manager(one.place, "web.service", "db~other")
            gate.wait_until_held()
            gate.release()
            assert slow.read() == b"another"


def test_a_hundred_units_that_start_at_once_are_all_served(system: SystemServed, tmp_path: Path) -> None:
    for number in range(100):
        system.store.put(f"certs/{number}", f"certificate {number}")
    with listening(face(system), tmp_path) as one:
        asking = [Manager(one.place, f"web@{number}.service", "key") for number in range(100)]

        assert [each.read() for each in asking] == [b"certificate %d" % number for number in range(100)]


def test_one_that_is_too_many_is_refused_and_one_that_reads_nothing_holds_no_place(
    system: SystemServed, tmp_path: Path
) -> None:
    system.store.put("db/password", "hunter2")
    with listening(face(system), tmp_path, limits=Limits(connections=1, idle_seconds=0.2)) as one:
        with system.store.hold("get") as gate:
            first = Manager(one.place, "web.service", "db~password")
            gate.wait_until_held()
            too_many = [Manager(one.place, "web.service", "db~password") for _ in range(5)]
            assert min(len(each.read()) for each in too_many) > MIB, "also when many have not read theirs yet"
            assert one.meter.refusals() == {"connections": 5}
            [(unit, _, reason)] = refused(one)
            assert (unit, reason.partition(":")[0]) == ("web.service", "there are too many connections")
            first.close()  # it goes away
            gate.release()
        with Manager(one.place, "other.service", "db~password"):  # it reads nothing
            assert eventually(lambda: Manager(one.place, "web.service", "db~password").read() == b"hunter2")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@AS_ROOT
def test_the_log_does_not_tell_the_names_that_another_users_process_gives_its_end(system: SystemServed) -> None:
    with TemporaryDirectory() as made:
        Path(made).chmod(0o711)
        system.store.put("db/password", "hunter2")
        with listening(face(system), Path(made), limits=Limits(connections=1)) as one:
            Path(one.place.removeprefix("unix:")).chmod(0o666)

            def as_another_user() -> list[int]:
                os.setgroups([])
                os.setuid(12001)
                return [len(Manager(one.place, f"{name}.service").read()) for name in ("a", "b")]

            with system.store.hold("get") as gate, Manager(one.place, "web.service", "db~password"):
                gate.wait_until_held()
                lengths = in_child(as_another_user)
            assert one.meter.refusals() == {"connections": 2}

    assert min(json.loads(lengths)) > MIB
    assert not refused(one)


def test_what_is_under_way_when_the_listener_is_killed_is_refused_and_the_next_one_serves(
    system: SystemServed, tmp_path: Path
) -> None:
    system.store.put("db/password", "hunter2")
    with listening(face(system), tmp_path) as one:
        with system.store.hold("get") as gate:
            waiting = Manager(one.place, "web.service", "db~password")
            gate.wait_until_held()
            one.kill()
            assert len(waiting.read()) > MIB, "nothing at all would pass for an empty credential"
        assert Manager(one.place, "web.service", "db~password").read() == b"hunter2"


def test_what_is_under_way_when_the_listener_ends_is_answered_first(system: SystemServed, tmp_path: Path) -> None:
    system.store.put("db/password", "hunter2")
    with listening(face(system), tmp_path, drain_seconds=PATIENCE) as one:
        with system.store.hold("get") as gate:
            waiting = Manager(one.place, "web.service", "db~password")
            gate.wait_until_held()
            ending = threading.Thread(target=stop, args=(one.root,))
            ending.start()
            gate.release()
            assert waiting.read() == b"hunter2"
        ending.join(PATIENCE)


def test_what_is_under_way_in_a_loop_that_hangs_is_refused(tmp_path: Path) -> None:
    held, over = threading.Event(), threading.Event()

    async def hang(_: Asked) -> bytes:
        held.set()
        over.wait(PATIENCE)
        return b"hunter2"

    with listening(hang, tmp_path) as one:
        waiting = Manager(one.place)
        assert held.wait(PATIENCE)
        killing = threading.Thread(target=one.kill)
        killing.start()
        answer = waiting.read()
        over.set()
        killing.join(PATIENCE)

    assert len(answer) > MIB


def test_a_face_that_fails_refuses(tmp_path: Path) -> None:
    async def fail(_: Asked) -> bytes:
        await asyncio.sleep(0)
        raise RuntimeError("hunter2")

    with listening(fail, tmp_path) as one:
        assert len(Manager(one.place).read()) > MIB
        [event] = [event for event in one.events if isinstance(event, HandlerFailed)]

    assert "RuntimeError" in event.reason
    assert "hunter2" not in event.reason
