"""The caller of one call, and its trace, as a tracer gets it: the times, and each attempt. PURE: times are arguments.

All times are clock seconds.

Rule 1: a trace is made only if there is a tracer. The actor and the workers only write times into it. The tracer's code
        runs in the caller's own thread, when the call begins and when it ends: it may be slow, or raise.
Rule 2: a trace holds no value, no credentials and no token: only names as the audit log has them, words of ours, and
        times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import force_setattr

from secrets_actor.domain.callbacks import done
from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.names import plain
from secrets_actor.domain.operations.limits import check_text

OK: Final = "ok"
WORKER: Final = "worker"
MAX_CALLER_LENGTH: Final = 256
_FACT_NAME: Final = re.compile(r"[a-z][a-z_]{0,31}")


class CallerFacts(Struct, frozen=True, cache_hash=True):
    """A caller that is known by more than a name, such as another process on this machine.

    *label* is its name in the audit log, 1 to 256 characters. *facts* are what is known of it, each a name and a text
    or a number, such as `("pid", 4711)`: in the audit log each is a field `caller_pid`, in a span an attribute. A name
    has small letters and underscores, and none that sounds like a secret's (`token`, `key`): the log masks what stands
    under such a name. A text is cut off after 256 characters.

    Raises `InvalidParameter`.
    """

    # The audit process finds the record of a cached get by its caller, so the hash is computed once (`cache_hash`).
    label: str
    facts: tuple[tuple[str, str | int], ...] = ()

    def __post_init__(self) -> None:
        force_setattr(self, "label", _checked_label(self.label))
        force_setattr(self, "facts", tuple([_checked_fact(one) for one in self.facts]))


# Who asks: the name of a part of the program, or a caller that more is known of; None: no name was given.
CallerName = str | CallerFacts | None


def checked_caller(given: object) -> CallerName:
    """Return *given*, the argument of `for_caller`, checked. Raises `InvalidParameter`."""
    return given if given is None or isinstance(given, CallerFacts) else _checked_label(given)


def label_of(caller: CallerName) -> str | None:
    """Return the name of *caller* in the audit log."""
    return caller.label if isinstance(caller, CallerFacts) else caller


def _checked_label(label: object) -> str:
    text = plain(label) if isinstance(label, str) else None
    check_text("label", text, MAX_CALLER_LENGTH, 1)
    return text or ""


def _checked_fact(fact: object) -> tuple[str, str | int]:
    match fact:
        case (str(name), int(number)) if _FACT_NAME.fullmatch(name):
            return plain(name), int(number)
        case (str(name), str(text)) if _FACT_NAME.fullmatch(name):
            return plain(name), plain(text)[:MAX_CALLER_LENGTH]
    raise InvalidParameter("facts", "pairs of a name, in small letters and underscores, and a text or a whole number")


class Attempt(Struct, frozen=True):
    """One attempt of a backend, or the whole time that a worker spent on a job.

    *name* is the action in the store's words, such as GetSecretValue, or `worker`. *outcome* is `ok` or an error's
    code. *origin* is the endpoint that was tried, as in `Answer`; None: not said, or the whole job.
    """

    name: str
    began: float
    ended: float
    outcome: str
    origin: str | None = None


def retries(attempts: Iterable[Attempt]) -> list[str]:
    """Return, for each retry among *attempts*, the outcome of the attempt before it, which made the retry necessary.

    An attempt is a retry if it has the name of the one before, and that one failed. The pages of a list have the same
    name, but are no retries.
    """
    return [one.outcome for one, other in pairwise(attempts) if one.name == other.name and one.outcome != OK]


# When a job was sent to a worker, and its attempts so far. When the job is done, the attempt `worker` is the last one.
Sending = tuple[float, list[Attempt]]


class CallTrace:
    """The trace of one call.

    `admitted` is when the actor took the call up. `sendings` are the jobs of its flight, which other callers may share.
    `problem` is the code of an error that the call met, even if it got a stale value as its answer. `source` and
    `origin` are as in the audit log. `caller` is the caller's name there; `caller_facts` are as in `CallerFacts`.
    """

    __slots__ = (
        "_finish", "admitted", "began", "caller", "caller_facts", "ended", "operation", "origin", "outcome", "problem",
        "secret_id", "sendings", "source",
    )  # fmt: skip

    def __init__(self, operation: str, secret_id: str | None, caller: CallerName, began: float) -> None:
        self.operation, self.secret_id, self.caller, self.began = operation, secret_id, label_of(caller), began
        self.caller_facts = caller.facts if isinstance(caller, CallerFacts) else ()
        self.admitted: float | None = None
        self.sendings: list[Sending] = []
        self.problem: str | None = None
        self.origin: str | None = None
        self.source = self.outcome = ""
        self.ended = began
        self._finish: Callable[[], object] | None = None


def when_ended(trace: CallTrace, finish: Callable[[], object]) -> None:
    """Have *finish* called once, when *trace* ends. This is no method, because a tracer has no use for it."""
    trace._finish = finish


def end(trace: CallTrace, outcome: str, at: float) -> None:
    """End *trace* with *outcome*: `ok`, or an error's code. Does nothing if it has ended before."""
    finish, trace._finish = trace._finish, None
    if finish is not None:
        trace.outcome, trace.ended = outcome, at
        done("tracer", finish())


class Tracer(Protocol):
    """The port to a tracer, such as that of OpenTelemetry (`secrets_actor.extras.opentelemetry`)."""

    def begin(self, trace: CallTrace, /) -> Callable[[], object]:
        """Note that *trace* begins, in the caller's thread. Returns a function that is called there when it has
        ended."""


class Caller:
    """The caller of one call, as it travels with the call.

    *name* is what it is called in the audit log. `recorded` is set by the part that writes the audit record of this
    call, so that it is written once. `taken` is set by the secrets actor when it has taken the call up; if the call is
    a write, the cache has forgotten the secret by then. `trace` is None without a tracer.
    """

    __slots__ = ("__weakref__", "name", "recorded", "taken", "trace")

    def __init__(self, name: CallerName = None, trace: CallTrace | None = None) -> None:
        self.name, self.trace = name, trace
        self.recorded = self.taken = False

    def meets(self, problem: str) -> None:
        """Note in the trace that the call met an error with this code, even if the caller gets a stale value
        instead."""
        if self.trace is not None:
            self.trace.problem = problem
