"""Keys in the JSON that metadata services and credential processes give. Quotes nothing of it."""

import json
from datetime import UTC, datetime
from typing import Any

from secrets_actor.backends.aws.credentials.static import checked
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.secret import SecretValue


def parsed(body: bytes) -> dict[str, Any] | None:
    """The JSON object in *body*; None when there is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):  # bad Unicode is a ValueError
        return None
    return found if isinstance(found, dict) else None


def keys_in(answer: dict[str, Any] | None, *, from_process: bool = False) -> Credentials | None:
    """The keys in *answer*; None unless they are whole and can be sent.

    A credential process calls the token `SessionToken`, and may give neither a token nor an end (`Expiration`).
    """
    if answer is None:
        return None
    session, end = answer.get("SessionToken" if from_process else "Token"), answer.get("Expiration")
    if not from_process and (session is None or end is None):
        return None
    expires_at = None if end is None else moment(end)
    if end is not None and expires_at is None:
        return None
    try:
        return checked(
            Credentials(
                answer["AccessKeyId"],
                SecretValue(answer["SecretAccessKey"]),
                None if session is None else SecretValue(session),
                expires_at,
            )
        )
    except (LookupError, TypeError, AttributeError, ValueError, SecretsError):
        return None


def moment(text: object) -> datetime | None:
    """*text* as a moment (UTC), if it is one in ISO 8601 with a time zone."""
    try:
        found = datetime.fromisoformat(text)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return None
    return None if found.utcoffset() is None else found.astimezone(UTC)
