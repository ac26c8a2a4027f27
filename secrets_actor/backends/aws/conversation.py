"""An exchange that knows when it is in doubt."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from secrets_actor.backends.aws.exchange import Exchange
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.domain.errors import ConnectionFailed, InvalidAnswer, SecretsError, StoreFailure, Unreachable
from secrets_actor.domain.ports import Answer

R = TypeVar("R")
# After these, AWS may have done what it was asked for.
_UNTOLD: Final = (Unreachable, StoreFailure, InvalidAnswer)


class Conversation(Exchange):
    """The calls of one operation. `in_doubt`: an attempt may have taken effect, and we have not heard of it."""

    in_doubt = False

    def _attempt(self, call: Call, read: Callable[[bytes, str | None], R], *rest: Any) -> Any:
        outcome = super()._attempt(call, read, *rest)
        if not isinstance(outcome, Answer):
            self.in_doubt = self.in_doubt or untold(outcome.error)
        return outcome


def untold(error: SecretsError) -> bool:
    """Whether the call that *error* ended may have taken effect."""
    return isinstance(error, _UNTOLD) and not isinstance(error, ConnectionFailed)
