"""The listening sockets of a system: made, found, passed by systemd, and removed."""

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from secrets_actor import ConfigurationError, StartFailed
from secrets_actor.faces.address import SystemdAddress, TcpAddress, UnixAddress
from secrets_actor.faces.sockets import Sockets, closed_folder
from tests.forking import in_child


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    made = Sockets({})
    yield made
    made.close_all()


def unix(folder: Path, name: str = "api.sock") -> UnixAddress:
    return UnixAddress(str(folder / name))


def connects(address: UnixAddress) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(address.path) == 0


def test_a_unix_socket_has_its_mode_and_is_removed_at_the_end(sockets: Sockets, tmp_path: Path) -> None:
    address = unix(tmp_path)

    [made] = sockets.open(address, mode=0o660)

    there = os.stat(address.path)
    assert stat.S_ISSOCK(there.st_mode)
    assert stat.S_IMODE(there.st_mode) == 0o660
    assert not os.get_inheritable(made.fileno())
    assert sockets.open(address) == sockets.of(address) == (made,)
    assert sockets.places(address) == (str(address),)
    assert connects(address)

    sockets.close(address)

    assert os.listdir(tmp_path) == []
    with pytest.raises(StartFailed, match="was closed"):
        sockets.of(address)


def test_a_socket_gets_the_group_by_name_or_number(sockets: Sockets, tmp_path: Path) -> None:
    gid = os.getegid()
    for name, group in (("a", str(gid)), ("b", __import__("grp").getgrgid(gid).gr_name)):
        sockets.open(unix(tmp_path, name), group=group)
        assert os.stat(tmp_path / name).st_gid == gid

    with pytest.raises(ConfigurationError, match="no group no-such-group"):
        sockets.open(unix(tmp_path), group="no-such-group")
    assert not (tmp_path / "api.sock").exists()


