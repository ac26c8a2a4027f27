"""Get, set, delete, restore and list through the whole tree, on the encrypted local store."""

import threading
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from secrets_actor import (
    DeadlineExceeded,
    InvalidParameter,
    Overloaded,
    SecretDeleted,
    SecretExists,
    SecretNotFound,
    System,
)
from secrets_actor.errors import InvalidSecretName, InvalidSecretValue
from secrets_actor.results import Source
from tests.actor.rig import RigStore, audit_log, eventually, failure, in_background, process, running, settings


def test_what_was_set_is_got_and_listed_until_it_is_deleted_and_again_when_restored(local: System) -> None:
    secrets = local.secrets
    receipt = secrets.set("db/password", "hunter2", description="of the database")

    secret = secrets.get("db/password")
    assert (secret.reveal(), secret.version_id, secret.source) == ("hunter2", receipt.version_id, Source.CACHE)
    assert [(info.name, info.description) for info in secrets.list()] == [("db/password", "of the database")]

    gone = secrets.delete("db/password", recovery_window=7)
    assert gone.name == "db/password"
    assert type(failure(lambda: secrets.get("db/password"))) is SecretDeleted
    assert secrets.list() == ()
    assert [info.deleted_at for info in secrets.list(include_deleted=True)] == [gone.deletion_date - timedelta(days=7)]

    assert secrets.restore("db/password").name == "db/password"
    assert secrets.get("db/password").reveal() == "hunter2"

    secrets.delete("db/password", force=True)
    assert type(failure(lambda: secrets.get("db/password"))) is SecretNotFound


def test_bytes_json_and_older_versions_come_back_as_they_went_in(local: System) -> None:
    first = local.secrets.set("a", b"\x00\xff")
    second = local.secrets.set("a", '{"user": "u"}')

    assert local.secrets.get("a").json() == {"user": "u"}
    assert local.secrets.get("a", version_id=first.version_id).reveal() == b"\x00\xff"
    assert local.secrets.get("a", stage="AWSPREVIOUS").version_id == first.version_id
    assert (first.created, second.created) == (True, False)


def test_a_set_may_be_repeated_with_its_token_and_changes_nothing(local: System) -> None:
    token = str(uuid.uuid4())
    receipts = [local.secrets.set("a", "v", token=token) for _ in range(3)]

    assert {receipt.version_id for receipt in receipts} == {token}
    assert type(failure(lambda: local.secrets.set("a", "other", token=token))) is SecretExists


