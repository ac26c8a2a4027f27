"""Maps each operation to the AWS calls that carry it out: one call for most, a procedure of several for the rest."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

from secrets_actor.backends.aws import answer_readers, batches, multi_call, request_builders, writes
from secrets_actor.backends.aws.call_runner import CallRunner, Read
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.domain.errors import UnknownMessage
from secrets_actor.domain.operations import (
    AssociateReplica,
    CancelRotation,
    Create,
    CreateEmpty,
    Delete,
    DeletePolicy,
    Describe,
    DisassociateReplica,
    Get,
    GetMany,
    GetPolicy,
    List,
    ListPage,
    ListPolicies,
    ListVersions,
    MoveStage,
    Operation,
    Put,
    PutPolicy,
    RandomPassword,
    Regenerate,
    RemoveRegions,
    Replicate,
    Request,
    Restore,
    Rotate,
    Set,
    StopReplication,
    Tag,
    Untag,
    Update,
    ValidatePolicy,
)
from secrets_actor.domain.ports import Answer

T = TypeVar("T")

# One call each: the function that makes the call, and the function that reads its answer.
_CALLS: Final[Mapping[type[Operation[Any]], tuple[Callable[[Any], Call], Read[Any]]]] = {
    Get: (request_builders.get_call, answer_readers.secret),
    ListPage: (request_builders.page_call, answer_readers.page),
    Describe: (request_builders.describe_call, answer_readers.description),
    ListVersions: (request_builders.versions_call, answer_readers.versions),
    Tag: (request_builders.tag_call, answer_readers.nothing),
    Untag: (request_builders.untag_call, answer_readers.nothing),
    RandomPassword: (request_builders.password_call, answer_readers.password),
    # AWS's documentation calls it idempotent, so no lost answer has to be looked into.
    AssociateReplica: (request_builders.associate_call, answer_readers.associated),
    ListPolicies: (request_builders.policies_call, answer_readers.policy_names),
    GetPolicy: (request_builders.get_policy_call, answer_readers.policy),
    PutPolicy: (request_builders.put_policy_call, answer_readers.named_receipt),
    DeletePolicy: (request_builders.delete_policy_call, answer_readers.named_receipt),
    ValidatePolicy: (request_builders.validate_policy_call, answer_readers.verdict),
    Request: (request_builders.raw_call, answer_readers.masked),
}
_PROCEDURES: Final[Mapping[type[Operation[Any]], Callable[[CallRunner, Any], Answer[Any]]]] = {
    GetMany: batches.get_many,
    Create: writes.create,
    CreateEmpty: writes.create_empty,
    Put: writes.put,
    Update: writes.update,
    Set: writes.set_secret,
    Restore: multi_call.restore,
    List: batches.list_secrets,
    MoveStage: multi_call.move_stage,
    Rotate: multi_call.rotate,
    Regenerate: multi_call.regenerate,
    Replicate: multi_call.replicate,
    RemoveRegions: multi_call.remove_regions,
    CancelRotation: multi_call.cancel_rotation,
    StopReplication: multi_call.stop_replication,
    DisassociateReplica: multi_call.disassociate,
}


def carry_out(operation: Operation[T], runner: CallRunner, recovery_window: int | None) -> Answer[T]:
    """Carry *operation* out over *runner*, and return its answer.

    *recovery_window* is in days, for a delete that names no window; None: the server decides. Raises `UnknownMessage`
    for an operation that this backend does not know, and the `SecretsError`s that the runner raises.
    """
    answer: Answer[Any]
    simple, procedure = _CALLS.get(type(operation)), _PROCEDURES.get(type(operation))
    if simple is not None:
        ask, read = simple
        answer = runner.run(ask(operation), read)
    elif procedure is not None:
        answer = procedure(runner, operation)
    elif isinstance(operation, Delete):  # the only one that needs the configured window
        answer = multi_call.delete(runner, operation, recovery_window)
    else:
        raise UnknownMessage(f"the AWS backend does not know {type(operation).__name__}: use another operation")
    return cast("Answer[T]", answer)
