"""Signal handlers, finalizers and log handlers run in the middle of whatever their thread does, and call us again."""

import contextlib
import gc
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from secrets_actor import SecretsError, System
from secrets_actor.testing import fake_system
from tests.actor.rig import eventually
from tests.interrupts import MEANWHILE, WHAT, CutOff

SECONDS = 120.0
# A prime, so that runs with other first places try other places.
EVERY = 97
LONG_ONES = ("gets_of_many", "a_subscription", "a_configuration", "looks")


def interrupted(what: str, meanwhile: str, every: int, first: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.interrupts", what, meanwhile, str(every), str(first)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.mark.parametrize(("what", "meanwhile"), [("a_set_in_vain", "everything"), ("a_get", "stop")])
def test_no_call_waits_for_the_one_that_it_interrupts(what: str, meanwhile: str) -> None:
    done = interrupted(what, meanwhile, EVERY)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("what", ["a_set_in_vain", "a_start"])
def test_a_call_that_is_cut_off_leaves_nothing(what: str) -> None:
    done = interrupted(what, "cut_off", 7)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("what", WHAT)
def test_at_many_more_places(what: str, meanwhile: str) -> None:
    every = (409 if what in LONG_ONES else 11) if meanwhile != "cut_off" else (101 if what in LONG_ONES else 1)
    done = interrupted(what, meanwhile, every, 5)
    assert done.returncode == 0, done.stderr


# --- real signals -------------------------------------------------------------------------------------------------


class Alarm:
    """Has *handler* called a moment later, somewhere in the middle of what the main thread does then."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def __enter__(self) -> "Alarm":
        self._before = signal.signal(signal.SIGALRM, lambda *_: self._handler())
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    def soon(self, seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Without Python's garbage collector, which runs code of other libraries: what a signal's handler raises in the
    middle of that, Python drops."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def gets_until_it_is_cut_off(system: System, alarm: Alarm, seconds: float) -> None:
    alarm.soon(seconds)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(SecretsError):
            system.secrets.get("a", timeout=5)
    raise AssertionError("what the signal's handler raised was lost")


@pytest.mark.parametrize("seconds", [2.0, pytest.param(30.0, marks=pytest.mark.slow)])
def test_a_stop_in_a_signal_handler_ends_within_its_time(seconds: float) -> None:
    chance, took = random.Random(7), list[float]()

    def terminate() -> None:
        began = time.monotonic()
        system.stop(5)
        took.append(time.monotonic() - began)
        raise CutOff

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with fake_system(ttl_seconds=0) as (system, store), no_collection(), Alarm(terminate) as alarm:
            store.put("a", "v")
            with pytest.raises(CutOff):
                gets_until_it_is_cut_off(system, alarm, chance.uniform(0.001, 0.01))
    assert max(took) < 4.0


@pytest.mark.parametrize("seconds", [2.0, pytest.param(30.0, marks=pytest.mark.slow)])
def test_after_sets_that_were_cut_off_gets_are_answered_from_memory(seconds: float) -> None:
    chance, cut = random.Random(11), 0

    def raises() -> None:
        raise CutOff

    with fake_system() as (system, store), Alarm(raises) as alarm:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                try:
                    alarm.soon(chance.uniform(2e-5, 12e-4))
                    system.secrets.set("a", "v")
                finally:
                    alarm.soon(0)
            except CutOff:
                cut += 1
        assert cut
        system.secrets.set("other", "v")
        system.secrets.get("a")
        store.hold("get")
        for name in ("a", "other"):
            assert system.secrets.get(name).source == "cache"
        # The actor itself may be asking for a worker at this moment.
        eventually(lambda: not [one for one in system.tree().root.walk() if one.open_calls])


def test_a_handler_that_asks_is_answered_wherever_it_interrupts() -> None:
    chance, errors, asked = random.Random(13), list[BaseException](), 0

    def ask() -> None:
        nonlocal asked
        try:
            system.secrets.get("a", refresh=True, timeout=5)
            system.secrets.set("b", "v", timeout=5)
            with system.subscribe("a", lambda _: None):
                system.metrics()
            asked += 1
        except BaseException as error:
            errors.append(error)
        alarm.soon(chance.uniform(1e-4, 2e-3))

    with fake_system(ttl_seconds=0) as (system, store), Alarm(ask) as alarm:
        store.put("a", "v")
        alarm.soon(0.001)
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            system.secrets.get("a")
            system.secrets.set("c", "v")
            system.metrics()
    assert not errors
    assert asked
