"""Failures of the program's callbacks: the observer, the tracer, and `on_give_up` may raise, or return a coroutine that
nobody would await. Neither spoils what the system is doing, but both are told.

Rule: an observer and a tracer are called very often. Of failures in a row only the first is told, and the next after
the callback has worked again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from secrets_actor.domain.callbacks import done
from secrets_actor.domain.tracing import CallTrace, Tracer
from secrets_actor.otp import LifecycleEvent, Observer

T = TypeVar("T")
_SYSTEM: Final = "secrets_actor"  # the label of the tree's root: these callbacks belong to the whole system


class CallbackFailed(LifecycleEvent, frozen=True):
    """The life-cycle event of a callback that failed. `callback` is `on_give_up`, `observer` or `tracer`.

    `error_type` is the name of the exception's type; `InvalidParameter` if the callback returned a coroutine. Of the
    failures of an observer or a tracer in a row, only the first has an event. An observer is not told of its own.
    """

    callback: str
    error_type: str


class FailureReport:
    """Tells *report* when the callback *name* begins to fail. Any thread may use it."""

    def __init__(self, name: str, report: Observer) -> None:
        self._name, self._report = name, report
        self._failing = False

    def failed(self, error: BaseException) -> None:
        """Note that the callback has raised *error*."""
        if not self._failing:
            self._failing = True  # two threads may both come here: then there are two events, which does no harm
            self._report(CallbackFailed(_SYSTEM, self._name, type(error).__name__))

    def worked(self) -> None:
        """Note that the callback has worked."""
        self._failing = False


class ReportedTracer:
    """A tracer that does what *tracer* does, and tells *report* when that begins to fail."""

    def __init__(self, tracer: Tracer, report: Observer) -> None:
        self._tracer = tracer
        self._begins, self._ends = FailureReport("tracer", report), FailureReport("tracer", report)

    def begin(self, trace: CallTrace) -> Callable[[], object]:
        """Call the tracer's `begin`. Raises what that raises."""
        finish = _watched(self._begins, lambda: self._tracer.begin(trace))
        return lambda: _watched(self._ends, finish)


def _watched(report: FailureReport, call: Callable[[], T]) -> T:
    # Only `Exception`: this is the thread of a caller, and a signal handler of the program may raise anything there.
    try:
        result = done("tracer", call())
    except Exception as error:
        report.failed(error)
        raise
    report.worked()
    return result
