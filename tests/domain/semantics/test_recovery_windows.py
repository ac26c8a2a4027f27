"""When a recovery window has ended: two looks at the clock have said so, an hour apart."""

from datetime import timedelta

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import SecretDeleted, SecretNotFound
from secrets_actor.domain.semantics import Look, agreed, next_first, perform
from tests.domain.semantics.rig import NOW, Rig

FIRST = Look(NOW, 1000.0)


@pytest.mark.parametrize(
    ("now", "ended"),
    [
        (Look(NOW + timedelta(seconds=3599), 4599.0), False),
        (Look(NOW + timedelta(seconds=3600), 4600.0), True),
        (Look(NOW + timedelta(days=31), 1060.0), False),  # the wall clock leapt on
        (Look(NOW - timedelta(seconds=1), 9999.0), False),  # it was set back
        (Look(NOW, 9999.0), True),
        (Look(NOW + timedelta(days=1), 999.0), False),  # up for a quarter of an hour
        (Look(NOW + timedelta(days=1), 0.0), False),
    ],
)
def test_two_looks_agree_that_lie_an_hour_apart_by_the_clock_that_nobody_sets(now: Look, ended: bool) -> None:
    assert agreed(FIRST, now) == (NOW if ended else None)
    assert next_first(FIRST, now, overdue=False) is None


def test_after_a_restart_the_time_since_then_counts() -> None:
    late = Look(NOW, 80_000.0)

    assert agreed(late, Look(NOW + timedelta(days=1), 3599.0)) is None
    assert agreed(late, Look(NOW + timedelta(days=1), 3600.0)) == NOW


def test_the_first_look_is_the_one_before_which_none_was_right() -> None:
    assert agreed(None, FIRST) is None
    assert next_first(None, FIRST, overdue=True) is FIRST
    assert next_first(FIRST, Look(NOW, 1001.0), overdue=True) is FIRST
    back = Look(NOW - timedelta(days=31), 1001.0)
    assert next_first(FIRST, back, overdue=True) is back
    later = Look(NOW + timedelta(days=1), 90_000.0)
    assert next_first(FIRST, later, overdue=True) is later, "for what has ended since"


def test_a_secret_is_there_until_its_window_has_ended_for_sure() -> None:
    rig = Rig()
    rig.ask(ops.Set("a", "v"))
    rig.ask(ops.Delete("a", 7))
    ends = rig.now + timedelta(days=7)
    rig.later(days=8)

    def ask(operation: ops.Operation[object], over: object) -> object:
        given = {"new_id": "x", "recovery_window": 7, "choose": lambda below: 0, "over": over}
        return perform(rig.records, operation, rig.now, **given)  # type: ignore[arg-type]

    before = ends - timedelta(seconds=1)
    with pytest.raises(SecretDeleted):
        ask(ops.Get("a"), before)
    with pytest.raises(SecretDeleted):
        ask(ops.Set("a", "another"), before)
    assert [one.name for one in ask(ops.List(include_deleted=True), before)] == ["a"]  # type: ignore[attr-defined]
    with pytest.raises(SecretNotFound):
        ask(ops.Get("a"), ends)
    assert ask(ops.List(include_deleted=True), ends) == ()
    ask(ops.Set("b", "v"), ends)
    assert [one.name for one in rig.records.every()] == ["b"]


def test_a_window_that_begins_at_a_clock_that_is_behind_is_counted_from_the_last_change() -> None:
    rig = Rig()
    rig.ask(ops.Set("a", "v"))
    changed = rig.now
    rig.later(days=-20_000)

    assert rig.ask(ops.Delete("a", 7)).deletion_date == changed + timedelta(days=7)
