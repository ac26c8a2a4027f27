"""A call of Secrets Manager's API, and JSON as it comes. PURE. What is in them: `requests.py`, `answers.py`."""

import json
from typing import Final

from secrets_actor.backends.aws.asked import ANYTHING, Asked, Json
from secrets_actor.json_text import read_json
from secrets_actor.records import dataclass, field

TARGET_PREFIX: Final = "secretsmanager."
_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Call:
    """One API call: its action, such as `GetSecretValue`, and its JSON body."""

    action: str
    body: bytes = field(repr=False)
    # Whether InvalidRequestException can only mean that the secret is scheduled for deletion; see `failures.py`.
    deleted_if_invalid: bool = False
    # What its answer has to fit.
    asked: Asked = ANYTHING

    @property
    def target(self) -> str:
        """The X-Amz-Target header."""
        return TARGET_PREFIX + self.action


def json_call(action: str, payload: Json, *, deleted_if_invalid: bool = False, drop_null: bool = True) -> Call:
    """The call with *payload*, without the members that are None if *drop_null*."""
    if drop_null:
        payload = {name: member for name, member in payload.items() if member is not None}
    body = _ENCODE(payload).encode(errors="surrogatepass")
    return Call(action, body, deleted_if_invalid, Asked.of(action, payload))


def parse_object(body: bytes) -> Json | None:
    """*body* as a JSON object, or None when it is none."""
    try:
        parsed = read_json(body)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
