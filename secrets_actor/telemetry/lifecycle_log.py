"""Life-cycle events of the kernel: what becomes of them. In the log `ChildRestarted(...)` is `child_restarted` with its
fields.

Rule: events are made in the kernel's threads. They are counted there; whatever may block, which is the log and the
program's own observer, is told by a courier, each by one of its own.
"""

import logging
import re
from collections.abc import Callable, Iterable
from typing import Final

from secrets_actor.clock import now, wall_time
from secrets_actor.domain.callbacks import done
from secrets_actor.domain.metrics import NO_METER, Meter
from secrets_actor.otp import LifecycleEvent, Observer
from secrets_actor.telemetry.courier import Courier
from secrets_actor.telemetry.logs import Log, stamp

# What somebody on call wants to see.
_TROUBLE: Final = ("Forgotten", "Crash", "Fail", "GaveUp", "Disowned", "Restarted", "Skew", "StoreMade")
_LOSS: Final = "Lost"
# Once for every process or job, so of use to developers only.
_ROUTINE: Final = frozenset({"ProcessStarted", "ProcessEnded", "JobStarted"})
_WORD_START: Final = re.compile(r"(?<!^)(?<![A-Z])(?=[A-Z])")


class LifecycleReporter:
    """Writes each event to *log*. For any thread; never raises."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __call__(self, event: object, at: float | None = None, /) -> bool:
        """Write *event*, a frozen Struct, of the time *at* (seconds since the epoch; None: now). False if that
        failed."""
        kind = type(event).__name__
        level = level_of(kind)
        if not self._log.wants(level):
            return True
        try:
            facts = facts_of(event)
        except Exception:  # noqa: BLE001 - a log that fails must not end the process that it tells of
            self._log.drop()
            return False
        return self._log.log_at(stamp(wall_time() if at is None else at), level, event_name(kind), **facts)


class Reports:
    """The observer of a system: has *counter* count, writes to *log*, and tells *observer*, if there is one. For any
    thread; never blocks, never raises."""

    def __init__(self, counter: Observer, log: Log, observer: Observer | None, meter: Meter = NO_METER) -> None:
        self._counter, self._log = counter, log
        self._writes = Courier("log", LifecycleReporter(log), meter)
        self._tells = None if observer is None else Courier("observer", _telling(observer), meter)

    def __call__(self, event: LifecycleEvent, /) -> None:
        """Take note of *event*."""
        self._counter(event)
        if self._log.wants(level_of(type(event).__name__)):  # each job makes one that hardly any log wants
            self._writes.post(event)
        if self._tells is not None:
            self._tells.post(event)

    def from_worker(self, event: LifecycleEvent, /) -> None:
        """Take note of *event*, and load here what the log needs for it. A worker's caller waits for libraries anyway.
        A courier would load it behind everybody's back, and a fork that Python does not hear of would leave it half
        loaded in the child."""
        self._log.load(level_of(type(event).__name__))
        self(event)

    def close(self, patience: float) -> None:
        """Have all that was told delivered, and the log give up what it holds; wait up to *patience* seconds for that.
        What comes later is delivered all the same."""
        end = now() + patience
        if self._tells is not None:
            self._tells.close(patience)
        self._writes.close(end - now(), last=self._log.close)


def _telling(observer: Observer) -> Callable[[LifecycleEvent, float], bool]:
    def tell(event: LifecycleEvent, _at: float) -> bool:
        result: object = observer(event)  # type: ignore[func-returns-value]  # so we are told
        done("observer", result)
        return True

    return tell


def facts_of(event: object) -> dict[str, object]:
    """The fields of a Struct; none for anything else. The log redacts them."""
    names: Iterable[str] = getattr(event, "__struct_fields__", ())
    return {name: getattr(event, name) for name in names}


def event_name(kind: str) -> str:
    """`SupervisorGaveUp` -> `supervisor_gave_up`."""
    return _WORD_START.sub("_", kind).lower()


def level_of(kind: str) -> int:
    """The level of `logging` for an event class."""
    if kind in _ROUTINE:
        return logging.DEBUG
    if _LOSS in kind:
        return logging.ERROR
    if any(word in kind for word in _TROUBLE):
        return logging.WARNING
    return logging.INFO
