"""One call of Secrets Manager's API: its action, its body, and its question. PURE.

`request_builders.py` makes calls of operations; `answer_readers.py` reads their answers.
"""

import json
from typing import ClassVar, Final

from secrets_actor.aws_json.codec import encode_request
from secrets_actor.aws_json.fields import Shape
from secrets_actor.aws_json.operations import OPERATION_OF, target_of
from secrets_actor.backends.aws.question import ANYTHING, Json, Question
from secrets_actor.structs import Opaque

_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Call(Opaque):
    """One API call: its *action*, such as `GetSecretValue`, and its JSON *body*. Its answer has to fit *question*.

    *deleted_if_invalid* says whether InvalidRequestException can only mean that the secret is scheduled for deletion;
    see `error_codes.py`. The repr leaves the body out: it may hold a secret.
    """

    __slots__ = ("action", "body", "deleted_if_invalid", "question")
    SHOWN: ClassVar = ("action", "deleted_if_invalid", "question")

    def __init__(
        self, action: str, body: bytes, deleted_if_invalid: bool = False, question: Question = ANYTHING
    ) -> None:
        self.action = action
        self.body = body
        self.deleted_if_invalid = deleted_if_invalid
        self.question = question

    @property
    def target(self) -> str:
        """The value of the X-Amz-Target header, such as `secretsmanager.GetSecretValue`."""
        return target_of(self.action)


def call_of(request: Shape, *, deleted_if_invalid: bool = False) -> Call:
    """Return the call that sends *request*."""
    action = OPERATION_OF[type(request)]
    return Call(action, encode_request(request), deleted_if_invalid, Question.of(action, request))


def raw_call(action: str, payload: Json) -> Call:
    """Return the call of any operation, even one that this package does not know, with *payload* as it is."""
    # A lone surrogate is sent on as JSON may hold it. AWS then refuses the request with a typed error, where a strict
    # encoder would raise an error that quotes the payload.
    body = _ENCODE(payload).encode(errors="surrogatepass")
    return Call(action, body, False, Question.of(action, payload))
