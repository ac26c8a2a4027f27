"""References: texts that name a secret, a member of it, or one of its stages. PURE.

    db/password                     the whole value of AWSCURRENT
    db/login#user                   the member `user` of a value that is JSON
    db/login#admin#user             the member `user` in the member `admin`
    db/password@AWSPREVIOUS         the version before

Rule 1: what stands behind the last `@` is a stage only if it is a word of capitals, digits and `_`: an `@` is legal in
        the name of a secret. For a name that ends like that, the stage is written, too: `mail@HOME@AWSCURRENT`.
Rule 2: no error quotes a reference, which may be a value in the wrong place, nor anything of a value.
"""

import json
import re
from contextlib import suppress
from typing import Any, Final

from msgspec import Struct

from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.names import SecretId
from secrets_actor.json_text import read_json

_STAGE: Final = re.compile(r"(?s)(.*)@([A-Z][A-Z0-9_]{0,255})")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Reference(Struct, frozen=True):
    """What a reference names: the secret *name* (or its ARN); the *member* of its value, one text for each level, ()
    for the whole value; and its *stage*, None for AWSCURRENT. *optional*: it may be missing."""

    name: SecretId
    member: tuple[str, ...] = ()
    stage: str | None = None
    optional: bool = False

    def __str__(self) -> str:
        """Return the text that spells it."""
        stage = "" if self.stage is None else f"@{self.stage}"
        if not stage and _STAGE.fullmatch("#".join([self.name, *self.member])):
            stage = "@AWSCURRENT"  # rule 1
        return "#".join([self.name, *self.member]) + stage


def parse_reference(text: str) -> Reference:
    """Return what *text* names. Raises `InvalidParameter`, and `InvalidSecretName`."""
    found = _STAGE.fullmatch(text)
    stage = None if found is None else found[2]
    name, *member = (text if found is None else found[1]).split("#")
    if not all(member):
        raise InvalidParameter("reference", "NAME, NAME#MEMBER or NAME@STAGE; nothing is between # and what follows")
    return Reference(SecretId(name), tuple(member), stage)


def member_of(value: str | bytes, member: tuple[str, ...]) -> str:
    """Return the *member* of the JSON document *value*: a text as it is, anything else as JSON.

    Raises `InvalidParameter` if there is none, if it is null, or a text that no UTF-8 can hold.
    """
    found: Any = None
    with suppress(ValueError):  # not passed on: it may hold the value
        # As with `Secret.json`, a byte order mark is skipped; in bytes, the reader does that itself.
        found = read_json(value.removeprefix("\ufeff") if isinstance(value, str) else value)
    for name in member:
        found = found.get(name) if isinstance(found, dict) else None
    if found is None:
        del value  # here and below: a traceback may show this frame
        raise InvalidParameter("member", "one of a value that is a JSON object; this value has none of that name")
    text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    if _SURROGATE.search(text):
        del value, found, text
        raise InvalidParameter("member", "a text in valid Unicode; this one has half of a surrogate pair")
    return text
