"""What the local store costs, beside plain sqlite3 that does the same I/O without sealing, in the same run."""

import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import secrets_actor
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.operations import Get, List, Set
from secrets_actor.domain.ports import Backend, CallContext
from secrets_actor.runtime.settings import LocalSettings
from secrets_actor.runtime.system import System
from tests.bench.filling import fill
from tests.bench.plain import PEERS, Pair, Plain, missing, peer, plain_kit
from tests.bench.table import Row, median_ratio, pin

SECRETS, FEW, MANY = 10_000, 1_000, 100_000
VALUE = "v" * 64
MOST, MOST_TO_OPEN = 2.0, 1.25
TIMEOUT = 60.0


def settings(path: Path) -> secrets_actor.Settings:
    """Nothing is answered from memory, and no record is written."""
    return secrets_actor.Settings(ttl_seconds=0, local=LocalSettings(path=path))


def names(number: int) -> list[str]:
    """Of so many secrets."""
    return [f"bench/{at:06}" for at in range(number)]


def p50(work: Callable[[str], Any], asked: list[str]) -> float:
    """Microseconds of the median call."""
    found, clock = [], time.perf_counter
    for name in asked:
        began = clock()
        work(name)
        found.append(clock() - began)
    return statistics.median(found) * 1e6


def backend_pair(backend: Backend) -> Pair:
    """(get, set) of a bare backend, in this thread."""

    def get(name: str) -> Any:
        return backend.perform(Get(name), CallContext(clock_now() + TIMEOUT))

    def put(name: str, value: str) -> Any:
        return backend.perform(Set(name, value), CallContext(clock_now() + TIMEOUT))

    return get, put


@contextmanager
def stores(folder: Path) -> Iterator[dict[str, tuple[Pair, Callable[[], Any]]]]:
    """Ours and plain ones, each with the same secrets: (get, set) and list, by name."""
    fill(folder / "ours", names(SECRETS), VALUE)
    plain = Plain(folder / "plain.db")
    plain.fill(names(SECRETS), VALUE)
    with ExitStack() as opened:
        opened.callback(plain.close)
        ours = opened.enter_context(System(settings(folder / "ours")))
        same = opened.enter_context(System(settings(folder / "ours"), backend=plain_kit(folder / "plain.db")))
        backend = local_backend_factory(path=folder / "ours", recovery_window=30).connect()
        opened.callback(backend.close)
        yield {
            "tree": ((ours.secrets.get, ours.secrets.set), ours.secrets.list),
            "tree over sqlite3": ((same.secrets.get, same.secrets.set), same.secrets.list),
            "backend": (backend_pair(backend), lambda: None),
            "sqlite3": ((plain.get, plain.set), plain.heads),
        }


