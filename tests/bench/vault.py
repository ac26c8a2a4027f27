"""What OpenBao costs by us: an uncached get and a set beside hvac's, against one development server on a core of its
own; and many callers against the stand-in, whose answers are late.

A set of ours is several requests: it looks for the version to follow, keeps its token, and writes under check-and-set,
so that it makes one version however often it is sent. hvac's set is one request, and may make two.
"""

import contextlib
import importlib.util
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import secrets_actor
from secrets_actor import VaultSettings
from tests.bench.aws import CALLERS, LATENCY, Stub, at_once, sequential
from tests.bench.load import cpu_of
from tests.bench.table import Row, median_ratio, pin
from tests.servers.openbao import OpenBaoDev
from tests.servers.openbao import missing as no_server

MOST_CPU, LEAST_SHARE = 0.4, 0.95
VALUE = "v" * 64
SECRETS = 1000


class Client(NamedTuple):
    """What is measured of a client."""

    get: Callable[[str], object]
    set: Callable[[str], object]


def missing() -> list[str]:
    """What is not installed."""
    left_out = [] if importlib.util.find_spec("hvac") is not None else ["hvac"]
    return left_out if no_server() is None else [*left_out, "OpenBao (pip install '.[vault]')"]


@contextlib.contextmanager
def ours(url: str, token: str, workers: int, idempotency: Literal["metadata", "cas"] = "metadata") -> Iterator[Client]:
    """A whole system without a cache."""
    vault = VaultSettings(addresses=(url,), auth_method="token", token=token, idempotency=idempotency)  # type: ignore[arg-type]
    settings = secrets_actor.Settings(backend="vault", ttl_seconds=0, max_workers=workers, vault=vault)
    with secrets_actor.start(settings) as system:
        secrets = system.secrets
        yield Client(lambda name: secrets.get(name).reveal(), lambda name: secrets.set(name, VALUE))


@contextlib.contextmanager
def hvac(url: str, token: str, workers: int) -> Iterator[Client]:
    """hvac, with as many connections."""
    import hvac
    import requests

    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=workers))
    kv = hvac.Client(url=url, token=token, session=session).secrets.kv.v2

    def get(name: str) -> object:
        return kv.read_secret_version(name, raise_on_deleted_version=True)["data"]["data"]["value"]

    yield Client(get, lambda name: kv.create_or_update_secret(name, {"value": VALUE}))


@contextlib.contextmanager
def server() -> Iterator[OpenBaoDev]:
    """A development server on the second core, and this process on the first."""
    with tempfile.TemporaryDirectory() as folder:
        pin(1)
        started = OpenBaoDev(Path(folder))
        try:
            started.start()
            pin(0)
            yield started
        finally:
            started.stop()


def beside_hvac(_stub: Stub, rounds: int, share: int) -> Iterator[Row]:
    """CPU of this process for a get, and for a set."""
    if no_server() is not None:
        return
    number = SECRETS // share
    with server() as bao, contextlib.ExitStack() as opened:
        clients = {
            "ours": opened.enter_context(ours(bao.url, bao.token, 1)),
            "ours by cas": opened.enter_context(ours(bao.url, bao.token, 1, "cas")),
        }
        if importlib.util.find_spec("hvac") is not None:
            clients["hvac"] = opened.enter_context(hvac(bao.url, bao.token, 1))
        for at in range(number):
            bao.root.write(f"secret/data/bench/{at}", data={"value": VALUE})
        for client in clients.values():
            sequential(client.get, 20)
        yield from _rows(
            "get", {name: one.get for name, one in clients.items() if name != "ours by cas"}, rounds, number, MOST_CPU
        )
        yield from _rows("set", {name: one.set for name, one in clients.items()}, rounds, max(20, number // 5), None)
        node = bao.node.pid
        if node is not None:
            before = cpu_of(node)
            sequential(clients["ours"].get, number)
            yield Row("  OpenBao's own CPU for a get", (cpu_of(node) - before) / number * 1e6, "us")


def _rows(
    what: str, calls: dict[str, Callable[[str], object]], rounds: int, number: int, bar: float | None
) -> Iterator[Row]:
    found = [{name: sequential(call, number) for name, call in calls.items()} for _ in range(rounds)]
    cost = {name: [one[name] for one in found] for name in calls}
    us = {name: statistics.median(costs) * 1e6 for name, costs in cost.items()}
    for name in calls:
        if name == "hvac":
            continue
        row = f"vault: uncached {what}, sequential, CPU{' (idempotency = cas)' * (name != 'ours')}"
        if "hvac" in cost:
            ratio = median_ratio(cost[name], cost["hvac"])
            yield Row(row, ratio, "x hvac", bar, more=f"{us[name]:.0f} us, hvac {us['hvac']:.0f} us")
        else:
            yield Row(row, us[name], "us")


def many_callers(stub: Stub, rounds: int, share: int) -> Iterator[Row]:
    """Throughput against the ideal, at the stand-in."""
    pin(0)
    ideal, seconds = CALLERS / LATENCY, 4.0 / share
    clients: dict[str, Any] = {"ours": ours}
    if importlib.util.find_spec("hvac") is not None:
        clients["hvac"] = hvac
    shares: dict[str, list[float]] = {name: [] for name in clients}
    for _ in range(max(1, rounds // 2)):
        for name, client in clients.items():
            stub.configure(LATENCY)
            with client(stub.url, "a-token", CALLERS) as opened:
                shares[name].append(at_once(opened.get, seconds)[0] / ideal)
    median = {name: statistics.median(found) for name, found in shares.items()}
    more = ", ".join(f"{name} {share * ideal:.0f}/s" for name, share in median.items())
    name = f"vault: {CALLERS} callers at {LATENCY * 1000:.0f} ms"
    yield Row(name, median["ours"], f"of {ideal:.0f}/s", LEAST_SHARE, least=True, more=more)


def everything(stub: Stub, rounds: int, share: int) -> Iterator[Row]:
    """All rows."""
    yield from beside_hvac(stub, rounds, share)
    yield from many_callers(stub, rounds, share)
