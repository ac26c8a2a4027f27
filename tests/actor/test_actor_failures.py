"""The actor and its neighbours may be killed at any moment: reads are asked again, writes say where they are."""

import uuid
from pathlib import Path

import pytest

from secrets_actor import DeadlineExceeded, ServerDown, System
from secrets_actor.domain.operations import Get, Set
from secrets_actor.domain.secret import SecretValue
from secrets_actor.otp import ChildSpec, CountChildren, GenServer, Restart, StartChild, TerminatePid, call
from secrets_actor.results import Source
from tests.actor.rig import (
    RigStore,
    Watch,
    audit_log,
    eventually,
    failure,
    in_background,
    kill,
    process,
    running,
    settings,
    supervisor,
    whole,
    workers,
)


def test_callers_who_wait_for_a_read_get_it_from_the_next_actor(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    hold = rig_store.hold("get")
    getting = [in_background(lambda: system.secrets.get("a").reveal()) for _ in range(4)]
    listing = in_background(system.secrets.list)
    hold.wait()
    eventually(lambda: process(system, "secrets").open_calls >= 4)
    kill(system, "secrets")
    hold.go.set()

    assert [one.result(10) for one in getting] == ["v"] * 4
    assert [info.name for info in listing.result(10)] == ["a"]


def test_a_read_whose_second_actor_dies_too_is_refused(system: System, rig_store: RigStore) -> None:
    hold = rig_store.hold("get")
    getting = in_background(lambda: system.secrets.get("a"))
    hold.wait()
    kill(system, "secrets")
    hold.wait()
    kill(system, "secrets")
    assert type(getting.exception(10)) is ServerDown
    hold.go.set()


@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
def test_a_set_whose_actor_dies_is_refused_with_its_token_and_repeating_it_leaves_one_version(
    system: System, rig_store: RigStore, after: bool
) -> None:
    hold = rig_store.hold("set", after=after)
    setting = in_background(lambda: system.secrets.set("a", "v"))
    hold.wait()
    kill(system, "secrets")
    error = setting.exception(10)
    assert type(error) is ServerDown
    assert error.token is not None
    again = in_background(lambda: system.secrets.set("a", "v", token=error.token))
    hold.go.set()

    assert again.result(10).version_id == error.token
    eventually(lambda: whole(system))
    assert [token for token, _ in rig_store.versions["a"]] == [error.token]


def test_an_operation_given_without_a_token_gets_one_that_survives_the_actor(
    system: System, rig_store: RigStore
) -> None:
    hold = rig_store.hold("set")
    setting = in_background(lambda: system.secrets.ask(Set("a", SecretValue("v"))))
    hold.wait()
    kill(system, "secrets")
    error = setting.exception(10)
    hold.go.set()

    assert type(error) is ServerDown
    assert str(uuid.UUID(error.token)) == error.token


def test_a_set_of_an_earlier_actor_that_ends_late_leaves_nothing_stale_in_the_cache(
    system: System, rig_store: RigStore
) -> None:
    rig_store.put("a", "old")
    sets = rig_store.hold("set")
    setting = in_background(lambda: system.secrets.set("a", "new"))
    sets.wait()
    kill(system, "secrets")
    assert type(setting.exception(10)) is ServerDown
    assert system.secrets.get("a").reveal() == "old"
    assert system.secrets.get("a").source == Source.CACHE

    sets.go.set()
    eventually(lambda: system.secrets.get("a").reveal() == "new")


def test_what_was_read_before_a_late_set_took_effect_is_not_kept_behind_it(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "old")
    sets, gets = rig_store.hold("set"), rig_store.hold("get", after=True)
    setting = in_background(lambda: system.secrets.set("a", "new"))
    late = sets.wait()
    kill(system, "secrets")
    assert type(setting.exception(10)) is ServerDown
    getting = in_background(lambda: system.secrets.get("a").reveal())
    gets.wait()  # it has read the old value
    sets.go.set()
    eventually(late.mailbox_idle)
    eventually(process(system, "secrets").mailbox_idle)
    gets.go.set()

    assert getting.result(10) == "old"
    assert system.secrets.get("a").reveal() == "new"


def test_the_next_actor_takes_over_the_workers_and_the_cache(tmp_path: Path, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    with running(System(settings(tmp_path, max_workers=1), backend=rig_store.factory()), rig_store) as system:
        system.secrets.get("a")
        eventually(lambda: workers(system))
        before = workers(system)
        kill(system, "secrets")

        assert system.secrets.get("a").source == Source.CACHE
        assert system.secrets.get("a", refresh=True).reveal() == "v"
        assert workers(system) == before
        assert rig_store.connections == 1


def test_while_there_is_no_room_for_a_worker_callers_wait_and_are_served_when_there_is(
    tmp_path: Path, rig_store: RigStore
) -> None:
    rig_store.put("a", "v")
    with running(System(settings(tmp_path, max_workers=1), backend=rig_store.factory()), rig_store) as system:
        supervisor_pid = process(system, "workers")
        squatter = call(supervisor_pid, StartChild(ChildSpec("squatter", GenServer, restart=Restart.TEMPORARY)))
        getting = in_background(lambda: system.secrets.get("a").reveal())
        eventually(lambda: system.metrics().value("secrets_actor_pool_queue") == 1, "a job that waits for a worker")
        eventually(process(system, "secrets").mailbox_idle)
        assert call(supervisor_pid, CountChildren()).active == 1, "it has been asked for a worker, and has refused"
        assert not getting.done()
        call(supervisor_pid, TerminatePid(squatter))

        assert getting.result(10) == "v"


def test_the_next_actor_waits_for_a_busy_worker_when_there_can_be_no_other(tmp_path: Path, rig_store: RigStore) -> None:
    rig_store.put("b", "v")
    with running(System(settings(tmp_path, max_workers=1), backend=rig_store.factory()), rig_store) as system:
        hold = rig_store.hold("list")
        listing = in_background(system.secrets.list)
        hold.wait()
        kill(system, "secrets")
        getting = in_background(lambda: system.secrets.get("b").reveal())
        # Longer than the actor's patience with workers that do not come: it asks again, and is told there is no room.
        with pytest.raises(TimeoutError):
            getting.result(1.5)
        hold.go.set()

        assert getting.result(10) == "v"
        assert len(listing.result(10)) == 1


def test_a_worker_that_the_next_actor_hears_nothing_from_is_ended(
    tmp_path: Path, rig_store: RigStore, watch: Watch
) -> None:
    """A whole call's time is what it is given."""
    rig_store.put("b", "v")
    system = System(
        settings(tmp_path, max_workers=1, call_timeout_seconds=0.6), backend=rig_store.factory(), observer=watch
    )
    with running(system, rig_store):
        hold = rig_store.hold("set")
        setting = in_background(lambda: system.secrets.set("a", "v", timeout=20))
        hold.wait()
        kill(system, "secrets")

        assert type(setting.exception(10)) is ServerDown
        assert system.secrets.get("b", timeout=10).reveal() == "v"
        eventually(lambda: watch.count("ProcessDisowned", "worker") == 1)


def test_when_the_timers_die_deadlines_are_kept_by_their_successor(
    tmp_path: Path, rig_store: RigStore, watch: Watch
) -> None:
    system = System(settings(tmp_path, call_timeout_seconds=0.5), backend=rig_store.factory(), observer=watch)
    with running(system, rig_store):
        hold = rig_store.hold("get")
        asked = system.ref.ask(Get("a"), block=False)
        hold.wait()
        kill(system, "timers")

        assert type(failure(lambda: asked.get(timeout=10))) is DeadlineExceeded
        eventually(lambda: watch.count("ProcessDisowned", "worker") == 1, "the end of the worker that hangs")


def test_when_the_audit_dies_no_record_is_lost(tmp_path: Path, rig_store: RigStore) -> None:
    with running(System(settings(tmp_path), backend=rig_store.factory()), rig_store) as system:
        for number in range(30):
            system.secrets.set(f"k{number}", "v")
            if number % 10 == 5:
                kill(system, "audit")
    assert sorted(one["secret_id"] for one in audit_log(tmp_path)) == sorted(f"k{number}" for number in range(30))


@pytest.mark.parametrize("label", ["infra", "core"])
def test_when_a_supervisor_below_the_root_dies_the_tree_is_whole_again(
    system: System, rig_store: RigStore, label: str
) -> None:
    rig_store.put("a", "v")
    system.secrets.get("a")
    killed = supervisor(system, label)
    killed.kill()

    assert system.secrets.get("a", refresh=True).reveal() == "v"
    eventually(lambda: supervisor(system, label) is not killed)
    eventually(lambda: whole(system))


def test_a_supervisor_killed_over_a_busy_worker_is_restarted_when_that_worker_has_ended(
    tmp_path: Path, rig_store: RigStore, watch: Watch
) -> None:
    caller_gave_up: list[object] = []
    system = System(settings(tmp_path), backend=rig_store.factory(), observer=watch, on_give_up=caller_gave_up.append)
    with running(system, rig_store):
        hold = rig_store.hold("set")
        setting = in_background(lambda: system.secrets.set("a", "v"))
        hold.wait()
        supervisor(system, "core").kill()
        assert type(setting.exception(10)) is ServerDown

        assert system.secrets.list() == (), "once the worker was given up: after WORKER_SHUTDOWN"
        assert caller_gave_up == []
        eventually(lambda: watch.count("ChildRestarted", "secrets_actor") == 1)
        assert watch.count("ChildStartFailed") == 0


def test_when_the_root_is_killed_everybody_is_told(tmp_path: Path, rig_store: RigStore) -> None:
    reasons: list[object] = []
    system = System(settings(tmp_path), backend=rig_store.factory(), on_give_up=reasons.append)
    with running(system, rig_store):
        hold = rig_store.hold("get")
        callers = [in_background(lambda k=k: system.secrets.get(k, timeout=30)) for k in "abc"]
        hold.wait()
        supervisor(system, "secrets_actor").kill()

        assert str(system.wait(10)) == "killed"
        assert [str(reason) for reason in reasons] == ["killed"]
        assert {type(caller.exception(10)) for caller in callers} == {ServerDown}
        assert not system.running
        hold.go.set()
