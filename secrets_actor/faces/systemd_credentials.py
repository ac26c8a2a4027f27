"""What systemd asks for a unit whose `LoadCredential=` names our socket, and which secret that means. PURE.

A unit says `LoadCredential=db~password:/run/secrets-actor/credentials.sock`. For each such line, and for each process
of the unit that it starts (ExecStartPre= and ExecStart= are two), systemd connects to the socket, sends nothing, and
takes what it can read as the content of the file `$CREDENTIALS_DIRECTORY/db~password`. Unit and id are in the name of
its own end of the connection: `\\0<random hex number>/unit/<unit>/<id>` (systemd.exec(5), exec-credential.c).

Rule 1: that name is free text, which any process may give its end. It counts only from root, who is the system's
        manager or could be it, and from the daemon's own user, whose manager runs a user's own daemon.
Rule 2: who asks is the unit, and nothing else is known of it: the user root is that of the manager. A rule for
        `user:root` does not let each unit have all secrets.
Rule 3: root names a unit of the system, `unit:NAME`. Any other user names their own units, `user_unit:UID/NAME`, as on
        all other sockets.
Rule 4: the first row that fits says which secret it is; if none fits, the id does: `db~password` is `db/password`,
        because an id has no slash, and the name of a secret no tilde. Which unit may have it, only the policy says.
Rule 5: what stands for a placeholder is chosen in a unit, and so it is looked at again: it cannot lead out of the
        folder that the row names, nor ask for another member or stage.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from secrets_actor.domain.errors import InvalidInput, InvalidParameter
from secrets_actor.domain.references import Reference, parse_reference
from secrets_actor.faces.identity import NOBODY, Identity, Peer, template_of, term_mistake
from secrets_actor.faces.policy import matcher

# The longest unit and id together. An address has 108 bytes (unix(7)); systemd keeps the last one for a zero byte, and
# 24 are the zero byte at its beginning, the random number of up to 16 digits, `/unit/` and a slash. With more, systemd
# cannot ask, and the unit fails (seen on 252; with 84, it depends on the number).
MOST_CHARACTERS: Final = 83
# Bytes that systemd takes at most for all credentials of a unit (CREDENTIALS_TOTAL_SIZE_MAX), and for one that is
# encrypted an eighth more. With more, the unit does not start: 243/CREDENTIALS.
MOST_BYTES: Final = 1 << 20
_ADDRESS: Final = re.compile(rb"\0[0-9a-f]{1,16}/unit/([\x21-\x2e\x30-\x7e]+)/([\x21-\x2e\x30-\x7e]+)")
# systemd: the name of a file, and of a descriptor (`credential_name_valid`).
_ID: Final = re.compile(r"(?!\.{1,2}$)[\x21-\x2e\x30-\x39\x3b-\x7e]{1,255}")
_PATTERN: Final = re.compile(r"[\x21-\x2e\x30-\x7e]{1,255}")
_PLACEHOLDER: Final = re.compile(r"\{(\w*)\}")
_PLACEHOLDERS: Final = ("unit_name", "instance", "credential")
# Neither `@` nor `#`, which begin a stage and a member; no part is empty, `.` or `..`.
_FILLING: Final = re.compile(r"(?!\.{1,2}(?:/|$))[A-Za-z0-9_+=.!-]+(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9_+=.!-]+)*")


class Wanted(Struct, frozen=True):
    """What systemd asks for: the systemd credential *credential* of *unit*."""

    unit: str
    credential: str


class CredentialRow(Struct, frozen=True):
    """A `[[daemon.systemd_credential]]`: to the units and ids that fit, it gives *secret*.

    *unit* and *credential*: `*` is any run of characters. A template, `web@.service`, fits all of its instances.
    *secret*: the name or ARN of a secret, with `#MEMBER` and `@STAGE` behind it, if need be. In name and member,
    `{unit_name}` is the unit without its ending and its instance, `{instance}` its instance, and `{credential}` the id,
    with `/` for `~`. A row with `{instance}` fits instances only.
    """

    unit: str
    credential: str
    secret: str


class Meant(Struct, frozen=True):
    """Which secret is meant: by which row (its number from 0), or None: by the id itself."""

    reference: Reference
    row: int | None


def wanted_at(address: object) -> Wanted | None:
    """Return what the manager asks for by the *address* of its end of the connection; None for any other address."""
    found = _ADDRESS.fullmatch(address) if isinstance(address, bytes) else None
    if found is None:
        return None
    wanted = Wanted(found[1].decode("ascii"), found[2].decode("ascii"))
    return None if mistake_in(wanted) else wanted


def mistake_in(wanted: Wanted) -> str | None:
    """Return what is wrong with the names that are *wanted*; None if nothing is."""
    if term_mistake(f"unit:{wanted.unit}"):
        return "UNIT: the name of a unit, such as billing.service"
    if not _ID.fullmatch(wanted.credential):
        return "ID: 1 to 255 printable ASCII characters without blanks, / and :"
    return None


def identity_of(wanted: Wanted, uid: int, own: int) -> Identity | None:
    """Return the caller that *wanted* is asked for, if the user *uid* at the other end may say so (rules 1 to 3); None
    if not. *own* is the user that the daemon runs as."""
    if uid == 0:
        return Identity(Peer(unit=wanted.unit, by_manager=True))
    if uid == own != NOBODY:
        return Identity(Peer(user_unit=f"{uid}/{wanted.unit}", by_manager=True))
    return None


def secret_of(credential: str) -> str:
    """Return the reference that the id *credential* spells (rule 4)."""
    return credential.replace("~", "/")


def id_of(name: str) -> str:
    """Return the id that means the secret *name*, if no row says otherwise."""
    return name.replace("/", "~")


def meant_by(rows: Sequence[CredentialRow], wanted: Wanted) -> Meant:
    """Return which secret is meant by what is *wanted* (rules 4 and 5). Raises `InvalidInput`."""
    unit_name, instance = _parts(wanted.unit)
    fillings = {"unit_name": unit_name, "instance": instance, "credential": secret_of(wanted.credential)}
    for number, row in enumerate(rows):
        if _fits(row, wanted, instance):
            return Meant(parse_reference(_PLACEHOLDER.sub(lambda one: _checked(one[1], fillings), row.secret)), number)
    return Meant(parse_reference(fillings["credential"]), None)


def _parts(unit: str) -> tuple[str, str]:
    """Return the name of *unit* without its ending and its instance, and its instance, which may be empty."""
    name, _, instance = unit.rpartition(".")[0].partition("@")
    return name, instance


def _fits(row: CredentialRow, wanted: Wanted, instance: str) -> bool:
    if not instance and "{instance}" in row.secret:
        return False
    of_unit = matcher(row.unit)
    return bool(
        (of_unit(wanted.unit) or row.unit == template_of(wanted.unit)) and matcher(row.credential)(wanted.credential)
    )


def _checked(name: str, fillings: dict[str, str]) -> str:
    filling = fillings[name]
    if not _FILLING.fullmatch(filling):
        raise InvalidParameter(
            f"{{{name}}}", "letters, digits and _+=.!- only, and no part of it may be empty, a dot or two dots"
        )
    return filling


def mistakes_in(row: CredentialRow) -> Iterator[str]:
    """Yield what is wrong with *row*, each as `FIELD: what is allowed`."""
    for field in ("unit", "credential"):
        pattern = getattr(row, field)
        if not _PATTERN.fullmatch(pattern) or "**" in pattern:
            yield f"{field}: printable ASCII without blanks and /; * is any run of characters"
    rest = row.secret
    for name in _PLACEHOLDERS:
        rest = rest.replace(f"{{{name}}}", "")
    if "{" in rest or "}" in rest:
        yield "secret: of placeholders there are {unit_name}, {instance} and {credential}"
        return
    try:
        parse_reference(_PLACEHOLDER.sub("x", row.secret))
    except InvalidInput as error:
        yield f"secret: {error}"


def all_mistakes(rows: Iterable[CredentialRow]) -> Iterator[str]:
    """Yield the mistakes in all *rows*, each as `daemon.systemd_credential[NUMBER].FIELD: what is allowed`."""
    for number, row in enumerate(rows):
        yield from [f"daemon.systemd_credential[{number}].{mistake}" for mistake in mistakes_in(row)]
