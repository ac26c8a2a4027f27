"""One call as a tracer sees it: who calls, when it is sent and answered, and each attempt in between. PURE: times come
in, as clock seconds.

Rule 1: a trace is only made when there is a tracer. Whatever the call passes through writes down a time; only the
        caller's own thread runs code of the tracer, when the call begins and when it ends.
Rule 2: there is no value in it, no key and no token: a name as the audit log has it, words of ours, and times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Final, Protocol

from msgspec import Struct

from secrets_actor.domain.callbacks import done

OK: Final = "ok"
WORKER: Final = "worker"


class Attempt(Struct, frozen=True):
    """One part of the way: an attempt of a backend (*name* is the action, in the store's words), or a `worker` on a
    job. *outcome* is `ok` or an error's code."""

    name: str
    began: float
    ended: float
    outcome: str


def retries(attempts: Iterable[Attempt]) -> list[str]:
    """What made each of *attempts* necessary that is of the same action as the one before, which had failed: its
    outcome. Pages of a list are no retries."""
    return [one.outcome for one, other in pairwise(attempts) if one.name == other.name and one.outcome != OK]


# When a job was sent to a worker, and what has become of it: attempts, and last the step `worker` when it is done.
Sending = tuple[float, list[Attempt]]


class CallTrace:
    """One call. All times are clock seconds. `admitted` is when the actor took it up; `sendings` are those of its
    flight, which others may share; `problem` is the code of an error that it met, even if a stale value was the
    answer; `source` is as in the audit log."""

    __slots__ = (
        "_finish", "admitted", "began", "caller", "ended", "operation", "outcome", "problem", "secret_id", "sendings",
        "source",
    )  # fmt: skip

    def __init__(self, operation: str, secret_id: str | None, caller: str | None, began: float) -> None:
        self.operation, self.secret_id, self.caller, self.began = operation, secret_id, caller, began
        self.admitted: float | None = None
        self.sendings: list[Sending] = []
        self.problem: str | None = None
        self.source = self.outcome = ""
        self.ended = began
        self._finish: Callable[[], object] | None = None

    def on_end(self, finish: Callable[[], object]) -> None:
        """Have *finish* run once, when it ends."""
        self._finish = finish

    def end(self, outcome: str, at: float) -> None:
        """It has ended, in `ok` or an error's code. Nothing, if it had ended before."""
        finish, self._finish = self._finish, None
        if finish is not None:
            self.outcome, self.ended = outcome, at
            done("tracer", finish())


class Tracer(Protocol):
    """Tells somebody of traces."""

    def begin(self, trace: CallTrace) -> Callable[[], object]:
        """*trace* begins, in the caller's thread: what to call there once it has ended."""


class Caller:
    """*label* is what the asking part of the program calls itself, for the audit log; `recorded` is set by whoever
    writes the audit record of this call, so that it is written once; `taken` by the secrets actor when it has taken the
    call up, and what was in memory of a secret that is written is gone; `trace` is there if somebody traces it."""

    __slots__ = ("__weakref__", "label", "recorded", "taken", "trace")

    def __init__(self, label: str | None = None, trace: CallTrace | None = None) -> None:
        self.label, self.trace = label, trace
        self.recorded = self.taken = False

    def meets(self, problem: str) -> None:
        """The caller meets an error with this code, even if there is something stale instead."""
        if self.trace is not None:
            self.trace.problem = problem
