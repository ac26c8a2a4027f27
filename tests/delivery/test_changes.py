"""When something of what is wanted has changed, it is told once, with all that is wanted, and at its pace."""

from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import pytest

from secrets_actor import Secrets, System
from secrets_actor.delivery.changes import LOOK, Changes, ChangesFailed, Told
from secrets_actor.delivery.fetching import Fetched, Wanted, fetch
from secrets_actor.delivery.pace import Pace
from secrets_actor.delivery.references import parse_reference
from secrets_actor.errors import ConnectionFailed
from secrets_actor.otp import ChildSpec
from secrets_actor.testing import FakeStore, ManualClock, fake_system, kill, settled
from tests.actor.rig import eventually

PACE = Pace(debounce=2.0, splay=0.0, floor=10.0)
PATIENCE = 10.0
AWAY = ConnectionFailed("away", endpoint="fake")


class Rig:
    """A store, a clock that the test moves, and what was told."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = FakeStore(clock=self.clock)
        self.store.put("db", "one")
        self.store.put("app/a", "a")
        self.told: SimpleQueue[Fetched] = SimpleQueue()
        self.events: list[Any] = []
        self.last = Told()

    @contextmanager
    def running(self, wanted: Wanted, **options: Any) -> Iterator[System]:
        def children(secrets: Secrets) -> list[ChildSpec]:
            def make() -> Changes:
                return Changes(secrets, wanted, PACE, self.told.put, last=self.last, chance=lambda: 0.0, **options)

            return [ChildSpec("changes", make)]

        with fake_system(self.store, observer=self.events.append, children=children) as (system, _):
            self.system = system
            yield system

    def first(self) -> Fetched:
        return self.told.get(timeout=PATIENCE)

    def change(self, name: str, value: str) -> None:
        """Have another program change a secret, and be heard of."""
        self.store.put(name, value)
        self.system.secrets.invalidate(name)
        self.at_rest()

    @property
    def failures(self) -> list[str]:
        return [one.code for one in self.events if isinstance(one, ChangesFailed)]

    def at_rest(self) -> None:
        settled(self.system)

    def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.at_rest()


@pytest.fixture
def rig() -> Rig:
    return Rig()


DB = parse_reference("db")
WANTED = Wanted((DB,))


def test_without_anything_told_all_is_told_at_the_start(rig: Rig) -> None:
    with rig.running(WANTED):
        assert rig.first().text(DB) == "one"
        rig.after(60.0)
        assert rig.told.empty(), "once"


def test_changes_are_told_together_after_the_debounce_and_not_before_the_floor(rig: Rig) -> None:
    with rig.running(Wanted((DB,), ("app/",))):
        rig.first()
        rig.after(20.0)
        rig.change("db", "two")
        rig.change("app/a", "b")
        rig.after(1.9)
        assert rig.told.empty()
        rig.after(0.2)
        found = rig.first()
        assert (found.text(DB), found.below("app/")["app/a"].text()) == ("two", "b")

        rig.change("db", "three")
        rig.after(7.0)
        assert rig.told.empty(), "the floor"
        rig.after(3.0)
        assert rig.first().text(DB) == "three"
        assert rig.told.empty()


def test_what_was_told_before_the_process_began_is_not_told_again_but_a_change_since_is(rig: Rig) -> None:
    with fake_system(rig.store) as (system, _):
        rig.last.fetched = fetch(system.secrets, WANTED)
    with rig.running(WANTED):
        rig.after(60.0)
        assert rig.told.empty()
    rig.store.put("db", "two")
    with rig.running(WANTED):
        rig.at_rest()
        rig.after(2.0)
        assert rig.first().text(DB) == "two"


def test_the_same_versions_are_no_change(rig: Rig) -> None:
    with rig.running(WANTED):
        rig.first()
        rig.after(20.0)
        rig.system.secrets.invalidate("db")
        rig.at_rest()
        rig.after(20.0)
        assert rig.told.empty()


def test_a_store_that_is_away_changes_nothing_is_logged_once_and_is_asked_again(rig: Rig) -> None:
    with rig.running(WANTED, every=5.0):
        rig.first()
        rig.after(20.0)
        rig.store.put("db", "two")
        with rig.store.failing(AWAY):
            for _ in range(5):
                rig.after(6.0)
            assert rig.told.empty()
        eventually(lambda: rig.failures)
        assert rig.failures == [ConnectionFailed.code]
        rig.after(6.0)
        rig.after(2.0)
        assert rig.first().text(DB) == "two"


def test_a_secret_that_is_gone_changes_nothing_and_one_that_comes_below_a_prefix_does(rig: Rig) -> None:
    with rig.running(Wanted((DB,), ("app/",)), every=30.0):
        rig.first()
        rig.system.secrets.delete("db", force=True)
        rig.after(40.0)
        assert rig.told.empty()
        rig.store.put("db", "again")
        rig.store.put("app/new", "n")
        rig.after(30.0)
        rig.after(70.0)
        assert set(rig.first().below("app/")) == {"app/a", "app/new"}


def test_that_a_secret_was_deleted_is_seen_though_no_subscription_hears_of_it(rig: Rig) -> None:
    problems: list[str | None] = []
    with rig.running(WANTED, on_failure=lambda error: problems.append(error and error.code)) as system:
        rig.first()
        system.secrets.delete("db")
        rig.after(LOOK + 1.0)
        assert (rig.failures, problems) == (["missing_secrets"], ["missing_secrets"])
        rig.after(LOOK)
        system.secrets.restore("db")
        rig.after(LOOK)
        assert problems == ["missing_secrets", "missing_secrets", None]
        assert rig.told.empty(), "it is the same version"


def test_the_process_is_started_again_and_tells_what_came_meanwhile_once(rig: Rig) -> None:
    with rig.running(WANTED):
        rig.first()
        kill(rig.system, "changes")
        rig.at_rest()
        rig.after(20.0)
        assert rig.told.empty()
        rig.change("db", "two")
        rig.after(20.0)
        assert rig.first().text(DB) == "two"
        assert rig.told.empty()


def test_the_store_is_asked_every_so_many_seconds(rig: Rig) -> None:
    with rig.running(WANTED, every=5.0):
        rig.first()
        rig.after(10.0)
        rig.store.put("db", "two")
        rig.after(5.0)
        rig.after(5.0)
        assert rig.first().text(DB) == "two"


def test_what_was_found_below_a_prefix_is_heard_of_as_soon_as_what_was_named(rig: Rig) -> None:
    with rig.running(Wanted(prefixes=("app/",))):
        rig.first()
        rig.after(20.0)
        rig.change("app/a", "b")
        rig.after(2.0)
        assert rig.first().below("app/")["app/a"].text() == "b"


def test_another_stage_is_told_as_it_is_after_the_rotation_that_has_moved_it(rig: Rig) -> None:
    previous = parse_reference("db@AWSPREVIOUS")
    rig.store.put("db", "two")
    with rig.running(Wanted((DB, previous))):
        assert rig.first().text(previous) == "one"
        rig.after(20.0)
        rig.store.put("db", "three")
        rig.system.secrets.get("db", refresh=True)  # it is seen, and nobody has said that all is outdated
        rig.at_rest()
        rig.after(2.0)
        found = rig.first()
        assert (found.text(DB), found.text(previous)) == ("three", "two")
