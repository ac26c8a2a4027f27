"""A call of Secrets Manager's API. PURE. What is in it: `requests.py`, `answers.py`."""

import json
from typing import ClassVar, Final

from secrets_actor.aws_json.codec import encode_request
from secrets_actor.aws_json.fields import Shape
from secrets_actor.aws_json.operations import OPERATION_OF, target_of
from secrets_actor.backends.aws.asked import ANYTHING, Asked, Json
from secrets_actor.structs import Opaque

_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Call(Opaque):
    """One API call: its *action*, such as `GetSecretValue`, and its JSON *body*. Its answer has to fit *asked*.

    *deleted_if_invalid*: whether InvalidRequestException can only mean that the secret is scheduled for deletion; see
    `error_codes.py`.
    """

    __slots__ = ("action", "asked", "body", "deleted_if_invalid")
    SHOWN: ClassVar = ("action", "deleted_if_invalid", "asked")

    def __init__(self, action: str, body: bytes, deleted_if_invalid: bool = False, asked: Asked = ANYTHING) -> None:
        self.action = action
        self.body = body
        self.deleted_if_invalid = deleted_if_invalid
        self.asked = asked

    @property
    def target(self) -> str:
        """The X-Amz-Target header."""
        return target_of(self.action)


def call_of(request: Shape, *, deleted_if_invalid: bool = False) -> Call:
    """The call that sends *request*."""
    action = OPERATION_OF[type(request)]
    return Call(action, encode_request(request), deleted_if_invalid, Asked.of(action, request))


def raw_call(action: str, payload: Json) -> Call:
    """The call of any operation, AWS's of tomorrow among them, with *payload* as it is."""
    body = _ENCODE(payload).encode(errors="surrogatepass")
    return Call(action, body, False, Asked.of(action, payload))
