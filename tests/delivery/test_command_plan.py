"""What is done with a command at a signal, a change and its end."""

import signal

import pytest

from secrets_actor.delivery.command_plan import Act, Course, Phase, restarts
from secrets_actor.otp import Restart

NEVER, ALWAYS = Course(Restart.TEMPORARY, grace=10.0), Course(Restart.PERMANENT, grace=10.0)
TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP


def test_a_change_stops_the_command_and_its_end_starts_the_newest_once() -> None:
    course, acts = NEVER.changed()
    assert acts == (Act.STOP,)
    assert course.changed() == (course, ())  # it is being stopped for the one before
    assert course.out_of_grace() == (Act.KILL,)
    assert course.ended(1, now=0.5) is Act.START  # a crash at the same time is no second start


def test_the_end_of_a_grace_that_is_another_commands_kills_nothing() -> None:
    assert ALWAYS.out_of_grace() == ()


def test_term_stops_for_good_and_a_second_one_kills() -> None:
    ending, acts = ALWAYS.signalled(TERM, now=1.0)
    assert acts == (Act.STOP,)
    assert ending.changed() == (ending, ())
    assert ending.signalled(TERM, now=2.0)[1] == (Act.KILL,)
    assert ending.out_of_grace() == (Act.KILL,)
    assert ending.ended(0, now=100.0) is Act.OVER


def test_term_while_it_is_restarted_ends_it_in_the_grace_that_runs() -> None:
    restarting, _ = ALWAYS.changed()
    ending, acts = restarting.signalled(TERM, now=1.0)
    assert (ending.phase, acts) == (Phase.ENDING, ())
    assert ending.ended(-TERM, now=2.0) is Act.OVER


def test_other_signals_are_handed_on_and_an_end_by_them_is_for_good() -> None:
    told, acts = ALWAYS.signalled(HUP, now=1.0)
    assert acts == (Act.SEND,)
    assert told.ended(-HUP, now=99.0) is Act.OVER
    assert told.ended(-signal.SIGSEGV, now=99.0) is Act.ENDED


def test_an_end_soon_after_an_interrupt_is_for_good_and_one_much_later_is_not() -> None:
    told, acts = ALWAYS.signalled(INT, now=1.0)
    assert acts == (Act.SEND,)
    assert told.ended(1, now=10.0) is Act.OVER
    assert told.ended(1, now=12.0) is Act.ENDED
    assert told.changed()[0].ended(1, now=10.0) is Act.OVER
    assert told.changed()[0].ended(1, now=12.0) is Act.START


@pytest.mark.parametrize(
    ("restart", "status", "again"),
    [
        (Restart.TEMPORARY, 1, False),
        (Restart.TRANSIENT, 0, False),
        (Restart.TRANSIENT, 1, True),
        (Restart.TRANSIENT, -9, True),
        (Restart.PERMANENT, 0, True),
    ],
)
def test_an_end_by_itself_is_decided_as_in_otp(restart: Restart, status: int, again: bool) -> None:
    assert restarts(restart, status) is again
    assert Course(restart, grace=1.0).ended(status, now=5.0) is (Act.ENDED if again else Act.OVER)
