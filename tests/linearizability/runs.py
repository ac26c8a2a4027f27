"""python -m tests.linearizability.runs [--store S] [--operations N] [--seconds N] [--seed N]: one run, judged.

The cache's entries end often, and much may be served stale if somebody forgets to say no. The breaker is on where there
is an endpoint: what it refuses counts as not done, and that is to be true.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from secrets_actor import AwsSettings, LocalSettings, LogSettings, Settings, System, VaultSettings
from secrets_actor.domain.ports import BackendFactory
from secrets_actor.errors import RequestFailed
from secrets_actor.testing import FakeStore
from tests.linearizability.injected_faults import Distance
from tests.linearizability.random_failures import Weather
from tests.linearizability.traffic import Mix, Report, Traffic
from tests.servers.account import REGION, allow_everything
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack
from tests.servers.openbao import Failovers, OpenBaoCluster

PEACE = Mix(worker_kills=0, actor_kills=0)
# A KV mount keeps 10 versions of a secret, unless it is told to keep more.
MANY = 100_000


def of(folder: Path, *, ttl: float = 0.02, **given: Any) -> Settings:
    """The settings of all runs. *ttl* is about the time between two writes to a secret."""
    log = LogSettings(output=str(folder / "log"))
    return Settings(ttl_seconds=ttl, max_stale_seconds=600, call_timeout_seconds=5, log=log, **given)


def over_ministack(server: Ministack, folder: Path, operations: int, seed: int, seconds: float) -> Report:
    """In bad weather."""
    keys, weather = server.account.user(allow_everything()), Weather(server.process.port, seed)
    with FaultyServer(weather) as proxy:
        aws = AwsSettings(
            region=REGION,
            access_key=keys.access_key_id,  # type: ignore[arg-type]
            secret_key=keys.secret_key,  # type: ignore[arg-type]
            endpoint_url=proxy.url,
            timeout=1.0,
            max_attempts=2,
        )
        with System(of(folder, ttl=0.3, backend="aws_secrets_manager", aws=aws)) as system:
            report = Traffic(system, operations=operations, seconds=seconds, seed=seed).run()
    report.weather = weather.counts
    return report


def over_openbao(cluster: OpenBaoCluster, folder: Path, operations: int, seed: int, seconds: float) -> Report:
    """While its leaders come and go."""
    vault = VaultSettings(
        addresses=tuple(cluster.urls),
        mount=cluster.mount(max_versions=MANY),
        token=cluster.admin_token(),  # type: ignore[arg-type]
    )
    with System(of(folder, ttl=0.3, backend="vault", vault=vault)) as system, Failovers(cluster, seed) as failovers:
        report = Traffic(system, operations=operations, seconds=seconds, seed=seed).run()
    report.weather = failovers.counts
    return report


def over_fake(folder: Path, operations: int, seed: int) -> Report:
    """The fake is far away, and loses questions and answers."""
    store, far = FakeStore(), Distance(random.Random(seed))

    def mishap(dice: random.Random) -> None:
        if dice.random() < 0.2:
            lost = RequestFailed("the connection broke", endpoint="fake")
            store.fail_next(lost, when=dice.choice(["before", "after"]))

    with System(of(folder), clock=store.clock, backend=far.factory(store.factory())) as system:
        return Traffic(system, operations=operations, seed=seed, also=mishap).run()


def over_local(folder: Path, operations: int, seed: int) -> Report:
    """Only the killer is at work."""
    with System(of(folder, local=LocalSettings(path=folder / "store"))) as system:
        return Traffic(system, operations=operations, seed=seed).run()


def in_peace(factory: BackendFactory, folder: Path, operations: int, seed: int) -> Report:
    """Nobody is killed, nothing lost: what is found is the store's."""
    with System(of(folder), backend=factory) as system:
        return Traffic(system, operations=operations, seed=seed, mix=PEACE).run()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.linearizability.runs")
    parser.add_argument("--store", choices=["ministack", "openbao", "fake", "local"], default="ministack")
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.store == "ministack":
            with Ministack(folder / "ministack") as server:
                report = over_ministack(server, folder, given.operations, given.seed, given.seconds)
        elif given.store == "openbao":
            with OpenBaoCluster(folder / "cluster") as cluster:
                report = over_openbao(cluster, folder, given.operations, given.seed, given.seconds)
        else:
            report = (over_fake if given.store == "fake" else over_local)(folder, given.operations, given.seed)
    print(f"{given.store}, seed {given.seed}\n{report}")
    return 0 if report.verdict.good and not report.problems else 1


if __name__ == "__main__":
    sys.exit(main())
