"""python -m tests.chaos.daemon [--minutes N] [--seed S]: a whole daemon, 64 clients on its socket, and a killer that
ends listeners, workers, the actor, infra processes and supervisors at random. Afterwards the books must balance.

Rule 1: every request was answered, with a status that a client may expect, or its connection ended before the answer,
        which a client sees as such, and repeats. No connection was ever refused.
Rule 2: who is the only one to set a key, and repeats a set of unknown outcome with its token, reads what it set last.
Rule 3: afterwards the tree is whole and works, and each answer with a value has its record in the audit log.
Rule 4: no value is in a log, a page or an error.
Rule 5: the killer stays below the tree's restart intensities (see storm.py).
"""

import argparse
import getpass
import json
import random
import re
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from secrets_actor.clock import now as clock_now
from secrets_actor.otp import Pid
from secrets_actor.runtime.daemon import Daemon
from tests.actor.rig import audit_log, supervisor, whole, workers
from tests.canaries.canary_forms import canary
from tests.canaries.canary_search import Hunt
from tests.servers.daemon import toml
from tests.servers.http_messages import Broken, Stream

SHARED: Final = tuple(f"shared/{number}" for number in range(8))
READERS, MEDDLERS, WRITERS = 40, 16, 8
ANSWERED_WITHIN: Final = 20.0
WHOLE_WITHIN: Final = 15.0
# Kills in 10 seconds: see storm.py. A listener has two restarts at once, and then pauses: so it is given time.
RATES: Final = {"worker": 60, "secrets": 5, "workers": 2, "timers": 4, "audit": 4, "listener": 8}
ONCE: Final = ("core", "infra")
# What a client may be told while processes are killed. 400: refusals of the store, in AWS's own words. 404 is the
# agent's, for a secret that is not there. 5xx: the store, or the tree, could not.
STATUSES: Final = frozenset({200, 400, 404, 429, 500, 502, 503, 504})
_COUNTED: Final = re.compile(r"^secrets_actor_face_requests_total\{.*\} (\S+)$", re.MULTILINE)


@dataclass
class Report:
    """What was sent and what came of it; `problems` is empty if the rules held."""

    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    deeds: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    sent: int = 0
    resets: int = 0
    values: int = 0
    searched: int = 0

    def __str__(self) -> str:
        def told(counted: Counter[Any]) -> str:
            return ", ".join(f"{number} {name}" for name, number in sorted(counted.items()))

        return "\n".join(
            [
                f"{self.sent} requests: {told(self.statuses)}, {self.resets} ended before their answer",
                f"errors: {told(self.errors)}",
                f"killed: {told(self.deeds)}",
                f"searched {self.searched:,} bytes for values",
                *(f"PROBLEM {one}" for one in self.problems),
            ]
        )


class Client:
    """One client: a connection that is kept for as long as it lasts, and opened again when it has ended."""

    def __init__(self, storm: "Storm") -> None:
        self._storm = storm
        self._socket: socket.socket | None = None
        self._stream: Stream | None = None

    def request(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, bytes]:
        """Status and body, however often it must be asked. Raises `AssertionError` if nothing comes in time."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        raw = "\r\n".join([*lines, "", ""]).encode() + body
        began = clock_now()
        while True:
            assert clock_now() - began < ANSWERED_WITHIN, "no answer in time"
            self._storm.count_sent()
            try:
                if self._socket is None:
                    self._connect()
                assert self._socket is not None
                assert self._stream is not None
                self._socket.sendall(raw)
                message = self._stream.response()
            except (BrokenPipeError, ConnectionResetError, Broken):
                self._storm.count_reset()
                self.close()
                continue
            status = int(message.head.split(b" ", 2)[1])
            self._storm.count_answer(status, message.body)
            if b"connection: close" in message.head.lower():
                self.close()
            return status, message.body

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._socket is not None:
            self._socket.close()
        self._socket = self._stream = None

    def _connect(self) -> None:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(ANSWERED_WITHIN)
        try:
            made.connect(str(self._storm.socket))
        except BaseException:
            made.close()
            raise
        self._socket, self._stream = made, Stream(made)

    # --- what it asks ---------------------------------------------------------------------------------------------

    def get(self, name: str, *, refresh: bool = False) -> tuple[int, str | None]:
        """By the agent's face: status and value."""
        more = "&refreshNow=true" if refresh else ""
        status, body = self.request("GET", f"/secretsmanager/get?secretId={quote(name, safe='')}{more}", {})
        return status, json.loads(body)["SecretString"] if status == 200 else None

    def aws(self, operation: str, **given: Any) -> tuple[int, dict[str, Any]]:
        """By the AWS face, without a signature: status and answer."""
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"secretsmanager.{operation}"}
        status, body = self.request("POST", "/", headers, json.dumps(given).encode())
        return status, json.loads(body)