def operations(_stub: Any, rounds: int, share: int) -> list[Row]:
    """Get, set and list with 10,000 secrets, through the whole tree."""
    pin(0)
    every = names(SECRETS)
    step, lists = SECRETS // (1_000 // share), max(1, 3 // share)
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder, stores(Path(folder)) as made:
        for turn in range(rounds):
            asked = every[turn::step]
            for who, ((get, put), heads) in made.items():
                mine = found.setdefault(who, {"get": [], "set": [], "list": []})
                mine["get"].append(p50(get, asked))
                mine["set"].append(p50(lambda name, put=put: put(name, VALUE), asked[: len(asked) // 4]))
                mine["list"].append(p50(lambda _, heads=heads: heads(), every[:lists]))
    rows = []
    for what, name in (("get", "uncached get, p50"), ("set", "durable set, p50"), ("list", "list of 10,000")):
        told = {who: statistics.median(each[what]) for who, each in found.items()}
        more = ", ".join(f"{who} {us:.0f} us" for who, us in told.items() if us > 1)
        ratio = median_ratio(found["tree"][what], found["tree over sqlite3"][what])
        rows.append(Row(f"local: {name}", ratio, "x plain sqlite3", MOST, more=f"both in the tree: {more}"))
        bare = median_ratio(found["tree" if what == "list" else "backend"][what], found["sqlite3"][what])
        how = "tree / bare sqlite3" if what == "list" else "backend / bare sqlite3"
        rows.append(Row(f"  {how}", bare, "x plain sqlite3", MOST))
        if what != "list":
            rows.append(
                Row("  tree / bare sqlite3", median_ratio(found["tree"][what], found["sqlite3"][what]), "x bare")
            )
    return rows


def first_list(_stub: Any, rounds: int, share: int) -> list[Row]:
    """A list by a connection that has opened no head yet: each is unsealed."""
    pin(0)
    found = []
    with tempfile.TemporaryDirectory() as folder, stores(Path(folder)) as made:
        _, heads = made["sqlite3"]
        for _ in range(max(1, rounds // share)):
            backend = local_backend_factory(path=Path(folder, "ours"), recovery_window=30).connect()
            backend_pair(backend)[0]("bench/000007")
            context = CallContext(clock_now() + TIMEOUT)
            listed = p50(lambda _, backend=backend, context=context: backend.perform(List(), context), ["all"])
            backend.close()
            found.append((listed, p50(lambda _: heads(), ["all"])))
    ours, plain = ([one[at] for one in found] for at in (0, 1))
    more = f"{statistics.median(ours) / 1000:.0f} ms, sqlite3 {statistics.median(plain) / 1000:.0f} ms"
    return [Row("local: first list of a connection", median_ratio(ours, plain), "x bare", more=more)]


def opening(_stub: Any, rounds: int, share: int) -> list[Row]:
    """The first get of a fresh connection: key, header and one secret."""
    pin(0)
    sizes = (FEW, MANY // share)
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            fill(Path(folder, str(size)), names(size), VALUE)
        found = [[_opened(Path(folder, str(size))) for size in sizes] for _ in range(rounds * 5)]
    few, many = ([one[at] for one in found] for at in (0, 1))
    more = f"{statistics.median(few):.0f} us and {statistics.median(many):.0f} us to the first secret"
    return [Row(f"local: opening with {sizes[1]:,} / {FEW:,}", median_ratio(many, few), "", MOST_TO_OPEN, more=more)]


def _opened(folder: Path) -> float:
    backend = local_backend_factory(path=folder, recovery_window=30).connect()
    began = time.perf_counter()
    backend_pair(backend)[0]("bench/000007")
    took = (time.perf_counter() - began) * 1e6
    backend.close()
    return took


def beside_peers(_stub: Any, rounds: int, share: int) -> list[Row]:
    """Other ways to keep 10,000 secrets in a file; few calls each, for some read the whole file each time."""
    pin(0)
    every, rows = names(SECRETS), []
    with tempfile.TemporaryDirectory() as folder, stores(Path(folder)) as made:
        (get, put), _ = made["tree"]
        asked = every[:: SECRETS // (100 // share)]
        rows.append(Row("local: get beside peers, ours in the tree", p50(get, asked), "us"))
        rows.append(Row("local: set beside peers, ours in the tree", p50(lambda name: put(name, VALUE), asked), "us"))
        for name in (one for one in PEERS if one not in missing()):
            few = asked if name == "sqlcipher3" else asked[: max(2, rounds // 2)]
            with peer(name, Path(folder), every[: SECRETS if name == "sqlcipher3" else 200], VALUE) as (theirs, change):
                few = few if name == "sqlcipher3" else every[: len(few)]
                rows.append(Row(f"  {name} get", p50(theirs, few), "us"))
                rows.append(Row(f"  {name} set", p50(lambda one, change=change: change(one, VALUE), few), "us"))
    return rows


def busy(_stub: Any, rounds: int, share: int) -> list[Row]:
    """Gets a second of eight threads, beside those of one."""
    pin(0)
    number = 4_000 // share
    with tempfile.TemporaryDirectory() as folder, stores(Path(folder)) as made:
        (get, _), _ = made["tree"]
        found = [[_rate(get, threads, number) for threads in (1, 8)] for _ in range(rounds)]
    one, eight = ([each[at] for each in found] for at in (0, 1))
    return [Row("local: gets a second, 8 threads / 1", median_ratio(eight, one), "", more=f"{eight[0]:.0f} a second")]


def _rate(get: Callable[[str], Any], threads: int, number: int) -> float:
    turns = itertools.cycle(names(SECRETS))
    ready = threading.Barrier(threads + 1)

    def run() -> None:
        ready.wait()
        for _ in range(number // threads):
            get(next(turns))

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in running:
        thread.join()
    return number / (time.perf_counter() - began)
