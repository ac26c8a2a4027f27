"""What all public messages share. PURE."""

from collections.abc import Callable
from typing import Any, ClassVar, Final, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from secrets_actor.domain.secret import SecretValue

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

AWSCURRENT: Final = "AWSCURRENT"
AWSPREVIOUS: Final = "AWSPREVIOUS"
AWSPENDING: Final = "AWSPENDING"


class Operation(Generic[T_co]):
    """Base of the public messages; the type argument is the answer's type.

    `kind` names it in the audit log; `writes` tells whether it changes a secret. One that is about a single secret has
    a `secret_id`; one that can be repeated without harm by its token has a `token`.
    """

    __slots__ = ()
    kind: ClassVar[str]
    writes: ClassVar[bool] = False


def assign(message: Struct, **fields: object) -> None:
    """Set *fields* of a frozen message that is being made."""
    for name, value in fields.items():
        force_setattr(message, name, value)


def mask_value(message: Struct) -> None:
    """Have the message's `value` be a `SecretValue`. A message whose value is refused loses it: the frames of what is
    raised hold the message. Raises `InvalidSecretValue`."""
    given: Any = getattr(message, "value")  # noqa: B009
    assign(message, value=None)
    try:
        assign(message, value=SecretValue(given))
    finally:
        del given


def token_of(operation: object) -> str | None:
    """The idempotency token of *operation*, if it has one."""
    token = getattr(operation, "token", None)
    return token if isinstance(token, str) else None


def with_token(operation: Operation[T], new_token: Callable[[], str]) -> Operation[T]:
    """*operation*; with a token by *new_token* where it takes one and has none yet."""
    if getattr(operation, "token", "") is not None:
        return operation
    untold: Any = operation
    minted = {"minted": True} if hasattr(operation, "minted") else {}
    filled: Operation[T] = replace(untold, token=new_token(), **minted)
    return filled