Role = Callable[["Storm", Client, random.Random, str], None]


def read(storm: "Storm", client: Client, mine: random.Random, _key: str) -> None:
    """Gets by the agent's face."""
    while not storm.over.is_set():
        status, value = client.get(mine.choice(SHARED), refresh=mine.random() < 0.05)
        if status == 200 and (value is None or not value.startswith(storm.canary)):
            storm.problem("a reader was given what nobody has set")


def meddle(storm: "Storm", client: Client, mine: random.Random, _key: str) -> None:
    """Anything, by the AWS face, on keys that others meddle with, too."""
    while not storm.over.is_set():
        name, dice = mine.choice(SHARED), mine.random()
        if dice < 0.5:
            client.aws("GetSecretValue", SecretId=name)
        elif dice < 0.7:
            client.aws("PutSecretValue", SecretId=name, SecretString=storm.value(), ClientRequestToken=token())
        elif dice < 0.8:
            client.aws("CreateSecret", Name=name, SecretString=storm.value(), ClientRequestToken=token())
        elif dice < 0.85:
            client.aws("DeleteSecret", SecretId=name, ForceDeleteWithoutRecovery=mine.random() < 0.5)
        elif dice < 0.95:
            client.aws("RestoreSecret", SecretId=name)
        else:
            client.aws("ListSecrets", MaxResults=5)


def write(storm: "Storm", client: Client, mine: random.Random, key: str) -> None:
    """Rule 2."""
    there = False
    while not storm.over.is_set():
        value, once = storm.value(), token()
        status, answer = 0, dict[str, Any]()
        while status != 200:
            if there:
                status, answer = client.aws("PutSecretValue", SecretId=key, SecretString=value, ClientRequestToken=once)
            else:
                status, answer = client.aws("CreateSecret", Name=key, SecretString=value, ClientRequestToken=once)
            if status == 400:
                storm.problem(f"a writer was told {answer.get('__type')}")
                return
            if status not in (200, 400) and storm.over.wait(0.01):
                return
        there = True
        if answer.get("VersionId") != once:
            storm.problem("a set has another version than its token")
        for _ in range(mine.randrange(4)):
            status, found = client.get(key, refresh=mine.random() < 0.3)
            if status == 200 and found != value:
                storm.problem(f"{key}: read another value than it had set last")
            elif status in (400, 404):
                storm.problem(f"{key}: {status} after it was set")


def token() -> str:
    """A token for one write."""
    return str(uuid.uuid4())


