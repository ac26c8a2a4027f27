"""Exit reasons: why a process ended, as its supervisor, its monitors and its waiting callers see it. PURE.

A reason can be pickled. The pickle has what the reason's text says, and no more: no exception of a program's and no
traceback, which may hold secrets.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self

from msgspec import Struct

from secrets_actor.pickling import PortableError, is_plain
from secrets_actor.structs import SelectiveStruct

# How many characters of the text of an exception go into a reason.
MAX_TEXT: Final = 1000


def _text(thing: object) -> str:
    """Return the text of *thing*. Its `__str__` may be anybody's code, and an exception in there must not end us."""
    try:
        return str(thing)
    except BaseException:  # noqa: BLE001
        return f"<{type(thing).__name__} that cannot be printed>"


def _portable(thing: object) -> object:
    """Return *thing* if it can be in a pickle, else its text, which the text of the reason shows as well."""
    return thing if isinstance(thing, (ExitReason, PortableError)) or is_plain(thing) else _text(thing)


def _printed(error: BaseException) -> str:
    import traceback  # only for a crash

    try:
        return "".join(traceback.format_exception(error))
    except BaseException:  # noqa: BLE001
        return ""


class ExitReason:
    """The base class of all reasons."""

    __slots__ = ()

    @property
    def expected(self) -> bool:
        """Whether an end with this reason is no failure: normal, shutdown, or shutdown with a detail. A transient child
        is then not restarted."""
        return False

    def __repr__(self) -> str:
        return f"<ExitReason: {self}>"

    def __deepcopy__(self, _memo: object) -> Self:
        return self  # it cannot be changed


class Plain(ExitReason, Struct, frozen=True):
    """A reason that is only a word."""

    word: str

    @property
    def expected(self) -> bool:
        return self.word in ("normal", "shutdown")

    def __str__(self) -> str:
        return self.word


class Shutdown(ExitReason, Struct, frozen=True):
    """An orderly end with a detail, as Erlang's `{shutdown, Detail}`."""

    detail: object

    @property
    def expected(self) -> bool:
        return True

    def __str__(self) -> str:
        return f"shutdown: {_text(self.detail)}"

    def __reduce__(self) -> tuple[Any, ...]:
        return Shutdown, (_portable(self.detail),)


class Stopped(ExitReason, Struct, frozen=True):
    """A server ended itself with a reason of its own choice, as by Erlang's `{stop, Term, State}`."""

    term: object

    def __str__(self) -> str:
        return f"stopped: {_text(self.term)}"

    def __reduce__(self) -> tuple[Any, ...]:
        return Stopped, (_portable(self.term),)


class Crashed(ExitReason, SelectiveStruct, frozen=True):
    """A callback raised. `where` is the file and the line of the frame that raised.

    If the process explains itself (see `Node`), `text` is the text of the exception, and `traceback` is its traceback
    as Python prints it, with all causes; else both are empty. `error` is kept without its traceback, because frames
    hold arguments, and arguments may be secret.
    """

    HIDDEN: ClassVar = frozenset({"error", "traceback"})
    UNCOMPARED: ClassVar = frozenset({"error", "text", "traceback"})

    error_type: str
    where: str
    error: BaseException
    text: str = ""
    traceback: str = ""

    @classmethod
    def by(cls, error: BaseException, *, explains: bool = False) -> Crashed:
        """Return the reason for a crash by *error*, and take the traceback, cause and context off *error*."""
        text, printed = (_text(error)[:MAX_TEXT], _printed(error)) if explains else ("", "")
        trace, where = error.__traceback__, "unknown"
        while trace is not None:
            where = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
            trace = trace.tb_next
        for name in ("__traceback__", "__cause__", "__context__"):
            BaseException.__dict__[name].__set__(error, None)  # not `setattr`, which the class of *error* may refuse
        return cls(type(error).__name__, where, error, text, printed)

    def __str__(self) -> str:
        return f"{self.error_type} at {self.where}" + (f": {self.text}" if self.text else "")

    def __reduce__(self) -> tuple[Any, ...]:
        error = self.error if isinstance(self.error, PortableError) else RuntimeError("it stays in its own process")
        return Crashed, (self.error_type, self.where, error, self.text)


class FailedToStart(ExitReason, Struct, frozen=True):
    """A supervisor could not start a child, as Erlang's `{failed_to_start_child, Id, Reason}` inside a shutdown."""

    child: str
    reason: ExitReason

    def __str__(self) -> str:
        return f"child {self.child} failed to start: {self.reason}"


class GaveUp(ExitReason, Struct, frozen=True):
    """A supervisor gave up: *child* ended with *reason*, or could not be started for it, and would have needed one
    restart more than *intensity* in *period* seconds. OTP's reason for that is `shutdown`: so this one is `expected`.

    If *child* is a supervisor that has given up itself, *reason* is a `GaveUp`, too: follow it to the first cause.
    """

    child: str
    reason: ExitReason
    intensity: int
    period: float

    @property
    def expected(self) -> bool:
        return True

    def __str__(self) -> str:
        return f"gave up on child {self.child} (restarts: {self.intensity} in {self.period:g} s): {self.reason}"


NORMAL: Final = Plain("normal")
SHUTDOWN: Final = Plain("shutdown")
KILL: Final = Plain("kill")
KILLED: Final = Plain("killed")
NOPROC: Final = Plain("noproc")
TIMEOUT: Final = Plain("timeout")
FORKED: Final = Plain("forked")  # its thread is in the program that this one was forked from
TOO_MANY_DISOWNED: Final = Plain("too many disowned threads")
NO_THREAD: Final = Plain("no thread could be started")  # a limit of the machine; see `lacks_thread`
IGNORE: Final = Plain("ignore")  # init decided that no process is needed; compare with `is`


def failed_start(reason: ExitReason) -> tuple[tuple[str, ...], ExitReason]:
    """Follow a start that failed to its cause: return the ids of the children that lie on the way, the outermost first,
    and the reason of the last one."""
    path: tuple[str, ...] = ()
    while isinstance(reason, Shutdown) and isinstance(reason.detail, FailedToStart):
        path, reason = (*path, reason.detail.child), reason.detail.reason
    return path, reason


def lacks_thread(reason: ExitReason | None) -> bool:
    """Whether *reason* says that a start failed because no thread could be started, for the process itself or for one
    below it."""
    return reason is not None and failed_start(reason)[1] is NO_THREAD
