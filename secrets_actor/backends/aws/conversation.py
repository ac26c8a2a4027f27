"""An exchange that knows when it is in doubt."""

from typing import Any, Final, TypeVar

from secrets_actor.backends.aws.exchange import Exchange, Read
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.clock import now
from secrets_actor.domain.errors import ConnectionFailed, InvalidAnswer, SecretsError, StoreFailure, Unreachable
from secrets_actor.domain.ports import Answer
from secrets_actor.domain.steps import Step

R = TypeVar("R")
# After these, AWS may have done what it was asked for.
_UNTOLD: Final = (Unreachable, StoreFailure, InvalidAnswer)


class Conversation(Exchange):
    """The calls of one operation. `in_doubt`: an attempt may have taken effect, and we have not heard of it. Each
    attempt is put down in `attempts`, if there is such a list."""

    in_doubt = False
    attempts: list[Step] | None = None

    def _attempt(self, call: Call, read: Read[R], *rest: Any) -> Any:
        began = now()
        outcome = super()._attempt(call, read, *rest)
        told = "ok"
        if not isinstance(outcome, Answer):
            self.in_doubt = self.in_doubt or untold(outcome.error)
            told = outcome.error.code
        if self.attempts is not None:
            self.attempts.append(Step(call.action, began, now(), told))
        return outcome


def untold(error: SecretsError) -> bool:
    """Whether the call that *error* ended may have taken effect."""
    return isinstance(error, _UNTOLD) and not isinstance(error, ConnectionFailed)
