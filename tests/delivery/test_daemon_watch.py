"""A rotation through the daemon is heard of at once, and costs nothing until then."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest

from secrets_actor import DaemonClientSettings, Secrets, Settings, start
from secrets_actor.clock import now
from secrets_actor.delivery.changes import Changes, Told
from secrets_actor.delivery.daemon_watch import MOST, DaemonWatch, watch_specs
from secrets_actor.delivery.fetching import Fetched, Wanted, fetch
from secrets_actor.delivery.pace import Pace
from secrets_actor.delivery.references import parse_reference
from secrets_actor.otp import ChildSpec
from secrets_actor.testing import fake_system
from tests.actor.rig import eventually
from tests.daemon.rig import configuration
from tests.servers.daemon import Daemon

PATIENCE = 20.0
NAMES = [f"app/{number}" for number in range(10)]
DB = parse_reference("app/0")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    rule = {"who": [f"uid:{os.geteuid()}"], "secrets": ["app/**"], "may": ["read", "write"]}
    text = configuration(tmp_path, f"unix:{tmp_path}/s", daemon={"allow": [rule]})
    with Daemon(tmp_path, text, count=1) as one:
        yield one


@pytest.mark.slow
def test_a_rotation_through_the_daemon_is_told_within_a_second_also_after_its_restart(
    daemon: Daemon, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    socket = tmp_path / "s"
    settings = Settings(backend="daemon", daemon_client=DaemonClientSettings(address=f"unix:{socket}"))
    told: SimpleQueue[Fetched] = SimpleQueue()
    with start(settings) as program:
        for name in NAMES:
            program.secrets.set(name, "one")
        wanted = Wanted(tuple(map(parse_reference, NAMES)))
        first = fetch(program.secrets, wanted)
    last = Told(first)

    def children(secrets: Secrets) -> list[ChildSpec]:
        def make() -> Changes:
            return Changes(secrets, wanted, Pace(debounce=0.0, floor=0.0), told.put, last=last)

        return [ChildSpec("changes", make), *watch_specs(secrets, first, socket)]

    with start(settings) as writer, start(settings, children=children):
        began, threads = now(), threading.active_count()
        cpu = os.times().user + os.times().system
        with pytest.raises(Empty):
            told.get(timeout=3.0)
        used = os.times().user + os.times().system - cpu
        assert used < 0.3, f"{used} s of CPU in {now() - began} s, with {threads} threads"

        for value in ("two", "three"):
            began = now()
            writer.secrets.set("app/0", value)
            assert told.get(timeout=PATIENCE).text(DB) == value
            assert now() - began < 2.0, "a second, and what a busy machine takes"

        began = now()
        daemon.stop()
        assert now() - began < 5.0, "it does not wait for those who wait"
        daemon.start()
        writer.secrets.set("app/1", "after")
        found = told.get(timeout=40.0)
        assert found.text(parse_reference("app/1")) == "after"
        began = now()
    assert now() - began < 2.0
    assert not capfd.readouterr().err, "no process is left behind"


def test_no_more_than_so_many_are_watched_and_none_without_a_secret(tmp_path: Path) -> None:
    with fake_system() as (system, store):
        for number in range(MOST + 5):
            store.put(f"app/{number}", "value")
        found = fetch(system.secrets, Wanted(prefixes=("app/",)))
        [spec] = watch_specs(system.secrets, found, tmp_path / "s")

        watch = spec.start()
        assert isinstance(watch, DaemonWatch)
        assert watch.status() == f"{MOST} secrets"
        watch.abandon()
        assert watch_specs(system.secrets, Fetched({}, {}), tmp_path / "s") == []


def test_without_a_daemon_it_asks_again_and_ends_at_once(tmp_path: Path) -> None:
    with fake_system() as (system, store):
        store.put("app/a", "value")
        found = fetch(system.secrets, Wanted(prefixes=("app/",)))

    def children(secrets: Secrets) -> list[ChildSpec]:
        return watch_specs(secrets, found, tmp_path / "nobody")

    with fake_system(children=children) as (system, _):
        eventually(lambda: "1 asked again" in str(system.tree()))
