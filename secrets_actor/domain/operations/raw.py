"""What AWS adds tomorrow."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from secrets_actor.domain.errors import InvalidParameter, InvalidSecretName
from secrets_actor.domain.masked import MaskedObject
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations.base import Operation, assign
from secrets_actor.records import dataclass, field

# As AWS names its operations.
_OPERATION: Final = re.compile(r"[A-Z][A-Za-z0-9]{1,63}")


@dataclass(frozen=True, slots=True, init=False)
class Request(Operation[MaskedObject]):
    """Any operation by AWS's name for it, with the members of its request; the answer is the answer's members.

    Bytes go as base64 text. It counts as a write, and takes its turn among the operations of the secret that `SecretId`
    or `Name` tells. Nothing is filled in: whoever wants to repeat a write gives it a ClientRequestToken.
    """

    kind: ClassVar[str] = "request"
    writes: ClassVar[bool] = True
    operation: str
    payload: MaskedObject = field(repr=False)
    secret_id: str | None = None

    def __init__(self, operation: str, payload: Mapping[str, Any] | MaskedObject | None = None) -> None:
        assign(self, operation="", secret_id=None)
        try:
            masked = MaskedObject({} if payload is None else payload)
        finally:
            del payload
        if not isinstance(operation, str) or _OPERATION.fullmatch(operation) is None:
            raise InvalidParameter("operation", "AWS's name of an operation, such as GetSecretValue")
        assign(self, operation=operation, payload=masked, secret_id=_secret_of(masked))


def _secret_of(payload: MaskedObject) -> SecretId | None:
    members = payload.reveal()
    found = members.get("SecretId", members.get("Name"))
    if not isinstance(found, str):
        return None
    try:
        return SecretId(found)
    except InvalidSecretName:
        return None  # AWS may have its own opinion
