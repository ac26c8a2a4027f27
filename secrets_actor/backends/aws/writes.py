"""Carries out the operations that write a value: Create, Put, Update, and Set, which combines create and update; and
CreateEmpty, which creates a secret without one.

Rule 1: all attempts of one write carry the same token, so at most one version results, whatever was lost on the way.
Rule 2: on AWS the token becomes the version id. A receipt that names another version belongs to another write, or comes
        from a store that makes its own ids (ministack). So both versions are read over a new connection. If the version
        of the token, or the one in the receipt, has the value that was written, the write has succeeded; else it is
        repeated.
Rule 3: AWS refuses a write to a deleted secret, to a replica, and to a name whose secret was deleted by force a moment
        ago, all with the same code. DescribeSecret tells which it is. Only a deleted secret is restored, and only in
        the last case is the write tried again, until the caller's deadline.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from msgspec.structs import replace

from secrets_actor.backends.aws import answer_readers, request_builders
from secrets_actor.backends.aws.call_runner import CallRunner, Read
from secrets_actor.backends.aws.multi_call import restore
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.backends.aws.retry import MAX_ATTEMPTS
from secrets_actor.domain.errors import (
    InvalidAnswer,
    InvalidRequest,
    SecretDeleted,
    SecretExists,
    SecretNotFound,
    SecretsError,
    StoreError,
)
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import Create, CreateEmpty, Get, Put, Set, Update
from secrets_actor.domain.ports import Answer
from secrets_actor.domain.results import ChangeReceipt, NamedReceipt, SecretDescription, VersionReceipt
from secrets_actor.domain.secret import SecretValue, SetReceipt
from secrets_actor.uuids import new_uuid

T = TypeVar("T")
Receipt = TypeVar("Receipt", SetReceipt, ChangeReceipt)


def set_secret(runner: CallRunner, operation: Set) -> Answer[SetReceipt]:
    """Call CreateSecret; if the name is taken, UpdateSecret.

    If a deleted secret has the name, and the operation allows it, RestoreSecret comes before UpdateSecret.
    """
    token = operation.token or new_uuid()
    return _when_name_is_free(runner, lambda: _set(runner, operation, token))


def _set(runner: CallRunner, operation: Set, token: str) -> Answer[SetReceipt]:
    # An ARN, and a name of the form that only AWS's services give, belongs to a secret that exists: only an update can
    # succeed.
    secret_id = SecretId(operation.secret_id)
    creates = not (secret_id.is_arn or secret_id.is_managed)
    update_call = request_builders.update_call(operation, token)
    try:
        if creates:
            with suppress(SecretExists):
                create_call = request_builders.create_call(operation, token)
                return _with_own_receipt(runner, operation, token, create_call, answer_readers.create_receipt)
        return _with_own_receipt(runner, operation, token, update_call, answer_readers.replace_receipt)
    except SecretDeleted as error:
        refused = error.clone()
    known = _restored(runner, operation) if operation.restore_on_set else _state_of(runner, operation)
    failure = _error_for_state(refused, known, creates=creates)
    if failure is not refused or not operation.restore_on_set:
        raise failure
    if isinstance(known, SecretsError):
        raise known
    return _with_own_receipt(runner, operation, token, update_call, answer_readers.replace_receipt)


def _with_own_receipt(
    runner: CallRunner, operation: Set | Create | Update, token: str, call: Call, read: Read[Receipt]
) -> Answer[Receipt]:
    """Run *call*, and return its answer once it is known to be the receipt of this very write (rule 2).

    Raises `InvalidAnswer` when no attempt brings such a receipt.
    """
    attempt = 1
    while True:
        answer = runner.run(call, read)
        found = answer.value.version_id
        if operation.value is None or found == token:
            return answer
        runner.reconnect()
        for one in (token, found):
            if one is not None and _has_value(runner, operation.secret_id, one, operation.value):
                return Answer(replace(answer.value, version_id=one), answer.request_id)
        runner.in_doubt = True  # the write may have taken effect all the same, with its receipt lost
        if attempt == MAX_ATTEMPTS or not runner.rest(attempt):
            text = "the receipt is that of another write: see what stands between you and aws.endpoint_url"
            raise InvalidAnswer(text, status=200, request_id=answer.request_id)
        attempt += 1


def _has_value(runner: CallRunner, secret_id: str, version_id: str, value: SecretValue) -> bool:
    """Whether this version of the secret exists and has this value. False, too, when it cannot be read."""
    try:
        return (
            runner.run(request_builders.get_call(Get(secret_id, version_id)), answer_readers.secret).value.value
            == value
        )
    except SecretsError:
        return False


def _restored(runner: CallRunner, operation: Set) -> SecretDescription | SecretsError:
    """Restore the secret if it is deleted. Returns its state before that, or the error of either call."""
    known = _state_of(runner, operation)
    if isinstance(known, SecretDescription) and known.deleted_at is not None:
        try:
            restore(runner, operation)
        except SecretsError as error:
            return error.clone()
    return known


def create(runner: CallRunner, operation: Create) -> Answer[SetReceipt]:
    """Call CreateSecret."""
    token = operation.token or new_uuid()
    call = request_builders.create_call(operation, token)

    def write() -> Answer[SetReceipt]:
        return _with_own_receipt(runner, operation, token, call, answer_readers.create_receipt)

    return _when_name_is_free(runner, lambda: _with_state_explained(runner, operation, write, creates=True))


def create_empty(runner: CallRunner, operation: CreateEmpty) -> Answer[NamedReceipt]:
    """Call CreateSecret without a value.

    AWS finds a repeated create by the version that its token made. Here there is none, so a create that is repeated
    after a lost answer is refused. If the secret has no version then, it is the one that was made.
    """
    call = request_builders.create_empty_call(operation, operation.token or new_uuid())

    def write() -> Answer[NamedReceipt]:
        try:
            return runner.run(call, answer_readers.named_receipt)
        except SecretExists as error:
            refused = error.clone()
        known = _state_of(runner, operation) if runner.in_doubt else None
        if isinstance(known, SecretDescription) and not known.versions and known.deleted_at is None:
            return Answer(NamedReceipt(known.name, known.arn), refused.request_id)
        raise refused

    return _when_name_is_free(runner, lambda: _with_state_explained(runner, operation, write, creates=True))


def put(runner: CallRunner, operation: Put) -> Answer[VersionReceipt]:
    """Call PutSecretValue."""
    call = request_builders.put_call(
        operation.secret_id, operation.value, operation.token or new_uuid(), operation.stages
    )
    return _with_state_explained(runner, operation, lambda: runner.run(call, answer_readers.version_receipt))


def update(runner: CallRunner, operation: Update) -> Answer[ChangeReceipt]:
    """Call UpdateSecret."""
    token = operation.token or new_uuid()
    call = request_builders.update_call(operation, token)
    return _with_state_explained(
        runner, operation, lambda: _with_own_receipt(runner, operation, token, call, answer_readers.update_receipt)
    )


def _with_state_explained(
    runner: CallRunner, operation: object, write: Callable[[], Answer[T]], *, creates: bool = False
) -> Answer[T]:
    """Return *write*'s answer. Where AWS refuses the state of the secret, raise the error that names this state."""
    try:
        return write()
    except SecretDeleted as error:
        refused = error.clone()
    raise _error_for_state(refused, _state_of(runner, operation), creates=creates)


