"""What the daemon costs: a cached get by the agent's face and by the AWS face, memory, and the time until it answers;
and beside it, where they are installed, the emulators of Secrets Manager, and OpenBao.

The servers run on one core, one after the other, and the load on another. The stand-in for AWS, which answers the few
misses, shares the load's. On a machine that has other work, rates say little; and what CPU a request takes grows with
that of the yardstick, a server of a hundred lines that answers fixed bytes: 12 us a request where the bars were set.
"""

import contextlib
import datetime
import getpass
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.bench.aws import KEY, REGION, SECRET, Stub
from tests.bench.load import NUMBER, Found, Load, cpu_of, run
from tests.bench.newborn import resident
from tests.bench.table import Row, cores, pin
from tests.servers.account import Keys, allow_everything
from tests.servers.daemon import Daemon, toml
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer
from tests.servers.process import free_port

NAMES = [f"bench/{at}" for at in range(10)]
LEAST_AGENT, MOST_AGENT_CPU, LEAST_AWS = 12_000.0, 80.0, 6_000.0
MOST_RESIDENT, MOST_TO_READY = 45.0, 0.5
CONNECTIONS = (64, 16, 1)
# More would have cheroot, in front of moto, close some after each answer: it keeps ten.
EMULATOR_CONNECTIONS = 8
MISS, MISS_EVERY = 0.05, 10
DATES = 120  # seconds before and after now that signed requests are dated
KEYS = Keys("AKLOCALBENCH", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TARGET = "secretsmanager.GetSecretValue"
JSON = "application/x-amz-json-1.1"


def configuration(folder: Path, port: int, upstream: str) -> str:
    """The daemon over the stand-in, with a policy and each hit in the audit log."""
    for name, text in (("bench.key", KEYS.secret_key), ("aws.key", SECRET)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)
    faces = ["aws", "agent", "health"]
    return toml(
        {
            "backend": "aws_secrets_manager",
            "ttl_seconds": 3600,
            "cache_entries": 1_000_000,
            "max_workers": 64,
            "aws": {
                "region": REGION,
                "access_key": KEY,
                "secret_key": {"file": str(folder / "aws.key")},
                "endpoint_url": upstream,
            },
            "log": {"output": folder / "daemon.log", "audit_hits": "each"},
            "daemon": {
                "listen": [
                    {"address": f"unix:{folder / 'api.sock'}", "faces": faces},
                    {"address": f"127.0.0.1:{port}", "faces": faces},
                ],
                "key": [
                    {
                        "name": "bench",
                        "access_key_id": KEYS.access_key_id,
                        "secret_key": {"file": str(folder / "bench.key")},
                    }
                ],
                "allow": [
                    {"who": ["unit:other.service"], "secrets": ["other/*"], "may": ["read"]},
                    {"who": [f"user:{getpass.getuser()}", "key:bench"], "secrets": ["bench/*"], "may": ["get"]},
                ],
            },
        }
    )


class Running:
    """The daemon on the servers' core."""

    def __init__(self, folder: Path, upstream: str) -> None:
        self.port, self.socket = free_port(), folder / "api.sock"
        self.daemon = Daemon(folder, configuration(folder, self.port, upstream), count=2)


@contextlib.contextmanager
def running(upstream: str) -> Iterator[Running]:
    """The daemon, started on the servers' core."""
    with tempfile.TemporaryDirectory() as folder:
        made = Running(Path(folder), upstream)
        with on_the_servers_core():
            made.daemon.start()
        try:
            yield made
        finally:
            made.daemon.stop()


@contextlib.contextmanager
def on_the_servers_core() -> Iterator[None]:
    """What is started here stays on the first core; afterwards this process is on the load's."""
    pin(0)
    try:
        yield
    finally:
        pin(1)


# --- requests ---------------------------------------------------------------------------------------------------------


def agent_request(name: str) -> bytes:
    """A get by the agent's face."""
    return f"GET /secretsmanager/get?secretId={name.replace('/', '%2F')} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def signed_requests(port: int, keys: Keys) -> list[bytes]:
    """Gets by the AWS face, each with a date of its own, signed by botocore."""
    now = datetime.datetime.now(datetime.UTC)
    dates = [now + datetime.timedelta(seconds=shift) for shift in range(-DATES, DATES, 4)]
    return [_signed(port, keys, name, date) for date in dates for name in NAMES]


def _signed(port: int, keys: Keys, name: str, date: datetime.datetime) -> bytes:
    body = json.dumps({"SecretId": name}).encode()
    headers = {"Content-Type": JSON, "X-Amz-Target": TARGET}
    request = AWSRequest("POST", f"http://127.0.0.1:{port}/", headers=headers, data=body)
    request.context["timestamp"] = date.strftime("%Y%m%dT%H%M%SZ")
    signer = botocore.auth.SigV4Auth(Credentials(keys.access_key_id, keys.secret_key), "secretsmanager", REGION)
    # What `add_auth` does, but for the time, which it takes from the clock.
    signer._modify_request_before_signing(request)  # type: ignore[attr-defined]
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    signer._inject_signature_to_request(request, signature)  # type: ignore[attr-defined]
    lines = [f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in request.headers.items())]
    return "\r\n".join(["POST / HTTP/1.1", f"Host: 127.0.0.1:{port}", *lines, "", ""]).encode() + body