def test_a_file_that_nobody_listens_at_is_replaced(sockets: Sockets, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind(str(tmp_path / "api.sock"))

    sockets.open(unix(tmp_path))

    assert connects(unix(tmp_path))


def test_a_socket_that_is_served_is_left_alone(sockets: Sockets, tmp_path: Path) -> None:
    sockets.open(unix(tmp_path))

    with pytest.raises(StartFailed, match="another daemon listens there already"):
        Sockets({}).open(unix(tmp_path))
    assert connects(unix(tmp_path))


def test_a_socket_whose_daemon_is_busy_is_left_alone(sockets: Sockets, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy, contextlib.ExitStack() as clients:
        busy.bind(str(tmp_path / "api.sock"))
        busy.listen(0)
        while True:  # until its backlog is full, and the kernel has a client wait
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            if client.connect_ex(str(tmp_path / "api.sock")) != 0:
                break

        with pytest.raises(StartFailed, match="another daemon listens there already"):
            sockets.open(unix(tmp_path))


def test_a_file_that_is_no_socket_is_left_alone(sockets: Sockets, tmp_path: Path) -> None:
    (tmp_path / "api.sock").write_text("mine")

    with pytest.raises(StartFailed, match="no socket"):
        sockets.open(unix(tmp_path))
    assert (tmp_path / "api.sock").read_text() == "mine"


def test_of_many_that_start_at_once_one_has_the_socket(tmp_path: Path) -> None:
    """Although each of them finds the file of a daemon that has ended, and would remove it."""
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind(str(tmp_path / "api.sock"))
    all_at_once, outcomes = threading.Barrier(8), list[object]()
    made = [Sockets({}) for _ in range(8)]

    def start(one: Sockets) -> None:
        all_at_once.wait()
        try:
            one.open(unix(tmp_path))
            outcomes.append("made")
        except StartFailed as error:
            outcomes.append("listens there already" in str(error))

    threads = [threading.Thread(target=start, args=(one,)) for one in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(str, outcomes)) == ["True"] * 7 + ["made"]
    for one in made:
        one.close_all()
    assert os.listdir(tmp_path) == []


def test_the_file_of_another_daemon_is_not_removed_at_the_end(sockets: Sockets, tmp_path: Path) -> None:
    sockets.open(unix(tmp_path))
    (tmp_path / "api.sock").unlink()
    other = Sockets({})
    other.open(unix(tmp_path))

    sockets.close_all()

    assert connects(unix(tmp_path))
    other.close_all()


def test_a_folder_that_is_not_there_is_made_so_that_the_mode_of_the_socket_decides(
    sockets: Sockets, tmp_path: Path
) -> None:
    was = os.umask(0o077)
    try:
        sockets.open(unix(tmp_path / "made"), mode=0o666)
    finally:
        os.umask(was)

    assert stat.S_IMODE(os.stat(tmp_path / "made").st_mode) == 0o755
    with pytest.raises(StartFailed, match=f"make the folder {tmp_path / 'no' / 'such'}"):
        sockets.open(unix(tmp_path / "no" / "such"))


def test_a_folder_that_keeps_out_whom_the_mode_lets_in_is_found(sockets: Sockets) -> None:
    with tempfile.TemporaryDirectory() as name:  # not pytest's, whose folders are closed to others
        folder = Path(name)
        for mode, of_folder, closed in [
            (0o600, 0o700, False),
            (0o660, 0o700, True),
            (0o660, 0o710, False),
            (0o666, 0o710, True),
            (0o666, 0o711, False),
        ]:
            folder.chmod(of_folder)
            address = unix(folder)
            sockets.open(address, mode=mode)
            assert closed_folder(Path(address.path)) == (folder if closed else None), (mode, of_folder)
            sockets.close(address)
        folder.chmod(0o710)
        sockets.open(unix(folder), mode=0o660)
        if os.geteuid() == 0:
            os.chown(folder, -1, 4242)
            assert closed_folder(folder / "api.sock") == folder, "it lets in another group than the socket does"


def test_an_address_that_cannot_be_had_is_told_with_what_to_do(sockets: Sockets) -> None:
    with pytest.raises(StartFailed, match=r"192\.0\.2\.1:1 .*: this machine has no such address"):
        sockets.open(TcpAddress("192.0.2.1", 1), beyond_loopback=True)


def test_a_tcp_port_of_loopback_does_not_leave_the_machine(sockets: Sockets) -> None:
    address = TcpAddress("localhost", 0)

    [made] = sockets.open(address)

    assert made.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 1
    [place] = sockets.places(address)
    host, _, port = place.rpartition(":")
    assert (host, int(port) > 0) == ("127.0.0.1", True)
    with socket.create_connection((host, int(port))), made.accept()[0] as connection:
        assert connection.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 1, "accepted ones have it too"
    with pytest.raises(StartFailed, match="is in use"):
        Sockets({}).open(TcpAddress("127.0.0.1", int(port)))


@pytest.mark.skipif(
    not os.path.exists("/proc/net/if_inet6"), reason="this kernel has no IPv6, so it has no address to listen on"
)
def test_a_tcp_port_of_ipv6(sockets: Sockets) -> None:
    address = TcpAddress("::1", 0)
    sockets.open(address)

    [place] = sockets.places(address)

    assert place.startswith("[::1]:")
    assert sockets.of(address)[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) == 1


def test_a_port_that_other_machines_can_reach_needs_tls(sockets: Sockets) -> None:
    with pytest.raises(ConfigurationError, match="needs tls"):
        sockets.open(TcpAddress("0.0.0.0", 0))

    [made] = sockets.open(TcpAddress("0.0.0.0", 0), beyond_loopback=True)

    assert made.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) > 1


ACTIVATED = """
import json, os, socket, sys
os.environ["LISTEN_PID"] = str(os.getpid())
from secrets_actor.faces.address import SystemdAddress
from secrets_actor.faces.sockets import Sockets, closed_folder
sockets = Sockets()
api = SystemdAddress("api")
told = {
    "given": sockets.given,
    "places": sockets.places(api) if sockets.open(api) else None,
    "left": sorted(name for name in os.environ if name.startswith("LISTEN_")),
    "inheritable": [os.get_inheritable(one.fileno()) for one in sockets.of(api)],
}
sockets.close(api)
told["again"] = len(sockets.open(api))
print(json.dumps(told))
sockets.close_all()
"""


def test_sockets_that_systemd_passes_are_taken_over_by_name(tmp_path: Path) -> None:
    """As by systemd: from descriptor 3 on, and all that tells of them in the environment."""
    with contextlib.ExitStack() as stack:
        unix_one = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix_one.bind(str(tmp_path / "api.sock"))
        tcp_one = stack.enter_context(socket.socket())
        tcp_one.bind(("127.0.0.1", 0))
        datagram = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for one in (unix_one, tcp_one):
            one.listen()
        passed = [one.fileno() for one in (unix_one, tcp_one, datagram)]
        numbers = " ".join(f"{number}<&{fd}" for number, fd in zip((3, 4, 5), passed, strict=True))
        ended = subprocess.run(
            ["/bin/bash", "-c", f'exec "$0" -c "$1" {numbers}', sys.executable, ACTIVATED],
            env={"LISTEN_FDS": "3", "LISTEN_FDNAMES": "api:api:other", "PATH": os.environ["PATH"]},
            pass_fds=passed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert ended.returncode == 0, ended.stderr
        told = json.loads(ended.stdout)
        port = tcp_one.getsockname()[1]
        assert told == {
            "given": ["api"],
            "places": [f"unix:{tmp_path}/api.sock", f"127.0.0.1:{port}"],
            "left": [],
            "inheritable": [False, False],
            "again": 2,
        }
    assert (tmp_path / "api.sock").exists(), "it is systemd's, and is not removed"


BEYOND = """
import os
os.environ["LISTEN_PID"] = str(os.getpid())
from secrets_actor import ConfigurationError
from secrets_actor.faces.address import SystemdAddress
from secrets_actor.faces.sockets import Sockets, closed_folder
try:
    Sockets().open(SystemdAddress("api"))
except ConfigurationError as error:
    print(error)
else:
    print("opened")
"""


@pytest.mark.parametrize(
    ("family", "host", "told"),
    [
        (socket.AF_INET, "127.0.0.1", "opened"),
        (socket.AF_INET6, "::1", "opened"),
        (socket.AF_INET, "0.0.0.0", "other machines can reach"),
        (socket.AF_INET6, "::", "other machines can reach"),
    ],
)
def test_a_socket_of_systemd_that_other_machines_can_reach_is_refused(family: int, host: str, told: str) -> None:
    with socket.socket(family) as one:
        one.bind((host, 0))
        one.listen()
        ended = subprocess.run(
            ["/bin/bash", "-c", f'exec "$0" -c "$1" 3<&{one.fileno()}', sys.executable, BEYOND],
            env={"LISTEN_FDS": "1", "LISTEN_FDNAMES": "api", "PATH": os.environ["PATH"]},
            pass_fds=[one.fileno()],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert told in ended.stdout, ended.stderr


STEPS = """
import errno, fcntl, socket, sys
from secrets_actor.faces.address import UnixAddress
from secrets_actor.faces.sockets import Sockets
path, steps = sys.argv[1], []

def watch(step, arguments):
    if step == "fcntl.flock":
        steps.append("alone")
    elif step in ("os.chown", "os.chmod") and arguments[0] == path:
        with socket.socket(socket.AF_UNIX) as client:
            steps.append((step, errno.errorcode[client.connect_ex(path)]))

sys.addaudithook(watch)
Sockets({}).open(UnixAddress(path), mode=0o666, group="0")
print(steps)
"""


def test_nobody_can_connect_to_a_socket_before_it_has_its_group_and_its_mode(tmp_path: Path) -> None:
    """And no other daemon opens one in the same folder meanwhile."""
    program = [sys.executable, "-c", STEPS.replace('"0"', f'"{os.getegid()}"'), str(tmp_path / "api.sock")]

    ended = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)

    refused = [("os.chown", "ECONNREFUSED"), ("os.chmod", "ECONNREFUSED")]
    assert ended.stdout.strip() == str(["alone", *refused]), ended.stderr


NOT_MEANT = """
import os
os.environ["LISTEN_PID"] = str(os.getppid())
from secrets_actor.faces.sockets import Sockets
print(Sockets().given, [name for name in os.environ if name.startswith("LISTEN_")])
"""


def test_what_was_passed_to_another_process_is_left_alone() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        ended = subprocess.run(
            ["/bin/bash", "-c", f'exec "$0" -c "$1" 3<&{one.fileno()}', sys.executable, NOT_MEANT],
            env={"LISTEN_FDS": "1", "LISTEN_FDNAMES": "api", "PATH": os.environ["PATH"]},
            pass_fds=[one.fileno()],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.stdout.strip() == "() []", ended.stderr


def test_what_systemd_has_not_passed_is_told(sockets: Sockets) -> None:
    with pytest.raises(StartFailed, match="has passed no socket api"):
        sockets.open(SystemdAddress("api"))


def test_the_child_of_a_fork_holds_no_socket_and_removes_none(sockets: Sockets, tmp_path: Path) -> None:
    address = unix(tmp_path)
    [made] = sockets.open(address)

    def close() -> tuple[int, bool]:
        held = made.fileno()  # looked at first: what follows closes it in any process
        sockets.close(address)
        sockets.close_all()
        return held, os.path.exists(address.path)

    assert in_child(close) == "(-1, True)"
    assert connects(address)
