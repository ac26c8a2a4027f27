"""The statements: secrets, versions and stages, inside a transaction of the store. Decides nothing but what is there.

Rule 1: a secret whose recovery window has ended is not there, whether or not `purge` has been by.
Rule 2: times go in and out as aware datetimes and lie as microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from secrets_actor.backends.local.schema import DamagedRow
from secrets_actor.domain.operations import AWSCURRENT, AWSPREVIOUS

if TYPE_CHECKING:
    from secrets_actor.backends.local.store import Rows
    from secrets_actor.domain.names import SecretId

# An ARN of our own: the AWS form, with a partition, region and account that AWS does not have.
ARN_PREFIX: Final = "arn:local:secretsmanager:local:000000000000:secret:"
SUFFIX_LENGTH: Final = 6
# AWS Secrets Manager keeps about 100 versions and removes unlabelled ones first (user guide, "Quotas"). It spares those
# younger than a day; we do not, so that the file stays small however often a program sets.
MAX_VERSIONS: Final = 100
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECRETS: Final = "SELECT id, name, suffix, description, created_at, changed_at, deletion_date FROM secrets"


@dataclass(frozen=True, slots=True)
class SecretRow:
    """A secret without its versions. `deletion_date` is set while it is scheduled for deletion."""

    id: int
    name: str
    arn: str
    description: str | None
    created_at: datetime
    changed_at: datetime
    deletion_date: datetime | None


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version, sealed. `made_secret` tells the version with which the secret was created."""

    id: int
    version_id: str
    kind: str
    sealed: object
    created_at: datetime
    made_secret: bool


def find(rows: Rows, secret_id: SecretId, now: datetime) -> SecretRow | None:
    """The secret of this name, ARN, or ARN without its suffix."""
    if not secret_id.is_arn:
        return _by_name(rows, secret_id, None, now)
    if not secret_id.startswith(ARN_PREFIX):
        return None  # a secret of another store
    tail = secret_id.removeprefix(ARN_PREFIX)
    name, _, suffix = tail.rpartition("-")
    return _by_name(rows, name, suffix, now) or _by_name(rows, tail, None, now)


def _by_name(rows: Rows, name: str, suffix: str | None, now: datetime) -> SecretRow | None:
    row = rows.one(
        _SECRETS + " WHERE name = ? AND suffix = ifnull(?, suffix) AND (deletion_date IS NULL OR deletion_date > ?)",
        str(name),
        suffix,
        micros(now),
    )
    return None if row is None else _secret(row)


def every(rows: Rows, now: datetime, *, include_deleted: bool) -> list[SecretRow]:
    """All secrets by name."""
    found = rows.all(
        _SECRETS + " WHERE deletion_date IS NULL OR (deletion_date > ? AND ?) ORDER BY name",
        micros(now),
        include_deleted,
    )
    return [_secret(row) for row in found]


def create(rows: Rows, name: str, suffix: str, description: str | None, now: datetime) -> SecretRow:
    """A new secret, without a version yet."""
    at = micros(now)
    key = rows.do(
        "INSERT INTO secrets (name, suffix, description, created_at, changed_at) VALUES (?, ?, ?, ?, ?)",
        str(name),
        suffix,
        description,
        at,
        at,
    )
    return SecretRow(key, str(name), arn(name, suffix), description, now, now, None)


def touch(rows: Rows, secret: SecretRow, description: str | None, now: datetime) -> None:
    """Note a change, and the description if there is a new one."""
    rows.do(
        "UPDATE secrets SET changed_at = ?, description = ifnull(?, description) WHERE id = ?",
        micros(now),
        description,
        secret.id,
    )


def schedule(rows: Rows, secret: SecretRow, deletion_date: datetime | None, now: datetime) -> None:
    """Schedule the secret for deletion, or call that off with None."""
    rows.do(
        "UPDATE secrets SET changed_at = ?, deletion_date = ? WHERE id = ?",
        micros(now),
        None if deletion_date is None else micros(deletion_date),
        secret.id,
    )


def remove(rows: Rows, secret: SecretRow) -> None:
    """Remove the secret with all its versions."""
    rows.do("DELETE FROM secrets WHERE id = ?", secret.id)


def overdue(rows: Rows, now: datetime) -> bool:
    """Whether there is something to purge."""
    return rows.one("SELECT 1 FROM secrets WHERE deletion_date <= ? LIMIT 1", micros(now)) is not None


