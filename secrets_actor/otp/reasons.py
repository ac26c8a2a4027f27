"""Exit reasons: why a process ended, as its supervisor, its monitors and its waiting callers see it."""

from __future__ import annotations

from typing import Final

from secrets_actor.records import dataclass, field


class ExitReason:
    """Base of all reasons."""

    __slots__ = ()

    @property
    def expected(self) -> bool:
        """Whether an end with this reason is no failure: normal, shutdown, or shutdown with a detail."""
        return False


@dataclass(frozen=True, slots=True)
class Plain(ExitReason):
    """A reason that is only a word."""

    word: str

    @property
    def expected(self) -> bool:
        return self.word in ("normal", "shutdown")

    def __str__(self) -> str:
        return self.word


@dataclass(frozen=True, slots=True)
class Shutdown(ExitReason):
    """An orderly end with a detail, as Erlang's `{shutdown, Detail}`."""

    detail: object

    @property
    def expected(self) -> bool:
        return True

    def __str__(self) -> str:
        return f"shutdown: {self.detail}"


@dataclass(frozen=True, slots=True)
class Stopped(ExitReason):
    """A server ended itself with a reason of its own, as Erlang's `{stop, Term, State}`."""

    term: object

    def __str__(self) -> str:
        return f"stopped: {self.term}"


@dataclass(frozen=True, slots=True)
class Crashed(ExitReason):
    """A callback raised. `where` is file and line of the frame that raised.

    The exception is kept without its traceback: frames hold arguments, and arguments may be secret.
    """

    error_type: str
    where: str
    error: BaseException = field(repr=False, compare=False)

    @classmethod
    def by(cls, error: BaseException) -> Crashed:
        """The reason for *error*, which loses its traceback, cause and context."""
        trace, where = error.__traceback__, "unknown"
        while trace is not None:
            where = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
            trace = trace.tb_next
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return cls(type(error).__name__, where, error)

    def __str__(self) -> str:
        return f"{self.error_type} at {self.where}"


@dataclass(frozen=True, slots=True)
class FailedToStart(ExitReason):
    """A supervisor could not start a child, as Erlang's `{failed_to_start_child, Id, Reason}` inside a shutdown."""

    child: str
    reason: ExitReason

    def __str__(self) -> str:
        return f"child {self.child} failed to start: {self.reason}"


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


def lacks_thread(reason: ExitReason | None) -> bool:
    """Whether a start failed with *reason* because no thread was to be had, for the process or for one below it."""
    while isinstance(reason, Shutdown) and isinstance(reason.detail, FailedToStart):
        reason = reason.detail.reason
    return reason is NO_THREAD