def test_a_second_get_is_a_cache_hit_in_the_callers_own_thread(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    first, second = system.secrets.get("a"), system.secrets.get("a")

    assert (first.source, second.source) == (Source.BACKEND, Source.CACHE)
    assert second.age >= 0.0
    assert rig_store.count("get") == 1

    process(system, "secrets").kill()  # nobody is asked, so nobody need be there
    assert system.secrets.get("a").source == Source.CACHE


def test_a_refresh_asks_the_store_and_renews_the_cache(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "old")
    system.secrets.get("a")
    rig_store.put("a", "new")

    assert system.secrets.get("a").reveal() == "old"
    assert system.secrets.get("a", refresh=True).reveal() == "new"
    assert system.secrets.get("a").reveal() == "new"
    assert rig_store.count("get") == 2


def test_an_entry_that_has_outlived_its_ttl_is_fetched_anew(tmp_path: Path, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    with running(System(settings(tmp_path, ttl_seconds=0), backend=rig_store.factory()), rig_store) as system:
        system.secrets.get("a")
        assert system.secrets.get("a").source == Source.BACKEND
    assert rig_store.count("get") == 2


def test_a_set_a_delete_and_a_refusal_each_drop_the_cached_value(system: System, rig_store: RigStore) -> None:
    system.secrets.set("a", "1")
    system.secrets.get("a")
    system.secrets.set("a", "2")
    assert system.secrets.get("a").reveal() == "2"

    system.secrets.delete("a")
    assert type(failure(lambda: system.secrets.get("a"))) is SecretNotFound

    system.secrets.set("a", "3")
    assert system.secrets.get("a").reveal() == "3"
    rig_store.versions.clear()
    assert type(failure(lambda: system.secrets.get("a", refresh=True))) is SecretNotFound
    assert type(failure(lambda: system.secrets.get("a"))) is SecretNotFound, "never stale on a refusal"


def test_bad_input_is_refused_in_the_callers_thread_and_reaches_nobody(system: System, rig_store: RigStore) -> None:
    secrets = system.secrets

    assert type(failure(lambda: secrets.get("no spaces"))) is InvalidSecretName
    assert type(failure(lambda: secrets.set("a", ""))) is InvalidSecretValue
    assert type(failure(lambda: secrets.set("a", "v", token="short"))) is InvalidParameter
    assert type(failure(lambda: secrets.delete("a", recovery_window=3))) is InvalidParameter
    assert type(failure(lambda: secrets.get("a", stage=["x"]))) is InvalidParameter  # type: ignore[arg-type]
    assert rig_store.seen == []


def test_each_operation_leaves_one_audit_record(tmp_path: Path, rig_store: RigStore) -> None:
    with running(System(settings(tmp_path), backend=rig_store.factory()), rig_store) as system:
        token = system.secrets.set("a", "v").version_id
        system.secrets.get("a")
        system.secrets.get("a", refresh=True)
        failure(lambda: system.secrets.get("missing"))
        failure(lambda: system.secrets.get("missing"))
        system.secrets.list()
        system.secrets.delete("a")
    failure(lambda: system.secrets.get("a"))
    failure(lambda: system.secrets.set("a", "v"))
    system.start()
    eventually(lambda: len(audit_log(tmp_path)) == 9, "nine records")
    system.stop()

    told = [(one["operation"], one["secret_id"], one["outcome"], one["source"]) for one in audit_log(tmp_path)]
    assert told == [
        ("set", "a", "ok", "backend"),
        ("get", "a", "ok", "cache"),
        ("get", "a", "ok", "backend"),
        ("get", "missing", "not_found", "backend"),
        ("get", "missing", "not_found", "cache"),
        ("list", None, "ok", "backend"),
        ("delete", "a", "ok", "backend"),
        ("get", "a", "server_down", "client"),
        ("set", "a", "server_down", "client"),
    ]
    assert [one["version_id"] for one in audit_log(tmp_path)[:3]] == [token] * 3


def test_more_callers_than_may_wait_are_refused_at_once_and_cache_hits_are_not(
    tmp_path: Path, rig_store: RigStore
) -> None:
    rig_store.put("cached", "v")
    with running(System(settings(tmp_path, max_pending=3), backend=rig_store.factory()), rig_store) as system:
        system.secrets.get("cached")
        hold = rig_store.hold("get")
        waiting = [in_background(lambda name=name: system.secrets.get(name)) for name in ("a", "a", "b")]
        eventually(lambda: process(system, "secrets").open_calls == 3, "three callers")

        assert type(failure(lambda: system.secrets.get("c"))) is Overloaded
        assert system.secrets.get("cached").reveal() == "v"

        hold.go.set()
        assert [type(one.exception(10)) for one in waiting] == [SecretNotFound] * 3
        assert type(failure(lambda: system.secrets.get("c"))) is SecretNotFound, "there is room again"


def test_those_who_gave_up_make_room_when_their_flight_is_sent_once_more(tmp_path: Path, rig_store: RigStore) -> None:
    rig_store.put("b", "v")
    with running(System(settings(tmp_path, max_pending=2), backend=rig_store.factory()), rig_store) as system:
        hold = rig_store.hold("get", "a")
        hasty = in_background(lambda: system.secrets.get("a", timeout=0.2))
        hold.wait()
        patient = in_background(lambda: system.secrets.get("a"))
        assert type(hasty.exception(10)) is DeadlineExceeded
        hold.wait()  # sent once more, for the patient one

        assert system.secrets.get("b").reveal() == "v"
        hold.go.set()
        assert type(patient.exception(10)) is SecretNotFound


@pytest.mark.parametrize("threads", [16])
def test_many_threads_that_ask_for_one_missing_key_cause_one_call(
    system: System, rig_store: RigStore, threads: int
) -> None:
    rig_store.put("a", "v")
    hold = rig_store.hold("get")
    start = threading.Barrier(threads)

    def ask() -> object:
        start.wait(10)
        return system.secrets.get("a").reveal()

    answers = [in_background(ask) for _ in range(threads)]
    hold.wait()
    eventually(lambda: process(system, "secrets").open_calls == threads, "all callers")
    hold.go.set()

    assert [one.result(10) for one in answers] == ["v"] * threads
    assert rig_store.count("get") == 1


def test_a_refresh_does_not_join_a_get_that_has_taken_off(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "old")
    hold = rig_store.hold("get", after=True)
    plain = in_background(lambda: system.secrets.get("a").reveal())
    hold.wait()
    rig_store.put("a", "new")
    fresh = in_background(lambda: system.secrets.get("a", refresh=True).reveal())
    hold.wait()
    hold.go.set()

    assert (plain.result(10), fresh.result(10)) == ("old", "new")


def test_an_older_answer_that_comes_after_a_refresh_does_not_take_its_place(
    system: System, rig_store: RigStore
) -> None:
    rig_store.put("a", "old")
    hold = rig_store.hold("get", after=True)
    plain = in_background(lambda: system.secrets.get("a").reveal())
    hold.wait()
    rig_store.put("a", "new")
    rig_store.holds.remove(hold)  # the next one passes
    assert system.secrets.get("a", refresh=True).reveal() == "new"
    hold.go.set()
    assert plain.result(10) == "old"

    assert system.secrets.get("a").reveal() == "new"
