"""The listener as a process: it is killed, stopped, starved and stuck, and no client is refused."""

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from secrets_actor.clock import now
from secrets_actor.events import ProcessCrashed
from secrets_actor.faces.address import Address, TcpAddress, UnixAddress
from secrets_actor.faces.exchange import Handler, Request, Response
from secrets_actor.faces.listener import listener_spec
from secrets_actor.faces.sockets import Sockets
from secrets_actor.otp import Node, StartError, TimerServer, spawn, stop
from tests.faces.served import Client, Served, echo, eventually, request, served


class Load:
    """Clients that ask without end, on new connections and on kept ones, and count what becomes of each request."""

    def __init__(self, place: str, clients: int) -> None:
        self.place, self.outcomes, self.over = place, Counter[str](), threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def _run(self, number: int) -> None:
        client, chance = None, random.Random(number)
        while not self.over.is_set():
            try:
                if client is None:
                    client = Client(self.place)
                outcome = str(client.get().status)
                if chance.random() < 0.2:
                    client.close()
                    client = None
            except (EOFError, ConnectionResetError, BrokenPipeError):
                client, outcome = None, "cut off"  # the process that had the request was killed
            except OSError as error:
                client, outcome = None, type(error).__name__
            with self._lock:
                self.outcomes[outcome] += 1


def killed(times: int, address: Address | Path | None) -> Counter[str]:
    """What the clients of a listener see while it is killed so many times."""
    with served(echo, address) as one:
        with Load(one.place, 8) as load:
            for _ in range(times):
                answered = load.outcomes["200"]
                assert eventually(lambda before=answered: load.outcomes["200"] > before)  # type: ignore[misc]
                one.kill()
        with one.client() as client:
            assert client.get().status == 200
        assert len(one.started) == times + 1
    return load.outcomes


@pytest.mark.parametrize("is_unix", [True, False], ids=["unix", "tcp"])
def test_a_listener_that_is_killed_under_load_refuses_no_connection(is_unix: bool, tmp_path: Path) -> None:
    outcomes = killed(100, tmp_path if is_unix else None)

    assert set(outcomes) <= {"200", "cut off"}
    assert outcomes["200"] > 100


@pytest.mark.slow
@pytest.mark.parametrize("is_unix", [True, False], ids=["unix", "tcp"])
def test_a_listener_that_is_killed_a_thousand_times_refuses_no_connection(is_unix: bool, tmp_path: Path) -> None:
    threads = threading.active_count()
    descriptors = len(os.listdir("/proc/self/fd"))

    outcomes = killed(1000, tmp_path if is_unix else None)

    assert set(outcomes) <= {"200", "cut off"}
    assert outcomes["200"] > 1000
    assert eventually(lambda: threading.active_count() <= threads)
    assert eventually(lambda: len(os.listdir("/proc/self/fd")) <= descriptors), "nothing is left behind"


def test_a_client_that_connects_while_nobody_serves_is_served_later(tmp_path: Path) -> None:
    with served(echo, tmp_path) as one:
        early = [one.client().send(request("GET", f"/{number}")) for number in range(20)]
        one.kill()
        late = [one.client().send(request("GET", f"/{number}")) for number in range(20)]

        assert [client.answer().status for client in late] == [200] * 20
        for client in early + late:
            client.close()


def test_a_listener_whose_loop_ends_is_started_again() -> None:
    async def ends(asked: Request) -> Response:
        if asked.path == "/end":
            asyncio.get_running_loop().stop()
        return Response(200, (), b"served")

    with served(ends) as one:
        with one.client() as client:
            client.send(request("GET", "/end"))
            assert eventually(lambda: len(one.started) == 2)
        with one.client() as client:
            assert client.get().body == b"served"
        [crash] = [event for event in one.events if isinstance(event, ProcessCrashed)]
        assert "RuntimeError" in crash.reason


