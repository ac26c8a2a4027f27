"""The hunt: collects everything that can be read of a running program, and looks for canaries in it.

Rule 1: everything is collected as it happens and searched at the end, for some canaries (a server's keys) are only
        known later.
Rule 2: a frame of the test is the user's: it may hold what the user gave. Every other frame is searched, ours and those
        of libraries, with its locals.
Rule 3: loggers of boto3, which is the test's own, are left out; all others are at DEBUG.
"""

import contextlib
import gc
import json
import logging
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from secrets_actor import System
from secrets_actor.extras.opentelemetry import Tracing
from secrets_actor.extras.prometheus import SystemCollector
from tests.canaries.canary_forms import forms
from tests.log_records import fields_of
from tests.tallies import SEARCHED

TESTS: Final = str(Path(__file__).resolve().parents[1])
NOT_OURS: Final = ("botocore", "boto3", "urllib3", "s3transfer")
# Instances of these packages' classes are asked for their repr, wherever they are.
SHOWN_PACKAGES: Final = frozenset({"secrets_actor", "pykka"})

# The types that a field of a log record may have.
PLAIN: Final = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Leak:
    """A canary that was found: *what* it is, in which *form*, *where*, and a little of what stands around it."""

    what: str
    form: str
    where: str
    around: str


class _Handler(logging.Handler):
    def __init__(self, hunt: "Hunt") -> None:
        super().__init__(logging.NOTSET)
        self._hunt = hunt

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(NOT_OURS):
            return
        self._hunt.log_record(record)


