"""Reads, writes and deletes values; decides when a recovery window has ended. PURE.

Rule 1: a write that is repeated with its token finds the version that it made before, and changes nothing.
Rule 2: a recovery window has ended when two looks at the clocks, an hour apart, have both seen its end. One look may be
        at a wall clock that is wrong, such as that of a machine that has just come up, and a purge cannot be undone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.domain.errors import (
    InvalidRequest,
    LimitExceeded,
    SecretExists,
    SecretNotFound,
    SecretsError,
    StoreError,
)
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import (
    AWSCURRENT,
    Create,
    CreateEmpty,
    Delete,
    Get,
    GetMany,
    Put,
    Regenerate,
    Restore,
    Set,
    Update,
)
from secrets_actor.domain.results import ChangeReceipt, NamedReceipt, SecretBatch, VersionReceipt
from secrets_actor.domain.secret import DeleteReceipt, Secret, SecretValue, SetReceipt
from secrets_actor.domain.semantics.context import Context
from secrets_actor.domain.semantics.entry import Entry, Version
from secrets_actor.domain.semantics.passwords import generated
from secrets_actor.domain.semantics.records_port import Records
from secrets_actor.domain.semantics.stages import MAX_STAGES, moved_to_new, pruned


def get(context: Context, operation: Get) -> Secret:
    """Return one version of a secret, and note the access."""
    entry = context.live(operation.secret_id)
    version_id, stage = operation.version_id, operation.stage
    if version_id is None:
        stage = stage or AWSCURRENT
        version, sought = entry.version(entry.stages.get(stage, "")), f"version with stage {stage}"
    else:
        version, sought = entry.version(version_id), f"version {version_id}"
    if version is None:
        absent = SecretNotFound(f"secret {entry.name} has no {sought} in {context.records.store_name}")
        absent.version_id, absent.stage = version_id, None if version_id is not None else stage
        raise absent
    stages = entry.stages_of(version.id)
    if stage is not None and stage not in stages:
        raise InvalidRequest(f"{sought} of secret {entry.name} does not have stage {stage}; give only one")
    value = context.records.value(entry, version.id)
    # Once a day is enough, for `accessed_at` is a day: so most reads write nothing.
    if entry.accessed_at is None or entry.accessed_at.date() < context.now.date():
        context.records.accessed(entry, context.now)
    return Secret(entry.name, entry.arn, value, version.id, stages, version.created_at)


def get_many(context: Context, operation: GetMany) -> SecretBatch:
    """Return many secrets, each as a get of it would answer, or with the error that it would raise."""
    found: dict[str, Secret] = {}
    errors: dict[str, SecretsError] = {}
    for secret_id in operation.secret_ids:
        try:
            found[secret_id] = get(context, Get(secret_id))
        except StoreError as error:
            errors[secret_id] = error.clone()
    return SecretBatch(found, errors)


# The values of `kms_key_id` that mean no key of the user's (AWS's service model, UpdateSecret `KmsKeyId`).
OF_THE_STORE: Final = frozenset({None, "", "alias/aws/secretsmanager"})


def set_secret(context: Context, operation: Set) -> SetReceipt:
    """Make a value the current one; create the secret if there is none."""
    _refuse_key(context, operation.kms_key_id)
    secret_id, version_id = SecretId(operation.secret_id), operation.token or context.new_id
    found = context.find(secret_id)
    if found is None:
        if secret_id.is_arn or secret_id.is_managed:
            raise context.missing(secret_id)
        return _make(context, operation, version_id)
    if operation.restore_on_set and found.deletion_date is not None:
        entry = replace(found, deletion_date=None, changed_at=context.now)
    else:
        entry = context.alive(found)
    earlier = _earlier(context, found, version_id, operation.value)
    if earlier is None:
        _add(context, _described(entry, operation.description), version_id, operation.value, (AWSCURRENT,))
    elif entry is not found:
        context.records.keep(entry)
    return SetReceipt(entry.name, entry.arn, version_id, created=earlier is not None and earlier.made_secret)


def create(context: Context, operation: Create) -> SetReceipt:
    """Create a secret. Raises `SecretExists` for one that exists, unless this create made it before."""
    _refuse_elsewhere(context, operation)
    version_id = operation.token or context.new_id
    entry = context.find(operation.secret_id)
    if entry is None:
        return _make(context, operation, version_id)
    context.alive(entry)
    if _earlier(context, entry, version_id, operation.value) is None:
        raise _taken(context, entry)
    return SetReceipt(entry.name, entry.arn, version_id, created=True)


def create_empty(context: Context, operation: CreateEmpty) -> NamedReceipt:
    """Create a secret without a version. If the operation may have taken effect before (`repeated`), and the secret
    has no version yet, it has: that is the answer."""
    _refuse_elsewhere(context, operation)
    entry = context.find(operation.secret_id)
    if entry is None:
        entry = _new_entry(context, operation)
        context.records.keep(entry)
    elif context.alive(entry).versions or not context.repeated:
        raise _taken(context, entry)
    return NamedReceipt(entry.name, entry.arn)


def put(context: Context, operation: Put) -> VersionReceipt:
    """Add a version: the current one, or one with the stages that are asked for."""
    entry, version_id = context.live(operation.secret_id), operation.token or context.new_id
    if _earlier(context, entry, version_id, operation.value) is None:
        check_stages(entry, operation.stages)
        # The first version is the current one, whatever stages it is put with (API reference, PutSecretValue).
        current = (AWSCURRENT,) if not operation.stages or not entry.versions else ()
        entry = _add(context, entry, version_id, operation.value, (*operation.stages, *current))
    return VersionReceipt(entry.name, entry.arn, version_id, entry.stages_of(version_id))


def update(context: Context, operation: Update) -> ChangeReceipt:
    """Change the value and the description, if they are given."""
    _refuse_key(context, operation.kms_key_id)
    entry, version_id = context.live(operation.secret_id), operation.token or context.new_id
    described = _described(entry, operation.description)
    if operation.value is None:
        context.records.keep(replace(described, changed_at=context.now))
        return ChangeReceipt(entry.name, entry.arn)
    if _earlier(context, entry, version_id, operation.value) is None:
        _add(context, described, version_id, operation.value, (AWSCURRENT,))
    return ChangeReceipt(entry.name, entry.arn, version_id)


def regenerate(context: Context, operation: Regenerate) -> VersionReceipt:
    """Generate a value and make it current. If the token was used before, the version exists, and is not compared."""
    entry, version_id = context.live(operation.secret_id), operation.token or context.new_id
    if entry.version(version_id) is None:
        entry = _add(context, entry, version_id, generated(context, operation), (AWSCURRENT,))
    return VersionReceipt(entry.name, entry.arn, version_id, entry.stages_of(version_id))


def check_stages(entry: Entry, new_stages: Iterable[str]) -> None:
    """Raise `LimitExceeded` if *new_stages* are too many beside those that exist. Moving an existing one is no
    problem."""
    new = set(new_stages) - set(entry.stages)
    if new and len(entry.stages) + len(new) > MAX_STAGES:
        raise LimitExceeded(
            f"secret {entry.name} would have more than {MAX_STAGES} stages on its versions: take some off first"
        )


def _make(context: Context, operation: Set | Create, version_id: str) -> SetReceipt:
    entry = _new_entry(context, operation)
    _add(context, entry, version_id, operation.value, (AWSCURRENT,), made_secret=True)
    return SetReceipt(entry.name, entry.arn, version_id, created=True)


def _new_entry(context: Context, operation: Set | Create | CreateEmpty) -> Entry:
    name = str(operation.secret_id)
    arn = f"{context.records.arn_prefix}{name}-{context.records.new_suffix()}"
    return Entry(name, arn, context.now, context.now, operation.description or None, operation.tags)


def _taken(context: Context, entry: Entry) -> SecretExists:
    return SecretExists(f"there is a secret {entry.name} in {context.records.store_name}: set it, or take another name")


def _add(
    context: Context,
    entry: Entry,
    version_id: str,
    value: SecretValue,
    new_stages: Iterable[str],
    *,
    made_secret: bool = False,
) -> Entry:
    """Store *entry* with another version and its value, and remove the versions that have become too old."""
    entry, dropped = pruned(
        replace(
            entry,
            versions=(*entry.versions, Version(version_id, context.now, made_secret)),
            stages=moved_to_new(entry.stages, new_stages, version_id),
            changed_at=context.now,
        )
    )
    context.records.keep(entry)
    context.records.put_value(entry, version_id, value)
    if dropped:
        context.records.drop_values(entry, dropped)
    return entry


def _earlier(context: Context, entry: Entry, version_id: str, value: SecretValue) -> Version | None:
    """Return the version that this token made before, or None. Raises `SecretExists` if it made it of another value."""
    earlier = entry.version(version_id)
    if earlier is not None and context.records.value(entry, version_id) != value:
        used = SecretExists(
            f"token {version_id} was used before to set another value of secret {entry.name}; take a new token"
        )
        used.token_used_in = entry.arn
        raise used
    return earlier


def _described(entry: Entry, description: str | None) -> Entry:
    return entry if description is None else replace(entry, description=description or None)


def _refuse_elsewhere(context: Context, operation: Create | CreateEmpty) -> None:
    _refuse_key(context, operation.kms_key_id)
    if operation.replicas:
        raise InvalidRequest(f"{context.records.store_name} has no other regions: create the secret without replicas")


def _refuse_key(context: Context, kms_key_id: str | None) -> None:
    if kms_key_id not in OF_THE_STORE:
        raise InvalidRequest(f"{context.records.store_name} has no KMS keys: ask without kms_key_id")


# Seconds between the two looks (rule 2). A clock that was wrong when the machine came up is set right long before.
APART: Final = 3600.0


def delete(context: Context, operation: Delete) -> DeleteReceipt:
    """Schedule a deletion, or delete by force.

    If the operation may have taken effect before (`repeated`) and the secret is scheduled, it has: that is the answer.
    A forced delete of a secret that does not exist succeeds, as in AWS.
    """
    secret_id = SecretId(operation.secret_id)
    if operation.force:
        entry = context.find(secret_id)
        if entry is None:
            # A whole ARN, though there is no such secret: clients look whether the answer is about what they asked for.
            records = context.records
            arn = secret_id if secret_id.is_arn else f"{records.arn_prefix}{secret_id}-{records.new_suffix()}"
            return DeleteReceipt(secret_id, arn, context.now)
        context.records.remove(entry)
        return DeleteReceipt(entry.name, entry.arn, context.now)
    entry = context.there(secret_id)
    if context.repeated and entry.deletion_date is not None:
        return DeleteReceipt(entry.name, entry.arn, entry.deletion_date)
    context.alive(entry)
    window = context.recovery_window if operation.recovery_window is None else operation.recovery_window
    # A wall clock that shows a time before the last change is slow. Without `max` the window could be over as soon as
    # somebody sets the clock right.
    ends = max(context.now, entry.changed_at) + timedelta(days=window)
    context.records.keep(replace(entry, changed_at=context.now, deletion_date=ends))
    return DeleteReceipt(entry.name, entry.arn, ends)


def restore(context: Context, operation: Restore) -> NamedReceipt:
    """Cancel a scheduled deletion, if there is one."""
    entry = context.there(operation.secret_id)
    if entry.deletion_date is not None:
        context.records.keep(replace(entry, changed_at=context.now, deletion_date=None))
    return NamedReceipt(entry.name, entry.arn)


def purge(records: Records, over: datetime) -> None:
    """Remove the secrets whose recovery window ends at *over* or earlier."""
    for entry in tuple(records.overdue(over)):
        records.remove(entry)


class Look(Struct, frozen=True):
    """One look at the clocks: *at* by the wall clock (UTC), and *seconds* since the machine came up (`clock.now`)."""

    at: datetime
    seconds: float


def agreed(first: Look | None, now: Look) -> datetime | None:
    """Return the moment up to which recovery windows have ended, or None if that is not sure yet (rule 2).

    *first* is the look that first saw the end of a window. If it and *now* are `APART` seconds apart, the answer is
    what both have seen: the moment of *first*.
    """
    if first is None or now.at < first.at:
        return None
    # If the machine was restarted in between, `seconds` began anew: at least that much time has passed since.
    passed = now.seconds - first.seconds if now.seconds >= first.seconds else now.seconds
    return first.at if passed >= APART else None


def next_first(first: Look | None, now: Look, overdue: bool) -> Look | None:
    """Return the look to remember as the first one, or None.

    *overdue*: whether *now* sees the end of a window whose secret has not been removed yet. If the wall clock of *now*
    is before that of *first*, the first look was at a wrong clock, and is forgotten.
    """
    if not overdue:
        return None
    return now if first is None or now.at < first.at or agreed(first, now) is not None else first