def test_a_listener_that_is_killed_while_it_comes_up_leaves_no_loop_behind() -> None:
    """Its server did not exist yet when it was killed, so it has to be ended when it does."""
    made: list[Served] = []

    def make_handler() -> Handler:
        if made and len(made[0].started) == 1:  # the second start, whose process is registered by now
            made[0].listener.kill()
        return echo

    before = set(threading.enumerate())
    made.append(Served(TcpAddress("127.0.0.1", 0), make_handler))
    try:
        made[0].kill()
        assert eventually(lambda: len(loops_besides(before)) == 1)
    finally:
        made[0].close()


def loops_besides(others: set[threading.Thread]) -> list[str]:
    return [one.name for one in threading.enumerate() if one not in others and one.name.endswith(" loop")]


def test_a_listener_that_is_stuck_is_replaced_when_it_is_killed(tmp_path: Path) -> None:
    """A face holds the loop. The next listener serves, and the clients of the stuck one hear of it."""
    stuck, go_on = threading.Event(), threading.Event()

    async def blocks(asked: Request) -> Response:
        if asked.path == "/block":
            stuck.set()
            go_on.wait(30)
        return Response(200)

    with served(blocks, tmp_path) as one:
        with one.client() as client:
            client.send(request("GET", "/block"))
            assert stuck.wait(10)
            one.kill()
            with one.client() as other:
                assert other.get().status == 200
            assert client.is_closed()
        go_on.set()


def test_a_listener_that_is_stuck_is_replaced_by_itself(tmp_path: Path) -> None:
    go_on = threading.Event()

    async def blocks(asked: Request) -> Response:
        if asked.path == "/block":
            go_on.wait(30)
        return Response(200)

    with served(blocks, tmp_path, look_seconds=0.1) as one:
        with one.client() as client, one.client() as other:
            assert other.get().status == 200
            client.send(request("GET", "/block"))
            assert client.is_closed()
        with one.client() as other:
            assert other.get().status == 200
        go_on.set()
        [crash] = [event for event in one.events if isinstance(event, ProcessCrashed)]
        assert crash.reason.startswith("LoopStuck")


