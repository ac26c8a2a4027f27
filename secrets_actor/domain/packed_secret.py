"""One version of a secret as one block of bytes: small, quick to copy, and in a table that can be wiped. PURE.

Rule 1: a block is a head of fixed size, then version id, ARN, stages, value. Nothing in it is an object of its own: ten
        thousand secrets are ten thousand blocks, and a value is in memory once.
Rule 2: the first three fields are the holder's: when it was fetched, from when on it is due for a refresh, when it
        ends (clock seconds; all 0 in a block that nobody keeps, or that was wiped). `USED` and `ASKED` are marks that a
        reader may set in a table's block.
Rule 3: what nearly all have in common is left out: the beginning of the ARN is kept once (`_beginnings`), the name in
        the ARN is the name, a UUID takes 16 bytes, and the stages of a current version are none. Other stages each have
        their length before them, for any character may be in them.
Rule 4: blocks are read by whoever holds a copy. A table wipes its own only.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Final, Protocol

from secrets_actor.uuids import uuid_bytes, uuid_text

_HEAD: Final = Struct("<dddBBBBBHHq")
TIMES: Final = Struct("<ddd")
HEAD: Final = _HEAD.size
# The first byte of those that are the version's own, and the one that says how long its id is.
USED, ASKED, KIND, VERSION = 24, 25, 26, 28
DUE: Final = Struct("<8xd")
_LENGTH: Final = Struct("<H")  # of a stage
_TEXT, _UUID, _NAMED, _CURRENT = 1, 2, 4, 8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_INFIX: Final = ":secret:"
_AWSCURRENT: Final = ("AWSCURRENT",)

# The beginnings of ARNs seen so far: one for each account and region. The last number says that the ARN is whole.
_WHOLE: Final = 255
_beginnings: list[str] = []


class Revealing(Protocol):
    """A masked value."""

    @property
    def is_text(self) -> bool:
        """Whether it is text."""

    def reveal(self) -> str | bytes:
        """The value in clear."""


def pack(
    name: str, arn: str, value: Revealing, version_id: str, stages: tuple[str, ...], created_at: datetime
) -> bytes:
    """The block. *version_id* has 255 bytes at most. The value is in clear only where nothing is raised any more."""
    version, is_uuid = _version(version_id)
    beginning, tail, named = _parts(name, arn)
    stage_bytes = b"" if stages == _AWSCURRENT else _packed_stages(stages)
    kind = _TEXT * value.is_text | _UUID * is_uuid | _NAMED * named | _CURRENT * (stages == _AWSCURRENT)
    created = (created_at - _EPOCH) // _MICROSECOND
    head = _HEAD.pack(0.0, 0.0, 0.0, 0, 0, kind, beginning, len(version), len(tail), len(stage_bytes), created)
    clear = value.reveal()
    return b"".join((head, version, tail, stage_bytes, clear.encode() if isinstance(clear, str) else clear))


def value_of(block: bytes) -> str | bytes:
    """The value: `str` for text."""
    _, _, _, _, _, kind, _, version, tail, stage_bytes, _ = _HEAD.unpack_from(block)
    value = block[_HEAD.size + version + tail + stage_bytes :]
    return value.decode() if kind & _TEXT else value


def is_text(block: bytes) -> bool:
    """Whether the value is text."""
    return bool(block[KIND] & _TEXT)


def version_of(block: bytes) -> str:
    """The version id."""
    return version_text(version_bytes(block))


def version_bytes(block: bytes) -> bytes:
    """The version id, and how to read it: for whoever is to be told that, and must not have the value. The same
    whenever the version was fetched, unless its stages have changed."""
    return block[KIND : HEAD + block[VERSION]]


def version_text(kept: bytes) -> str:
    """The version id in what `version_bytes` gave."""
    version = kept[HEAD - KIND :]
    return uuid_text(version) if kept[0] & _UUID else version.decode()


def arn_of(block: bytes | bytearray, name: str) -> str:
    """The ARN of the secret with this *name*."""
    _, _, _, _, _, kind, beginning, version, length, _, _ = _HEAD.unpack_from(block)
    start = _HEAD.size + version
    tail: str = block[start : start + length].decode()
    if beginning == _WHOLE:
        return tail
    start_of_arn: str = _beginnings[beginning]
    return start_of_arn + (name + tail if kind & _NAMED else tail)


def stages_of(block: bytes) -> tuple[str, ...]:
    """The stages."""
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
    """When the version was made (UTC)."""
    created: int = _HEAD.unpack_from(block)[-1]
    return _EPOCH + created * _MICROSECOND


def _packed_stages(stages: tuple[str, ...]) -> bytes:
    written = [stage.encode() for stage in stages]
    return b"".join([part for stage in written for part in (_LENGTH.pack(len(stage)), stage)])


def _version(version_id: str) -> tuple[bytes, bool]:
    found = uuid_bytes(version_id)
    return (version_id.encode(), False) if found is None else (found, True)


def _parts(name: str, arn: str) -> tuple[int, bytes, bool]:
    beginning, infix, rest = arn.partition(_INFIX)
    if infix:
        number = _number(beginning + infix)
        if number < _WHOLE:
            named = bool(name) and rest.startswith(name)
            return number, (rest[len(name) :] if named else rest).encode(), named
    return _WHOLE, arn.encode(), False


def _number(beginning: str) -> int:
    try:
        return _beginnings.index(beginning)
    except ValueError:
        pass
    if len(_beginnings) >= _WHOLE:
        return _WHOLE
    _beginnings.append(beginning)  # two threads may both do it: then there are two numbers for one beginning
    return _beginnings.index(beginning)