class Hunt:
    """Context manager: all loggers at DEBUG, the hooks for lost exceptions taken over."""

    def __init__(self) -> None:
        self._canaries: dict[str, dict[bytes, str]] = {}
        self._texts: dict[bytes, str] = {}  # and where it was seen first
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider)

    # --- planting -----------------------------------------------------------------------------------------------

    def plant(self, what: str, secret: str | bytes) -> None:
        """From now on *secret* must not be found anywhere."""
        self._canaries[what] = forms(secret)

    # --- collecting ---------------------------------------------------------------------------------------------

    def text(self, kind: str, where: str, text: str | bytes) -> None:
        """Look at *text*, one of a *kind* that is counted."""
        raw = text.encode(errors="backslashreplace") if isinstance(text, str) else text
        with self._lock:
            self.counts["texts"] += 1
            self.counts["bytes"] += len(raw)
            self.counts[kind] += 1
            self._texts.setdefault(raw, f"{kind}: {where}")

    def log_record(self, record: logging.LogRecord) -> None:
        """Look at a record: its message, its arguments, its fields, its exception."""
        where = f"{record.name} {record.levelname}"
        self.text(f"log_of_{record.name.partition('.')[0]}", where, record.getMessage())
        self.text("log record", where, repr(record.__dict__))
        for name, fact in fields_of(record).items():
            # A formatter of the program shows a field as it likes. An object could show it what its repr hides.
            parts = fact if isinstance(fact, list) else [fact]
            self.counts["log fields with objects"] += any(type(part) not in PLAIN for part in parts)
            self.text("log field", f"{where} {name}", str(fact))
        if record.exc_info and record.exc_info[1] is not None:
            self.error(where, record.exc_info[1])

    def error(self, where: str, error: BaseException, *, locals_too: bool = True) -> None:
        """Look at an exception, at all that it came from, and (with *locals_too*) at the locals of their frames."""
        seen: set[int] = set()
        waiting: list[BaseException | None] = [error]
        while waiting:
            one = waiting.pop()
            if one is None or id(one) in seen:
                continue
            seen.add(id(one))
            for shown in (str(one), repr(one), repr(one.args), repr(one.__dict__), repr(getattr(one, "__notes__", ""))):
                self.text("error", f"{where}: {type(one).__name__}", shown)
            if locals_too:
                self._frames(f"{where}: {type(one).__name__}", one)
            waiting += [one.__cause__, one.__context__]
            if isinstance(one, BaseExceptionGroup):
                waiting += one.exceptions

    def _frames(self, where: str, error: BaseException) -> None:
        told = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=True)
        told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith(TESTS)]
        told.__cause__ = told.__context__ = None  # looked at for themselves
        self.text("traceback", where, "".join(told.format()))
        with self._lock:
            self.counts["frames"] += len(told.stack)

    def attempt(self, where: str, call: Callable[[], Any]) -> Any:
        """What *call* returns, looked at."""
        try:
            returned = call()
        except BaseException as error:
            self.error(where, error)
            raise
        for shown in (repr(returned), str(returned), f"{returned}"):
            self.text("answer", where, shown)
        return returned

    def failure(
        self, where: str, expected: type[BaseException], call: Callable[[], object], *, locals_too: bool = True
    ) -> None:
        """Look at the exception that *call* raises, which must be *expected*.

        *locals_too* is false where a value is given as something else, such as a name: no text may repeat it, but no
        frame can know what it is.
        """
        try:
            call()
        except expected as error:
            self.error(where, error, locals_too=locals_too)
            if not locals_too:
                error.__traceback__ = None  # not to be met again among the objects
        else:
            raise AssertionError(f"{where}: no {expected.__name__}")

    def objects(self, where: str, system: System) -> None:
        """Look at how the system shows itself, and all instances of our classes that there are."""
        tree = system.tree()
        for shown in (
            str(tree),
            repr(tree),
            repr(msgspec.to_builtins(tree, enc_hook=repr)),
            repr(vars(system)),
            repr(vars(system.ref)),
        ):
            self.text("system", where, shown)
        self.text("metrics", where, repr(system.metrics()))
        self.text("metrics", where, json.dumps([str(one) for one in SystemCollector(system).collect()]))
        self.spans(where)
        for thread in threading.enumerate():
            self.text("thread", where, repr(thread))
        gc.collect()  # only what somebody still holds
        gc.unfreeze()  # what was there before the first test, too (see tests/conftest.py)
        objects = gc.get_objects()
        gc.freeze()
        for found in objects:
            kind = type(found)
            # Cython (in httptools) makes types whose `__module__` is a descriptor.
            if str(kind.__module__).partition(".")[0] not in SHOWN_PACKAGES:
                continue
            try:
                shown = repr(found), str(found), f"{found}"
            except AttributeError:  # another thread is just making it
                self.counts["half made"] += 1
                continue
            for text in shown:
                self.text("object", f"{where}: {kind.__module__}.{kind.__qualname__}", text)
            if isinstance(found, BaseException):  # its frames were a worker's, and are gone when it is
                self.error(f"{where}: kept {kind.__qualname__}", found, locals_too=False)

    def spans(self, where: str) -> None:
        """Look at the spans of systems that `tracing` was given to."""
        for span in self._exporter.get_finished_spans():
            self.text("span", where, span.to_json())
        self._exporter.clear()

    def files(self, folder: Path, *besides: Path) -> None:
        """Look into all files below *folder*, but not those that were planted."""
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path not in besides:
                self.counts["files"] += 1
                self.text("file", str(path), path.name.encode() + b"\n" + path.read_bytes())

    # --- the end ------------------------------------------------------------------------------------------------

    def leaks(self) -> list[Leak]:
        """All that was found."""
        texts = list(self._texts.items())
        everything = b"\0".join(raw for raw, _ in texts)
        suspects = [
            (what, form, name)
            for what, all_forms in self._canaries.items()
            for form, name in all_forms.items()
            if form in everything
        ]
        return [
            Leak(what, name, where, _around(raw, form))
            for what, form, name in suspects
            for raw, where in texts
            if form in raw
        ]

    def nothing_was_found(self, **at_least: int) -> None:
        """Fail if a canary was found, or if too little was searched: *at_least* so many of each kind."""
        SEARCHED.update(self.counts)
        assert self.counts["half made"] < 10, "objects of ours that cannot be shown"
        assert not self.counts["log fields with objects"], "log records of ours must hold only texts and numbers"
        found = self.leaks()
        places = {(leak.what, leak.where): leak for leak in found}.values()
        assert not found, f"{len(found)} finds:\n" + "\n".join(map(str, places))
        for kind, wanted in at_least.items():
            seen = self.counts[kind]
            assert seen >= wanted, f"only {seen} of {kind} searched, not {wanted}: {self.counts}"

    # --- traps --------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        handler, root = _Handler(self), logging.getLogger()
        self._stack.enter_context(_level(root, logging.DEBUG))
        for name in ("secrets_actor", "pykka", "httpx", "httpcore", "asyncio", "concurrent.futures"):
            self._stack.enter_context(_level(logging.getLogger(name), logging.DEBUG))
        for name in NOT_OURS:
            self._stack.enter_context(_level(logging.getLogger(name), logging.CRITICAL))
        root.addHandler(handler)
        self._stack.callback(root.removeHandler, handler)
        self._stack.enter_context(_replaced(threading, "excepthook", self._lost_in_thread))
        self._stack.enter_context(_replaced(sys, "unraisablehook", self._unraisable))
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def _lost_in_thread(self, lost: threading.ExceptHookArgs) -> None:
        with self._lock:
            self.counts["lost in threads"] += 1
        if lost.exc_value is not None:
            self.error(f"thread {lost.thread}", lost.exc_value)

    def _unraisable(self, lost: Any) -> None:
        self.text("unraisable", str(lost.err_msg), repr(lost.object))
        if lost.exc_value is not None:
            self.error("unraisable", lost.exc_value)


def _around(raw: bytes, form: bytes) -> str:
    at = raw.index(form)
    return repr(raw[max(0, at - 60) : at + 20])


@contextlib.contextmanager
def _level(logger: logging.Logger, level: int) -> Iterator[None]:
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _replaced(holder: Any, name: str, hook: Any) -> Iterator[None]:
    before = getattr(holder, name)
    setattr(holder, name, hook)
    try:
        yield
    finally:
        setattr(holder, name, before)
