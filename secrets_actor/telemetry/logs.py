"""The door to structlog: makes our logger, whose lines are redacted by the processors of redaction.py.

structlog is heavy and imports asyncio, so it is loaded only with the first event that is to be written. A program whose
logging wants none of our events never loads it.

Rule 1: structlog's global configuration belongs to the host program. Our logger has a chain of its own, which neither
        reads nor changes that.
Rule 2: nothing is logged that has not been through `redact`.
Rule 3: logging never raises into a caller. Events that could not be written are counted.
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
# A rendered line in two parts: the text before its time and the text after it.
Template = tuple[str, str]


class Log:
    """A logger, which writes events with facts: `log.info("audit", operation="get")`. Any thread may use it; it never
    raises."""

    def __init__(self, bind: Callable[[Any], Any], sink: Sink) -> None:
        self._bind, self._sink = bind, sink
        self._bound: Any = None
        self.runs_code_of_others = sink.runs_code_of_others
        self._dropped = 0
        self._problem: str | None = None

    @property
    def dropped(self) -> int:
        """The number of events that could not be written."""
        return self._dropped

    @property
    def problem(self) -> str | None:
        """Why the latest event could not be written; None if it was written."""
        return self._problem

    def drop(self, events: int = 1) -> None:
        """Count events that could not be written."""
        self._dropped += events

    def wants(self, level: int) -> bool:
        """Whether an event of this level (as of `logging`) would be written at all. It never raises."""
        try:
            return self._sink.wants(level)
        except Exception:  # noqa: BLE001 - rule 3; writing the event will fail, too, and be counted
            return True

    def load(self, level: int) -> None:
        """Load structlog now, if an event of this level would be written. That takes a moment. It never raises."""
        if self.wants(level):
            with suppress(Exception):  # rule 3; writing the event will fail, too, and be counted
                self._writer()

    def _writer(self) -> Any:
        if self._bound is None:
            self._bound = self._bind(_Lines(self._sink))  # two threads may both do this; either result will do
        return self._bound

    def debug(self, event: str, /, **facts: object) -> None:
        """Log an event that only developers want. It is written only through the host's logging, if that wants it."""
        self.log(logging.DEBUG, event, **facts)

    def info(self, event: str, /, **facts: object) -> None:
        """Log an event that is as expected."""
        self.log(logging.INFO, event, **facts)

    def warning(self, event: str, /, **facts: object) -> None:
        """Log that something broke and is being mended."""
        self.log(logging.WARNING, event, **facts)

    def error(self, event: str, /, **facts: object) -> None:
        """Log that something is lost."""
        self.log(logging.ERROR, event, **facts)

    def log(self, level: int, event: str, /, **facts: object) -> None:
        """Write *event* at one of the four levels of `logging` that have a method here."""
        self._write(level, event, {_free(name): fact for name, fact in facts.items()})

    def log_at(self, at: str, level: int, event: str, /, **facts: object) -> bool:
        """Write *event* with the time *at*, a text of `stamp`. Return False if that failed."""
        return self._write(level, event, {_free(name): fact for name, fact in facts.items()} | {"timestamp": at})

    def _write(self, level: int, event: str, facts: dict[str, object]) -> bool:
        try:
            if self._sink.wants(level):
                self._writer().log(level, event, **facts)
                self._problem = None
        except Exception as error:  # noqa: BLE001 - rule 3: a stream or a log handler of the host may raise anything
            self._problem = _in_words(error)
            self.drop()
            return False
        return True

    # --- the fast path: the common part of many lines is rendered once ---------------------------------------------

    def template(self, level: int, event: str, /, **facts: object) -> Template:
        """Return the line of *event* without its time. It is rendered as any other, and so it is redacted, too."""
        bound = self._bind(_Kept())
        line = bound.log(level, event, **{_free(name): fact for name, fact in facts.items()}, timestamp=_NO_TIME)
        before, _, after = line.partition(_NO_TIME)  # the time comes first in a line, so no fact is taken for it
        return before, after

    def write(self, level: int, lines: Sequence[str]) -> int:
        """Write *lines*, which were made of templates. Return how many of them were written."""
        try:
            lost = self._sink.write_all(level, lines)
            self._problem = _CUT_SHORT if lost else None
        except Exception as error:  # noqa: BLE001 - rule 3
            lost, self._problem = len(lines), _in_words(error)
        if lost:
            self.drop(lost)
        return len(lines) - lost

    def close(self) -> None:
        """Close what is open, such as a file. An event that comes later opens it again."""
        try:
            self._sink.close()
        except Exception:  # noqa: BLE001 - rule 3; only now the system says that it could not write some earlier lines
            self.drop()


def _in_words(error: Exception) -> str:
    """Return what may be shown of *error*. Of errors that are not ours only the type is, for their text may hold a
    secret; of an `OSError` also the system's text for its number."""
    if isinstance(error, Unheard):
        return str(error)
    return type(error).__name__ + (f": {error.strerror}" if isinstance(error, OSError) and error.strerror else "")


def _free(name: str) -> str:
    """Return *name*, or another name if structlog uses this one itself."""
    return f"{name}_" if name in _TAKEN else name


class _Lines:
    """The logger that structlog calls: it gets each rendered line by the method of its level, and writes it."""

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
    """A logger that structlog calls, and that returns each rendered line to the caller."""

    def info(self, line: str) -> str:
        return line

    debug = warning = error = info


def stamp(at: float) -> str:
    """Return the time *at* (seconds since the epoch) as every line has it: ISO 8601, UTC, to the microsecond."""
    second = int(at)
    return f"{_second(second)}.{int((at - second) * 1e6):06d}Z"


# Nearly all lines of one write are of the same second, or of the next one.
@lru_cache(4)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def make_logger(*, format: Literal["json", "console"], output: str) -> Log:
    """Return a logger of our own. *format* is `json`, one object in each line, or `console`, lines for people, which
    are coloured only on a terminal.

    *output*: with `logging`, each line goes to the standard library's logger `secrets_actor` at its level. With
    `stderr`, or with the path of a file, lines of level INFO and up are written there; the file is appended to, and is
    made with mode 0600. Times are ISO 8601, UTC. Raises `ConfigurationError` for a file that cannot be opened.
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
