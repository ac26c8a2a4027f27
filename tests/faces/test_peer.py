"""Who is at the other end of a connection: as the kernel tells it of real processes, and of their cgroups."""

import errno
import grp
import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from secrets_actor.clock import ManualClock
from secrets_actor.faces.exchange import Request, Response
from secrets_actor.faces.identity import Identity, Peer, terms
from secrets_actor.faces.peer import NAMES_KEPT, Caller, Names, Units, caller_at, name_in, units_of
from tests.faces.served import Client, served
from tests.forking import in_child
from tests.needs import AS_ROOT

UNIFIED = next(
    (one for one in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") if Path(one, "cgroup.procs").exists()), None
)
WRITES_CGROUPS = pytest.mark.skipif(
    UNIFIED is None or not os.access(UNIFIED, os.W_OK),
    reason="no cgroup can be made here (only root may), and a peer's unit is read from its cgroup",
)


@pytest.mark.parametrize(
    ("cgroups", "units"),
    [
        ("0::/system.slice/billing.service\n", Units("billing.service")),
        ("0::/system.slice/system-web.slice/web@1.service\n", Units("web@1.service")),
        ("0::/billing.service\n", Units("billing.service")),
        ("0::/machine.slice/docker-0123.scope/app\n", Units("docker-0123.scope")),
        ("0::/init.scope\n", Units("init.scope")),
        # The first unit counts: what lies below it may have been named by whom it was delegated to.
        ("0::/system.slice/runner.service/billing.service\n", Units("runner.service")),
        ("0::/system.slice/runner.service/system.slice/billing.service\n", Units("runner.service")),
        # A unit of a user's manager is no unit of the system, whatever its name is.
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/billing.service\n",
            Units(user_unit="1000/billing.service"),
        ),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/system.slice/a.service/billing.service\n",
            Units(user_unit="1000/a.service"),
        ),
        ("0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", Units(user_unit="1000/init.scope")),
        ("0::/user.slice/user-1000.slice/user@1000.service\n", Units()),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", Units()),
        ("0::/users/billing.service\n", Units()),  # `users` was made by whoever may write there
        # Systemd escapes what would be a file of the kernel.
        ("0::/system.slice/_memory.service\n", Units("memory.service")),
        ("0::/../../system.slice/billing.service\n", Units()),  # from outside of our cgroup namespace
        ("0::/\n", Units()),
        ("", Units()),
        # cgroup v1, and both at once
        (
            "12:pids:/system.slice/other.service\n1:name=systemd:/system.slice/billing.service\n",
            Units("billing.service"),
        ),
        ("1:name=systemd:/system.slice/billing.service\n0::/\n", Units("billing.service")),
        ("1:name=systemd:/a.service\n0::/system.slice/billing.service\n", Units("billing.service")),
        ("4:memory:/system.slice/billing.service\n0::/\n", Units()),
        ("nonsense\n:\n", Units()),
    ],
)
def test_the_unit_of_a_process_is_the_one_that_the_systems_manager_named(cgroups: str, units: Units) -> None:
    assert units_of(cgroups) == units


async def who(asked: Request) -> Response:
    """Answer with who asked."""
    one = asked.peer
    facts = (one.uid, one.gid, one.pid, one.user, sorted(one.groups), one.unit, one.user_unit)
    return Response(200, (), repr(facts).encode())


def told(place: str) -> str:
    with Client(place) as client:
        return client.get().body.decode()


def group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def test_a_process_of_this_user_is_told_with_its_groups(tmp_path: Path) -> None:
    uid, gid = os.geteuid(), os.getegid()
    groups = sorted({group_name(one) for one in (gid, *os.getgroups())})
    with served(who, tmp_path) as one:
        found = told(one.place)

    user = pwd.getpwuid(uid).pw_name
    assert found.startswith(repr((uid, gid, os.getpid(), user, groups))[:-1])


@AS_ROOT
def test_another_process_is_told_as_it_was_when_it_connected() -> None:
    with TemporaryDirectory() as open_to_all, served(who, Path(open_to_all), mode=0o666) as one:
        Path(open_to_all).chmod(0o711)

        def ask() -> tuple[int, str]:
            os.setgroups([60, 4321])
            os.setgid(1235)
            os.setuid(1234)
            return os.getpid(), told(one.place)

        pid, found = eval(in_child(ask))

        def ask_with_many_groups() -> str:
            os.setgroups(range(5000, 5300))
            return told(one.place)

        many = in_child(ask_with_many_groups)

    assert found.startswith(repr((1234, 1235, pid, "1234", sorted(["1235", group_name(60), "4321"])))[:-1])
    assert all(f"'{gid}'" in many for gid in range(5000, 5300)), "more groups than a getsockopt of Python takes"