def _state_of(runner: CallRunner, operation: object) -> SecretDescription | SecretsError:
    try:
        return runner.run(request_builders.describe_call(operation), answer_readers.description).value
    except SecretsError as error:
        return error.clone()


def _error_for_state(refused: SecretDeleted, known: SecretDescription | SecretsError, *, creates: bool) -> StoreError:
    """Return the error that *refused* means, given the *known* state of the secret (rule 3)."""
    if isinstance(known, SecretDescription):
        if known.deleted_at is None and known.is_replica:
            primary = known.account_primary
            where = f"in its primary region, {known.primary_region}" if primary is None else f"through {primary.arn}"
            text = f"the secret is a replica: write it {where}"
            return _reworded(refused, InvalidRequest, text)
    elif creates and isinstance(known, SecretNotFound):
        text = "a secret of this name was deleted by force and is not gone yet: try again soon"
        going = _reworded(refused, SecretDeleted, text)
        going.retryable = True
        return going
    return refused


def _reworded(refused: StoreError, kind: type[StoreError], text: str) -> StoreError:
    return kind(text, aws_code=refused.aws_code, status=refused.status, request_id=refused.request_id)


def _when_name_is_free(runner: CallRunner, write: Callable[[], Answer[T]]) -> Answer[T]:
    """Return *write*'s answer. Repeat it until the deadline while a secret that was deleted by force has the name."""
    attempt = 1
    while True:
        try:
            return write()
        except SecretDeleted as error:
            refused = error.clone()
        if not refused.retryable or not runner.rest(attempt):
            raise refused
        attempt += 1
