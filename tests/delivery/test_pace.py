"""When to act on changes."""

import math

import pytest

from secrets_actor.delivery.pace import LONGEST, Pace, Pending
from secrets_actor.errors import InvalidParameter

PACE = Pace(debounce=2.0, splay=4.0, floor=30.0)


def test_nothing_is_due_while_nothing_has_changed() -> None:
    assert Pending().due(PACE) is None
    assert Pending().changed(100.0, 0.0).dropped().due(PACE) is None
    assert Pending().changed(100.0, 0.0).done(102.0).due(PACE) is None


def test_each_change_puts_the_act_off_but_not_for_ever() -> None:
    pending = Pending().changed(100.0, 0.0)
    assert pending.due(PACE) == 102.0
    assert pending.changed(101.5, 0.9).due(PACE) == 103.5, "the share of the first change stays"

    for tenth in range(1000, 2000):
        pending = pending.changed(tenth / 10, 0.0)

    assert pending.due(PACE) == 100.0 + LONGEST * PACE.debounce


def test_a_random_share_of_the_splay_is_added() -> None:
    assert Pending().changed(100.0, 0.5).due(PACE) == 104.0
    assert Pending().changed(100.0, 1.0).due(PACE) == 106.0


def test_there_is_a_floor_between_two_acts() -> None:
    acted = Pending().changed(100.0, 0.0).done(102.0)

    assert acted.changed(103.0, 0.0).due(PACE) == 132.0
    assert acted.changed(200.0, 0.0).due(PACE) == 202.0
    assert acted.changed(103.0, 0.0).dropped().changed(104.0, 0.0).due(PACE) == 132.0


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf, 86_401.0, True, "2"])
@pytest.mark.parametrize("field", ["debounce", "splay", "floor"])
def test_what_is_no_length_of_time_is_refused(field: str, seconds: object) -> None:
    with pytest.raises(InvalidParameter, match=field):
        Pace(**{field: seconds})  # type: ignore[arg-type]
    assert Pace(0, 0, 0).debounce == 0