# --- the daemon ---------------------------------------------------------------------------------------------------


def loaded(
    address: str, requests: list[bytes], connections: int, seconds: float, pid: int | None, **more: Any
) -> Found:
    """One run, on the load's core."""
    core = cores()[1 % len(cores())]
    return run(Load(address, connections, seconds, requests, pid=pid, core=core, **more))


def median_of(found: list[Found]) -> Found:
    """The run with the median rate."""
    return sorted(found, key=lambda one: one.rate)[len(found) // 2]


def everything(stub: Stub, rounds: int, share: int) -> Iterator[Row]:
    """All rows of the daemon, and of what stands beside it."""
    stub.configure()
    seconds, rounds = 4.0 / share, max(1, rounds // 2)
    yield from _fresh(stub, rounds)
    with running(stub.url) as here:
        pid = here.daemon.pid
        address, requests = f"unix:{here.socket}", [agent_request(name) for name in NAMES]
        for connections in CONNECTIONS:
            found = median_of([loaded(address, requests, connections, seconds, pid) for _ in range(rounds)])
            name = f"daemon: cached get, agent's face, Unix socket, {connections} connection{'s' * (connections > 1)}"
            yield from _rows(name, found, LEAST_AGENT, MOST_AGENT_CPU, bars=connections == CONNECTIONS[0])
        address, requests = f"127.0.0.1:{here.port}", signed_requests(here.port, KEYS)
        for connections in CONNECTIONS:
            found = median_of([loaded(address, requests, connections, seconds, pid) for _ in range(rounds)])
            name = f"daemon: cached get, AWS face, TCP, signed, {connections} connection{'s' * (connections > 1)}"
            yield from _rows(name, found, LEAST_AWS, None, bars=connections == CONNECTIONS[0])
        yield Row("daemon: resident after all that", resident(pid) / 2**20, "MiB")
    yield from _with_misses(stub, seconds)
    yield from _yardstick(seconds)
    yield from _emulators(seconds)
    yield from _bao(seconds)


def _rows(name: str, found: Found, least: float, most_cpu: float | None, *, bars: bool) -> Iterator[Row]:
    latency = f"median {found.median * 1e3:.2f} ms, p99 {found.p99 * 1e3:.2f} ms"
    more = f"{latency}, the load's own CPU {found.own_cpu / found.seconds:.0%}"
    yield Row(name, found.rate, "/s", least if bars else None, least=True, more=more)
    yield Row("  its CPU a request", found.cpu_us, "us", most_cpu if bars else None)


def _fresh(stub: Stub, rounds: int) -> Iterator[Row]:
    """From the execution to the line that says that it listens; and its memory, once it has answered."""
    ready, used, sizes = [], [], []
    for number in range(2 * rounds + 1):
        with running(stub.url) as here:
            if number:  # the first leaves the compiled modules behind, as an installation has them
                ready.append(here.daemon.ready_seconds)
                used.append(cpu_of(here.daemon.pid))
            _ask(here.socket, NAMES[0])
            sizes.append(resident(here.daemon.pid) / 2**20)
    more = f"of {len(ready)}: {min(ready) * 1e3:.0f} to {max(ready) * 1e3:.0f} ms"
    yield Row("daemon: from its execution until it listens", statistics.median(ready), "s", MOST_TO_READY, more=more)
    yield Row("  its CPU until then", statistics.median(used), "s")
    yield Row("daemon: resident, after its first answer", statistics.median(sizes), "MiB", MOST_RESIDENT)


def _ask(path: Path, name: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(agent_request(name))
        answer = client.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]


def _with_misses(stub: Stub, seconds: float) -> Iterator[Row]:
    """A hit must not wait for the misses of others."""
    stub.configure(MISS)
    with running(stub.url) as here:
        address, requests = f"unix:{here.socket}", [agent_request(name) for name in NAMES]
        rare = agent_request(f"bench/{NUMBER.decode()}").replace(b"%40", b"@")
        for connections in (64, 8):
            found = loaded(
                address,
                requests,
                connections,
                seconds,
                here.daemon.pid,
                rare=rare,
                rare_every=MISS_EVERY,
                first_number=connections * 100_000,
            )
            medians = f"a hit's median {found.median * 1e3:.2f} ms, a miss's {found.rare_median * 1e3:.0f} ms"
            more = f"{found.rate:.0f}/s, {medians}"
            name = f"daemon: p99 of hits, 1 of {MISS_EVERY} is a miss of {MISS * 1e3:.0f} ms, {connections} connections"
            yield Row(name, found.p99 * 1e3, "ms", more=more)
    stub.configure()


def _yardstick(seconds: float) -> Iterator[Row]:
    body = json.dumps({"SecretId": NAMES[0]}).encode()
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: {TARGET}\r\nContent-Length: {len(body)}\r\n\r\n"
    with Stub(cores()[0]) as server:
        address = server.url.removeprefix("http://")
        found = loaded(address, [head.encode() + body], CONNECTIONS[0], seconds, server.pid)
    yield from _rows(f"  yardstick: fixed bytes, TCP, {CONNECTIONS[0]} connections", found, 0, None, bars=False)


# --- beside it --------------------------------------------------------------------------------------------------------


def _emulators(seconds: float) -> Iterator[Row]:
    for name, kind in (("ministack", Ministack), ("moto, behind cheroot and our door", MotoServer)):
        with tempfile.TemporaryDirectory() as folder:
            with on_the_servers_core():
                server = kind(Path(folder)).__enter__()
            with server:
                keys = server.account.user(allow_everything())
                client = server.account.client("secretsmanager", keys)
                for secret in NAMES:
                    client.create_secret(Name=secret, SecretString="v" * 64)
                port = server.process.port
                requests = signed_requests(port, keys)
                found = loaded(f"127.0.0.1:{port}", requests, EMULATOR_CONNECTIONS, seconds, server.process.pid)
                yield from _rows(
                    f"  {name}: get, signed, {EMULATOR_CONNECTIONS} connections", found, 0, None, bars=False
                )


def missing() -> list[str]:
    """What is not installed of what could stand beside it."""
    return [] if shutil.which("bao") else ["OpenBao (bao)"]


def _bao(seconds: float) -> Iterator[Row]:
    """A read of OpenBao's development server, which keeps all in memory; and the same through OpenBao's own proxy,
    which a program asks as it would ask our daemon. It caches leases and no secrets of a KV mount, so each read goes on
    to the server, which shares its core."""
    program = shutil.which("bao")
    if program is None:
        return
    port, token = free_port(), uuid.uuid4().hex
    url = f"http://127.0.0.1:{port}/v1/secret/data/bench"
    with tempfile.TemporaryDirectory() as folder:
        with on_the_servers_core():
            process = subprocess.Popen(
                [program, "server", "-dev", f"-dev-root-token-id={token}", f"-dev-listen-address=127.0.0.1:{port}"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env={"PATH": os.environ["PATH"], "HOME": folder},
            )
        try:
            headers = {"X-Vault-Token": token, "Content-Type": "application/json"}
            body = json.dumps({"data": {"value": "v" * 64}}).encode()
            for _ in range(100):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=5).read()
                    break
                time.sleep(0.1)
            head = f"GET /v1/secret/data/bench HTTP/1.1\r\nHost: localhost\r\nX-Vault-Token: {token}\r\n\r\n"
            for connections in (64, 1):
                found = loaded(f"127.0.0.1:{port}", [head.encode()], connections, seconds, process.pid)
                name = f"  OpenBao: read, TCP, {connections} connection{'s' * (connections > 1)}"
                yield from _rows(name, found, 0, None, bars=False)
            with _bao_proxy(program, Path(folder), port) as (proxy_port, pid):
                for connections in (64, 1):
                    found = loaded(f"127.0.0.1:{proxy_port}", [head.encode()], connections, seconds, pid)
                    name = f"  bao proxy: read, TCP, {connections} connection{'s' * (connections > 1)}"
                    yield from _rows(name, found, 0, None, bars=False)
        finally:
            process.terminate()
            process.wait(10)


@contextlib.contextmanager
def _bao_proxy(program: str, folder: Path, server: int) -> Iterator[tuple[int, int]]:
    """OpenBao's proxy before the one at the port *server*: its port and its process id."""
    port = free_port()
    (folder / "proxy.hcl").write_text(
        f"""vault {{ address = "http://127.0.0.1:{server}" }}
            cache {{}}
            listener "tcp" {{
              address = "127.0.0.1:{port}"
              tls_disable = true
            }}"""
    )
    with on_the_servers_core():
        process = subprocess.Popen(
            [program, "proxy", "-config", str(folder / "proxy.hcl")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        )
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)
