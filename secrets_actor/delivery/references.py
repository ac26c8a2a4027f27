"""References where a program's environment is described: `NAME=REFERENCE`, prefixes, and given variables. PURE.

    DB_PASSWORD=db/password         the variable gets the value; if it is missing, nothing is started
    DB_PASSWORD?=db/password        the variable is left out if the secret, or the member, is missing
    app/                            a variable for each secret whose name begins with app/
    app/db#                         a variable for each member of the JSON object that is the value of app/db
    secret://db/password            as the whole value of a given variable; with a ? at its end it is optional

Rule 1: no error quotes what was given, which may be a value in the wrong place. The name of a variable may be quoted.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from secrets_actor.delivery.env_files import NAME
from secrets_actor.domain.errors import InvalidInput, InvalidParameter
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.references import Reference, member_of, parse_reference

__all__ = ["SCHEME", "Reference", "find_in", "member_of", "parse_reference", "parse_source", "parse_variable"]

# How a reference begins that is the value of a given variable, as `op://` and `vault://` do for others.
SCHEME: Final = "secret://"
_EXPLODED: Final = re.compile(r"(?s)(.+)#(@[A-Z][A-Z0-9_]{0,255})?")
_VARIABLE: Final = "write NAME=REFERENCE, or NAME?=REFERENCE if it may be missing; NAME has letters, digits and _"


def parse_variable(text: str) -> tuple[str, Reference]:
    """Return the name of the variable and what it is to hold. Raises `InvalidParameter` and `InvalidSecretName`."""
    name, equals, rest = text.partition("=")
    optional = name.endswith("?")
    name = name.removesuffix("?")
    if not equals or NAME.fullmatch(name) is None:
        raise InvalidParameter("variable", _VARIABLE)
    return name, replace(parse_reference(rest.removeprefix(SCHEME)), optional=optional)


def parse_source(text: str) -> str | Reference:
    """Return where many variables come from: a prefix, which ends with `/`, or a reference to a JSON object. Raises
    `InvalidParameter` and `InvalidSecretName`."""
    found = _EXPLODED.fullmatch(text)
    if found is not None:
        return parse_reference(found[1] + (found[2] or ""))
    if not text.endswith("/") or SecretId(text).is_arn:
        raise InvalidParameter(
            "source", "write a prefix that ends with /, such as app/, or a JSON secret, such as app/db#"
        )
    return text


def find_in(variable: str, text: str) -> Reference | None:
    """Return the reference that the *text* of a given *variable* is; None if it is none. Raises `InvalidParameter`,
    which names the variable, if it begins like one."""
    if not text.startswith(SCHEME):
        return None
    reference = text.removeprefix(SCHEME)
    try:
        return replace(parse_reference(reference.removesuffix("?")), optional=reference.endswith("?"))
    except InvalidInput as error:
        problem = str(error)
    raise InvalidParameter(f"variable {variable}", f"begins with {SCHEME} and is no reference: {problem}")
