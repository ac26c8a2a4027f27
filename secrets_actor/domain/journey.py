"""The way of one call, from its asking over the secrets actor and the workers to its answer. PURE.

Rule 1: a journey is only made when there is a tracer, who tells others of it. Whoever sees it pass writes down a time;
        nobody on the way runs code of the tracer, who begins and ends it in the asker's own thread.
Rule 2: there is no value in it, no key and no token: a name as the audit log has it, words of ours, and times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from secrets_actor.domain.callbacks import done
from secrets_actor.domain.steps import Step

# When a job was sent to a worker, and what has become of it: attempts, and last the step `worker` when it is done.
Sending = tuple[float, list[Step]]


class Journey:
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
    """Tells somebody of journeys."""

    def begin(self, journey: Journey) -> Callable[[], object]:
        """*journey* begins, in the asker's thread: what to call there once it has ended."""
