"""Writing values. PURE.

Rule 1: the token is the version's id. Used again with the same value, it changes nothing, and the same is answered;
        with another value, it is refused.
Rule 2: what one machine does not have, keys of KMS and copies elsewhere, is not dropped unseen but refused.

What we read out of AWS's silence: a set by ARN updates and never creates; an empty description is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from secrets_actor.domain.descriptions import UpdateReceipt, VersionReceipt
from secrets_actor.domain.errors import InvalidRequest, LimitExceeded, SecretExists
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import AWSCURRENT, Create, Put, Regenerate, Set, Update
from secrets_actor.domain.secret import SecretValue, SetReceipt
from secrets_actor.domain.semantics.case import Case
from secrets_actor.domain.semantics.entry import Entry, Version
from secrets_actor.domain.semantics.labels import MAX_LABELS, moved_to_new, pruned
from secrets_actor.domain.semantics.passwords import generated
from secrets_actor.records import replace

# No key of one's own: Secrets Manager's (AWS's service model, UpdateSecret `KmsKeyId`).
OF_THE_STORE: Final = frozenset({None, "", "alias/aws/secretsmanager"})


def set_secret(case: Case, operation: Set) -> SetReceipt:
    """Make a value the current one, of a new secret if there is none."""
    _refuse_key(case, operation.kms_key_id)
    secret_id, version_id = SecretId(operation.secret_id), operation.token or case.new_id
    found = case.find(secret_id)
    if found is None:
        if secret_id.is_arn or secret_id.is_managed:
            raise case.missing(secret_id)
        return _make(case, operation, version_id)
    if operation.restore_on_set and found.deletion_date is not None:
        entry = replace(found, deletion_date=None, changed_at=case.now)
    else:
        entry = case.alive(found)
    earlier = _earlier(case, found, version_id, operation.value)
    if earlier is None:
        _add(case, _described(entry, operation.description), version_id, operation.value, (AWSCURRENT,))
    elif entry is not found:
        case.shelf.keep(entry)
    return SetReceipt(entry.name, entry.arn, version_id, created=earlier is not None and earlier.made_secret)


def create(case: Case, operation: Create) -> SetReceipt:
    """Make a new secret."""
    _refuse_key(case, operation.kms_key_id)
    if operation.replicas:
        raise InvalidRequest(f"{case.shelf.label} has no other regions: create the secret without replicas")
    version_id = operation.token or case.new_id
    entry = case.find(operation.secret_id)
    if entry is None:
        return _make(case, operation, version_id)
    case.alive(entry)
    if _earlier(case, entry, version_id, operation.value) is None:
        raise SecretExists(f"there is a secret {entry.name} in {case.shelf.label}: set it, or take another name")
    return SetReceipt(entry.name, entry.arn, version_id, created=True)


def put(case: Case, operation: Put) -> VersionReceipt:
    """Add a version: current, or with the labels asked for."""
    entry, version_id = case.live(operation.secret_id), operation.token or case.new_id
    if _earlier(case, entry, version_id, operation.value) is None:
        check_labels(entry, operation.stages)
        entry = _add(case, entry, version_id, operation.value, operation.stages or (AWSCURRENT,))
    return VersionReceipt(entry.name, entry.arn, version_id, entry.stages_of(version_id))


def update(case: Case, operation: Update) -> UpdateReceipt:
    """Change what is given."""
    _refuse_key(case, operation.kms_key_id)
    entry, version_id = case.live(operation.secret_id), operation.token or case.new_id
    described = _described(entry, operation.description)
    if operation.value is None:
        case.shelf.keep(replace(described, changed_at=case.now))
        return UpdateReceipt(entry.name, entry.arn)
    if _earlier(case, entry, version_id, operation.value) is None:
        _add(case, described, version_id, operation.value, (AWSCURRENT,))
    return UpdateReceipt(entry.name, entry.arn, version_id)


def regenerate(case: Case, operation: Regenerate) -> VersionReceipt:
    """Make a value here, and make it current. With a token that was used, the version is there already."""
    entry, version_id = case.live(operation.secret_id), operation.token or case.new_id
    if entry.version(version_id) is None:
        entry = _add(case, entry, version_id, generated(case, operation), (AWSCURRENT,))
    return VersionReceipt(entry.name, entry.arn, version_id, entry.stages_of(version_id))


def check_labels(entry: Entry, labels: Iterable[str]) -> None:
    """Raise `LimitExceeded` when *labels* are too many beside those there are. Those that a set moves go always."""
    new = set(labels) - set(entry.stages)
    if new and len(entry.stages) + len(new) > MAX_LABELS:
        raise LimitExceeded(
            f"secret {entry.name} would have more than {MAX_LABELS} labels on its versions: take some off first"
        )


def _make(case: Case, operation: Set | Create, version_id: str) -> SetReceipt:
    name = str(operation.secret_id)
    arn = f"{case.shelf.arn_prefix}{name}-{case.shelf.new_suffix()}"
    entry = Entry(name, arn, case.now, case.now, operation.description or None, operation.tags)
    _add(case, entry, version_id, operation.value, (AWSCURRENT,), made_secret=True)
    return SetReceipt(name, arn, version_id, created=True)


def _add(
    case: Case, entry: Entry, version_id: str, value: SecretValue, labels: Iterable[str], *, made_secret: bool = False
) -> Entry:
    """Keep *entry* with another version, and what has become too old dropped."""
    entry, dropped = pruned(
        replace(
            entry,
            versions=(*entry.versions, Version(version_id, case.now, made_secret)),
            stages=moved_to_new(entry.stages, labels, version_id),
            changed_at=case.now,
        )
    )
    case.shelf.keep(entry)
    case.shelf.put_value(entry, version_id, value)
    if dropped:
        case.shelf.drop_values(entry, dropped)
    return entry


def _earlier(case: Case, entry: Entry, version_id: str, value: SecretValue) -> Version | None:
    """The version that the token has made before; None if there is none. Raises `SecretExists` if by another value."""
    earlier = entry.version(version_id)
    if earlier is not None and case.shelf.value(entry, version_id) != value:
        raise SecretExists(
            f"token {version_id} was used before to set another value of secret {entry.name}; take a new token"
        )
    return earlier


def _described(entry: Entry, description: str | None) -> Entry:
    return entry if description is None else replace(entry, description=description or None)


def _refuse_key(case: Case, kms_key_id: str | None) -> None:
    if kms_key_id not in OF_THE_STORE:
        raise InvalidRequest(f"{case.shelf.label} has no KMS keys: ask without kms_key_id")
