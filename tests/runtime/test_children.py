"""Processes that a program adds to our tree: under `faces`, with the client, supervised as ours are."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

import secrets_actor
from secrets_actor import InvalidParameter, Secrets, StartFailed, System
from secrets_actor.otp import ChildSpec, DynamicSupervisor, Flags, GenServer, Kind, Reply, call
from secrets_actor.testing import FakeStore, fake_system, find, kill, settled
from tests.actor.rig import failure
from tests.forking import in_child


class Reader(GenServer):
    """Reads a secret when it starts, for whoever asks, and when it ends."""

    trap_exit = True

    def __init__(self, secrets: Secrets, ends: list[str]) -> None:
        self.secrets, self.ends = secrets, ends

    def init(self) -> None:
        self.first = self.secrets.get("a").reveal()

    def handle_call(self, request: Any, caller: Any) -> Reply:
        return Reply((self.first, self.secrets.get(request).reveal()))

    def terminate(self, reason: Any) -> None:
        self.ends.append(self.secrets.get("a", refresh=True).reveal())


@pytest.fixture
def store() -> FakeStore:
    """A store with one secret."""
    store = FakeStore()
    store.put("a", "value")
    return store


def reader(ends: list[str]) -> Callable[[Secrets], Iterable[ChildSpec]]:
    return lambda secrets: [ChildSpec("reader", lambda: Reader(secrets, ends), name="reader")]


def test_a_child_has_the_client_from_its_first_callback_to_its_last(store: FakeStore) -> None:
    ends: list[str] = []
    with fake_system(store, children=reader(ends)) as (system, _):
        assert call(find(system, "reader"), "a") == ("value", "value")
    assert ends == ["value"], "it stops before what it leans on"


def test_a_child_that_dies_is_started_again_and_nobody_else(store: FakeStore) -> None:
    with fake_system(store, children=reader([])) as (system, _):
        before = {one: find(system, one).serial for one in ("secrets", "background", "faces")}

        kill(system, "reader")
        settled(system)

        assert call(find(system, "reader"), "a") == ("value", "value")
        assert {one: find(system, one).serial for one in before} == before


def test_when_the_secrets_actor_dies_a_child_goes_on(store: FakeStore) -> None:
    with fake_system(store, children=reader([])) as (system, _):
        serial = find(system, "reader").serial

        kill(system, "secrets")

        assert call(find(system, "reader"), "a") == ("value", "value")
        assert find(system, "reader").serial == serial


def test_a_supervisor_may_be_a_child(store: FakeStore) -> None:
    spec = ChildSpec("pool", lambda: DynamicSupervisor(Flags()), kind=Kind.SUPERVISOR, name="pool")
    with fake_system(store, children=lambda _: iter([spec])) as (system, _):
        assert [node.id for node in system.tree().root.children] == ["infra", "core", "background", "faces"]
        assert "pool" in str(system.tree())


def test_without_children_there_is_no_supervisor_for_them(store: FakeStore) -> None:
    for children in (None, lambda _: ()):
        with fake_system(store, children=children) as (system, _):
            assert [node.id for node in system.tree().root.children] == ["infra", "core", "background"]


@pytest.mark.parametrize(
    "children",
    [
        lambda _: ["no spec"],
        lambda _: [ChildSpec("a", GenServer), ChildSpec("a", GenServer)],
        lambda _: [ChildSpec("a", GenServer, restart="sometimes")],  # type: ignore[arg-type]
    ],
    ids=["no spec", "an id twice", "a wrong field"],
)
def test_what_is_no_child_spec_is_refused_before_anything_starts(children: Any) -> None:
    error = failure(lambda: System(children=children))

    assert isinstance(error, InvalidParameter)
    assert error.parameter == "children"


def test_a_coroutine_function_is_refused() -> None:
    async def children(_: Secrets) -> list[ChildSpec]:
        return []

    wrong: Any = children
    assert isinstance(failure(lambda: System(children=wrong)), InvalidParameter)


def test_a_child_that_cannot_start_lets_the_system_not_start(store: FakeStore) -> None:
    class Broken(GenServer):
        def init(self) -> None:
            raise RuntimeError

    def start() -> None:
        with fake_system(store, children=lambda _: [ChildSpec("broken", Broken)]):
            raise AssertionError

    assert isinstance(failure(start), StartFailed)


def test_a_tree_under_a_hosts_supervisor_has_them_too() -> None:
    asked: list[Secrets] = []

    def children(secrets: Secrets) -> list[ChildSpec]:
        asked.append(secrets)
        return []

    spec = secrets_actor.child_spec(children=children)

    assert spec.system is not None
    assert asked == [spec.system.secrets]


def test_the_child_of_a_fork_has_them_too(store: FakeStore) -> None:
    with fake_system(store, children=reader([])) as (system, _):

        def asked() -> str:
            system.secrets.get("a")
            return str(call(find(system, "reader"), "a")[0])

        assert in_child(asked) == "value"