@WRITES_CGROUPS
def test_the_unit_is_that_of_the_process_which_connected(tmp_path: Path) -> None:
    with served(who, tmp_path) as one, cgroup("secrets-actor-test.slice/billing.service") as group:

        def ask() -> str:
            (group / "cgroup.procs").write_text(str(os.getpid()))
            found = told(one.place)
            (Path(str(UNIFIED)) / "cgroup.procs").write_text(str(os.getpid()))
            return found

        found = in_child(ask)

    assert found.endswith("'billing.service', None)")


@contextmanager
def cgroup(path: str) -> Iterator[Path]:
    place = Path(str(UNIFIED)) / path
    place.mkdir(parents=True, exist_ok=True)
    try:
        yield place
    finally:
        place.rmdir()
        place.parent.rmdir()


def test_of_a_process_that_has_ended_the_unit_is_not_told() -> None:
    """Its number may be another process's by now."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("")  # an abstract name
        listening.listen()
        place = listening.getsockname()

        def connect() -> None:
            socket.socket(socket.AF_UNIX).connect(place)

        in_child(connect)
        connection, _ = listening.accept()
        with connection:
            found = caller_at(connection)

    assert found is not None
    assert (found.uid, found.unit, found.user_unit) == (os.geteuid(), None, None)


class WithoutPidfd(socket.socket):
    """A socket whose kernel answers the question for a pidfd of the peer with *error*."""

    error = 0

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        if option == 77:  # SO_PEERPIDFD
            raise OSError(self.error, os.strerror(self.error))
        return super().getsockopt(level, option, size)


@WRITES_CGROUPS
@pytest.mark.parametrize(
    ("error", "unit"),
    [
        (errno.ENOPROTOOPT, "billing.service"),  # a kernel before 6.5: the number, its start and its owner must do
        # Linux 6.5 to 6.15, of a process that has ended: its number may be that of another one of this user.
        (errno.ESRCH, None),
        (errno.EINVAL, None),
        (errno.ENODATA, None),
    ],
)
def test_a_number_without_a_process_behind_it_tells_no_unit(error: int, unit: str | None) -> None:
    with cgroup("secrets-actor-test.slice/billing.service") as group:

        def look() -> str:
            (group / "cgroup.procs").write_text(str(os.getpid()))
            ours, _theirs = socket.socketpair()
            connection = WithoutPidfd(fileno=ours.detach())
            connection.error = error
            found = caller_at(connection)
            (Path(str(UNIFIED)) / "cgroup.procs").write_text(str(os.getpid()))
            assert found is not None
            return str(found.unit)

        assert in_child(look) == str(unit)


def test_a_name_is_looked_up_once_in_a_minute() -> None:
    clock = ManualClock()
    names = Names(clock.now)
    caller = Caller(os.geteuid(), os.getegid(), (os.getegid(), 4_000_000_000), 1, None, "7/a.service")

    assert names.known(caller) is None
    found = names.look_up(caller)
    assert found == Peer(
        uid=os.geteuid(),
        gid=os.getegid(),
        pid=1,
        user=pwd.getpwuid(os.geteuid()).pw_name,
        groups=frozenset({group_name(os.getegid()), "4000000000"}),
        user_unit="7/a.service",
    )
    clock.advance(NAMES_KEPT - 1)
    assert names.known(caller) == found
    clock.advance(2)
    assert names.known(caller) is None


def test_the_group_that_stands_for_all_unknown_ones_has_no_name() -> None:
    """`nogroup` would be a group of every caller from another user namespace."""
    caller = Caller(uid=1, gid=65534, gids=(65534, os.getegid()), pid=None, unit=None, user_unit=None)

    found = Names(ManualClock().now).look_up(caller)

    assert found.groups == {"65534", group_name(os.getegid())}
    assert {term for term in terms(Identity(found)) if term.startswith("group:")} == {
        f"group:{group_name(os.getegid())}"
    }


@pytest.mark.parametrize(
    ("certificate", "name"),
    [
        (None, None),
        ({}, None),
        ({"subject": ((("commonName", "ci"),),)}, "ci"),
        ({"subject": ((("organizationName", "x"),), (("commonName", "ci"),))}, "ci"),
        (
            {
                "subject": ((("commonName", "ci"),),),
                "subjectAltName": (("DNS", "ci.example"), ("URI", "spiffe://example.org/billing"), ("URI", "b:c")),
            },
            "spiffe://example.org/billing",
        ),
        ({"subject": (), "subjectAltName": (("DNS", "a"),)}, None),
        # Constraints of an authority are for URIs, and say nothing of common names.
        ({"subject": ((("commonName", "spiffe://example.org/billing"),),)}, None),
    ],
)
def test_the_name_in_a_certificate(certificate: dict[str, object] | None, name: str | None) -> None:
    assert name_in(certificate) == name