def purge(rows: Rows, now: datetime) -> None:
    """Remove the secrets whose recovery window has ended."""
    rows.do("DELETE FROM secrets WHERE deletion_date <= ?", micros(now))


def version_by_id(rows: Rows, secret: SecretRow, version_id: str) -> VersionRow | None:
    """The version of this id."""
    return _version(
        rows.one(
            "SELECT id, version_id, kind, sealed, created_at, made_secret FROM versions"
            " WHERE secret = ? AND version_id = ?",
            secret.id,
            version_id,
        )
    )


def version_by_stage(rows: Rows, secret: SecretRow, stage: str) -> VersionRow | None:
    """The version that has this stage."""
    return _version(
        rows.one(
            "SELECT v.id, v.version_id, v.kind, v.sealed, v.created_at, v.made_secret"
            " FROM stages s JOIN versions v ON v.id = s.version WHERE s.secret = ? AND s.stage = ?",
            secret.id,
            stage,
        )
    )


def stages(rows: Rows, version: VersionRow) -> tuple[str, ...]:
    """The stages of a version, sorted."""
    found = rows.all("SELECT stage FROM stages WHERE version = ? ORDER BY stage", version.id)
    return tuple(stage for (stage,) in found)


def add_current(
    rows: Rows, secret: SecretRow, version_id: str, kind: str, sealed: bytes, now: datetime, *, made_secret: bool
) -> None:
    """Add a version, give it AWSCURRENT, and AWSPREVIOUS to the one that had it."""
    former = version_by_stage(rows, secret, AWSCURRENT)
    key = rows.do(
        "INSERT INTO versions (secret, version_id, kind, sealed, created_at, made_secret) VALUES (?, ?, ?, ?, ?, ?)",
        secret.id,
        version_id,
        kind,
        sealed,
        micros(now),
        made_secret,
    )
    if former is not None:
        _label(rows, secret, AWSPREVIOUS, former.id)
    _label(rows, secret, AWSCURRENT, key)


def prune(rows: Rows, secret: SecretRow) -> None:
    """Remove the oldest versions past `MAX_VERSIONS`, except those with a stage."""
    rows.do(
        "DELETE FROM versions WHERE id IN (SELECT id FROM versions WHERE secret = ? ORDER BY id DESC LIMIT -1 OFFSET ?)"
        " AND id NOT IN (SELECT version FROM stages WHERE secret = ?)",
        secret.id,
        MAX_VERSIONS,
        secret.id,
    )


def key_check(rows: Rows) -> object:
    """The record that tells the key; None when there is none yet. A store with secrets always has one."""
    row = rows.one("SELECT value FROM meta WHERE name = 'key_check'")
    if row is not None:
        return row[0]
    if rows.one("SELECT 1 FROM secrets LIMIT 1") is not None:
        raise DamagedRow
    return None


def put_key_check(rows: Rows, record: bytes) -> None:
    """Store the record that tells the key."""
    rows.do("INSERT INTO meta (name, value) VALUES ('key_check', ?)", record)


def arn(name: str, suffix: str) -> str:
    """The ARN of a secret; an empty *suffix* leaves it out, for a secret that is not there."""
    return f"{ARN_PREFIX}{name}-{suffix}" if suffix else f"{ARN_PREFIX}{name}"


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(stored: object) -> datetime:
    if isinstance(stored, int) and abs(stored) < 10**17:  # year 5138; datetime itself ends with 9999
        return _EPOCH + timedelta(microseconds=stored)
    raise DamagedRow


def _secret(row: tuple[object, ...]) -> SecretRow:
    match row:
        case (int(key), str(name), str(suffix), str() | None as description, created, changed, deletion):
            ends = None if deletion is None else _moment(deletion)
            return SecretRow(key, name, arn(name, suffix), description, _moment(created), _moment(changed), ends)
    raise DamagedRow


def _version(row: tuple[object, ...] | None) -> VersionRow | None:
    match row:
        case None:
            return None
        case (int(key), str(version_id), str(kind), sealed, created, made_secret):
            return VersionRow(key, version_id, kind, sealed, _moment(created), bool(made_secret))
    raise DamagedRow


def _label(rows: Rows, secret: SecretRow, stage: str, version: int) -> None:
    rows.do("INSERT OR REPLACE INTO stages (secret, stage, version) VALUES (?, ?, ?)", secret.id, stage, version)
