"""Erlang terms as JSON, and our exit reasons and errors: there and back. Tuples are arrays, atoms are strings."""

from typing import Any

from secrets_actor.otp import (
    KILL,
    KILLED,
    NOPROC,
    NORMAL,
    SHUTDOWN,
    BadReturn,
    CallFailed,
    CallingSelf,
    CallTimeout,
    ChildError,
    Crashed,
    EndedFirst,
    Exit,
    ExitReason,
    FailedToStart,
    GaveUp,
    InvalidTree,
    NameTaken,
    NoProcess,
    Shutdown,
    Stopped,
)

STACK = "$stack"
CALL = "$call"
WORDS = {str(reason): reason for reason in (NORMAL, SHUTDOWN, KILL, KILLED, NOPROC)}


class Raised(Exception):
    """What a script raises for `error(term)`."""

    def __init__(self, term: Any, where: str = "callback") -> None:
        super().__init__("raised by the script")
        self.term, self.where = term, where


def raised(term: Any) -> BaseException:
    """What a script raises in a callback for `error(term)`. OTP takes `{shutdown, Stack}` for an end in good order."""
    return Exit(Shutdown(STACK)) if term == "shutdown" else Raised(term)


class Junk:
    """What a script returns for a term that is no answer."""

    def __init__(self, term: Any, where: str = "callback") -> None:
        self.term, self.where = term, where


def to_reason(term: Any) -> ExitReason:
    """The exit reason that *term* stands for."""
    if isinstance(term, str):
        return WORDS.get(term) or Stopped(term)
    if isinstance(term, list) and len(term) == 2 and term[0] == "shutdown":
        return Shutdown(term[1])
    return Stopped(term)


def of_reason(reason: ExitReason) -> Any:
    """The term that stands for *reason*."""
    match reason:
        case Stopped(term):
            return term
        case Shutdown(detail):
            return ["shutdown", of_reason(detail) if isinstance(detail, ExitReason) else detail]
        case FailedToStart(child, why):
            return ["failed_to_start_child", child, of_reason(why)]
        case Crashed():
            return _of_crash(reason.error)
        case GaveUp():
            return "shutdown"
    return str(reason)


def _of_crash(error: BaseException) -> Any:
    match error:
        case Raised(where="start"):
            return ["EXIT", [error.term, STACK]]
        case Raised():
            return [error.term, STACK]
        case BadReturn(value=Junk() as junk):
            return junk.term if junk.where == "start" else ["bad_return_value", junk.term]
        case InvalidTree():
            return [{"flags": "supervisor_data", "child": "start_spec"}[error.part], problem(error)]
        case NoProcess():
            return ["noproc", STACK]
    return ["unmapped", type(error).__name__, STACK]


def problem(error: InvalidTree) -> Any:
    """OTP's word for what is wrong with a tree: one culprit stands for itself, several are a list."""
    word, *culprits = error.problem
    if not culprits:
        return word
    if word == "bad_combination":
        return [word, [list(one) for one in culprits if isinstance(one, tuple)]]
    return [word, *(_milliseconds(one) if word == "invalid_shutdown" else one for one in culprits)]


def _milliseconds(value: Any) -> Any:
    return round(value * 1000) if isinstance(value, float) else value


def of_call(error: BaseException) -> Any:
    """The exit reason of a caller whose call failed with *error*."""
    return [_why(error), CALL]


def of_stop(error: BaseException, who: Any, reason: Any, timeout: Any = "infinity") -> Any:
    """The exit reason of a caller whose `stop` of *who*, for *reason*, failed with *error*."""
    return [_why(error), ["sys", "terminate", [who, reason, timeout]]] if isinstance(error, EndedFirst) else _why(error)


def _why(error: BaseException) -> Any:
    match error:
        case CallTimeout():
            return "timeout"
        case CallingSelf():
            return "calling_self"
        case CallFailed():
            return of_reason(error.reason)
    raise error


def of_child_error(error: ChildError, pid_of: Any) -> Any:
    """The reason in `{error, Reason}` of a supervisor's request."""
    return [error.problem, pid_of(error.pid)] if error.pid is not None else error.problem


def of_name_taken(error: NameTaken, pid_of: Any) -> Any:
    """The reason in `{error, Reason}` of a start under a name that is taken."""
    return ["already_started", pid_of(error.holder)]
