"""Many at once, through a whole tree: from the cache what is there, the rest in calls of 20, each secret on record."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from secrets_actor import (
    AccessDenied,
    InvalidParameter,
    LocalSettings,
    LogSettings,
    Overloaded,
    SecretNotFound,
    Settings,
    StoreFailure,
    System,
    Throttled,
    Unreachable,
)
from secrets_actor.errors import BackendTimeout, TlsFailed
from secrets_actor.messages import GetMany, Set
from secrets_actor.testing import FakeStore, fake_system
from tests.actor.rig import eventually, failure, in_background

NAMES = [f"s/{number:02}" for number in range(45)]


@pytest.fixture
def running(face: Callable[[System], System]) -> Iterator[tuple[System, FakeStore]]:
    with fake_system() as (system, store):
        for name in NAMES:
            store.put(name, f"value of {name}")
        yield face(system), store


def test_chunks_of_20_are_asked_for_and_put_together_in_the_callers_order(running: tuple[System, FakeStore]) -> None:
    system, store = running

    batch = system.secrets.get_many([*reversed(NAMES), "missing", NAMES[0]])

    assert list(batch.found) == NAMES[::-1]
    assert {name: secret.reveal() for name, secret in batch.found.items()} == {n: f"value of {n}" for n in NAMES}
    assert {name: type(error) for name, error in batch.errors.items()} == {"missing": SecretNotFound}
    assert store.calls["get_many"] == 3


def test_chunks_are_asked_for_at_the_same_time(running: tuple[System, FakeStore]) -> None:
    system, store = running
    with store.hold("get_many") as gate:
        asked = in_background(lambda: system.secrets.get_many(NAMES))
        gate.wait_until_held(3)
        gate.release()
        assert len(asked.result(10).found) == 45


def test_what_was_read_is_kept_and_only_the_rest_is_asked_for(running: tuple[System, FakeStore]) -> None:
    system, store = running
    system.secrets.get_many(NAMES[:20])
    assert system.secrets.get(NAMES[3]).source == "cache"

    batch = system.secrets.get_many(NAMES[:25])

    assert [secret.source for secret in batch.found.values()] == ["cache"] * 20 + ["backend"] * 5
    assert store.calls == {"get_many": 2}
    assert {one.source for one in system.secrets.get_many(NAMES[:5], refresh=True).found.values()} == {"backend"}


def test_what_was_read_while_a_write_was_under_way_is_not_kept(running: tuple[System, FakeStore]) -> None:
    system, store = running
    with store.hold("get_many", when="after") as gate:
        asked = in_background(lambda: system.secrets.get_many(NAMES[:2]))
        gate.wait_until_held()
        system.secrets.set(NAMES[0], "new")
        gate.release()
        assert asked.result(10).found[NAMES[0]].reveal() == f"value of {NAMES[0]}"

    assert system.secrets.get(NAMES[0]).reveal() == "new"


def test_what_was_read_before_a_write_that_was_under_way_is_not_kept(running: tuple[System, FakeStore]) -> None:
    system, store = running
    with store.hold("set") as setting, store.hold("get_many", when="after") as reading:
        written = in_background(lambda: system.secrets.set(NAMES[0], "new"))
        setting.wait_until_held()
        asked = in_background(lambda: system.secrets.get_many(NAMES[:2]))
        reading.wait_until_held()
        setting.release()
        written.result(10)
        reading.release()
        assert asked.result(10).found[NAMES[0]].reveal() == f"value of {NAMES[0]}"

    assert system.secrets.get(NAMES[0]).reveal() == "new"


def test_a_chunk_that_fails_is_the_error_of_its_secrets_and_of_no_other(running: tuple[System, FakeStore]) -> None:
    system, store = running
    store.fail_next(AccessDenied("no"), operation="get_many")

    batch = system.secrets.get_many([*NAMES, "missing"])

    denied = [name for name, error in batch.errors.items() if type(error) is AccessDenied]
    assert denied in (NAMES[:20], NAMES[20:40], [*NAMES[40:], "missing"])
    assert list(batch.found) == [name for name in NAMES if name not in denied]
    assert {*batch.found, *batch.errors} == {*NAMES, "missing"}
    errors = list(batch.errors.values())
    assert len({id(error) for error in errors}) == len(errors)
    assert {(error.__cause__, error.__context__, error.__traceback__) for error in errors} == {(None, None, None)}


def test_what_the_cache_has_is_found_though_every_call_fails(running: tuple[System, FakeStore]) -> None:
    system, store = running
    system.secrets.get_many(NAMES[:5])
    store.fail_next(Unreachable("no"), operation="get_many", times=100)

    batch = system.secrets.get_many(NAMES)

    assert list(batch.found) == NAMES[:5]
    assert list(batch.errors) == NAMES[5:]
    assert {type(error) for error in batch.errors.values()} == {Unreachable}


def test_a_chunk_of_which_nothing_is_found_is_an_answer_too(running: tuple[System, FakeStore]) -> None:
    system, store = running
    missing = [f"missing/{number}" for number in range(21)]
    store.fail_next(AccessDenied("no"), operation="get_many")

    batch = system.secrets.get_many(missing)

    assert not batch.found
    assert {type(error) for error in batch.errors.values()} == {AccessDenied, SecretNotFound}
    assert set(batch.errors) == set(missing)


def test_when_every_call_fails_and_nothing_is_found_the_failure_is_raised(running: tuple[System, FakeStore]) -> None:
    system, store = running
    store.fail_next(AccessDenied("no"), operation="get_many", times=3)

    assert type(failure(lambda: system.secrets.get_many(NAMES))) is AccessDenied
    assert store.calls["get_many"] == 3
    assert type(failure(lambda: system.secrets.get_many([]))) is InvalidParameter


def test_each_secret_read_leaves_a_record(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    settings = Settings(local=LocalSettings(path=tmp_path / "s"), log=LogSettings(output=str(path)))
    with System(settings) as system:
        version = system.secrets.set("a", "1").version_id
        system.secrets.get_many(["a", "b"], refresh=True)
        system.secrets.get_many(["a"])
    records = [json.loads(line) for line in path.read_text().splitlines()]

    found = [
        (one["operation"], one["secret_id"], one["outcome"], one["source"], one["version_id"])
        for one in records
        if one["event"] == "audit" and one["operation"] != "set"
    ]
    assert found == [
        ("get_many", "a", "ok", "backend", version),
        ("get_many", "b", "not_found", "backend", None),
        ("get", "a", "ok", "cache", version),
    ]


# --- the token of what may have happened --------------------------------------------------------------------------


@pytest.mark.parametrize("error", [BackendTimeout("late"), StoreFailure("500"), Throttled("slow")])
def test_an_error_that_leaves_a_write_in_doubt_carries_its_token(
    running: tuple[System, FakeStore], error: Exception
) -> None:
    system, store = running
    store.fail_next(error, operation="set", when="after")

    told = failure(lambda: system.secrets.set("a", "v"))

    assert type(told) is type(error)
    assert told.token  # type: ignore[attr-defined]
    again = system.secrets.set("a", "v", token=told.token)  # type: ignore[attr-defined]
    assert again.created
    assert store.version_ids("a") == (told.token,)  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [AccessDenied("no"), TlsFailed("no"), Overloaded("no")])
def test_an_error_that_leaves_nothing_in_doubt_carries_none(
    running: tuple[System, FakeStore], error: Exception
) -> None:
    system, store = running
    store.fail_next(error, operation="set")

    assert failure(lambda: system.secrets.set("a", "v")).token is None  # type: ignore[attr-defined]


def test_a_read_has_no_token(running: tuple[System, FakeStore]) -> None:
    system, store = running
    store.fail_next(BackendTimeout("late"), times=2)

    assert failure(lambda: system.secrets.ask(GetMany(["a"]))).token is None  # type: ignore[attr-defined]
    assert failure(lambda: system.secrets.get("a")).token is None  # type: ignore[attr-defined]


def test_a_set_told_to_the_actor_gets_a_token_as_well(running: tuple[System, FakeStore]) -> None:
    system, store = running
    system.ref.tell(Set("told", "v"))

    eventually(lambda: store.version_ids("told"))
    assert len(store.version_ids("told")[0]) == 36
