"""Looks at everything that stands between this machine and its secrets: keys, name, connection, clock, permissions.

Rule 1: it changes nothing. What writes is tried on a secret that cannot exist, for AWS looks at permissions first.
Rule 2: one finding leads to the next: what cannot be tried because of a fault before is skipped, and said to be.
Rule 3: no finding quotes a key, a token or an answer's body.
"""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from secrets_actor.backends.aws.credentials.sts import Sts
from secrets_actor.backends.aws.exchange import Exchange, Line
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.backends.aws.skew import TOLERATED, http_date, in_words
from secrets_actor.clock import now
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import (
    AccessDenied,
    DeadlineExceeded,
    InvalidAnswer,
    InvalidRequest,
    SecretNotFound,
    SecretsError,
    Unreachable,
)
from secrets_actor.domain.findings import Finding, Verdict
from secrets_actor.domain.ports import CredentialSource
from secrets_actor.records import dataclass

# Below this a clock is right enough; a Date header has whole seconds, and is as old as the answer's way.
NOTICEABLE: Final = timedelta(seconds=30)
# Seconds each step may take, within the time for all.
STEP: Final = 10.0
READ: Final = "GetSecretValue"
UNTRIED: Final = "CreateSecret"
# Two regions of a partition, by how its regions begin: the calls that name a region name another of the same partition.
_REGIONS: Final = (
    ("cn-", ("cn-north-1", "cn-northwest-1")),
    ("us-gov-", ("us-gov-west-1", "us-gov-east-1")),
    ("", ("us-east-1", "us-west-2")),
)
# A resource policy that would let nobody in.
_DENY: Final = {"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined. *line* makes a connection; *looks_up* is whether this machine resolves the endpoint's name
    itself, and not a proxy."""

    line: Callable[[], Line]
    credentials: CredentialSource
    sts: Sts
    wall_clock: Callable[[], datetime]
    looks_up: bool = True


def examine(patient: Patient, prefix: str, deadline: float) -> Iterator[Finding]:
    """The findings, by *deadline* (clock seconds). Names that are tried begin with *prefix*."""
    keys, finding = _keys(patient, deadline)
    yield finding
    line = patient.line()
    try:
        if patient.looks_up:
            yield (finding := _name(line))
        reached = False
        if finding.check != "name" or finding.verdict is Verdict.OK:
            for finding in _connection(line, patient.wall_clock, deadline):
                reached = reached or (finding.check, finding.verdict) == ("connection", Verdict.OK)
                yield finding
        if keys is None or not reached:
            why = "there are no keys" if keys is None else "there is no connection"
            yield Finding("permissions", Verdict.SKIPPED, f"not tried: {why}")
            return
        yield (finding := _identity(patient, keys, deadline))
        if finding.verdict is Verdict.FAULT:
            yield Finding("permissions", Verdict.SKIPPED, "not tried: AWS does not accept the keys")
            return
        yield from _permissions(line, keys, prefix, deadline)
    finally:
        line.close()


def _by(deadline: float) -> float:
    return min(deadline, now() + STEP)


def _keys(patient: Patient, deadline: float) -> tuple[Credentials | None, Finding]:
    try:
        keys = patient.credentials.fetch(_by(deadline))
    except SecretsError as error:
        return None, Finding("keys", Verdict.FAULT, str(error))
    if keys.expires_at is None:
        return keys, Finding("keys", Verdict.OK, "found; they do not expire")
    left = (keys.expires_at - patient.wall_clock()).total_seconds()
    if left <= 0:
        text = f"they expired {-left:.0f} s ago, as this machine's clock has it"
        return keys, Finding("keys", Verdict.FAULT, text, "see who gives them, and this machine's clock")
    return keys, Finding("keys", Verdict.OK, f"found; temporary, for another {left:.0f} s")


def _name(line: Line) -> Finding:
    host = line.endpoint.host
    try:
        found = socket.getaddrinfo(host, line.endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        remedy = "check aws.region and aws.endpoint_url, and this machine's DNS"
        return Finding("name", Verdict.FAULT, f"{host} has no address here", remedy)
    addresses = sorted({str(address[0]) for *_, address in found})
    return Finding("name", Verdict.OK, f"{host} is {', '.join(addresses[:3])}{' ...' if len(addresses) > 3 else ''}")


def _connection(line: Line, wall_clock: Callable[[], datetime], deadline: float) -> Iterator[Finding]:
    headers = [(b"Host", line.endpoint.authority.encode())]
    before = wall_clock()
    try:
        answer = line.transport.request("GET", headers, b"", until=_by(deadline))
    except SecretsError as error:
        yield Finding("connection", Verdict.FAULT, str(error))
        return
    secure = "TLS, and the certificate is accepted" if line.endpoint.scheme == "https" else "without TLS"
    yield Finding("connection", Verdict.OK, f"{line.endpoint.name} answers; {secure}")
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


def _identity(patient: Patient, keys: Credentials, deadline: float) -> Finding:
    try:
        caller = patient.sts.caller_identity(keys, _by(deadline))
    except (Unreachable, DeadlineExceeded, InvalidAnswer) as error:
        remedy = "only this check needs STS; a network with an endpoint for Secrets Manager alone works without it"
        return Finding("identity", Verdict.WARNING, str(error), remedy)
    except SecretsError as error:
        return Finding("identity", Verdict.FAULT, str(error))
    return Finding("identity", Verdict.OK, f"{caller.arn} of account {caller.account}")


def probes(name: str, region: str) -> Iterator[Call]:
    """One harmless call an IAM action: on the secret *name*, which is not there. All is in them that AWS asks for, lest
    it speaks of what is missing before it looks at permissions."""
    secret: dict[str, Any] = {"SecretId": name}
    token = str(uuid.uuid4())
    policy = json.dumps({"Version": "2012-10-17", "Statement": [_DENY]})
    pair = next(pair for begin, pair in _REGIONS if region.startswith(begin))
    elsewhere = next(one for one in pair if one != region)
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
        "GetResourcePolicy": secret,
        "PutResourcePolicy": {**secret, "ResourcePolicy": policy},
        "DeleteResourcePolicy": secret,
        "ValidateResourcePolicy": {**secret, "ResourcePolicy": policy},
    }
    for action, payload in payloads.items():
        yield Call(action, json.dumps(payload).encode())


def _permissions(line: Line, keys: Credentials, prefix: str, deadline: float) -> Iterator[Finding]:
    name = f"{prefix}{uuid.uuid4()}"
    for call in probes(name, line.endpoint.region):
        yield _permission(Exchange(line, _by(deadline), keys), call)
    yield Finding(UNTRIED, Verdict.SKIPPED, "cannot be tried without making a secret")


def _permission(exchange: Exchange, call: Call) -> Finding:
    try:
        exchange.run(call, lambda _body, _request_id: None)
    except SecretNotFound:  # it was looked for, so it may be
        pass
    except AccessDenied:
        verdict = Verdict.FAULT if call.action == READ else Verdict.WARNING
        remedy = f"allow secretsmanager:{call.action} in the policy of this user or role, if it is needed"
        return Finding(call.action, verdict, "denied", remedy)
    except InvalidRequest as error:  # its text is about a secret that is there
        return Finding(call.action, Verdict.WARNING, f"could not be told: AWS answers {error.aws_code}")
    except SecretsError as error:
        return Finding(call.action, Verdict.WARNING, f"could not be told: {error}")
    return Finding(call.action, Verdict.OK, "allowed")
