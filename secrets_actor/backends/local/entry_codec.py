"""A secret's entry as bytes, for its sealed head. PURE.

Rule 1: format, flags, times, how many texts, versions and stages; the lengths of the texts; the texts as UTF-8; a
        record of fixed size for each version, the oldest first; and for each stage the place of its version.
Rule 2: the texts are name, ARN suffix, description, keys and values of the tags by turns, stages, and the ids of the
        versions that are no UUID. A UUID takes 16 bytes in its version's record.
Rule 3: nothing is tolerated: what is not as `encode` writes it is damage.
Rule 4: times are microseconds since 1970 (UTC). The day of the last access is none of the head's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import isfinite
from struct import Struct
from struct import error as StructError
from typing import Final

from secrets_actor.backends.local.schema import DamagedRow
from secrets_actor.domain.semantics import Look
from secrets_actor.domain.semantics.entry import Entry, Version
from secrets_actor.uuids import uuid_bytes, uuid_text

FORMAT: Final = 1
# An ARN of our own: the AWS form, with a partition, region and account that AWS does not have.
ARN_PREFIX: Final = "arn:local:secretsmanager:local:000000000000:secret:"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FARTHEST: Final = 10**17  # microseconds: the year 5138; datetime itself ends with 9999
_FARTHEST_DAY: Final = _FARTHEST // 86_400_000_000
_FIXED: Final = Struct(">BBqqqHHHH")
_VERSION: Final = Struct(">Bq16s")
_LOOK: Final = Struct(">qd")
# Before all recovery windows.
LONG_AGO: Final = datetime(1, 1, 1, tzinfo=UTC)
_DESCRIBED, _SCHEDULED = 1, 2
_UUID, _MADE_SECRET = 1, 2
_NO_UUID: Final = bytes(16)


def encode(entry: Entry) -> bytes:
    """The bytes. Raises `ValueError` for what no `Entry` of ours is, such as a stage on a version that is not there."""
    suffix = entry.arn.removeprefix(f"{ARN_PREFIX}{entry.name}-")
    if arn(entry.name, suffix) != entry.arn:
        raise ValueError("an ARN of another store")
    flags = _DESCRIBED * (entry.description is not None) | _SCHEDULED * (entry.deletion_date is not None)
    texts = [entry.name, suffix, entry.description or ""]
    for key, tag in entry.tags.items():
        texts += (key, tag)
    places = {one.id: place for place, one in enumerate(entry.versions)}
    if len(places) != len(entry.versions) or not places.keys() >= set(entry.stages.values()):
        raise ValueError("a stage on a version that is not there, or a version that is there twice")
    texts += entry.stages
    records = []
    for one in entry.versions:
        short = uuid_bytes(one.id)
        if short is None:
            texts.append(one.id)
        kind = _UUID * (short is not None) | _MADE_SECRET * one.made_secret
        records.append(_VERSION.pack(kind, micros(one.created_at), short or _NO_UUID))
    written = [text.encode() for text in texts]
    fixed = _FIXED.pack(
        FORMAT,
        flags,
        micros(entry.created_at),
        micros(entry.changed_at),
        0 if entry.deletion_date is None else micros(entry.deletion_date),
        len(entry.tags),
        len(entry.stages),
        len(entry.versions),
        len(texts),
    )
    lengths = _numbers(len(written)).pack(*map(len, written))
    stage_versions = _numbers(len(entry.stages)).pack(*[places[version] for version in entry.stages.values()])
    return b"".join((fixed, lengths, *written, *records, stage_versions))


def decode(head: bytes, accessed_day: int | None = None) -> Entry:
    """The entry; *accessed_day* (days since 1970) is kept beside the head. Raises `DamagedRow`."""
    try:
        return _decoded(head, accessed_day)
    except (ValueError, IndexError, StructError, OverflowError):
        pass
    raise DamagedRow


def _decoded(head: bytes, accessed_day: int | None) -> Entry:
    form, flags, created, changed, deletion, tags, stage_count, versions, count = _FIXED.unpack_from(head)
    if form != FORMAT or flags > _DESCRIBED | _SCHEDULED or count < 3 + 2 * tags + stage_count:
        raise DamagedRow
    texts, end = _texts(head, count)
    records_end = end + versions * _VERSION.size
    if len(head) != records_end + 2 * stage_count:
        raise DamagedRow
    name, suffix, description = texts[:3]
    first_stage = 3 + 2 * tags
    long_ids = iter(texts[first_stage + stage_count :])
    found = tuple([_version(record, long_ids) for record in _VERSION.iter_unpack(head[end:records_end])])
    places = _numbers(stage_count).unpack_from(head, records_end)
    stages = {stage: found[place].id for stage, place in zip(texts[first_stage:], places, strict=False)}
    named = dict(zip(texts[3:first_stage:2], texts[4:first_stage:2], strict=True)) if tags else {}
    ids = {one.id for one in found}
    if (description and not flags & _DESCRIBED) or (deletion and not flags & _SCHEDULED):
        raise DamagedRow
    if next(long_ids, None) is not None or (len(stages), len(named), len(ids)) != (stage_count, tags, versions):
        raise DamagedRow
    at = moment(created)
    return Entry(
        name,
        arn(name, suffix),
        at,
        at if changed == created else moment(changed),
        description if flags & _DESCRIBED else None,
        named,
        moment(deletion) if flags & _SCHEDULED else None,
        None if accessed_day is None else day(accessed_day),
        found,
        stages,
    )


def _texts(head: bytes, count: int) -> tuple[list[str], int]:
    """The texts, and where they end."""
    lengths = _numbers(count)
    texts, at = [], _FIXED.size + lengths.size
    for length in lengths.unpack_from(head, _FIXED.size):
        texts.append(head[at : at + length].decode())
        at += length
    return texts, at


@lru_cache(maxsize=64)
def _numbers(count: int) -> Struct:
    """So many numbers of two bytes."""
    return Struct(f">{count}H")


def _version(record: tuple[int, int, bytes], long_ids: Iterator[str]) -> Version:
    kind, created, short = record
    if kind > _UUID | _MADE_SECRET:
        raise DamagedRow
    if kind & _UUID:
        return Version(uuid_text(short), moment(created), kind >= _MADE_SECRET)
    version_id = next(long_ids, "")
    if not version_id or short != _NO_UUID:
        raise DamagedRow
    return Version(version_id, moment(created), kind >= _MADE_SECRET)


def arn(name: str, suffix: str) -> str:
    """The ARN of a secret."""
    return f"{ARN_PREFIX}{name}-{suffix}"


def micros(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def moment(stored: object) -> datetime:
    """The moment at so many microseconds. Raises `DamagedRow`."""
    if isinstance(stored, int) and -_FARTHEST < stored < _FARTHEST:
        return _EPOCH + timedelta(0, 0, stored)
    raise DamagedRow


def look_bytes(look: Look) -> bytes:
    """A look at the clocks, as it is remembered."""
    return _LOOK.pack(micros(look.at), look.seconds)


def look(rows: list[tuple[object, ...]] | None) -> Look | None:
    """The look in *rows*; None where there is none, or none that we wrote: then there is a first one to come."""
    match rows:
        case [(bytes(found),)] if len(found) == _LOOK.size:
            at, seconds = _LOOK.unpack(found)
            if -_FARTHEST < at < _FARTHEST and isfinite(seconds):
                return Look(moment(at), seconds)
    return None


def day_number(at: datetime) -> int:
    """Days since 1970."""
    return (at - _EPOCH).days


def day(number: object) -> datetime:
    """When that day began. Raises `DamagedRow`."""
    if isinstance(number, int) and -_FARTHEST_DAY < number < _FARTHEST_DAY:
        return _EPOCH + timedelta(number)
    raise DamagedRow
