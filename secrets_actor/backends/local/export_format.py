"""The encoding of a secret in an export: all its versions and values as bytes. PURE.

Rule 1: a record is the length of its head (4 bytes, big-endian), the head, and the values one after the other. The head
        is JSON: all fields of an `Entry`, and the kind and length of each value.
Rule 2: an export goes from store to store, so it holds only the end of an ARN. The store that imports it puts its own
        beginning before that.
Rule 3: nothing is tolerated: bytes that `encode` would not write are refused (`NoRecord`), and no error quotes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations.limits import (
    MAX_DESCRIPTION_LENGTH,
    check_stage,
    check_text,
    check_token,
    checked_tags,
)
from secrets_actor.domain.secret import MAX_VALUE_BYTES, SecretValue
from secrets_actor.domain.semantics.entry import Entry, Version
from secrets_actor.json_text import read_json

# The greatest number of bytes in a head, so that a damaged length cannot make us read without end. A secret with a
# hundred versions of twenty stages of 256 characters each is far below.
MAX_HEAD: Final = 2**24
_LENGTH_BYTES: Final = 4
_KINDS: Final = {True: "text", False: "binary"}


class NoRecord(Exception):
    """The bytes that were read are not a record of ours. The import turns this into `ExportDamaged`."""


class Record(Struct, frozen=True):
    """A secret's entry, and the values of its versions by version id."""

    entry: Entry
    values: Mapping[str, SecretValue]


def encode(entry: Entry, value: Callable[[str], SecretValue]) -> bytes:
    """Return the record of *entry*. *value* returns the value of a version by its id."""
    # All values stay masked until the last one has opened: a frame that raises must not hold a clear one.
    held = [value(one.id) for one in entry.versions]
    values = [_as_bytes(one) for one in held]
    versions = [
        [one.id, _text(one.created_at), one.made_secret, _KINDS[kept.is_text], len(inside)]
        for one, kept, inside in zip(entry.versions, held, values, strict=True)
    ]
    head = json.dumps(
        {
            "name": entry.name,
            "suffix": entry.arn.rpartition("-")[2],
            "created_at": _text(entry.created_at),
            "changed_at": _text(entry.changed_at),
            "description": entry.description,
            "tags": dict(entry.tags),
            "deletion_date": _text(entry.deletion_date),
            "accessed_at": _text(entry.accessed_at),
            "versions": versions,
            "stages": dict(entry.stages),
        }
    ).encode()
    return b"".join((len(head).to_bytes(_LENGTH_BYTES, "big"), head, *values))


def decode(read: Callable[[int], bytes], arn_prefix: str) -> Record:
    """Return the next record. *read* returns as many bytes as it is asked for, and *arn_prefix* is the beginning of the
    ARNs in the store that imports. Raises `NoRecord`."""
    size = int.from_bytes(read(_LENGTH_BYTES), "big")
    if size > MAX_HEAD:
        raise NoRecord
    try:
        return _record(read_json(read(size)), read, arn_prefix)
    except (ValueError, TypeError, KeyError, AttributeError):
        pass  # not chained: their texts quote what they object to, and their frames hold it
    raise NoRecord


def _record(head: Any, read: Callable[[int], bytes], arn_prefix: str) -> Record:
    name, suffix = SecretId(head["name"]), head["suffix"]
    if name.is_arn or not (isinstance(suffix, str) and suffix.isascii() and suffix.isalnum() and len(suffix) == 6):
        raise ValueError
    if head["description"] is not None:
        check_text("description", head["description"], MAX_DESCRIPTION_LENGTH)
    versions, values = [], {}
    for version_id, created, made_secret, kind, length in head["versions"]:
        check_token("version", version_id)
        if not (isinstance(made_secret, bool) and isinstance(length, int) and 0 < length <= MAX_VALUE_BYTES):
            raise ValueError
        versions.append(Version(version_id, _moment(created), made_secret))
        values[version_id] = _value(read(length), kind)
    stages = dict(head["stages"])
    for stage in stages:
        check_stage("stage", stage)
    if len(values) != len(versions) or not values.keys() >= set(stages.values()):
        raise ValueError
    entry = Entry(
        str(name),
        f"{arn_prefix}{name}-{suffix}",
        _moment(head["created_at"]),
        _moment(head["changed_at"]),
        head["description"],
        checked_tags(head["tags"]),
        _moment_or_none(head["deletion_date"]),
        _moment_or_none(head["accessed_at"]),
        tuple(versions),
        stages,
    )
    return Record(entry, values)


def _value(inside: bytes, kind: str) -> SecretValue:
    if kind not in _KINDS.values():
        raise ValueError
    return SecretValue(inside.decode() if kind == _KINDS[True] else inside)


def _as_bytes(value: SecretValue) -> bytes:
    inside = value.reveal()
    return inside.encode() if isinstance(inside, str) else inside


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.utcoffset() != timedelta(0):
        raise ValueError
    return found


def _moment_or_none(text: str | None) -> datetime | None:
    return None if text is None else _moment(text)
