"""Reads credentials from the JSON that metadata services and credential processes give. Errors quote nothing of it.

Rule: JSON that botocore accepts is accepted, unless AWS could not accept the credentials in it. An error names the
      field. The end is read as botocore's `dateutil` reads it, in the forms that programs write: ISO 8601, mail and
      HTTP headers, `date`, and .NET's invariant form. An end without a time zone is refused, as by botocore.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from secrets_actor.backends.aws.credentials.static import unsendable
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.secret import SecretValue
from secrets_actor.json_text import read_json

_FLAGS: Final = re.ASCII | re.IGNORECASE
_ZONE: Final = r"(?P<zone>Z|UTC|GMT|[+-]\d{2}(:?\d{2})?)"
_ISO: Final = re.compile(rf"(?P<day>\d{{4}}([/-]?)\d\d\2\d\d)[T ](?P<time>[\d:.,]+) ?{_ZONE}", _FLAGS)
_MAIL: Final = re.compile(rf"([A-Z]{{3,9}}, )?\d{{1,2}}[ -][A-Z]{{3}}[ -]\d{{2,4}} [\d:]+ {_ZONE}", _FLAGS)
# The output of `date`: the year comes last, after the zone.
_DATE: Final = re.compile(rf"(?P<day>[A-Z]{{3}} [A-Z]{{3}} +\d{{1,2}} [\d:]+) {_ZONE} (?P<year>\d{{4}})", _FLAGS)
_INVARIANT: Final = re.compile(
    r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4}) (?P<hour>\d{1,2})(?P<rest>:\d\d:\d\d) ?(?P<half>[AP]M)? ?"
    rf"{_ZONE}",
    _FLAGS,
)
_MOMENT: Final = "no moment with a time zone, such as 2026-01-31T12:00:00Z"


def parsed(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in *body*, or None when *body* is not one."""
    try:
        found = read_json(body)
    except ValueError:  # bad Unicode is a ValueError
        return None
    return found if isinstance(found, dict) else None


def credentials_in(
    answer: dict[str, Any] | None, *, from_process: bool = False, bare: bool = False
) -> AwsCredentials | str:
    """Return the credentials in *answer*; or a text that says what is wrong, if they are incomplete or cannot be sent.

    A credential process calls the token `SessionToken`, and may leave out the token and the end (`Expiration`). With
    *bare*, the token may be empty, for credentials without one.
    """
    if answer is None:
        return "it is no JSON object"
    name_of_token = "SessionToken" if from_process else "Token"
    optional = (name_of_token, "Expiration") if from_process else ()
    for name in ("AccessKeyId", "SecretAccessKey", name_of_token, "Expiration"):
        value = answer.get(name)
        if name == name_of_token and name in answer and value in ("", None) and (bare or from_process):
            continue
        if value is None and name not in optional:
            return f"{name} is missing"
        if value is not None and not isinstance(value, str):
            return f"{name} is no text"
        if value is not None and not value.strip():
            return f"{name} is empty"
    end, session = answer.get("Expiration"), answer.get(name_of_token)
    expires_at = None if end is None else moment(end)
    if end is not None and expires_at is None:
        return f"Expiration is {_MOMENT}"
    try:
        secret_key, token = SecretValue(answer["SecretAccessKey"]), SecretValue(session) if session else None
        credentials = AwsCredentials(answer["AccessKeyId"], secret_key, token, expires_at)
        what = unsendable(credentials)
    except (ValueError, SecretsError):  # a text that UTF-8 cannot encode, or that is longer than a value may be
        what = "secret key or session token"
    return (
        credentials
        if what is None
        else f"the {what} holds a character that no credential has (a blank, or one outside ASCII)"
    )


def moment(text: object) -> datetime | None:
    """Return the moment (UTC) that *text* tells, or None if it tells none, or none with a time zone."""
    if not isinstance(text, str) or len(text) > 100:
        return None
    try:
        found = _read(text.strip())
        return None if found is None or found.utcoffset() is None else found.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):  # OverflowError: in UTC it is outside what a `datetime` can hold
        return None


def _read(text: str) -> datetime | None:
    if found := _ISO.fullmatch(text):
        return datetime.fromisoformat(f"{found['day'].replace('/', '-')}T{found['time']}{_offset(found)}")
    if found := _DATE.fullmatch(text):
        return parsedate_to_datetime(f"{found['day']} {found['year']} {_offset(found).replace(':', '')}")
    if _MAIL.fullmatch(text):
        return parsedate_to_datetime(text)
    if found := _INVARIANT.fullmatch(text):
        hour = int(found["hour"])
        if found["half"]:
            if not 1 <= hour <= 12:
                return None
            hour = hour % 12 + (12 if found["half"].upper() == "PM" else 0)
        day = f"{found['year']}-{int(found['month']):02}-{int(found['day']):02}"
        return datetime.fromisoformat(f"{day}T{hour:02}{found['rest']}{_offset(found)}")
    return None


def _offset(found: re.Match[str]) -> str:
    zone = found["zone"]
    return zone if zone[0] in "+-" else "+00:00"
