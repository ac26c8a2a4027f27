"""Life-cycle events of the kernel as log events: `ChildRestarted(...)` is `child_restarted` with its fields."""

import logging
import re
from typing import Final

from secrets_actor.records import fields, is_dataclass
from secrets_actor.telemetry.logs import Log

# What somebody on call wants to see.
_TROUBLE: Final = ("Crash", "Fail", "GaveUp", "Disowned", "Restarted", "Skew")
_LOSS: Final = "Lost"
# Once for every process or job, so of use to developers only.
_ROUTINE: Final = frozenset({"ProcessStarted", "ProcessEnded", "JobStarted"})
_WORD_START: Final = re.compile(r"(?<!^)(?<![A-Z])(?=[A-Z])")


class LifecycleReporter:
    """An observer for the kernel that writes each event to *log*. For any thread; never raises."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __call__(self, event: object, /) -> None:
        """Write *event*, a frozen dataclass."""
        kind = type(event).__name__
        level = level_of(kind)
        if not self._log.wants(level):
            return
        try:
            facts = facts_of(event)
        except Exception:  # noqa: BLE001 - whoever observes must not end who acts
            self._log.drop()
        else:
            self._log.log(level, event_name(kind), **facts)


def facts_of(event: object) -> dict[str, object]:
    """The fields of a dataclass; none for anything else. The log redacts them."""
    if not is_dataclass(event):
        return {}
    return {field.name: getattr(event, field.name) for field in fields(event)}


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
