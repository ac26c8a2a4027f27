"""What a get costs that goes to the store: alone, many at once, all for one key, and as more are in flight."""

import contextlib
import statistics
import threading
import time
from typing import Any

from secrets_actor.messages import Get
from tests.bench.aws import CALLERS, LATENCY, Stub, at_once, boto, our_system, ours, sequential
from tests.bench.cached import auditing_system
from tests.bench.capo import capo
from tests.bench.peers import aws_caching, has
from tests.bench.table import Row, median_ratio, pin

CROWD = 1000
MOST_CPU, LEAST_SHARE, MOST_WALL, MOST_GROWTH = 0.3, 0.95, 0.5, 1.25


def one_after_the_other(stub: Stub, rounds: int, share: int) -> list[Row]:
    """CPU of a get through the whole tree."""
    stub.configure()
    pin(0)
    number = 1000 // share
    peers: dict[str, Any] = {"ours": ours, "boto3": boto}
    if has("capo-secrets-manager"):
        peers["capo"] = capo
    with contextlib.ExitStack() as opened:
        gets = {name: opened.enter_context(peer(stub.url, 1)) for name, peer in peers.items()}
        for get in gets.values():
            sequential(get, 20)
        # capo's synchronous client waits 40 ms for each answer, for it sends a request in two packets.
        counts = {name: max(20, number // 20) if name == "capo" else number for name in gets}
        found = [{name: sequential(get, counts[name]) for name, get in gets.items()} for _ in range(rounds)]
    cost = {name: [one[name] for one in found] for name in gets}
    us = {name: statistics.median(costs) * 1e6 for name, costs in cost.items()}
    more = f"{us['ours']:.0f} us, boto3 {us['boto3']:.0f} us"
    rows = [
        Row("uncached get, sequential, CPU", median_ratio(cost["ours"], cost["boto3"]), "x boto3", MOST_CPU, more=more)
    ]
    if "capo" in cost:
        ratio = median_ratio(cost["capo"], cost["boto3"])
        rows.append(Row("  capo-secrets-manager's", ratio, "x boto3", more=f"{us['capo']:.0f} us"))
    return rows


def many_callers(stub: Stub, rounds: int, share: int) -> list[Row]:
    """Throughput against the ideal."""
    pin(0)
    ideal, seconds = CALLERS / LATENCY, 4.0 / share
    shares: dict[str, list[float]] = {"ours": [], "boto3": []}
    for _ in range(max(1, rounds // 2)):
        for name, peer in (("ours", ours), ("boto3", boto)):
            stub.configure(LATENCY)
            with peer(stub.url, CALLERS) as get:
                shares[name].append(at_once(get, seconds)[0] / ideal)
    mine, theirs = (statistics.median(shares[name]) for name in ("ours", "boto3"))
    more = f"{mine * ideal:.0f}/s, boto3 {theirs * ideal:.0f}/s"
    name = f"{CALLERS} callers at {LATENCY * 1000:.0f} ms"
    return [Row(name, mine, f"of {ideal:.0f}/s", LEAST_SHARE, least=True, more=more)]


def crowd(get: Any, name: str) -> float:
    """Seconds from the first call of a crowd to its last answer. Threads that have theirs stay until all have: to end
    them, and to join one after the other, costs as much as what is measured."""
    start, over, hold = threading.Barrier(CROWD), threading.Event(), threading.Lock()
    began, ended, failures = list[float](), list[float](), list[BaseException]()

    def run() -> None:
        start.wait()
        began.append(time.perf_counter())
        try:
            get(name)
        except BaseException as error:
            failures.append(error)
        ended.append(time.perf_counter())
        if len(ended) == CROWD:
            over.set()
        with hold:
            pass

    threads = [threading.Thread(target=run) for _ in range(CROWD)]
    with hold:
        for thread in threads:
            thread.start()
        over.wait()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return max(ended) - min(began)


def one_missing_key(stub: Stub, rounds: int, share: int) -> list[Row]:
    """A thousand callers at once."""
    pin(0)
    mine, others, calls, their_calls = [], [], 0, 0
    for _ in range(max(2, rounds // 2)):
        stub.configure(LATENCY)
        with auditing_system(stub.url) as (system, _):
            system.secrets.get("bench/0")
            stub.configure(LATENCY)
            mine.append(crowd(system.secrets.get, "bench/1"))
            calls = max(calls, sum(stub.stats()["operations"].values()))
        if has("aws-secretsmanager-caching"):
            with aws_caching(stub.url) as get:
                get("bench/0")
                stub.configure(LATENCY)
                others.append(crowd(get, "bench/1"))
                their_calls = sum(stub.stats()["operations"].values())
    rows = [Row(f"{CROWD:,} callers of one missing key, upstream calls", calls, "", 1.0)]
    wall = statistics.median(mine) * 1000
    if others:
        more = f"{wall:.0f} ms, theirs {statistics.median(others) * 1000:.0f} ms and {their_calls} calls"
        return [*rows, Row("the same, wall", median_ratio(mine, others), "x aws-caching", MOST_WALL, more=more)]
    return [*rows, Row("the same, wall", wall, "ms")]


def as_more_are_in_flight(stub: Stub, rounds: int, share: int) -> list[Row]:
    """CPU of a miss, with one key in flight and with a thousand."""
    stub.configure()
    pin(0)
    number = 2000 // share
    found: list[tuple[float, float]] = []
    with our_system(stub.url, 16) as system:
        for _ in range(rounds):
            found.append((_in_flight(system.ref, 1, number), _in_flight(system.ref, CROWD, number)))
    one, many = [few for few, _ in found], [lots for _, lots in found]
    more = f"{statistics.median(one) * 1e6:.0f} us and {statistics.median(many) * 1e6:.0f} us"
    return [
        Row(
            f"CPU of a miss with {CROWD:,} keys in flight / with 1", median_ratio(many, one), "", MOST_GROWTH, more=more
        )
    ]


def _in_flight(ref: Any, width: int, number: int) -> float:
    began = time.process_time()
    for start in range(0, number, width):
        asked = [ref.ask(Get(f"bench/{at}"), block=False) for at in range(start, min(start + width, number))]
        for future in asked:
            future.get(timeout=60)
    return (time.process_time() - began) / number
