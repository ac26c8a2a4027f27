"""Ctrl-C ends long work with a word on how things stand, wherever it comes."""

import contextlib
import signal

import pytest

from secrets_actor.cli.exit_codes import Interrupted
from secrets_actor.cli.store.progress import attended
from secrets_actor.domain.errors import BackendTimeout


def as_sqlite_does() -> None:
    """It swallows what its callbacks raise, and fails."""
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    raise BackendTimeout("it was interrupted")


def test_an_interrupt_that_was_swallowed_on_the_way_is_still_one() -> None:
    with pytest.raises(Interrupted, match="as it was"), attended("as it was"):
        as_sqlite_does()

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_fails_without_one_fails_as_it_does() -> None:
    with pytest.raises(BackendTimeout, match="late"), attended("as it was"):
        raise BackendTimeout("late")


def test_who_has_been_told_to_ignore_it_does(request: pytest.FixtureRequest) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    done = False
    with attended("as it was"):
        signal.raise_signal(signal.SIGINT)
        done = True

    assert done
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
