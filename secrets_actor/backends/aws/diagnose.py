"""The AWS part of the doctor: checks credentials, host name, connection, clock, identity and permissions in turn.

Rule 1: the doctor changes nothing. Writes are tried on a secret that cannot exist, for AWS checks permissions before
        it looks for the secret.
Rule 2: one check builds on the one before. A check that cannot be made because of an earlier fault is reported as
        skipped.
Rule 3: no finding quotes credentials, a token or an answer's body.
Rule 4: the verdict on reading is that of a real get. A role that only reads is a healthy role.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from secrets_actor.backends.aws.call_runner import CallRunner, Connection
from secrets_actor.backends.aws.clock_skew import TOLERATED, in_words
from secrets_actor.backends.aws.credentials.sts import Sts
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.backends.aws_credentials import AwsCredentials, AwsCredentialSource
from secrets_actor.backends.http.abortable_socket import resolve
from secrets_actor.backends.http.http_date import http_date
from secrets_actor.clock import now
from secrets_actor.domain.diagnosis import Finding, Verdict
from secrets_actor.domain.errors import (
    AccessDenied,
    DeadlineExceeded,
    InvalidAnswer,
    SecretNotFound,
    SecretsError,
    Unreachable,
)
from secrets_actor.uuids import new_uuid

# A smaller skew is not reported: a Date header has whole seconds, and is as old as the answer's time on the way.
NOTICEABLE: Final = timedelta(seconds=30)
# Seconds that each check may take, within the time for all of them.
STEP: Final = 10.0
READ: Final = "GetSecretValue"
UNTRIED: Final = "CreateSecret"
# The other actions that config/iam-policy.json allows, by their purpose.
READ_MANY: Final = ("BatchGetSecretValue", "ListSecrets")
WRITE: Final = ("DescribeSecret", "UpdateSecret", "PutSecretValue", "DeleteSecret", "RestoreSecret")
# A partition and two of its regions, by the prefix of its regions. A probe about replicas names the region that is not
# ours, and an ARN of our partition: those of another one would be refused before permissions are checked.
_REGIONS: Final = (
    ("cn-", "aws-cn", ("cn-north-1", "cn-northwest-1")),
    ("us-gov-", "aws-us-gov", ("us-gov-west-1", "us-gov-east-1")),
    ("", "aws", ("us-east-1", "us-west-2")),
)
# An account of nobody.
_NOBODY: Final = "000000000000"
# A resource policy that lets nobody in: should AWS ever take it, it grants nothing.
_DENY: Final = {"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}


class Target(Struct, frozen=True):
    """The parts that are diagnosed.

    *connect* makes a connection. *looks_up* says whether this machine resolves the endpoint's name; with a proxy, the
    proxy does.
    """

    connect: Callable[[], Connection]
    credentials: AwsCredentialSource
    sts: Sts
    wall_clock: Callable[[], datetime]
    looks_up: bool = True


def diagnose(target: Target, prefix: str, deadline: float) -> Iterator[Finding]:
    """Yield the findings, by *deadline* (clock seconds). Names of secrets that are tried begin with *prefix*."""
    credentials, finding = _credentials(target, deadline)
    yield finding
    connection = target.connect()
    try:
        if target.looks_up:
            yield (finding := _name(connection))
        reached = False
        if finding.check != "name" or finding.verdict is Verdict.OK:
            for finding in _connection(connection, target.wall_clock, deadline):
                reached = reached or (finding.check, finding.verdict) == ("connection", Verdict.OK)
                yield finding
        if credentials is None or not reached:
            why = "there are no credentials" if credentials is None else "there is no connection"
            yield Finding("permissions", Verdict.SKIPPED, f"not tried: {why}")
            return
        yield (finding := _identity(target, credentials, deadline))
        if finding.verdict is Verdict.FAULT:
            yield Finding("permissions", Verdict.SKIPPED, "not tried: AWS does not accept the credentials")
            return
        yield from _permissions(connection, credentials, prefix, deadline)
    finally:
        connection.close()


def _step_deadline(deadline: float) -> float:
    return min(deadline, now() + STEP)


def _credentials(target: Target, deadline: float) -> tuple[AwsCredentials | None, Finding]:
    try:
        credentials = target.credentials.fetch(_step_deadline(deadline))
    except SecretsError as error:
        return None, Finding("credentials", Verdict.FAULT, str(error))
    if credentials.expires_at is None:
        return credentials, Finding("credentials", Verdict.OK, "found; they do not expire")
    left = (credentials.expires_at - target.wall_clock()).total_seconds()
    if left <= 0:
        text = f"they expired {-left:.0f} s ago, as this machine's clock has it"
        remedy = "see what gives them out, and this machine's clock"
        return credentials, Finding("credentials", Verdict.FAULT, text, remedy)
    return credentials, Finding("credentials", Verdict.OK, f"found; temporary, for another {left:.0f} s")


def _name(connection: Connection) -> Finding:
    host = connection.endpoint.host
    found = resolve(host, connection.endpoint.port)
    if not found:
        remedy = "check aws.region and aws.endpoint_url, and this machine's DNS"
        return Finding("name", Verdict.FAULT, f"{host} has no address here", remedy)
    addresses = sorted({str(address[0]) for *_, address in found})
    return Finding("name", Verdict.OK, f"{host} is {', '.join(addresses[:3])}{' ...' if len(addresses) > 3 else ''}")


def _connection(connection: Connection, wall_clock: Callable[[], datetime], deadline: float) -> Iterator[Finding]:
    headers = [(b"Host", connection.endpoint.authority.encode())]
    before = wall_clock()
    try:
        answer = connection.transport.request("GET", headers, b"", until=_step_deadline(deadline))
    except SecretsError as error:
        yield Finding("connection", Verdict.FAULT, str(error))
        return
    secure = "TLS, and the certificate is accepted" if connection.endpoint.scheme == "https" else "without TLS"
    yield Finding("connection", Verdict.OK, f"{connection.endpoint.name} answers; {secure}")
    yield _clock(before, http_date(answer.headers.get("date")))


def _clock(ours: datetime, theirs: datetime | None) -> Finding:
    if theirs is None:
        return Finding("clock", Verdict.SKIPPED, "the answer does not say what time it is there")
    skew = theirs - ours
    if abs(skew) < NOTICEABLE:
        return Finding("clock", Verdict.OK, "as the server's")
    if abs(skew) < TOLERATED:
        return Finding("clock", Verdict.WARNING, in_words(skew), "see that it is kept right (NTP)")
    remedy = f"set it right (NTP): AWS refuses what is signed {TOLERATED.seconds // 60} minutes off or more"
    return Finding("clock", Verdict.FAULT, in_words(skew), remedy)


def _identity(target: Target, credentials: AwsCredentials, deadline: float) -> Finding:
    try:
        caller = target.sts.caller_identity(credentials, _step_deadline(deadline))
    except (Unreachable, DeadlineExceeded, InvalidAnswer) as error:
        remedy = "only this check needs STS; a network with an endpoint for Secrets Manager alone works without it"
        return Finding("identity", Verdict.WARNING, str(error), remedy)
    except SecretsError as error:
        return Finding("identity", Verdict.FAULT, str(error))
    return Finding("identity", Verdict.OK, f"{caller.arn} of account {caller.account}")


def probes(name: str, region: str) -> Iterator[Call]:
    """Yield one harmless call for each IAM action, on the secret *name*, which does not exist.

    Each call has all parameters that AWS requires: AWS would complain of a missing one before it checks permissions.
    """
    secret: dict[str, Any] = {"SecretId": name}
    token = new_uuid()
    policy = json.dumps({"Version": "2012-10-17", "Statement": [_DENY]})
    partition, pair = next((partition, pair) for begin, partition, pair in _REGIONS if region.startswith(begin))
    elsewhere = next(one for one in pair if one != region)
    replica = f"arn:{partition}:secretsmanager:{region}:{_NOBODY}:secret:{name}-000000"
    payloads: dict[str, dict[str, Any]] = {
        READ: secret,
        "BatchGetSecretValue": {"SecretIdList": [name]},
        "DescribeSecret": secret,
        "ListSecrets": {"MaxResults": 1},
        "ListSecretVersionIds": secret,
        "UpdateSecret": {**secret, "Description": "-", "ClientRequestToken": token},
        "PutSecretValue": {**secret, "SecretString": "-", "ClientRequestToken": token},
        "UpdateSecretVersionStage": {**secret, "VersionStage": "AWSCURRENT", "MoveToVersionId": token},
        "DeleteSecret": {**secret, "RecoveryWindowInDays": 30},
        "RestoreSecret": secret,
        "TagResource": {**secret, "Tags": [{"Key": "doctor", "Value": "-"}]},
        "UntagResource": {**secret, "TagKeys": ["doctor"]},
        "RotateSecret": {**secret, "ClientRequestToken": token},
        "CancelRotateSecret": secret,
        "GetRandomPassword": {},
        "ReplicateSecretToRegions": {**secret, "AddReplicaRegions": [{"Region": elsewhere}]},
        "RemoveRegionsFromReplication": {**secret, "RemoveReplicaRegions": [elsewhere]},
        "StopReplicationToReplica": secret,
        "AssociateCrossAccountReplica": {**secret, "CrossAccountReplicaARN": replica},
        "DisassociateCrossAccountReplica": {**secret, "CrossAccountReplicaARN": replica},
        "ListResourcePolicies": secret,
        "GetResourcePolicy": secret,
        "PutResourcePolicy": {**secret, "ResourcePolicy": policy},
        "DeleteResourcePolicy": secret,
        "ValidateResourcePolicy": {**secret, "ResourcePolicy": policy},
    }
    for action, payload in payloads.items():
        yield Call(action, json.dumps(payload).encode())


def _permissions(
    connection: Connection, credentials: AwsCredentials, prefix: str, deadline: float
) -> Iterator[Finding]:
    yield Finding("permissions", Verdict.OK, f"tried on a name that begins with {prefix} and that no secret has")
    name = f"{prefix}{new_uuid()}"
    denied: set[str] = set()
    unclear: dict[str, str] = {}
    for call in probes(name, connection.endpoint.region):
        error = _tried(CallRunner(connection, _step_deadline(deadline), credentials), call)
        if call.action == READ:
            yield _reading(error, prefix)
            if error is not None and not isinstance(error, AccessDenied):
                yield Finding("others", Verdict.SKIPPED, "not tried: a get fails, and so would they")
                return
        elif isinstance(error, AccessDenied):
            denied.add(call.action)
        elif error is not None:
            unclear[call.action] = getattr(error, "aws_code", None) or error.code
    yield _reading_many(denied, unclear)
    yield _writing(denied, unclear)
    yield _rarely_needed(denied, unclear)


def _tried(runner: CallRunner, call: Call) -> SecretsError | None:
    """Return the error of *call*, or None if the call is allowed: AWS carried it out, or looked for the secret."""
    try:
        runner.run(call, lambda _body, _request_id, _asked: None)
    except SecretNotFound:
        return None
    except SecretsError as error:
        return error
    return None


def _reading(error: SecretsError | None, prefix: str) -> Finding:
    """Return the verdict of a get (rule 4): any error is a fault."""
    if error is None:
        return Finding(READ, Verdict.OK, "allowed")
    if isinstance(error, AccessDenied):
        remedy = (
            f"allow secretsmanager:{READ} in the policy of this user or role; if it is for names that do not begin "
            f"with {prefix}, say with what they begin: --prefix"
        )
        return Finding(READ, Verdict.FAULT, "denied", remedy)
    return Finding(READ, Verdict.FAULT, f"a get fails: {error}")


def _reading_many(denied: Collection[str], unclear: Mapping[str, str]) -> Finding:
    refused = [action for action in READ_MANY if action in denied]
    if refused:
        remedy = f"get_many, prefetch, list and iterate need it: allow {_in_policy(refused)}"
        return Finding("reading many", Verdict.WARNING, f"denied: {', '.join(refused)}", remedy)
    return _allowed_or_unclear("reading many", READ_MANY, unclear)


def _writing(denied: Collection[str], unclear: Mapping[str, str]) -> Finding:
    refused = [action for action in WRITE if action in denied]
    if len(refused) == len(WRITE):
        return Finding("writing", Verdict.OK, "denied, as is right for a program that only reads")
    if refused:
        remedy = f"if this program writes, allow {_in_policy(refused)}"
        return Finding("writing", Verdict.WARNING, f"denied: {', '.join(refused)}; the rest is allowed", remedy)
    return _allowed_or_unclear("writing", WRITE, unclear, f"; {UNTRIED} cannot be tried without making a secret")


def _rarely_needed(denied: Collection[str], unclear: Mapping[str, str]) -> Finding:
    """List the permissions that few programs need and that config/iam-policy.json does not allow, without a verdict."""
    named = {READ, *READ_MANY, *WRITE}
    rest = [call.action for call in probes("", "us-east-1") if call.action not in named]
    parts = {
        "allowed": [action for action in rest if action not in denied and action not in unclear],
        "denied": [action for action in rest if action in denied],
        "could not be found out": [f"{action} ({unclear[action]})" for action in rest if action in unclear],
    }
    return Finding(
        "further", Verdict.OK, "; ".join(f"{word}: {', '.join(all_)}" for word, all_ in parts.items() if all_)
    )


def _allowed_or_unclear(check: str, actions: Iterable[str], unclear: Mapping[str, str], more: str = "") -> Finding:
    listed = [f"{action} ({unclear[action]})" for action in actions if action in unclear]
    if listed:
        return Finding(
            check, Verdict.WARNING, f"could not be found out, AWS answers something else: {', '.join(listed)}"
        )
    return Finding(check, Verdict.OK, f"allowed: {', '.join(actions)}{more}")


def _in_policy(actions: Iterable[str]) -> str:
    return ", ".join(f"secretsmanager:{action}" for action in actions)
