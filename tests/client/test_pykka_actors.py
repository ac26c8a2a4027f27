"""Actors of the host program ask and tell ours, as they do with any pykka actor."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pykka
import pytest

from secrets_actor import DeadlineExceeded, Secret, SecretNotFound, SecretsError, ServerDown, System
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.secret import SecretValue
from secrets_actor.errors import UnknownMessage
from secrets_actor.messages import Answered, Ask, Delete, Get, List, Set
from secrets_actor.results import SetReceipt, Source
from tests.actor.rig import RigStore, Watch, eventually, failure, kill, process, running, settings

TOKEN = "44444444-4444-4444-8444-444444444444"


class Host(pykka.ThreadingActor):
    """An actor of the program: it asks when told to, and keeps what it hears."""

    use_daemon_thread = True

    def __init__(self, secrets: Any) -> None:
        super().__init__()
        self.secrets = secrets
        self.heard: list[Answered] = []
        self.hears = threading.Semaphore(0)

    def on_receive(self, message: Any) -> Any:
        match message:
            case Answered():
                self.heard.append(message)
                self.hears.release()
                return None
            case ("ask", operation):
                return self.secrets.ask(operation, timeout=10)
            case ("ask later", operation, tag):
                self.secrets.tell(Ask(operation, reply_to=self.actor_ref, tag=tag))
                return None
            case ("tell", operation):
                self.secrets.tell(operation)
                return None
            case "self":
                return self
        raise AssertionError(message)


@pytest.fixture
def host(system: System) -> Iterator[Any]:
    """Such an actor, running."""
    ref = Host.start(system.ref)
    yield ref
    ref.stop()


def test_an_actor_asks_and_waits(system: System, host: Any) -> None:
    receipt = host.ask(("ask", Set("a", SecretValue("v"))))
    secret = host.ask(("ask", Get("a")))

    assert isinstance(receipt, SetReceipt)
    assert isinstance(secret, Secret)
    assert (secret.reveal(), secret.version_id) == ("v", receipt.version_id)
    assert [info.name for info in host.ask(("ask", List()))] == ["a"]
    assert host.ask(("ask", Get("a"))).source == Source.CACHE


def test_an_actor_asks_and_does_not_wait(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    hold = rig_store.hold("get")
    future = system.ref.ask(Get("a"), block=False)
    hold.wait()
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0.05)
    hold.go.set()

    assert future.get(timeout=10).reveal() == "v"


def test_an_actor_asks_by_telling_and_is_told_the_answer(host: Any, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    for tag, operation in enumerate((Get("a"), Get("missing"), "gossip")):
        host.ask(("ask later", operation, tag))
    me = host.ask("self")
    for _ in range(3):
        assert me.hears.acquire(timeout=10)
    found = {one.tag: one for one in me.heard}

    assert found[0].result().reveal() == "v"
    assert type(failure(found[1].result)) is SecretNotFound
    assert type(failure(found[2].result)) is UnknownMessage


def test_what_is_told_is_done_and_nobody_is_answered(system: System, host: Any, rig_store: RigStore) -> None:
    host.tell(("tell", Set("a", SecretValue("v"))))
    host.tell(("tell", Delete("missing")))
    eventually(lambda: sorted(one.kind for one in list(rig_store.seen)) == ["delete", "set"])

    assert system.secrets.get("a").reveal() == "v"


def test_every_error_is_a_secrets_error_and_the_askers_own(system: System, rig_store: RigStore) -> None:
    for message in (Get("missing"), "gossip", None, 42):
        assert isinstance(failure(lambda message=message: system.ref.ask(message, timeout=10)), SecretsError)


def test_the_same_ref_reaches_the_next_actor(system: System, host: Any, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    host.ask(("ask", Get("a")))
    kill(system, "secrets")
    eventually(lambda: system.whereis("secrets") is not None)

    assert host.ask(("ask", Get("a", refresh=True))).reveal() == "v"


def test_whoever_waits_when_the_actor_dies_is_told(system: System, host: Any, rig_store: RigStore) -> None:
    hold, reading = rig_store.hold("set"), rig_store.hold("get")
    future = system.ref.ask(Set("a", SecretValue("v"), TOKEN), block=False)
    hold.wait()
    host.ask(("ask later", Get("b"), "b"))
    eventually(lambda: process(system, "secrets").open_calls == 2)
    kill(system, "secrets")
    hold.go.set()
    reading.go.set()

    assert type(failure(lambda: future.get(timeout=10))) is ServerDown
    me = host.ask("self")
    assert me.hears.acquire(timeout=10)
    assert type(me.heard[0].error) is ServerDown


def test_asking_after_the_stop_is_refused_at_once(system: System, host: Any) -> None:
    system.stop()
    begun = clock_now()

    assert type(failure(lambda: system.ref.ask(Get("a"), timeout=30))) is ServerDown
    host.ask(("ask later", Get("a"), "late"))
    me = host.ask("self")
    assert me.hears.acquire(timeout=10)
    assert type(me.heard[0].error) is ServerDown
    system.ref.tell(Set("a", SecretValue("v")))  # goes nowhere, as told things may
    assert clock_now() - begun < 2.0


def test_an_asker_without_a_deadline_of_his_own_gets_the_configured_one(
    tmp_path: Path, rig_store: RigStore, watch: Watch
) -> None:
    with running(
        System(settings(tmp_path, call_timeout_seconds=0.3), backend=rig_store.factory(), observer=watch), rig_store
    ) as system:
        rig_store.hold("set")
        begun = clock_now()
        error = failure(lambda: system.ref.ask(Set("a", SecretValue("v"), TOKEN), timeout=20))

        assert type(error) is DeadlineExceeded
        assert error.token == TOKEN
        assert 0.3 <= clock_now() - begun < 1.0


@pytest.mark.parametrize("reply_to", [None, "nobody", pykka.ThreadingFuture()], ids=["None", "text", "a future"])
def test_an_answer_that_cannot_be_told_hurts_nobody(system: System, rig_store: RigStore, reply_to: Any) -> None:
    actor = process(system, "secrets")
    system.ref.tell(Ask(Get("missing"), reply_to=reply_to))
    eventually(lambda: rig_store.count("get") == 1)

    assert type(failure(lambda: system.secrets.get("other"))) is SecretNotFound
    assert system.whereis("secrets") is actor


def test_an_asker_who_has_stopped_meanwhile_hurts_nobody(system: System, rig_store: RigStore) -> None:
    hold = rig_store.hold("get")
    ref = Host.start(system.ref)
    ref.ask(("ask later", Get("a"), 1))
    hold.wait()
    ref.stop()
    actor = process(system, "secrets")
    hold.go.set()

    assert type(failure(lambda: system.secrets.get("a"))) is SecretNotFound
    assert system.whereis("secrets") is actor


def test_stopping_all_actors_of_the_program_does_not_stop_ours(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    ref = Host.start(system.ref)
    before = process(system, "secrets")

    pykka.ActorRegistry.stop_all(timeout=10)

    assert not ref.is_alive()
    assert system.whereis("secrets") is before
    assert system.secrets.get("a").reveal() == "v"
