"""The observer of a system: counts the life-cycle events of the kernel, logs them, and passes them to the program's own
observer. In the log, a `ChildRestarted(...)` is the event `child_restarted` with its fields.

Rule: events are made in the threads of processes. They are counted there. The log and the program's observer may block,
so each of them is told by a courier of its own.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Final

from secrets_actor.clock import now, wall_time
from secrets_actor.domain.callbacks import done
from secrets_actor.domain.metrics import NO_METER, Meter
from secrets_actor.log_fields import event_name
from secrets_actor.otp import LifecycleEvent, Observer
from secrets_actor.telemetry.callbacks import FailureReport
from secrets_actor.telemetry.courier import Courier
from secrets_actor.telemetry.logs import Log

# Parts of the names of events that a person on call wants to see: they are warnings.
_TROUBLE: Final = (
    *("Forgotten", "Crash", "Fail", "Refused", "GaveUp", "Disowned", "Restarted"),
    *("Skew", "StoreMade", "NotKept", "NotVerified"),
)
_LOSS: Final = "Lost"  # an event with this in its name is an error
# These come once for every process or job, so they are of use to developers only.
_ROUTINE: Final = frozenset({"ProcessStarted", "ProcessEnded", "JobStarted"})


class LifecycleReporter:
    """A function that writes each event to *log*. Any thread may call it; it never raises."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __call__(self, event: object, at: float | None = None, /) -> bool:
        """Write *event*, a frozen Struct, with the time *at* (seconds since the epoch; None: now). Return False if that
        failed."""
        kind = type(event).__name__
        level = level_of(kind)
        if not self._log.wants(level):
            return True
        try:
            facts = facts_of(event)
        except Exception:  # noqa: BLE001 - a log that fails must not end the thread that writes to it
            self._log.drop()
            return False
        return self._log.log_at(wall_time() if at is None else at, level, event_name(kind), **facts)


class Reports:
    """The observer of a system: it passes each event to *counter*, to *log*, and to *observer*, if there is one. Any
    thread may call it; it never blocks and never raises."""

    def __init__(self, counter: Observer, log: Log, observer: Observer | None, meter: Meter = NO_METER) -> None:
        self._counter, self._log = counter, log
        self._to_log = Courier("log", LifecycleReporter(log), meter)
        self._to_observer = None
        if observer is not None:
            deliver = _delivery_to(observer, FailureReport("observer", self._log_only))
            self._to_observer = Courier("observer", deliver, meter)

    def __call__(self, event: LifecycleEvent, /) -> None:
        """Count *event*, and have it logged and observed."""
        self._counter(event)
        if self._log.wants(level_of(type(event).__name__)):  # each job makes an event that hardly any log wants
            self._to_log.post(event)
        if self._to_observer is not None:
            self._to_observer.post(event)

    def _log_only(self, event: LifecycleEvent, /) -> None:
        """Count *event* and have it logged. It is about the observer, which would fail again."""
        self._counter(event)
        self._to_log.post(event)

    def from_worker(self, event: LifecycleEvent, /) -> None:
        """Do the same with an event of a worker, and before that load here the library that the log needs for it. A
        caller of a worker waits for libraries to be loaded anyway. If the courier's thread loaded it, nobody would wait
        for that, and a fork in the middle that Python does not notice would leave it half loaded in the child."""
        self._log.load(level_of(type(event).__name__))
        self(event)

    def close(self, patience: float) -> None:
        """Have all events delivered and the log closed. Wait up to *patience* seconds for that. Events that come later
        are delivered all the same."""
        end = now() + patience
        if self._to_observer is not None:
            self._to_observer.close(patience)
        self._to_log.close(end - now(), last=self._log.close)


def _delivery_to(observer: Observer, report: FailureReport) -> Callable[[LifecycleEvent, float], bool]:
    def deliver(event: LifecycleEvent, _at: float) -> bool:
        try:
            # An observer is declared to return nothing. One that returns a coroutine is a mistake: `done` closes it.
            result: object = observer(event)  # type: ignore[func-returns-value]
            done("observer", result)
        except BaseException as error:  # noqa: BLE001  # such as SystemExit, which would end only the courier's thread
            report.failed(error)
        else:
            report.worked()
        return True  # the event has reached the observer, whose failures are not ours

    return deliver


def facts_of(event: object) -> dict[str, object]:
    """Return the fields of a Struct by their names; an empty dictionary for anything else. The log redacts them."""
    names: Iterable[str] = getattr(event, "__struct_fields__", ())
    return {name: getattr(event, name) for name in names}


def level_of(kind: str) -> int:
    """Return the level (as of `logging`) for the name of an event class."""
    if kind in _ROUTINE:
        return logging.DEBUG
    if _LOSS in kind:
        return logging.ERROR
    if any(word in kind for word in _TROUBLE):
        return logging.WARNING
    return logging.INFO
