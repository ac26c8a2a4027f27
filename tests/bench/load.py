"""python -m tests.bench.load: keeps so many connections of a server busy, each with one request after the other.

It reads a `Load` as JSON from standard input, and prints a `Found` as JSON. It is a process of its own, so that neither
its own cost nor the interpreter's lock is the server's; what the server's process has used is read from /proc, in the
same window.

Rule 1: requests are bytes that were made before: nothing is signed or encoded while it is measured.
Rule 2: an answer is read to its end, by its Content-Length; its status is counted. Everything but 200 is told.
Rule 3: a connection that the server closes is opened again, and counted.
"""

import base64
import itertools
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# In the rare request, its number takes this place.
NUMBER = b"@@@@@@@@"


@dataclass(frozen=True)
class Load:
    """What is sent, and for how long.

    *address* is `unix:PATH` or `HOST:PORT`. Of *requests* one follows the other. With *rare*, every *rare_every*-th is
    that one, its `NUMBER` replaced by a number that counts. For *warm* seconds nothing is measured, then for *seconds*.
    *pid* is the server's process. *core* is the one that the load runs on.
    """

    address: str
    connections: int
    seconds: float
    requests: list[bytes] = field(repr=False)
    pid: int | None = None
    core: int | None = None
    warm: float = 0.5
    rare: bytes = b""
    rare_every: int = 0
    first_number: int = 0


@dataclass(frozen=True)
class Found:
    """What came of it: *latencies* are in seconds, of the requests that were not rare: median and 99th percentile."""

    done: int
    seconds: float
    statuses: dict[str, int]
    server_cpu: float
    own_cpu: float
    reconnected: int
    median: float
    p99: float
    rare_median: float
    rare_done: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.done / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of the server's CPU a request."""
        return self.server_cpu / self.done * 1e6


def run(load: Load) -> Found:
    """Run *load* in a process of its own. Raises `AssertionError` if something else than 200 was answered."""
    given = asdict(load)
    given["requests"] = [base64.b64encode(one).decode() for one in load.requests]
    given["rare"] = base64.b64encode(load.rare).decode()
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        check=False,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=load.warm + load.seconds + 60,
    )
    assert done.returncode == 0, done.stderr
    found = Found(**json.loads(done.stdout))
    assert set(found.statuses) == {"200"}, found
    return found


def cpu_of(pid: int | None) -> float:
    """Seconds of CPU of all threads of a process so far; what threads used that have ended is lost."""
    total = 0
    for one in Path(f"/proc/{pid}/task").glob("*/schedstat") if pid is not None else ():
        try:
            total += int(one.read_text().split()[0])
        except OSError:
            continue  # it ended just now
    return total / 1e9


class _Connection:
    def __init__(self, address: str) -> None:
        self.address, self.reconnected = address, 0
        self.buffer, self.sent_at, self.rare = b"", 0.0, False
        self.socket = self.open()

    def open(self) -> socket.socket:
        kind, _, path = self.address.partition(":")
        if kind == "unix":
            made = socket.socket(socket.AF_UNIX)
            made.connect(path)
        else:
            host, _, port = self.address.rpartition(":")
            made = socket.create_connection((host, int(port)))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def answer(self) -> int | None:
        """The status of an answer that has come whole. None: there is more to come. 0: the server has closed."""
        try:
            part = self.socket.recv(65_536)
        except ConnectionResetError:
            part = b""
        if not part:
            return 0
        self.buffer += part
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self.buffer[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return None
        self.buffer = b""
        return int(head[9:12])


class _Driver:
    def __init__(self, load: Load) -> None:
        self.load = load
        self.requests = itertools.cycle(load.requests)
        self.count = itertools.count(1)
        self.numbers = itertools.count(load.first_number)
        self.poll = select.epoll()
        self.connections: dict[int, _Connection] = {}
        self.reconnected = 0
        self.forget()

    def forget(self) -> None:
        self.latencies: list[float] = []
        self.rare_latencies: list[float] = []
        self.statuses: Counter[int] = Counter()

    def add(self) -> None:
        made = _Connection(self.load.address)
        self.connections[made.socket.fileno()] = made
        self.poll.register(made.socket.fileno(), select.EPOLLIN)
        self.send(made)

    def send(self, one: _Connection) -> None:
        one.rare = bool(self.load.rare_every) and not next(self.count) % self.load.rare_every
        request = self.load.rare.replace(NUMBER, b"%08d" % next(self.numbers)) if one.rare else next(self.requests)
        one.sent_at = time.perf_counter()
        one.socket.sendall(request)

    def drive(self, seconds: float) -> float:
        """For so long: how long it was."""
        began = time.perf_counter()
        while (now := time.perf_counter()) - began < seconds:
            for descriptor, _ in self.poll.poll(1.0):
                one = self.connections[descriptor]
                status = one.answer()
                if status is None:
                    continue
                if status == 0:
                    self.reconnected += 1
                    self.poll.unregister(descriptor)
                    one.socket.close()
                    del self.connections[descriptor]
                    self.add()
                    continue
                now = time.perf_counter()
                (self.rare_latencies if one.rare else self.latencies).append(now - one.sent_at)
                self.statuses[status] += 1
                self.send(one)
        return now - began


def _share(sorted_ones: list[float], share: float) -> float:
    return sorted_ones[min(len(sorted_ones) - 1, int(len(sorted_ones) * share))] if sorted_ones else 0.0


def main() -> None:
    """The process that loads."""
    given: dict[str, Any] = json.load(sys.stdin)
    given["requests"] = [base64.b64decode(one) for one in given["requests"]]
    given["rare"] = base64.b64decode(given["rare"])
    load = Load(**given)
    if load.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {load.core})
    driver = _Driver(load)
    for _ in range(load.connections):
        driver.add()
    driver.drive(load.warm)
    driver.forget()
    server, own = cpu_of(load.pid), time.process_time()
    seconds = driver.drive(load.seconds)
    server, own = cpu_of(load.pid) - server, time.process_time() - own
    hits, rare = sorted(driver.latencies), sorted(driver.rare_latencies)
    found = Found(
        done=len(hits) + len(rare),
        seconds=seconds,
        statuses={str(status): number for status, number in driver.statuses.items()},
        server_cpu=server,
        own_cpu=own,
        reconnected=driver.reconnected,
        median=_share(hits, 0.5),
        p99=_share(hits, 0.99),
        rare_median=_share(rare, 0.5),
        rare_done=len(rare),
    )
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
