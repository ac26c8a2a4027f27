"""python -m tests.bench.aws [--quick]: what an uncached get costs, as ratios to boto3 in the same run.

Ours goes the whole way: client, actor, worker, signature, HTTP, audit record. The stand-in for AWS has a core of its
own, and all clients share another. capo-secrets-manager is measured beside them where it is installed. On a machine
that has other work to do, the throughput says more of that than of us: see what bare sockets get, or --undisturbed.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

import secrets_actor
from secrets_actor.runtime.settings import AwsSettings

KEY, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1"
CALLERS, LATENCY = 64, 0.05
BATCHED, BATCHERS = 1000, 10
MOST_CPU, LEAST_SHARE = 0.40, 0.95
Get = Callable[[str], object]


class Stub:
    """The stand-in, in a process of its own."""

    def __init__(self, core: int | None) -> None:
        command = [sys.executable, "-m", "tests.bench.stub_server", *([] if core is None else ["--core", str(core)])]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().split()[1].decode()}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def configure(self, latency: float = 0.0, value_bytes: int = 64) -> None:
        """Answer *latency* seconds late with values of *value_bytes*, and count anew."""
        body = json.dumps({"latency_ms": latency * 1000, "value_bytes": value_bytes}).encode()
        urllib.request.urlopen(f"{self.url}/_ctl/config", body, timeout=5).read()

    def stats(self) -> dict[str, Any]:
        """What it has counted."""
        return dict(json.load(urllib.request.urlopen(f"{self.url}/_ctl/stats", timeout=5)))

    def __enter__(self) -> "Stub":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


@contextlib.contextmanager
def our_system(url: str, workers: int) -> Iterator[secrets_actor.System]:
    """A whole system without a cache."""
    aws = AwsSettings(region=REGION, access_key=KEY, secret_key=SECRET, endpoint_url=url)  # type: ignore[arg-type]
    settings = secrets_actor.Settings(backend="aws_secrets_manager", ttl_seconds=0, max_workers=workers, aws=aws)
    with secrets_actor.start(settings) as system:
        yield system


@contextlib.contextmanager
def ours(url: str, workers: int) -> Iterator[Get]:
    """Its gets."""
    with our_system(url, workers) as system:
        yield lambda name: system.secrets.get(name).reveal()


@contextlib.contextmanager
def boto_client(url: str, workers: int) -> Iterator[Any]:
    """boto3's client, with as many connections."""
    yield boto3.client(
        "secretsmanager",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=Config(max_pool_connections=workers, retries={"mode": "standard"}),
    )


@contextlib.contextmanager
def boto(url: str, workers: int) -> Iterator[Get]:
    """Its gets."""
    with boto_client(url, workers) as client:
        yield lambda name: client.get_secret_value(SecretId=name)["SecretString"]


@contextlib.contextmanager
def bare(url: str, workers: int) -> Iterator[Get]:
    """A request of fixed bytes over a socket a caller, nothing of it looked at: what this machine, busy as it is, and
    the stand-in leave to be had."""
    body = b'{"SecretId":"bench/0"}'
    target = b"X-Amz-Target: secretsmanager.GetSecretValue"
    request = b"POST / HTTP/1.1\r\n%b\r\nContent-Length: %d\r\n\r\n%b" % (target, len(body), body)
    own, opened = threading.local(), contextlib.ExitStack()

    def get(_: str) -> object:
        if not hasattr(own, "socket"):
            own.socket = opened.enter_context(socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))))
        own.socket.send(request)
        return own.socket.recv(65_536)

    with opened:
        yield get


def sequential(get: Get, number: int) -> float:
    """Seconds of CPU a get, one caller."""
    began = time.process_time()
    for at in range(number):
        get(f"bench/{at}")
    return (time.process_time() - began) / number


def at_once(get: Get, seconds: float) -> tuple[float, float]:
    """(gets a second, seconds of CPU a get) of all callers together, once they are under way: the burst in which they
    start, and the wait for the last of them, say nothing of either."""
    ends = threading.Event()
    done = [0] * CALLERS
    failures: list[BaseException] = []

    def run(caller: int) -> None:
        try:
            while not ends.is_set():
                get(f"bench/{done[caller] * CALLERS + caller}")
                done[caller] += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(caller,)) for caller in range(CALLERS)]
    for thread in threads:
        thread.start()
    ends.wait(10 * LATENCY)
    before, began, cpu = sum(done), time.perf_counter(), time.process_time()
    ends.wait(seconds)
    number, wall, cpu = sum(done) - before, time.perf_counter() - began, time.process_time() - cpu
    ends.set()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return number / wall, cpu / number


def told(name: str, figure: float, goal: str, met: bool, more: str) -> bool:
    """Print one line; whether its goal was missed."""
    print(f"{name:44} {figure:7.3f}  ({goal})  {more}{'' if met else '   MISSED'}", flush=True)
    return not met


