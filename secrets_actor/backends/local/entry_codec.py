"""The encoding of a secret's entry as bytes: the clear text of its sealed head. PURE.

Rule 1: the parts of a head are, in this order: format, flags, times and the numbers of tags, stages, versions and
        texts; the length of each text; the texts as UTF-8; a record of fixed size for each version, the oldest first;
        and for each stage the index of its version.
Rule 2: of the ARN, a head has the suffix only; its beginning is a setting, and the same for all secrets. The texts are,
        in this order: name, ARN suffix, description, key and value of each tag, stages, and the ids of
        those versions that are not UUIDs. A UUID takes 16 bytes in the record of its version.
Rule 3: nothing is tolerated: bytes that `encode` would not write are damage.
Rule 4: times are microseconds since 1970 (UTC). The day of the last access is not in the head but in a column beside
        it, so that a read need not seal the head anew.
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
# The beginning of the ARNs of local secrets, if the settings do not say otherwise. AWS's tools take only ARNs with a
# partition and a region of AWS's form, and an account of twelve digits (Terraform's provider checks all three). AWS
# gives nobody the account 000000000000, so nobody can take a local ARN for one of AWS.
ARN_PREFIX: Final = "arn:aws:secretsmanager:us-east-1:000000000000:secret:"
# How the ARNs of local secrets began before there were settings for it. Programs may have kept some.
FORMER_ARN_PREFIX: Final = "arn:local:secretsmanager:local:000000000000:secret:"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FARTHEST: Final = 10**17  # microseconds: the year 5138; datetime itself ends with 9999
_FARTHEST_DAY: Final = _FARTHEST // 86_400_000_000
_FIXED: Final = Struct(">BBqqqHHHH")
_VERSION: Final = Struct(">Bq16s")
_LOOK: Final = Struct(">qd")
# A moment before the end of any recovery window.
LONG_AGO: Final = datetime(1, 1, 1, tzinfo=UTC)
_DESCRIBED, _SCHEDULED = 1, 2
_UUID, _MADE_SECRET = 1, 2
_NO_UUID: Final = bytes(16)


def encode(entry: Entry, arn_prefix: str = ARN_PREFIX) -> bytes:
    """Return the head of *entry*, whose ARN begins with *arn_prefix*. Raises `ValueError` for an entry that the
    semantics never make, such as one with a stage on a version that is not there."""
    suffix = entry.arn.removeprefix(f"{arn_prefix}{entry.name}-")
    if arn(arn_prefix, entry.name, suffix) != entry.arn:
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


def decode(head: bytes, accessed_day: int | None = None, arn_prefix: str = ARN_PREFIX) -> Entry:
    """Return the entry in *head*. *accessed_day* (days since 1970) is kept beside the head, and *arn_prefix* is how its
    ARN begins. Raises `DamagedRow`."""
    try:
        return _decoded(head, accessed_day, arn_prefix)
    except (ValueError, IndexError, StructError, OverflowError):
        pass  # raised outside: the texts of these errors may quote what is in the head
    raise DamagedRow


def _decoded(head: bytes, accessed_day: int | None, arn_prefix: str) -> Entry:
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
    at = moment(created)
    found = tuple([_version(record, long_ids, created, at) for record in _VERSION.iter_unpack(head[end:records_end])])
    stages = {}
    for offset, place in enumerate(_numbers(stage_count).unpack_from(head, records_end)):
        stages[texts[first_stage + offset]] = found[place].id
    named = dict(zip(texts[3:first_stage:2], texts[4:first_stage:2], strict=True)) if tags else {}
    different = versions < 2 or len({one.id for one in found}) == versions
    if (description and not flags & _DESCRIBED) or (deletion and not flags & _SCHEDULED):
        raise DamagedRow
    if not different or len(stages) != stage_count or len(named) != tags or next(long_ids, None) is not None:
        raise DamagedRow
    return Entry(
        name,
        arn(arn_prefix, name, suffix),
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
    """Return the texts, and the offset at which they end."""
    numbers = _numbers(count)
    lengths, at = numbers.unpack_from(head, _FIXED.size), _FIXED.size + numbers.size
    end = at + sum(lengths)
    together = head[at:end].decode()
    # Texts of ASCII alone have as many characters as bytes, and are cut out of one text: decoding each costs twice as
    # much. A list opens thousands of heads.
    from_one = len(together) == end - at
    texts, begin = [], 0 if from_one else at
    for length in lengths:
        texts.append(together[begin : begin + length] if from_one else head[begin : begin + length].decode())
        begin += length
    return texts, end


@lru_cache(maxsize=64)
def _numbers(count: int) -> Struct:
    """Return the layout of *count* numbers of two bytes each."""
    return Struct(f">{count}H")


def _version(record: tuple[int, int, bytes], long_ids: Iterator[str], first: int, at: datetime) -> Version:
    kind, created, short = record
    if created != first:
        at = moment(created)
    if kind > _UUID | _MADE_SECRET:
        raise DamagedRow
    if kind & _UUID:
        return Version(uuid_text(short), at, kind >= _MADE_SECRET)
    version_id = next(long_ids, "")
    if not version_id or short != _NO_UUID:
        raise DamagedRow
    return Version(version_id, at, kind >= _MADE_SECRET)


def arn(arn_prefix: str, name: str, suffix: str) -> str:
    """Return the ARN of the secret *name* with this beginning and suffix."""
    return f"{arn_prefix}{name}-{suffix}"


def micros(at: datetime) -> int:
    """Return *at* in microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def moment(stored: object) -> datetime:
    """Return the moment that is *stored* microseconds after 1970. Raises `DamagedRow`."""
    if isinstance(stored, int) and -_FARTHEST < stored < _FARTHEST:
        return _EPOCH + stored * _MICROSECOND  # this takes two thirds of the time of `timedelta(0, 0, stored)`
    raise DamagedRow


def look_bytes(look: Look) -> bytes:
    """Return a look at the clocks as the bytes that the store keeps."""
    return _LOOK.pack(micros(look.at), look.seconds)


def look(rows: list[tuple[object, ...]] | None) -> Look | None:
    """Return the look at the clocks in *rows*; None when there is none, or when we did not write it. The next look that
    sees the end of a recovery window is then the first one."""
    match rows:
        case [(bytes(found),)] if len(found) == _LOOK.size:
            at, seconds = _LOOK.unpack(found)
            if -_FARTHEST < at < _FARTHEST and isfinite(seconds):
                return Look(moment(at), seconds)
    return None


def day_number(at: datetime) -> int:
    """Return the day of *at* in days since 1970."""
    return (at - _EPOCH).days


def day(number: object) -> datetime:
    """Return the moment when the day *number* (days since 1970) began. Raises `DamagedRow`."""
    if isinstance(number, int) and -_FARTHEST_DAY < number < _FARTHEST_DAY:
        return _EPOCH + timedelta(number)
    raise DamagedRow
