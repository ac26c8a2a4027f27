"""Carries out operations that may take more than one call. Writes of a value are in `writes.py`, operations about many
secrets in `batches.py`.

Rule 1: all attempts of one write carry the same token, so at most one version results, whatever was lost on the way.
Rule 2: a write without a token that is repeated after a lost answer may be refused because the first attempt took
        effect. Then AWS is asked for the state of the secret (DescribeSecret). If it is the wished one, the operation
        has succeeded. When no earlier attempt is in doubt, a refusal is an error.
"""

import base64
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, TypeVar

from secrets_actor.backends.aws import answer_readers, request_builders
from secrets_actor.backends.aws.call_runner import CallRunner, Read
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.clock import utc_now
from secrets_actor.domain.errors import (
    InvalidRequest,
    SecretExists,
    SecretNotFound,
    SecretsError,
    StoreError,
)
from secrets_actor.domain.operations import (
    GENERATED_BYTES,
    CancelRotation,
    Delete,
    DisassociateReplica,
    Generated,
    MoveStage,
    Regenerate,
    RemoveRegions,
    Replicate,
    Restore,
    Rotate,
    Set,
    StopReplication,
)
from secrets_actor.domain.ports import Answer
from secrets_actor.domain.results import (
    AccountReplicaReceipt,
    ChangeReceipt,
    NamedReceipt,
    ReplicationReceipt,
    SecretDescription,
    VersionReceipt,
)
from secrets_actor.domain.secret import DeleteReceipt, SecretValue
from secrets_actor.uuids import new_uuid

T = TypeVar("T")

# AWS's service model, StatusType: the replication was ended.
_DETACHED: Final = "Detached"
# Days: what AWS takes for a delete without a window (API reference of DeleteSecret).
_OF_THE_SERVER: Final = 30


# --- writes with a token ------------------------------------------------------------------------------------------


def rotate(runner: CallRunner, operation: Rotate) -> Answer[object]:
    """Call RotateSecret."""
    return runner.run(
        request_builders.rotate_call(operation, operation.token or new_uuid()), answer_readers.rotation_receipt
    )


def regenerate(runner: CallRunner, operation: Regenerate) -> Answer[VersionReceipt]:
    """Make a value by GetRandomPassword, or of random bytes of our own, and write it by PutSecretValue.

    A repetition with the same token makes another value. AWS refuses that value, because the version of the token
    exists; then the version that exists is the answer.
    """
    token = operation.token or new_uuid()
    if operation.generate is Generated.PASSWORD:
        value = runner.run(request_builders.password_call(operation.password), answer_readers.password).value
    else:
        value = SecretValue(base64.b64encode(secrets.token_bytes(GENERATED_BYTES)).decode())
    call = request_builders.put_call(operation.secret_id, value, token)

    def made(known: SecretDescription) -> VersionReceipt | None:
        stages = known.versions.get(token)
        return None if stages is None else VersionReceipt(known.name, known.arn, token, stages)

    return _unless_done_already(
        runner, operation, call, answer_readers.version_receipt, made, refused=SecretExists, always=True
    )


# --- writes without -----------------------------------------------------------------------------------------------


def delete(runner: CallRunner, operation: Delete, recovery_window: int | None) -> Answer[DeleteReceipt]:
    """Call DeleteSecret, with a window of *recovery_window* days if the operation names none (None: the server's)."""
    days = recovery_window if operation.recovery_window is None else operation.recovery_window
    call = request_builders.delete_call(operation, days)
    if not operation.force:

        def scheduled(known: SecretDescription) -> DeleteReceipt | None:
            # The attempt without an answer had the same window. AWS tells when the delete was asked for, not when the
            # window ends.
            ends = None if known.deleted_at is None else _later(known.deleted_at, days or _OF_THE_SERVER)
            return None if ends is None else DeleteReceipt(known.name, known.arn, ends)

        return _unless_done_already(runner, operation, call, answer_readers.delete_receipt, scheduled)
    try:
        return runner.run(call, answer_readers.delete_receipt)
    except SecretNotFound as error:  # after a lost answer it means that the delete took effect
        if not runner.in_doubt:
            raise
        request_id = error.request_id
    return Answer(DeleteReceipt(operation.secret_id, operation.secret_id, utc_now()), request_id)


def restore(runner: CallRunner, operation: Restore | Set) -> Answer[NamedReceipt]:
    """Call RestoreSecret."""
    call = request_builders.restore_call(operation)
    return _unless_done_already(runner, operation, call, answer_readers.restore_receipt, _not_scheduled)