def one_caller(stub: Stub, rounds: int, number: int) -> bool:
    """CPU of a sequential get against boto3's."""
    stub.configure()
    peers = {"ours": ours, "boto3": boto}
    if importlib.util.find_spec("capo_secrets_manager") is not None:
        from tests.bench.capo import capo

        peers["capo"] = capo
    else:
        print("capo-secrets-manager is not installed; measured without it")
    with contextlib.ExitStack() as opened:
        gets = {name: opened.enter_context(peer(stub.url, 1)) for name, peer in peers.items()}
        for get in gets.values():
            sequential(get, 20)
        # capo's synchronous client waits 40 ms for each answer, for it sends a request in two packets.
        counts = {name: number // 20 if name == "capo" else number for name in gets}
        found = [{name: sequential(get, counts[name]) for name, get in gets.items()} for _ in range(rounds)]
    us = {name: statistics.median(each[name] for each in found) * 1e6 for name in gets}
    ratios = {name: statistics.median(each[name] / each["boto3"] for each in found) for name in gets}
    missed = told(
        "CPU of an uncached get / boto3",
        ratios["ours"],
        f"most {MOST_CPU}",
        ratios["ours"] <= MOST_CPU,
        f"{us['ours']:.0f} us, boto3 {us['boto3']:.0f} us",
    )
    if "capo" in ratios:
        told("the same of capo-secrets-manager / boto3", ratios["capo"], "beside", True, f"{us['capo']:.0f} us")
    return missed


def many_callers(stub: Stub, rounds: int, seconds: float) -> bool:
    """Throughput against the ideal, and how many sockets it takes."""
    ideal = CALLERS / LATENCY
    peers = {"ours": ours, "boto3": boto, "bare": bare}
    shares: dict[str, list[float]] = {name: [] for name in peers}
    cpu: dict[str, list[float]] = {name: [] for name in peers}
    most_open = 0
    for _ in range(rounds):
        for name, peer in peers.items():
            stub.configure(LATENCY)
            with peer(stub.url, CALLERS) as get:
                rate, cost = at_once(get, seconds)
                shares[name].append(rate / ideal)
                cpu[name].append(cost)
                if name == "ours":
                    most_open = max(most_open, stub.stats()["connections"] - 1)
    share = {name: statistics.median(found) for name, found in shares.items()}
    us = {name: statistics.median(found) * 1e6 for name, found in cpu.items()}
    missed = told(
        f"{CALLERS} callers at {LATENCY * 1000:.0f} ms / the ideal {ideal:.0f}/s",
        share["ours"],
        f"least {LEAST_SHARE}",
        share["ours"] >= LEAST_SHARE,
        f"{share['ours'] * ideal:.0f}/s, {us['ours']:.0f} us CPU; "
        f"boto3 {share['boto3'] * ideal:.0f}/s, {us['boto3']:.0f} us",
    )
    told("the same of bare sockets", share["bare"], "beside", True, f"{us['bare']:.0f} us CPU")
    sockets = most_open / CALLERS
    return told("connections opened / workers", sockets, "most 1.0", sockets <= 1.0, f"{most_open}") or missed


def cold_start(stub: Stub, rounds: int) -> bool:
    """1,000 secrets at once, none of them known: ours by get_many, boto3's by batches of 20 from as many callers."""
    names, size = [f"bench/{at}" for at in range(BATCHED)], 20
    chunks = [names[at : at + size] for at in range(0, BATCHED, size)]
    wall: list[float] = []
    cpu: list[float] = []
    calls = 0
    for _ in range(rounds):
        stub.configure(LATENCY)
        with our_system(stub.url, BATCHERS) as system, boto_client(stub.url, BATCHERS) as client:
            system.secrets.get(names[0])
            with ThreadPoolExecutor(BATCHERS) as pool:
                list(pool.map(lambda _: client.get_secret_value(SecretId=names[0]), range(BATCHERS)))
                stub.configure(LATENCY)
                mine = spent(lambda: system.secrets.get_many(names))
                calls = stub.stats()["operations"]["BatchGetSecretValue"]
                theirs = spent(
                    lambda: list(pool.map(lambda some: client.batch_get_secret_value(SecretIdList=some), chunks))
                )
        wall.append(mine[0] / theirs[0])
        cpu.append(mine[1] / theirs[1])
    missed = told(f"{BATCHED} secrets by get_many: calls", calls, "50", calls == BATCHED // size, f"{BATCHERS} workers")
    missed |= told("the same, wall / boto3", statistics.median(wall), "most 1.0", statistics.median(wall) <= 1.0, "")
    return missed | told("the same, CPU / boto3", statistics.median(cpu), "most 0.6", statistics.median(cpu) <= 0.6, "")


def spent(action: Callable[[], object]) -> tuple[float, float]:
    """(seconds, seconds of CPU)."""
    began, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - began, time.process_time() - cpu


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.aws")
    parser.add_argument("--quick", action="store_true", help="a fifth of everything")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--undisturbed", action="store_true", help="before all else that this machine does (for root)")
    options = parser.parse_args()
    if options.undisturbed:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))  # the stand-in inherits it
    share = 5 if options.quick else 1
    available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    core = available[1] if len(available) > 1 else None
    with Stub(core) as stub:
        if core is not None:
            os.sched_setaffinity(0, {available[0]})
        missed = [
            one_caller(stub, options.rounds, 1000 // share),
            many_callers(stub, options.rounds, 3.0 / share),
            cold_start(stub, options.rounds),
        ]
    return 1 if any(missed) else 0


if __name__ == "__main__":
    sys.exit(main())
