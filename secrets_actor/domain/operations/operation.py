"""The base of all public messages, and the functions that they share. PURE."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from secrets_actor.domain.secret import SecretValue

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

AWSCURRENT: Final = "AWSCURRENT"
AWSPREVIOUS: Final = "AWSPREVIOUS"
AWSPENDING: Final = "AWSPENDING"


class Operation(Generic[T_co]):
    """Base of the public messages to the secrets actor. The type argument is the type of the answer.

    `kind` is the operation's name in the audit log. `writes`: whether it changes a secret. An operation on a single
    secret has a `secret_id`. An operation that is safe to repeat with the same idempotency token has a `token`.
    """

    __slots__ = ()
    kind: ClassVar[str]
    writes: ClassVar[bool] = False

    if TYPE_CHECKING:

        def _answer(self) -> T_co:
            """Say of which type the answer is, so that `otp.call(system.address, ...)` has it, too."""


def assign(message: Struct, **fields: object) -> None:
    """Set *fields* of a frozen message. Only for a message that is still being made: its owner does not see the
    change."""
    for name, value in fields.items():
        force_setattr(message, name, value)


def mask_value(message: Struct) -> None:
    """Replace the message's `value` by a `SecretValue` of it. Raises `InvalidSecretValue`.

    A message whose value is refused loses the value: the traceback of the error has frames that hold the message.
    """
    given: Any = getattr(message, "value")  # noqa: B009
    assign(message, value=None)
    try:
        assign(message, value=SecretValue(given))
    finally:
        del given


def token_of(operation: object) -> str | None:
    """Return the idempotency token of *operation*, or None."""
    token = getattr(operation, "token", None)
    return token if isinstance(token, str) else None


def with_token(operation: Operation[T], new_token: Callable[[], str]) -> Operation[T]:
    """Return *operation*; if it takes a token and has none, return a copy with a token from *new_token*.

    A copy that can say so is marked (`is_minted`): nobody can have used this token before.
    """
    if getattr(operation, "token", "") is not None:
        return operation
    typeless: Any = operation
    minted = {"_minted": True} if hasattr(operation, "_minted") else {}
    filled: Operation[T] = replace(typeless, token=new_token(), **minted)
    return filled