class Storm:
    """One run, of a daemon in this process: so the killer can reach each process of its tree. All files are in
    *folder*."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.folder, self.socket = folder, folder / "api.sock"
        configuration = folder / "daemon.toml"
        configuration.write_text(
            toml(
                {
                    "call_timeout_seconds": 3.0,
                    "max_workers": 6,
                    "local": {"path": folder / "store"},
                    "log": {"output": folder / "log"},
                    "daemon": {
                        "listen": [{"address": f"unix:{self.socket}"}],
                        "allow": [
                            {"who": [f"user:{getpass.getuser()}"], "secrets": ["**"], "may": ["read", "write", "admin"]}
                        ],
                    },
                }
            )
        )
        self.gave_up: list[object] = []
        self.told: list[str] = []
        self.daemon = Daemon(configuration, say=self.told.append, environ={}, on_give_up=self.gave_up.append)
        self.random, self.report = random.Random(seed), Report()
        self.canary = canary()
        self.hunt = Hunt()
        self.hunt.plant("a value", self.canary)
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._number = 0
        self._bodies: set[bytes] = set()

    # --- what clients tell ----------------------------------------------------------------------------------------

    def value(self) -> str:
        """Another value, which is a canary."""
        with self._lock:
            self._number += 1
            return f"{self.canary} {self._number}"

    def count_sent(self) -> None:
        """A request is about to be sent."""
        with self._lock:
            self.report.sent += 1

    def count_reset(self) -> None:
        """A connection ended before the answer."""
        with self._lock:
            self.report.resets += 1

    def count_answer(self, status: int, body: bytes) -> None:
        """An answer came."""
        with self._lock:
            self.report.statuses[status] += 1
            if status == 200 and b"SecretString" in body:
                self.report.values += 1
            if status != 200:
                try:
                    kind = json.loads(body).get("__type", "")
                except ValueError:
                    kind = body[:60].decode(errors="replace")
                self.report.errors[f"{status} {kind}"] += 1
                self._bodies.add(body)
        if status not in STATUSES:
            self.problem(f"a status that no client expects: {status}")

    def problem(self, text: str) -> None:
        """A rule was broken."""
        with self._lock:
            self.report.problems.append(text)

    # --- the storm ------------------------------------------------------------------------------------------------

    def run(self, seconds: float) -> Report:
        """Let it storm for so long."""
        self.daemon.start()
        try:
            self._run(seconds)
        finally:
            self.daemon.stop()
        self._check_files()
        return self.report

    def _run(self, seconds: float) -> None:
        roles: list[Role] = [read] * READERS + [meddle] * MEDDLERS + [write] * WRITERS
        clients = [
            threading.Thread(target=self._guarded, args=(role, f"own/{number}", self.random.random()))
            for number, role in enumerate(roles)
        ]
        for client in clients:
            client.start()
        self._strike(seconds)
        self.over.set()
        deadline = clock_now() + ANSWERED_WITHIN + 5.0
        for number, client in enumerate(clients):
            client.join(max(0.0, deadline - clock_now()))
            if client.is_alive():
                self.problem(f"client {number} waits still")
        self._check_health()

    def _guarded(self, role: Role, key: str, seed: float) -> None:
        client = Client(self)
        try:
            role(self, client, random.Random(seed), key)
        except BaseException as error:
            self.problem(f"a client was told {type(error).__name__}: {error}")
        finally:
            client.close()

    def _strike(self, seconds: float) -> None:
        begun = last = clock_now()
        once = {name: self.random.uniform(0.2, 0.8) * seconds for name in ONCE}
        budget = dict.fromkeys(RATES, 0.0)
        while (now := clock_now()) - begun < seconds:
            for name in RATES:
                budget[name] += RATES[name] / 10.0 * (now - last)
            last = now
            due = [name for name, when in once.items() if now - begun > when]
            ready = due or [name for name, left in budget.items() if left >= 1.0]
            if ready:
                name = self.random.choice(ready)
                if name in once:
                    del once[name]
                else:
                    budget[name] -= 1.0
                self._kill(name)
            self.over.wait(self.random.uniform(0.0, 0.02))

    def _kill(self, name: str) -> None:
        target: Pid | None
        if name == "worker":
            sup = self.daemon.whereis("workers")
            there = workers(self.daemon) if sup is not None and sup.published is not None else []
            target = self.random.choice(there) if there else None
        elif name == "listener":
            sup = self.daemon.whereis("listeners")
            rows = sup.published.children if sup is not None and sup.published is not None else ()
            target = next((row.pid for row in rows), None)
        elif name in ONCE:
            target = supervisor(self.daemon, name)
        else:
            target = self.daemon.whereis(name)
        if target is not None and target.is_alive():
            self.report.deeds[name] += 1
            target.kill()

    # --- afterwards -----------------------------------------------------------------------------------------------

    def _check_health(self) -> None:
        client = Client(self)
        deadline = clock_now() + WHOLE_WITHIN
        while not whole(self.daemon):
            if clock_now() > deadline:
                self.problem(f"the tree is not whole: {self.daemon.tree()}")
                break
            threading.Event().wait(0.01)
        calm = self.value()
        client.aws("CreateSecret", Name="calm", SecretString=calm, ClientRequestToken=token())
        if client.get("calm") != (200, calm):
            self.problem("it does not work afterwards")
        self.hunt.text("page", "health", client.request("GET", "/health", {})[1])
        answered = sum(self.report.statuses.values())
        page = client.request("GET", "/metrics", {})[1]
        client.close()
        self.hunt.text("page", "metrics", page)
        counted = sum(int(float(number)) for number in _COUNTED.findall(page.decode()))
        if not answered <= counted <= answered + self.report.resets:
            self.problem(f"{answered} answers came, {self.report.resets} did not, and the daemon counts {counted}")
        if self.gave_up:
            self.problem(f"the tree gave up: {self.gave_up}")
        for body in self._bodies:
            self.hunt.text("error", "an answer", body)
        self.hunt.text("tree", "tree", str(self.daemon.tree()))

    def _check_files(self) -> None:
        """Once the daemon has stopped: sums, the audit log, and what was to stay out of the files."""
        report = self.report
        if report.sent != sum(report.statuses.values()) + report.resets:
            self.problem("a request is unaccounted for")
        told = Counter(f"{one['operation']} {one['outcome']}" for one in audit_log(self.folder))
        if told["get ok"] < report.values:
            self.problem(f"{report.values} values were given out, but {told['get ok']} records tell of it")
        self.hunt.files(self.folder)
        report.searched = self.hunt.counts["bytes"]
        report.problems += [f"found {leak.what} in {leak.where}: {leak.around}" for leak in self.hunt.leaks()[:5]]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.daemon")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as folder:
        report = Storm(options.seed, Path(folder)).run(options.minutes * 60)
    print(report)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