def move_stage(runner: CallRunner, operation: MoveStage) -> Answer[NamedReceipt]:
    """Call UpdateSecretVersionStage."""

    def moved(known: SecretDescription) -> NamedReceipt | None:
        holders = {version_id for version_id, stages in known.versions.items() if operation.stage in stages}
        wished = {operation.to} if operation.to is not None else holders - {operation.remove_from}
        return NamedReceipt(known.name, known.arn) if holders == wished else None

    call = request_builders.move_stage_call(operation)
    return _unless_done_already(runner, operation, call, answer_readers.named_receipt, moved)


def replicate(runner: CallRunner, operation: Replicate) -> Answer[ReplicationReceipt]:
    """Call ReplicateSecretToRegions."""
    wanted = {one.region for one in operation.regions}

    def there(known: SecretDescription) -> ReplicationReceipt | None:
        regions = {one.region for one in known.replicas}
        return ReplicationReceipt(known.arn, known.replicas) if wanted <= regions else None

    call = request_builders.replicate_call(operation)
    return _unless_done_already(runner, operation, call, answer_readers.replication_receipt, there)


def remove_regions(runner: CallRunner, operation: RemoveRegions) -> Answer[ReplicationReceipt]:
    """Call RemoveRegionsFromReplication."""

    def gone(known: SecretDescription) -> ReplicationReceipt | None:
        regions = {one.region for one in known.replicas}
        return None if regions & set(operation.regions) else ReplicationReceipt(known.arn, known.replicas)

    call = request_builders.remove_regions_call(operation)
    return _unless_done_already(runner, operation, call, answer_readers.replication_receipt, gone)


def cancel_rotation(runner: CallRunner, operation: CancelRotation) -> Answer[ChangeReceipt]:
    """Call CancelRotateSecret."""

    def called_off(known: SecretDescription) -> ChangeReceipt | None:
        return None if known.rotation_enabled else ChangeReceipt(known.name, known.arn)

    call = request_builders.cancel_rotation_call(operation)
    return _unless_done_already(runner, operation, call, answer_readers.rotation_receipt, called_off)


def stop_replication(runner: CallRunner, operation: StopReplication) -> Answer[ReplicationReceipt]:
    """Call StopReplicationToReplica."""

    def its_own(known: SecretDescription) -> ReplicationReceipt | None:
        return None if known.is_replica else ReplicationReceipt(known.arn, known.replicas)

    call = request_builders.stop_replication_call(operation)
    return _unless_done_already(runner, operation, call, answer_readers.replication_receipt, its_own)


def disassociate(runner: CallRunner, operation: DisassociateReplica) -> Answer[AccountReplicaReceipt]:
    """Call DisassociateCrossAccountReplica."""

    def unlinked(known: SecretDescription) -> AccountReplicaReceipt | None:
        linked = {one.arn for one in known.account_replicas if one.status != _DETACHED}
        return None if operation.replica_arn in linked else AccountReplicaReceipt(known.arn, operation.replica_arn)

    call = request_builders.disassociate_call(operation)
    return _unless_done_already(runner, operation, call, answer_readers.disassociated, unlinked)


def _later(moment: datetime, days: int) -> datetime:
    try:
        return moment + timedelta(days=days)
    except OverflowError:  # a server may name a day at the end of what a `datetime` can hold
        return moment


def _not_scheduled(known: SecretDescription) -> NamedReceipt | None:
    return NamedReceipt(known.name, known.arn) if known.deleted_at is None else None


def _unless_done_already(
    runner: CallRunner,
    operation: object,
    call: Call,
    read: Read[T],
    answer_if_done: Callable[[SecretDescription], T | None],
    *,
    refused: type[StoreError] = InvalidRequest,
    always: bool = False,
) -> Answer[T]:
    """Run *call*, and return its answer; see rule 2.

    If AWS raises *refused* while an attempt is in doubt (or in any case, with *always*), the secret is described, and
    *answer_if_done* makes the answer from the description. If *answer_if_done* returns None, the refusal is raised.
    """
    try:
        return runner.run(call, read)
    except refused as error:
        if not (runner.in_doubt or always):
            raise
        first = error.clone()
    # A failed description changes nothing: the refusal is what the caller has to hear of.
    try:
        known = runner.run(request_builders.describe_call(operation), answer_readers.description)
        found = answer_if_done(known.value)
    except SecretsError:
        found = None
    if found is None:
        raise first
    return Answer(found, first.request_id)
