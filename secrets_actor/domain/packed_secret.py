"""Packs one version of a secret into one block of bytes: small, quick to copy, and in a table that can be wiped. PURE.

Rule 1: a block is a head of fixed size, then the version id, the ARN, the stages and the value. Nothing in it is an
        object of its own: ten thousand secrets are ten thousand blocks, and each value is in memory once.
Rule 2: the first three fields belong to the table that holds the block: when the secret was fetched, from when on a
        refresh is due, and when its TTL ends. They are clock seconds; all are 0 in a block that is in no table, and in
        one that was wiped. `USED` and `ASKED` are the places of two marks that a reader may set in a table's block.
Rule 3: a block leaves out what nearly all secrets have in common. The beginning of the ARN is kept once
        (`beginnings`); the name in the ARN is not repeated; a UUID takes 16 bytes; and a version with AWSCURRENT alone
        has no stages in its block. Other stages each have their length before them, because any character may be in
        them. Of the origin, the endpoint that gave this version, a block has a number as well (`origins`). It lies
        among the bytes of the version, so that the record of a cached get names it, and costs no more.
Rule 4: any holder of a copy may read it. A table wipes its own blocks only, not the copies.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Final, Protocol

from secrets_actor.uuids import uuid_bytes, uuid_text

_HEAD: Final = Struct("<dddBBBBBHHxxq")  # xx: the origin, which no reader of other parts has to unpack
TIMES: Final = Struct("<ddd")
HEAD: Final = _HEAD.size
# Offsets in the head. USED and ASKED are a reader's marks (rule 2), KIND begins the part that is the version's own, and
# VERSION is the length of the version id; these are single bytes. ORIGIN is the number of the origin.
USED, ASKED, KIND, VERSION, ORIGIN = 24, 25, 26, 28, 33
_NUMBER: Final = Struct("<H")
DUE: Final = Struct("<8xd")
_LENGTH: Final = Struct("<H")  # of a stage
_TEXT, _UUID, _NAMED, _CURRENT = 1, 2, 4, 8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_INFIX: Final = ":secret:"
_AWSCURRENT: Final = ("AWSCURRENT",)


class Numbered:
    """Texts that are few and come often: a block has the number of one in its place. At most *most* of them have a
    number, those that came first."""

    def __init__(self, most: int, *texts: str) -> None:
        self.most, self.texts = most, list(texts)

    def number(self, text: str) -> int:
        """Return the number of *text*; *most* if it has none, and there is none left."""
        try:
            return self.texts.index(text)
        except ValueError:
            pass
        if len(self.texts) >= self.most:
            return self.most
        # Without a lock: if two threads append the same text, it has two numbers, and both mean the same.
        self.texts.append(text)
        return self.texts.index(text)


# The beginnings of ARNs that were seen so far, one for each account and region. A block has the number, in one byte;
# the highest number says that the block has the whole ARN.
_WHOLE: Final = 255
beginnings: Final = Numbered(_WHOLE)
# The origins that were seen so far, one for each endpoint. The number 0 says that the origin is not known, and so does
# the highest one.
origins: Final = Numbered(65_535, "")


class Revealing(Protocol):
    """A masked value, as `SecretValue` is: secret.py imports this module, so this one cannot import it."""

    @property
    def is_text(self) -> bool:
        """Whether the value is text."""

    def reveal(self) -> str | bytes:
        """Return the value in clear."""


def pack(
    name: str, arn: str, value: Revealing, version_id: str, stages: tuple[str, ...], created_at: datetime
) -> bytes:
    """Return the block of a version. *version_id* has 255 bytes at most.

    The value is revealed last, when nothing can raise any more: no traceback shows it in a local variable.
    """
    version, is_uuid = _version(version_id)
    beginning, tail, named = _parts(name, arn)
    stage_bytes = b"" if stages == _AWSCURRENT else _packed_stages(stages)
    kind = _TEXT * value.is_text | _UUID * is_uuid | _NAMED * named | _CURRENT * (stages == _AWSCURRENT)
    created = (created_at - _EPOCH) // _MICROSECOND
    head = _HEAD.pack(0.0, 0.0, 0.0, 0, 0, kind, beginning, len(version), len(tail), len(stage_bytes), created)
    clear = value.reveal()
    return b"".join((head, version, tail, stage_bytes, clear.encode() if isinstance(clear, str) else clear))


def value_of(block: bytes) -> str | bytes:
    """Return the value in clear: `str` for text, else `bytes`."""
    _, _, _, _, _, kind, _, version, tail, stage_bytes, _ = _HEAD.unpack_from(block)
    value = block[_HEAD.size + version + tail + stage_bytes :]
    return value.decode() if kind & _TEXT else value


def with_origin(block: bytes, origin: str) -> bytes:
    """Return a copy of the block that has this origin; or the block, if it has an origin already."""
    if block[ORIGIN] or block[ORIGIN + 1]:
        return block
    return b"".join((block[:ORIGIN], _NUMBER.pack(origins.number(origin)), block[ORIGIN + _NUMBER.size :]))


def origin_of(block: bytes) -> str | None:
    """Return the origin, if it is known."""
    return _origin_at(block, ORIGIN)


def is_text(block: bytes) -> bool:
    """Whether the value is text."""
    return bool(block[KIND] & _TEXT)


def version_of(block: bytes) -> str:
    """Return the version id."""
    return version_text(version_bytes(block))


def version_bytes(block: bytes) -> bytes:
    """Return the part of the block that holds the version id and the origin, and no value: for code that must not have
    the value.

    The bytes are the same whenever the version was fetched, unless its stages have changed, or another endpoint gave
    it. `version_text` and `origin_text` read them.
    """
    return block[KIND : HEAD + block[VERSION]]


def version_text(kept: bytes) -> str:
    """Return the version id in the bytes from `version_bytes`."""
    version = kept[HEAD - KIND :]
    return uuid_text(version) if kept[0] & _UUID else version.decode()


def origin_text(kept: bytes) -> str | None:
    """Return the origin in the bytes from `version_bytes`, if it is known."""
    return _origin_at(kept, ORIGIN - KIND)


def arn_of(block: bytes | bytearray, name: str) -> str:
    """Return the whole ARN; *name* is the secret's name, which the block leaves out."""
    _, _, _, _, _, kind, beginning, version, length, _, _ = _HEAD.unpack_from(block)
    start = _HEAD.size + version
    tail: str = block[start : start + length].decode()
    if beginning == _WHOLE:
        return tail
    start_of_arn: str = beginnings.texts[beginning]
    return start_of_arn + (name + tail if kind & _NAMED else tail)


