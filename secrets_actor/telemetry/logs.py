"""THE door to structlog (with the processors of `redaction`). structlog is heavy and brings asyncio along, so it is
loaded with the first event that somebody wants to see, and never in a program whose logging wants none.

Rule 1: structlog's global configuration belongs to the host program: ours is a logger with a chain of its own, which
        neither reads nor changes it.
Rule 2: nothing is logged that has not been through `redact`.
Rule 3: logging never raises into a caller. What could not be written is counted.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, Final, Literal

from secrets_actor.forks import loading
from secrets_actor.telemetry.outlets import Outlet, outlet_for
from secrets_actor.telemetry.redaction import in_order, redact

_TAKEN: Final = frozenset({"self", "level", "event", "timestamp"})


class Log:
    """Writes events with facts: `log.info("audit", operation="get")`. For any thread; never raises."""

    def __init__(self, bind: Callable[[], Any], outlet: Outlet) -> None:
        self._bind, self._outlet = bind, outlet
        self._bound: Any = None
        self._lock = threading.Lock()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many events could not be written."""
        return self._dropped

    def drop(self) -> None:
        """Count an event that could not be written."""
        with self._lock:
            self._dropped += 1

    def wants(self, level: int) -> bool:
        """Whether an event of this level (as of `logging`) would be written at all. Never raises."""
        try:
            return self._outlet.wants(level)
        except Exception:  # noqa: BLE001 - rule 3; the event will tell
            return True

    def debug(self, event: str, /, **facts: object) -> None:
        """For developers; written only through the host's logging, when that asks for it."""
        self.log(logging.DEBUG, event, **facts)

    def info(self, event: str, /, **facts: object) -> None:
        """As expected."""
        self.log(logging.INFO, event, **facts)

    def warning(self, event: str, /, **facts: object) -> None:
        """Something broke and is being mended."""
        self.log(logging.WARNING, event, **facts)

    def error(self, event: str, /, **facts: object) -> None:
        """Something is lost."""
        self.log(logging.ERROR, event, **facts)

    def log(self, level: int, event: str, /, **facts: object) -> None:
        """Write *event* at one of the four levels of `logging` that have a method here."""
        try:
            if self._outlet.wants(level):
                if self._bound is None:
                    self._bound = self._bind()  # two threads may both do it: the loggers are equal
                self._bound.log(level, event, **{_free(name): fact for name, fact in facts.items()})
        except Exception:  # noqa: BLE001 - rule 3: whatever a stream or a host's handler raises
            self.drop()


def _free(name: str) -> str:
    """*name*, made another one where structlog has a use for it."""
    return f"{name}_" if name in _TAKEN else name


class _Lines:
    """What structlog takes for a logger: gets each rendered line under its level's name."""

    __slots__ = ("_outlet",)

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    def debug(self, line: str) -> None:
        self._outlet.write(logging.DEBUG, line)

    def info(self, line: str) -> None:
        self._outlet.write(logging.INFO, line)

    def warning(self, line: str) -> None:
        self._outlet.write(logging.WARNING, line)

    def error(self, line: str) -> None:
        self._outlet.write(logging.ERROR, line)


def make_logger(*, format: Literal["json", "console"], output: str) -> Log:
    """A logger of our own. *format*: a JSON object a line, or a line for people, coloured on a terminal only.

    *output*: `logging` hands each line to the standard library's logger `secrets_actor` at its level; `stderr`, or the
    path of a file to append to (made with mode 0600), take INFO and up. Times are ISO 8601, UTC.
    Raises `ConfigurationError` for a file that cannot be opened.
    """
    outlet = outlet_for(output)
    return Log(lambda: _bound_logger(format, outlet), outlet)


def _bound_logger(format: str, outlet: Outlet) -> Any:
    with loading():
        import structlog

    renderer: Any = structlog.processors.JSONRenderer()
    if format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=outlet.colours, sort_keys=False)
    wrapped = structlog.wrap_logger(
        _Lines(outlet),
        processors=[
            redact,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            in_order,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        context_class=dict,
        cache_logger_on_first_use=False,
    )
    return wrapped.bind()
