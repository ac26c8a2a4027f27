"""Carries out the operations about many secrets, GetMany and List, in as many calls as they take."""

from collections.abc import Mapping

from secrets_actor.backends.aws import answer_readers, request_builders
from secrets_actor.backends.aws.call_runner import CallRunner
from secrets_actor.backends.aws.error_codes import refusal
from secrets_actor.backends.aws.question import SUFFIX_LENGTH, is_same
from secrets_actor.domain.errors import InvalidAnswer, SecretsError
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import BATCH_SIZE, GetMany, List
from secrets_actor.domain.ports import Answer
from secrets_actor.domain.results import SecretBatch, SecretDescription
from secrets_actor.domain.secret import Secret


def get_many(runner: CallRunner, operation: GetMany) -> Answer[SecretBatch]:
    """Read many secrets by BatchGetSecretValue, 20 a call. A secret that cannot be read has an error in its place."""
    found: dict[str, Secret] = {}
    errors: dict[str, SecretsError] = {}
    request_id = None
    for ids in _without_ambiguous_names(operation.secret_ids):
        for start in range(0, len(ids), BATCH_SIZE):
            request_id = _get_batch(runner, ids[start : start + BATCH_SIZE], found, errors)
    in_order: dict[str, Secret] = {one: found[one] for one in operation.secret_ids if one in found}
    return Answer(SecretBatch(in_order, errors), request_id)


def _without_ambiguous_names(ids: tuple[SecretId, ...]) -> tuple[tuple[SecretId, ...], tuple[SecretId, ...]]:
    """Split *ids* into two parts, so that no name is in one call with an ARN that has this name.

    The ARN may be of another account, and so of another secret. An answer tells a secret's name and ARN, but not by
    which of them the secret was asked for.
    """
    in_arns = {lane for one in ids if one.is_arn for lane in one.lanes}
    apart = tuple(one for one in ids if one in in_arns)
    return tuple(one for one in ids if one not in in_arns), apart


def _get_batch(
    runner: CallRunner, ids: tuple[SecretId, ...], found: dict[str, Secret], errors: dict[str, SecretsError]
) -> str | None:
    """Read *ids* into *found* and *errors*, and return the request id of the last call.

    AWS names a secret that it found by name and whole ARN, and one that it refused by name or ARN.
    """
    by_id: dict[str, Secret] = {}
    # Apart from `by_id`: a partial ARN may read like the whole ARN of another secret, found or refused.
    by_partial: dict[str, Secret] = {}
    refused: dict[str, str] = {}
    token: str | None = None
    # Each page tells of at least one secret, so there are as many pages at most. The bound is for a server that goes on
    # sending tokens.
    for _ in ids:
        answer = runner.run(request_builders.batch_call(ids, token), answer_readers.batch)
        for secret in answer.value.found:
            by_id |= {secret.arn: secret, secret.name: secret}
            by_partial[secret.arn[:-SUFFIX_LENGTH]] = secret
        refused |= dict(answer.value.refused)
        token = answer.value.next_token
        if token is None:
            break
    for secret_id in ids:
        answered = by_id.get(secret_id)
        if answered is None and secret_id not in refused:
            answered = by_partial.get(secret_id)
        if answered is not None:
            found[secret_id] = answered
        elif (code := _code_for(secret_id, refused)) is not None:
            errors[secret_id] = refusal(
                "GetSecretValue", code, answer.request_id, deleted_if_invalid=not secret_id.is_managed
            )
        else:
            text = "Secrets Manager left this secret, or its value, out of its answer: get it by itself"
            errors[secret_id] = InvalidAnswer(text, status=200, request_id=answer.request_id)
    return answer.request_id


def _code_for(secret_id: SecretId, refused: Mapping[str, str]) -> str | None:
    """Return AWS's code for *secret_id*, or None when AWS refused no such secret.

    AWS may name the secret by another id than the one that was asked for. The very same id goes first, for a partial
    ARN may fit two secrets.
    """
    if secret_id in refused:
        return refused[secret_id]
    return next((code for answered_id, code in refused.items() if is_same(secret_id, answered_id)), None)


def list_secrets(runner: CallRunner, operation: List) -> Answer[tuple[SecretDescription, ...]]:
    """Read all pages of ListSecrets, in order.

    A page may be empty without being the last. Raises `InvalidAnswer` for a token that came before: the list would
    have no end.
    """
    secrets: list[SecretDescription] = []
    token: str | None = None
    seen: set[str] = set()
    while True:
        answer = runner.run(request_builders.list_call(operation, token), answer_readers.page)
        secrets += answer.value.secrets
        token = answer.value.next_token
        if token is None:
            return Answer(tuple(secrets), answer.request_id)
        if token in seen:
            text = "Secrets Manager's list goes round in circles: list again"
            raise InvalidAnswer(text, status=200, request_id=answer.request_id)
        seen.add(token)
