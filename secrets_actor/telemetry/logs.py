"""Our logger, and the door to structlog, which renders the lines that we write ourselves.

structlog is heavy and imports asyncio, so it is loaded only with the first line that is to be written. A program whose
own logging gets our events never loads it: those are records with fields, and no lines.

Rule 1: structlog's global configuration belongs to the host program. Our logger has a chain of its own, which neither
        reads nor changes that.
Rule 2: nothing is logged that has not been through `redact`.
Rule 3: logging never raises into a caller. Events that could not be written are counted.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal

from secrets_actor.forks import loading
from secrets_actor.telemetry.redaction import Fact, in_order, printable, redact
from secrets_actor.telemetry.sinks import Facts, HostLogging, LineSink, RecordsDropped, Sink, Template, line_sink_for

_TAKEN: Final = frozenset({"self", "level", "event", "timestamp"})
_NO_TIME: Final = "0000-00-00T00:00:00.000000Z"
_SOME_LOST: Final = "some records could not be written"


class Log:
    """A logger, which writes events with facts: `log.info("audit", operation="get")`. Any thread may use it; it never
    raises."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
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
        """Load now what writing needs, if an event of this level would be written. That takes a moment. It never
        raises."""
        if self.wants(level):
            with suppress(Exception):  # rule 3; writing the event will fail, too, and be counted
                self._sink.load()

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
        self._write(None, level, event, facts)

    def log_at(self, at: float, level: int, event: str, /, **facts: object) -> bool:
        """Write *event* with the time *at* (seconds since the epoch). Return False if that failed."""
        return self._write(at, level, event, facts)

    def _write(self, at: float | None, level: int, event: str, facts: dict[str, object]) -> bool:
        try:
            if self._sink.wants(level):
                self._sink.write(level, printable(event), _shown(facts), at)
                self._problem = None
        except Exception as error:  # noqa: BLE001 - rule 3: a stream or a log handler of the host may raise anything
            self._problem = _in_words(error)
            self.drop()
            return False
        return True

    # --- the fast path: the common part of many events is made once ------------------------------------------------

    def template(self, level: int, event: str, /, **facts: object) -> Template:
        """Return the common part of many events that differ only in their time. It is redacted as any other event."""
        return self._sink.template(level, printable(event), _shown(facts))

    def write(self, level: int, events: Sequence[tuple[Template, float]]) -> int:
        """Write *events*, each a template and its time (seconds since the epoch). Return how many were written."""
        try:
            lost = self._sink.write_all(level, events)
            self._problem = _SOME_LOST if lost else None
        except Exception as error:  # noqa: BLE001 - rule 3
            lost, self._problem = len(events), _in_words(error)
        if lost:
            self.drop(lost)
        return len(events) - lost

    def close(self) -> None:
        """Close what is open, such as a file. An event that comes later opens it again."""
        try:
            self._sink.close()
        except Exception:  # noqa: BLE001 - rule 3; only now the system says that it could not write some earlier lines
            self.drop()


def _in_words(error: Exception) -> str:
    """Return what may be shown of *error*. Of errors that are not ours only the type is, for their text may hold a
    secret; of an `OSError` also the system's text for its number."""
    if isinstance(error, RecordsDropped):
        return str(error)
    return type(error).__name__ + (f": {error.strerror}" if isinstance(error, OSError) and error.strerror else "")


def _shown(facts: dict[str, object]) -> dict[str, Fact]:
    """Return *facts* as they may be shown. A name that the event itself uses, or structlog, is replaced by another."""
    return redact({f"{name}_" if name in _TAKEN else name: fact for name, fact in facts.items()})


class Lines:
    """The sink that renders each event as one line, in the form *format*, and writes it to *lines*."""

    def __init__(self, format: str, lines: LineSink) -> None:
        self._format, self._lines = format, lines
        self._bound: Any = None
        self.runs_code_of_others = lines.runs_code_of_others

    def wants(self, level: int) -> bool:
        """Whether the level is above DEBUG, whose events only developers want."""
        return level > logging.DEBUG

    def load(self) -> None:
        """Load structlog."""
        self._renderer()

    def write(self, level: int, event: str, facts: Facts, at: float | None) -> None:
        """Write one line. Raises any error of the stream."""
        self._lines.write(self._line(level, event, facts, None if at is None else stamp(at)))

    def template(self, level: int, event: str, facts: Facts) -> Template:
        """Return the line without its time: the text before it and the text after it."""
        before, _, after = self._line(level, event, facts, _NO_TIME).partition(_NO_TIME)
        return before, after  # the time comes first in a line, so no fact is taken for it

    def write_all(self, level: int, events: Sequence[tuple[Template, float]]) -> int:  # noqa: ARG002
        """Write one line for each event."""
        return self._lines.write_all([f"{before}{stamp(at)}{after}" for (before, after), at in events])

    def close(self) -> None:
        """Close the file, if there is one."""
        self._lines.close()

    def _line(self, level: int, event: str, facts: Facts, timestamp: str | None) -> str:
        when = {} if timestamp is None else {"timestamp": timestamp}
        line: str = self._renderer().log(level, event, **facts, **when)
        return line

    def _renderer(self) -> Any:
        if self._bound is None:  # two threads may both do this; either result will do
            self._bound = _bound_logger(self._format, self._lines.colours)
        return self._bound


class _Returned:
    """The logger that structlog calls by the method of an event's level. It returns each rendered line."""

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
    """Return a logger of our own.

    *output*: with `logging`, each event is a record of the standard library's logger `secrets_actor`, with its facts as
    fields (log_fields.py). With `stderr`, or with the path of a file, events of level INFO and up are lines there; the
    file is appended to, and is made with mode 0600. *format* is that of the lines: `json`, one object in each line, or
    `console`, lines for people, which are coloured only on a terminal. Times are ISO 8601, UTC. Raises
    `ConfigurationError` for a file that cannot be opened.
    """
    return Log(HostLogging() if output == "logging" else Lines(format, line_sink_for(output)))


def _bound_logger(format: str, colours: bool) -> Any:
    with loading():
        import structlog

    renderer: Any = structlog.processors.JSONRenderer()
    if format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=colours, sort_keys=False)
    wrapped = structlog.wrap_logger(
        _Returned(),
        processors=[
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
