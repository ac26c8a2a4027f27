"""Our tree under a supervisor of the host program: its restarts, its shutdown, and no thread left."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import secrets_actor
from secrets_actor import ServerDown, System
from secrets_actor.clock import now as clock_now
from secrets_actor.otp import SHUTDOWN, ChildSpec, Flags, GenServer, Kind, Node, Pid, Reply, Supervisor, call, spawn
from secrets_actor.runtime.hosted_system import SystemSpec
from tests.actor.rig import eventually, failure, kill, process, settings, supervisor, whole

Host = Callable[..., tuple[Pid, SystemSpec]]


class Neighbour(GenServer):
    """Another child of the host's."""

    def handle_call(self, request: Any, caller: Any) -> Reply:
        return Reply(request)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Start a supervisor of a program's own with our tree in it."""
    tops: list[Pid] = []

    def start(intensity: int = 5) -> tuple[Pid, SystemSpec]:
        spec = secrets_actor.child_spec(settings(tmp_path))
        neighbour = ChildSpec("neighbour", Neighbour, name="neighbour")
        flags = Flags(intensity=intensity, period=60.0)
        tops.append(spawn(Node(), lambda: Supervisor(flags, [neighbour, spec]), label="host"))
        return tops[-1], spec

    yield start
    for top in tops:
        top.exit(SHUTDOWN)
        assert top.wait(20) is not None


def system_of(spec: SystemSpec) -> System:
    assert spec.system is not None
    return spec.system


def test_our_tree_works_in_the_hosts(host: Host) -> None:
    top, spec = host()
    system = system_of(spec)
    system.secrets.set("a", "v")

    assert system.secrets.get("a").reveal() == "v"
    assert (spec.id, spec.kind) == ("secrets_actor", Kind.SUPERVISOR)
    kill(system, "secrets")
    assert system.secrets.get("a", refresh=True).reveal() == "v"
    eventually(lambda: whole(system))
    assert call(top.node.name("neighbour"), 1) == 1


def test_when_our_root_gives_up_the_host_restarts_it_and_the_same_client_goes_on(host: Host) -> None:
    _, spec = host()
    system = system_of(spec)
    system.secrets.set("a", "v")
    root = supervisor(system, "secrets_actor")
    while root.is_alive():
        pid = system.whereis("timers")
        if pid is not None:
            pid.kill()

    eventually(lambda: not root.is_alive() and system.running, "another root")
    assert system.secrets.get("a").reveal() == "v"
    assert system.secrets.set("a", "2").created is False
    eventually(lambda: whole(system))


@pytest.mark.parametrize("who", ["our root", "what stands for it in the host's tree"])
def test_when_one_end_of_the_link_is_killed_both_are_restarted(host: Host, who: str) -> None:
    top, spec = host()
    system = system_of(spec)
    system.secrets.set("a", "v")
    before = supervisor(system, "secrets_actor")
    ours = next(row.pid for row in top.published.children if row.spec.id == "secrets_actor")
    (before if who == "our root" else ours).kill()

    eventually(lambda: not before.is_alive() and system.running)
    eventually(lambda: system.secrets.get("a", timeout=5).reveal() == "v")
    eventually(lambda: whole(system))
    assert top.is_alive()
    restarts = {row.spec.id: row.restarts for row in top.published.children}
    assert restarts == {"neighbour": 0, "secrets_actor": 1}


def test_when_the_host_shuts_down_ours_is_down_first(host: Host) -> None:
    top, spec = host()
    system = system_of(spec)
    system.secrets.set("a", "v")
    actor = process(system, "secrets")
    top.exit(SHUTDOWN)

    assert top.wait(20) is not None
    assert not actor.is_alive()
    assert not system.running
    assert type(failure(lambda: system.secrets.get("a"))) is ServerDown
    assert str(system.wait(0)) == "shutdown"


def test_a_host_that_is_killed_takes_ours_with_it(host: Host) -> None:
    top, spec = host()
    system = system_of(spec)
    system.secrets.set("a", "v")
    top.kill()

    eventually(lambda: not system.running)
    eventually(lambda: system.whereis("secrets") is None)


def test_a_hosted_system_that_is_stopped_by_hand_is_restarted_by_its_host_as_any_permanent_child(host: Host) -> None:
    _, spec = host()
    system = system_of(spec)
    root = supervisor(system, "secrets_actor")
    begun = clock_now()
    system.stop(timeout=10)

    assert clock_now() - begun < 5.0, "it was asked to stop, and not cut off"
    eventually(lambda: not root.is_alive() and system.running)
    system.secrets.set("a", "v")


def test_a_spec_is_checked_when_it_is_made() -> None:
    with pytest.raises(secrets_actor.ConfigurationError):
        secrets_actor.child_spec(secrets_actor.Settings(max_workers=0))