def head_of(block: bytes | bytearray) -> bytes:
    """Return a copy of all that lies before the value: for code that must not have the value. All other readers of a
    block, but `value_of`, can read it."""
    _, _, _, _, _, _, _, version, tail, stage_bytes, _ = _HEAD.unpack_from(block)
    return bytes(block[: _HEAD.size + version + tail + stage_bytes])


def stages_of(block: bytes) -> tuple[str, ...]:
    """Return the stages of the version."""
    _, _, _, _, _, kind, _, version, tail, length, _ = _HEAD.unpack_from(block)
    if kind & _CURRENT:
        return _AWSCURRENT
    at = _HEAD.size + version + tail
    end, stage_bytes = at + length, list[str]()
    while at < end:
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(block, at)[0]
        stage_bytes.append(block[start:at].decode())
    return tuple(stage_bytes)


def created_of(block: bytes) -> datetime:
    """Return when the version was made (UTC)."""
    created: int = _HEAD.unpack_from(block)[-1]
    return _EPOCH + created * _MICROSECOND


def _origin_at(block: bytes, at: int) -> str | None:
    number: int = _NUMBER.unpack_from(block, at)[0]
    return None if number == origins.most else origins.texts[number] or None


def _packed_stages(stages: tuple[str, ...]) -> bytes:
    written = [stage.encode() for stage in stages]
    return b"".join([part for stage in written for part in (_LENGTH.pack(len(stage)), stage)])


def _version(version_id: str) -> tuple[bytes, bool]:
    found = uuid_bytes(version_id)
    return (version_id.encode(), False) if found is None else (found, True)


def _parts(name: str, arn: str) -> tuple[int, bytes, bool]:
    beginning, infix, rest = arn.rpartition(_INFIX)
    if infix:
        number = beginnings.number(beginning + infix)
        if number < _WHOLE:
            named = bool(name) and rest.startswith(name)
            return number, (rest[len(name) :] if named else rest).encode(), named
    return _WHOLE, arn.encode(), False