def test_a_stop_lets_what_is_under_way_be_answered_and_closes_what_is_idle(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    async def waits(asked: Request) -> Response:
        if asked.path == "/wait":
            begun.set()
            while not go_on.is_set():
                await asyncio.sleep(0.005)
        return Response(200, (), asked.path.encode())

    with served(waits, tmp_path, drain_seconds=20.0) as one:
        idle, busy, half = one.client(), one.client(), one.client()
        assert idle.get().status == 200
        busy.send(request("GET", "/wait"))
        half.send(b"GET /half HTTP/1.1\r\nHost: a\r\n")
        assert begun.wait(10)
        stopping = threading.Thread(target=one.close)
        stopping.start()

        assert idle.is_closed()
        answer = half.ask(b"\r\n")
        assert (answer.body, answer.headers["connection"]) == (b"/half", "close")
        go_on.set()
        answer = busy.answer()
        assert (answer.body, answer.headers["connection"]) == (b"/wait", "close")
        stopping.join(10)
        assert not stopping.is_alive()
        for client in (idle, busy, half):
            client.close()


def test_a_stop_ends_in_time_although_a_request_does_not(tmp_path: Path) -> None:
    async def hangs(_: Request) -> Response:
        await asyncio.sleep(60)
        return Response(200)

    with served(hangs, tmp_path, drain_seconds=0.2) as one, one.client() as client:
        client.send(request())
        assert eventually(lambda: (one.listener.status or str)().startswith("1 "))
        begun = now()
        one.close()
        assert now() - begun < 5
        assert client.is_closed()


def test_who_has_connected_when_the_stop_comes_is_served(tmp_path: Path) -> None:
    with served(echo, tmp_path, drain_seconds=20.0) as one:
        clients = [one.client().send(request()) for _ in range(50)]
        one.close()
        assert [client.answer().status for client in clients] == [200] * 50
        for client in clients:
            client.close()


def test_a_listener_that_does_not_come_up_leaves_no_loop_behind(tmp_path: Path) -> None:
    sockets, threads = Sockets({}), set(threading.enumerate())
    address = UnixAddress(str(tmp_path / "api.sock"))
    sockets.open(address)

    def fails(_: tuple[str, ...]) -> None:
        raise ValueError("canary")

    spec = listener_spec(address, sockets, lambda: echo, listening=fails)
    node = Node(lambda _: None)
    timers = spawn(node, TimerServer, label="timers", name="timers")
    threads.update(threading.enumerate())
    with pytest.raises(StartError):
        spawn(node, spec.start, label="listener")

    assert eventually(lambda: set(threading.enumerate()) <= threads)
    stop(timers)
    sockets.close_all()


def test_a_socket_that_was_closed_is_told(tmp_path: Path) -> None:
    with served(echo, tmp_path) as one:
        one.sockets.close(one.address)
        one.listener.kill()
        assert eventually(lambda: any("StartFailed" in str(event) for event in one.events))
        one.root.kill()


STARVED = """
import json, resource, sys, threading
soft = int(sys.argv[1])
from pathlib import Path
from tests.faces.served import served, echo, eventually, Client, request
from secrets_actor.events import ConnectionsRefused
import asyncio, os
with served(echo, Path(sys.argv[2])) as one:
    with one.client() as client:
        client.get()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft))
    held = []
    print("limited", flush=True)
    sys.stdin.readline()                      # the clients of the test have connected
    print(json.dumps([event.reason for event in one.events if isinstance(event, ConnectionsRefused)]), flush=True)
    sys.stdin.readline()
"""


def test_a_listener_without_descriptors_goes_on_when_it_has_some_again(tmp_path: Path) -> None:
    with running(STARVED, "64", str(tmp_path)) as program:
        assert program.stdout.readline() == "limited\n"
        place = f"unix:{tmp_path}/api.sock"
        clients = [Client(place) for _ in range(80)]
        assert clients[0].get().status == 200
        program.tell()
        assert json.loads(program.stdout.readline()) == ["Too many open files"], "once, not for each try"
        for client in clients[:70]:
            client.close()
        assert clients[79].get().status == 200, "who waited is served"
        program.tell()
        assert program.errors() == ""


class running:
    """A Python program with its standard streams."""

    def __init__(self, code: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
        )

    @property
    def stdout(self) -> Any:
        return self._process.stdout

    def tell(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def errors(self) -> str:
        return self._process.communicate(timeout=30)[1]

    def __enter__(self) -> "running":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


def test_the_limits_leave_descriptors_for_the_rest_and_hold_for_all_listeners_together(tmp_path: Path) -> None:
    """Of 160 descriptors, connections get a quarter, and half of that a peer: one user, or one IP address."""
    code = """
import contextlib, resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))
from pathlib import Path
from tests.faces.served import served, echo, Client
folder = Path(sys.argv[1])
(folder / "other").mkdir()
with contextlib.ExitStack() as stack:
    first, second, tcp = [stack.enter_context(served(echo, where)) for where in (folder, folder / "other", None)]
    def ask(one, source=None):
        client = Client(one.place, source=source)
        return client, client.get().status
    users = [ask(one) for one in (first, second) for _ in range(15)]
    near = [ask(tcp, "127.0.0.1") for _ in range(15)]
    far = [ask(tcp, "127.0.0.2") for _ in range(15)]
    print(*[[status for _, status in asked].count(200) for asked in (users, near, far)])
    for client, _ in users:
        client.close()
    while ask(tcp, "127.0.0.3")[1] != 200:
        pass
"""
    with running(code, str(tmp_path)) as program:
        assert program.stdout.readline() == "20 15 5\n"
        assert program.errors() == ""
