"""What a cached get costs: in the caller's thread, in all, beside a busy thread, and as the table grows."""

import contextlib
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import secrets_actor
from secrets_actor.domain.packed_secret import USED
from secrets_actor.runtime.settings import AwsSettings
from tests.bench.aws import KEY, REGION, SECRET, Stub
from tests.bench.peers import Get, has, powertools
from tests.bench.table import Row, median_ratio, pin

NAMES = [f"bench/{at}" for at in range(10)]
BATCH = 10  # gets between two looks at the clock: few enough that the interpreter's lock seldom changes hands in one
MOST_OF_POWERTOOLS, MOST_CPU, MOST_BESIDE, MOST_GROWTH, MOST_OF_DICT = 0.6, 8.0, 5.0, 1.15, 1.25


@contextlib.contextmanager
def auditing_system(url: str, **settings: Any) -> Iterator[tuple[secrets_actor.System, Path]]:
    """A system with a cache, whose audit records go to a file."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "audit.log")
        aws = AwsSettings(region=REGION, access_key=KEY, secret_key=SECRET, endpoint_url=url)  # type: ignore[arg-type]
        made = secrets_actor.Settings(
            backend="aws_secrets_manager", aws=aws, log=secrets_actor.LogSettings(output=str(log)), **settings
        )
        with secrets_actor.start(made) as system:
            yield system, log


def gets_timed(get: Get, names: list[str], number: int) -> float:
    """Microseconds a get: the median of batches."""
    found = []
    clock = time.perf_counter
    for at in range(number // BATCH):
        batch = [names[(at * BATCH + one) % len(names)] for one in range(BATCH)]
        began = clock()
        for name in batch:
            get(name)
        found.append(clock() - began)
    return statistics.median(found) / BATCH * 1e6


def by_threads(get: Get, threads: int, number: int) -> float:
    """The same in so many threads at once."""
    found: list[float] = []
    start = threading.Barrier(threads)

    def run() -> None:
        start.wait()
        found.append(gets_timed(get, NAMES, number // threads))

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return statistics.median(found)


def against_powertools(stub: Stub, rounds: int, share: int) -> list[Row]:
    """One thread and eight."""
    stub.configure()
    pin(0)
    number, rows = 20_000 // share, []
    with contextlib.ExitStack() as opened:
        system, _ = opened.enter_context(auditing_system(stub.url))
        theirs = opened.enter_context(powertools(stub.url)) if has("aws-lambda-powertools") else None
        for name in NAMES:
            system.secrets.get(name)
        for threads in (1, 8):
            mine, others = [], []
            for _ in range(rounds):
                mine.append(by_threads(system.secrets.get, threads, number))
                if theirs is not None:
                    others.append(by_threads(theirs, threads, number))
            name = f"cached get, audited, {threads} thread{'s' * (threads > 1)}"
            us = statistics.median(mine)
            if theirs is None:
                rows.append(Row(name, us, "us"))
            else:
                ratio = median_ratio(mine, others)
                more = f"{us:.2f} us, powertools {statistics.median(others):.2f} us"
                rows.append(Row(name, ratio, "x powertools", MOST_OF_POWERTOOLS, more=more))
    return rows


def whole_cost(stub: Stub, rounds: int, share: int) -> list[Row]:
    """CPU of all threads, until each hit's record is in the file."""
    stub.configure()
    pin(0)
    number, found, written = 50_000 // share, [], 0
    for _ in range(rounds):
        with auditing_system(stub.url) as (system, log):
            for name in NAMES:
                system.secrets.get(name)
            began = time.process_time()
            for at in range(number):
                system.secrets.get(NAMES[at % len(NAMES)])
            system.stop()  # which writes the last of them
            found.append((time.process_time() - began) / number * 1e6)
            written = sum('"source":"cache"' in line.replace(": ", ":") for line in log.read_text().splitlines())
    more = f"{written} records of {number} hits written"
    rows = [Row("the same in all, its record written, CPU", statistics.median(found), "us", MOST_CPU, more=more)]
    return [*rows, Row("records written / hits", written / number, "", 1.0, least=True)]


def beside_a_busy_thread(stub: Stub, rounds: int, share: int) -> list[Row]:
    """A hop to another thread would cost a switch interval of the interpreter."""
    stub.configure()
    pin(0)
    done = False

    def spin() -> None:
        at = 0
        while not done:
            at += 1

    with auditing_system(stub.url) as (system, _):
        for name in NAMES:
            system.secrets.get(name)
        busy = threading.Thread(target=spin)
        busy.start()
        found = [gets_timed(system.secrets.get, NAMES, 5_000 // share) for _ in range(rounds)]
        done = True
        busy.join()
    return [Row("cached get beside a CPU-bound thread", statistics.median(found), "us", MOST_BESIDE)]


def as_the_table_grows(stub: Stub, rounds: int, share: int) -> list[Row]:
    """Ten entries, and a hundred thousand: ten of them, and all in a random order. What the second costs more is the
    machine's, for each entry comes from memory that no cache of the processor has: a plain dict of as many bytearrays,
    which are marked and copied as ours are, costs as much more in the same order."""
    stub.configure()
    pin(0)
    sizes = (10, 100_000 // share)
    with contextlib.ExitStack() as opened:
        asked, systems = [], []
        for size in sizes:
            system, _ = opened.enter_context(
                auditing_system(stub.url, cache_entries=200_000, cache_bytes=2**32, ttl_seconds=3600)
            )
            names = [f"bench/{at}" for at in range(size)]
            for start in range(0, size, 2_000):
                system.secrets.get_many(names[start : start + 2_000], timeout=60)
            random.Random(1).shuffle(names)
            plain = plain_dict(system)
            systems.append(system)
            asked += [(system.secrets.get, names[: sizes[0]]), (system.secrets.get, names), (plain, names)]
        found = []
        for _ in range(rounds):
            found.append([])
            for get, names in asked[1:]:
                written(systems)
                found[-1].append(gets_timed(get, names, 20_000 // share))
    few, plain_few, same, many, plain_many = ([one[at] for one in found] for at in range(5))
    ours, plains = ([b - a for a, b in zip(*pair, strict=True)] for pair in ((few, many), (plain_few, plain_many)))
    more = f"{statistics.median(few):.2f} us of {sizes[0]}, {statistics.median(same):.2f} us of {sizes[1]:,}"
    grown = f"{statistics.median(ours):.2f} us more, a plain dict {statistics.median(plains):.2f} us more"
    return [
        Row(f"cached get of {sizes[1]:,} entries / of {sizes[0]}", median_ratio(same, few), "", MOST_GROWTH, more=more),
        Row("  the same in a random order", median_ratio(many, few), "", more=f"{statistics.median(many):.2f} us"),
        Row("  a plain dict in a random order", median_ratio(plain_many, plain_few), ""),
        Row(
            "  what the random order costs, beside a plain dict",
            median_ratio(ours, plains),
            "x",
            MOST_OF_DICT,
            more=grown,
        ),
    ]


def written(systems: list[secrets_actor.System]) -> None:
    """Wait until all audit records are: whoever reads a hundred thousand names leaves seconds of work, and a get that
    finds no room for its own costs more."""
    while any(sum(system._parts.audit_buffer.waiting) for system in systems):
        time.sleep(0.01)


def plain_dict(system: secrets_actor.System) -> Get:
    """Gets from a dict that holds what the cache of *system* holds, in objects of its own."""
    held = {"".join([*name]): bytearray(block) for name, block in system._parts.cache._table.items()}

    def get(name: str) -> bytes:
        entry = held[name]
        entry[USED] = 1
        return bytes(entry)

    return get
