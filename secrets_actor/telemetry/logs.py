"""THE door to structlog (with the processors of `redaction`). structlog is heavy and brings asyncio along, so it is
loaded with the first event that somebody wants to see, and never in a program whose logging wants none.

Rule 1: structlog's global configuration belongs to the host program: ours is a logger with a chain of its own, which
        neither reads nor changes it.
Rule 2: nothing is logged that has not been through `redact`.
Rule 3: logging never raises into a caller. What could not be written is counted.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal

from secrets_actor.forks import loading
from secrets_actor.telemetry.redaction import in_order, redact
from secrets_actor.telemetry.sinks import Sink, Unheard, sink_for

_TAKEN: Final = frozenset({"self", "level", "event", "timestamp"})
_NO_TIME: Final = "0000-00-00T00:00:00.000000Z"
_CUT_SHORT: Final = "some lines were cut short"
# A line before its time and after it.
Template = tuple[str, str]


class Log:
    """Writes events with facts: `log.info("audit", operation="get")`. For any thread; never raises."""

    def __init__(self, bind: Callable[[Any], Any], sink: Sink) -> None:
        self._bind, self._sink = bind, sink
        self._bound: Any = None
        self.runs_code_of_others = sink.runs_code_of_others
        self._dropped = 0
        self._problem: str | None = None

    @property
    def dropped(self) -> int:
        """How many events could not be written."""
        return self._dropped

    @property
    def problem(self) -> str | None:
        """Why the latest event could not be written; None if it was."""
        return self._problem

    def drop(self, events: int = 1) -> None:
        """Count events that could not be written."""
        self._dropped += events

    def wants(self, level: int) -> bool:
        """Whether an event of this level (as of `logging`) would be written at all. Never raises."""
        try:
            return self._sink.wants(level)
        except Exception:  # noqa: BLE001 - rule 3; the event will tell
            return True

    def load(self, level: int) -> None:
        """Load what writes an event of this level, if one would be written: it takes a moment. Never raises."""
        if self.wants(level):
            with suppress(Exception):  # rule 3; the event will tell
                self._writer()

    def _writer(self) -> Any:
        if self._bound is None:
            self._bound = self._bind(_Lines(self._sink))  # two threads may both do it: they are equal
        return self._bound

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
        self._write(level, event, {_free(name): fact for name, fact in facts.items()})

    def log_at(self, at: str, level: int, event: str, /, **facts: object) -> bool:
        """Write an *event* of the time *at*, as `stamp` tells it. False if that failed."""
        return self._write(level, event, {_free(name): fact for name, fact in facts.items()} | {"timestamp": at})

    def _write(self, level: int, event: str, facts: dict[str, object]) -> bool:
        try:
            if self._sink.wants(level):
                self._writer().log(level, event, **facts)
                self._problem = None
        except Exception as error:  # noqa: BLE001 - rule 3: whatever a stream or a host's handler raises
            self._problem = _in_words(error)
            self.drop()
            return False
        return True

    # --- the lean path: what many events have in common is rendered once -------------------------------------------

    def template(self, level: int, event: str, /, **facts: object) -> Template:
        """The line of *event* but for its time: rendered as any other, so what may not be shown is not in it."""
        bound = self._bind(_Kept())
        line = bound.log(level, event, **{_free(name): fact for name, fact in facts.items()}, timestamp=_NO_TIME)
        before, _, after = line.partition(_NO_TIME)  # the time comes first
        return before, after

    def write(self, level: int, lines: Sequence[str]) -> int:
        """Write *lines* made of templates; how many of them were written."""
        try:
            lost = self._sink.write_all(level, lines)
            self._problem = _CUT_SHORT if lost else None
        except Exception as error:  # noqa: BLE001 - rule 3
            lost, self._problem = len(lines), _in_words(error)
        if lost:
            self.drop(lost)
        return len(lines) - lost

    def close(self) -> None:
        """Give up what is held, such as an open file; an event that comes later opens it anew."""
        try:
            self._sink.close()
        except Exception:  # noqa: BLE001 - rule 3; what the system could not write it says now, of lines that were counted
            self.drop()


def _in_words(error: Exception) -> str:
    """What may be told of *error*: of a stranger only its type, for its text may hold anything."""
    if isinstance(error, Unheard):
        return str(error)
    return type(error).__name__ + (f": {error.strerror}" if isinstance(error, OSError) and error.strerror else "")


def _free(name: str) -> str:
    """*name*, made another one where structlog has a use for it."""
    return f"{name}_" if name in _TAKEN else name


class _Lines:
    """What structlog takes for a logger: gets each rendered line under its level's name."""

    __slots__ = ("_sink",)

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def debug(self, line: str) -> None:
        self._sink.write(logging.DEBUG, line)

    def info(self, line: str) -> None:
        self._sink.write(logging.INFO, line)

    def warning(self, line: str) -> None:
        self._sink.write(logging.WARNING, line)

    def error(self, line: str) -> None:
        self._sink.write(logging.ERROR, line)


class _Kept:
    """What structlog takes for a logger: gives each rendered line back."""

    def info(self, line: str) -> str:
        return line

    debug = warning = error = info


def stamp(at: float) -> str:
    """The time *at* (seconds since the epoch) as in every line: ISO 8601, UTC, to the microsecond."""
    second = int(at)
    return f"{_second(second)}.{int((at - second) * 1e6):06d}Z"


@lru_cache(4)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def make_logger(*, format: Literal["json", "console"], output: str) -> Log:
    """A logger of our own. *format*: a JSON object a line, or a line for people, coloured on a terminal only.

    *output*: `logging` hands each line to the standard library's logger `secrets_actor` at its level; `stderr`, or the
    path of a file to append to (made with mode 0600), take INFO and up. Times are ISO 8601, UTC.
    Raises `ConfigurationError` for a file that cannot be opened.
    """
    sink = sink_for(output)
    return Log(lambda logger: _bound_logger(format, sink, logger), sink)


def _bound_logger(format: str, sink: Sink, logger: Any) -> Any:
    with loading():
        import structlog

    renderer: Any = structlog.processors.JSONRenderer()
    if format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sink.colours, sort_keys=False)
    wrapped = structlog.wrap_logger(
        logger,
        processors=[
            redact,
            structlog.processors.add_log_level,
            structlog.processors.MaybeTimeStamper(fmt="iso", utc=True),
            in_order,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        context_class=dict,
        cache_logger_on_first_use=False,
    )
    return wrapped.bind()
