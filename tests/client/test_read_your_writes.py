"""Nobody sees his own past: what a client wrote, or tried to, stands before what the cache has."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from secrets_actor import DeadlineExceeded, SecretNotFound, System
from secrets_actor.actor.messages import Sweep
from secrets_actor.errors import RequestFailed
from secrets_actor.results import SetReceipt
from secrets_actor.testing import FakeStore, ManualClock, fake_system
from tests.actor.rig import RigStore, eventually, failure, in_background, process

SECONDS = 10.0
TOKEN = "33333333-3333-4333-8333-333333333333"


class Busy:
    """A message that keeps the secrets actor busy until it is let go: it comes upon it when it asks what it is."""

    left = None

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    @property
    def __class__(self) -> Any:  # isinstance looks here
        self.begun.set()
        self.go.wait(SECONDS)
        return Sweep


def busy(system: System) -> Busy:
    """The actor, held: its mailbox grows, and nothing in it is done."""
    message = Busy()
    process(system, "secrets").post(message)
    assert message.begun.wait(SECONDS)
    return message


def test_a_get_after_ones_own_unanswered_set_goes_behind_it(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "old")
    rig_store.put("b", "b")
    for name in "ab":
        system.secrets.get(name)
    held = busy(system)
    try:
        assert type(failure(lambda: system.secrets.set("a", "new", timeout=0.0))) is DeadlineExceeded

        assert system.secrets.get("b").source == "cache", "others are as before"
        assert type(failure(lambda: system.secrets.get("a", timeout=0.05))) is DeadlineExceeded
        assert type(failure(lambda: system.secrets.for_caller("x").get("a", timeout=0.05))) is DeadlineExceeded
        getting = in_background(lambda: system.secrets.get("a").reveal())
    finally:
        held.go.set()

    assert getting.result(SECONDS) in ("old", "new")  # the set was given up on before it was begun
    assert system.secrets.get("a").source == "cache", "an answer has shown that the actor had the set"


def test_a_get_of_many_after_ones_own_unanswered_set_goes_behind_it(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "old")
    system.secrets.get("a")
    held = busy(system)
    try:
        failure(lambda: system.secrets.set("a", "new", timeout=0.0))
        assert type(failure(lambda: system.secrets.get_many(["a"], timeout=0.05))) is DeadlineExceeded
    finally:
        held.go.set()


def test_nothing_stale_is_served_behind_ones_own_unanswered_set() -> None:
    """The actor has not had the set yet, so its table still has what was before."""
    clock = ManualClock()
    with fake_system(FakeStore(clock=clock), ttl_seconds=10, ttl_jitter=0, call_timeout_seconds=60) as (system, store):
        store.put("a", "old")
        system.secrets.get("a")
        clock.advance(20)
        held = busy(system)
        try:
            assert system.secrets.get("a", timeout=0.05).stale
            failure(lambda: system.secrets.set("a", "new", timeout=0.0))
            assert type(failure(lambda: system.secrets.get("a", timeout=0.05))) is DeadlineExceeded
        finally:
            held.go.set()


def test_an_answer_to_who_came_first_says_nothing_of_a_write_behind_him(system: System, rig_store: RigStore) -> None:
    """One thread's get is in the mailbox, another's set comes after it: the answer to the get clears nothing."""
    rig_store.put("a", "old")
    system.secrets.get("a")
    hold = rig_store.hold("get", "b")
    rig_store.put("b", "b")
    getting = in_background(lambda: system.secrets.get("b"))
    hold.wait()
    first = busy(system)
    hold.go.set()
    eventually(lambda: len(process(system, "secrets").mailbox) == 1)  # the worker's answer
    second = Busy()
    process(system, "secrets").post(second)
    try:
        failure(lambda: system.secrets.set("a", "new", timeout=0.0))
        first.go.set()
        assert getting.result(SECONDS).reveal() == "b"
        assert second.begun.wait(SECONDS)

        assert type(failure(lambda: system.secrets.get("a", timeout=0.05))) is DeadlineExceeded
    finally:
        first.go.set()
        second.go.set()


def test_what_was_set_is_read_from_memory_and_is_what_the_store_has() -> None:
    with fake_system() as (system, store):
        receipt = system.secrets.set("a", "v")
        found = system.secrets.get("a")

        assert isinstance(receipt, SetReceipt)
        assert (found.source, found.reveal(), found.version_id) == ("cache", "v", receipt.version_id)
        told = system.secrets.get("a", refresh=True)
        assert (told.arn, told.version_id, told.stages, told.value) == (
            found.arn,
            found.version_id,
            found.stages,
            found.value,
        )
        assert system.secrets.get(told.arn).source == "cache"
        assert store.calls == {"set": 1, "get": 1}


def test_a_set_by_a_token_of_the_callers_own_is_not_taken_for_the_present() -> None:
    """The same token twice changes nothing the second time, and somebody else may have set another since."""
    with fake_system() as (system, store):
        system.secrets.set("a", "mine", token=TOKEN)
        store.put("a", "theirs")
        assert system.secrets.get("a").reveal() == "theirs"

        assert system.secrets.set("a", "mine", token=TOKEN).version_id == TOKEN
        assert system.secrets.get("a").reveal() == "theirs"


def test_a_set_that_had_to_be_sent_twice_is_not_taken_for_the_present() -> None:
    with fake_system() as (system, store):
        store.fail_next(RuntimeError("the worker dies"), operation="set", when="after")
        system.secrets.set("a", "v")

        assert system.secrets.get("a").source == "backend"


def test_a_set_that_failed_leaves_nothing_to_read_from_memory() -> None:
    with fake_system() as (system, store):
        system.secrets.set("a", "old")
        store.fail_next(RequestFailed("lost"), operation="set", when="after")
        assert type(failure(lambda: system.secrets.set("a", "new"))) is RequestFailed

        found = system.secrets.get("a")
        assert (found.source, found.reveal()) == ("backend", "new")


def test_of_two_sets_in_a_row_the_first_is_not_taken_for_the_present() -> None:
    with fake_system() as (system, store), ThreadPoolExecutor(2) as callers:
        with store.hold("set") as gate:
            first = callers.submit(system.secrets.set, "a", "1")
            gate.wait_until_held()
            second = callers.submit(system.secrets.set, "a", "2")
            eventually(lambda: process(system, "secrets").open_calls == 2)
        first.result(SECONDS)
        second.result(SECONDS)

        assert system.secrets.get("a").reveal() == "2"


def test_a_delete_is_seen_at_once_and_so_is_a_new_secret_of_that_name() -> None:
    with fake_system() as (system, _):
        system.secrets.set("a", "v")
        system.secrets.delete("a", force=True)
        assert type(failure(lambda: system.secrets.get("a"))) is SecretNotFound
        assert type(failure(lambda: system.secrets.get("a"))) is SecretNotFound
        system.secrets.set("a", "again")

        assert system.secrets.get("a").reveal() == "again"


@pytest.mark.parametrize("label", ["billing", None])
def test_a_labelled_client_is_the_same_client(label: str | None) -> None:
    with fake_system() as (system, _):
        twin = system.secrets.for_caller(label)
        twin.set("a", "v")

        assert system.secrets.get("a").reveal() == "v"
        assert ("for billing" in repr(twin)) == (label is not None)
