"""The examination of the aws backend against a real emulator: healthy, and with one fault at a time."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from secrets_actor.backends.aws import backend
from secrets_actor.backends.aws.corrected_clock import CorrectedClock
from secrets_actor.backends.aws.credentials.static import StaticCredentials
from secrets_actor.backends.aws.diagnose import READ, READ_MANY, UNTRIED, WRITE, probes
from secrets_actor.backends.aws.endpoint import endpoint_for
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.backends.key_source import KeySource
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.diagnosis import Finding, Verdict
from secrets_actor.domain.secret import SecretValue
from tests.servers.account import REGION, Keys, Policy, allow_everything, policy, statement
from tests.servers.behaviours import Connection, Hang, aws_error
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack
from tests.servers.process import ROOT
from tests.servers.tls import issue

SECONDS = 30.0
# ministack calls these unknown actions, and says so with the code of a request that the secret's state forbids.
UNKNOWN_TO_MINISTACK = {
    "AssociateCrossAccountReplica",
    "CancelRotateSecret",
    "DisassociateCrossAccountReplica",
    "ListResourcePolicies",
    "RemoveRegionsFromReplication",
    "StopReplicationToReplica",
}
Examined = Callable[..., dict[str, Finding]]


@pytest.fixture
def examined(fresh_ministack: Ministack, monkeypatch: pytest.MonkeyPatch) -> Examined:
    """What is found at *url* with *keys* (or those of a new user who may do what *allowed* says), by check."""

    def examine(
        url: str | None = None,
        *,
        keys: Keys | None = None,
        allowed: Policy | None = None,
        seconds: float = SECONDS,
        **more: Any,
    ) -> dict[str, Finding]:
        keys = keys or fresh_ministack.account.user(allow_everything() if allowed is None else allowed)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", fresh_ministack.url)
        source = StaticCredentials(KeySource("text", keys.access_key_id), KeySource("text", keys.secret_key))
        parts: dict[str, Any] = {"ca_bundle": None, "timeout": 5.0, "recovery_window": 30} | more
        factory = backend.aws_backend_factory(
            endpoint=endpoint_for(REGION, url or fresh_ministack.url), **{"credentials": source, **parts}
        )
        assert factory.diagnose is not None
        found = list(factory.diagnose(clock_now() + seconds, "doctor/"))
        by_check = {finding.check: finding for finding in found}
        assert len(by_check) == len(found)
        assert not any(keys.secret_key in f"{finding}" or keys.access_key_id in f"{finding}" for finding in found)
        return by_check

    return examine


def verdicts(found: dict[str, Finding]) -> dict[str, str]:
    return {check: finding.verdict.value for check, finding in found.items()}


def test_a_healthy_account_is_found_healthy_and_unchanged(examined: Examined, fresh_ministack: Ministack) -> None:
    found = examined()

    expected = ["credentials", "name", "connection", "clock", "identity", "permissions", READ]
    assert list(found)[: len(expected)] == expected
    assert {finding.verdict for finding in found.values()} == {Verdict.OK}
    assert "CreateSecret cannot be tried" in found["writing"].fact
    told = found["further"].fact.partition("could not be found out: ")[2]
    assert {part.partition(" ")[0] for part in told.split(", ")} == UNKNOWN_TO_MINISTACK
    assert found["identity"].fact.startswith("arn:aws:iam::")
    assert fresh_ministack.account.client("secretsmanager").list_secrets()["SecretList"] == []


def actions(*names: str) -> list[str]:
    return [f"secretsmanager:{name}" for name in names]


def test_without_the_permission_to_read_a_get_fails_and_so_does_the_examination(examined: Examined) -> None:
    found = examined(allowed=policy(statement("Allow", actions("DescribeSecret", "ListSecrets"), "*")))

    assert found[READ].verdict is Verdict.FAULT
    assert "secretsmanager:GetSecretValue" in (found[READ].remedy or "")
    assert "--prefix" in (found[READ].remedy or "")
    assert found["permissions"].fact == "tried on a name that begins with doctor/ and that no secret has"


def test_a_role_that_only_reads_is_not_warned(examined: Examined) -> None:
    found = examined(allowed=policy(statement("Allow", actions(READ, *READ_MANY), "*")))

    assert {finding.verdict for finding in found.values()} == {Verdict.OK}
    assert found["writing"].fact == "denied, as is right for a program that only reads"
    assert "denied: ListSecretVersionIds, " in found["further"].fact


def test_a_policy_for_other_names_is_found_out_by_their_beginning(examined: Examined) -> None:
    names = f"arn:aws:secretsmanager:{REGION}:*:secret:"
    everywhere = statement("Allow", actions(*READ_MANY), "*")

    fits = examined(allowed=policy(statement("Allow", actions(READ, *WRITE), f"{names}doctor/*"), everywhere))
    other = examined(allowed=policy(statement("Allow", actions(READ, *WRITE), f"{names}app/*"), everywhere))
    assert (fits[READ].verdict, other[READ].verdict) == (Verdict.OK, Verdict.FAULT)


@pytest.mark.parametrize("missing", ["BatchGetSecretValue", "PutSecretValue"])
def test_what_half_a_policy_lacks_is_a_warning_that_names_it(examined: Examined, missing: str) -> None:
    allowed = allow_everything()
    allowed["Statement"].append(statement("Deny", actions(missing), "*"))
    found = examined(allowed=allowed)

    warned = [finding for finding in found.values() if finding.verdict is not Verdict.OK]
    assert [(one.verdict, f"denied: {missing}" in one.fact) for one in warned] == [(Verdict.WARNING, True)]
    assert f"secretsmanager:{missing}" in (warned[0].remedy or "")


def test_an_answer_that_says_nothing_of_a_permission_is_no_verdict(examined: Examined) -> None:
    class Odd:
        """Knows no secret, and answers batches with what nobody knows."""

        def serve(self, connection: Connection) -> None:
            while (request := connection.next_request()) is not None:
                batch = b"BatchGetSecretValue" in request.head
                code = "ThingsNobodyKnowsException" if batch else "ResourceNotFoundException"
                body = json.dumps({"__type": code, "message": "no"}).encode()
                connection.client.sendall(b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with FaultyServer(Odd()) as server:
        found = examined(server.url)

    assert found["reading many"].verdict is Verdict.WARNING
    assert "BatchGetSecretValue (ThingsNobodyKnowsException)" in found["reading many"].fact
    assert found["writing"].verdict is Verdict.OK


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("UnrecognizedClientException", "AWS does not know"),
        ("InvalidSignatureException", "signature"),
        ("InvalidRequestException", "cannot do GetSecretValue"),
        ("ThingsNobodyKnowsException", "a code unknown to us"),
    ],
)
def test_what_a_get_fails_with_is_a_fault_and_the_rest_is_not_tried(examined: Examined, code: str, told: str) -> None:
    with FaultyServer(aws_error(code)) as server:
        found = examined(server.url)

    assert found[READ].verdict is Verdict.FAULT
    assert told in found[READ].fact
    assert found["others"].verdict is Verdict.SKIPPED
    assert list(found)[-1] == "others"


def test_all_actions_of_the_table_in_the_configurations_readme_are_tried_but_one() -> None:
    text = (ROOT / "config" / "README.md").read_text()
    table = text.partition("| IAM action: `secretsmanager:` |")[2].partition("\n\n")[0]
    cells = [cell for row in table.splitlines() for cell in row.split("|")[4:5]]
    actions = {name for cell in cells for name in re.findall(r"`([A-Z]\w+)`", cell)}

    assert len(actions) == 26
    assert {call.action for call in probes("doctor/x", REGION)} | {UNTRIED} == actions


@pytest.mark.parametrize(
    ("region", "other"),
    [
        ("us-east-1", "us-west-2"),
        ("eu-central-1", "us-east-1"),
        ("cn-north-1", "cn-northwest-1"),
        ("cn-northwest-1", "cn-north-1"),
        ("us-gov-west-1", "us-gov-east-1"),
    ],
)
def test_a_region_that_is_named_is_another_of_the_same_partition(region: str, other: str) -> None:
    calls = {call.action: json.loads(call.body) for call in probes("doctor/x", region)}

    assert calls["ReplicateSecretToRegions"]["AddReplicaRegions"] == [{"Region": other}]
    assert calls["RemoveRegionsFromReplication"]["RemoveReplicaRegions"] == [other]


@pytest.mark.parametrize(("hours", "word"), [(2, "fast"), (-2, "slow")])
def test_a_clock_that_is_off_is_told_with_how_far_and_which_way(examined: Examined, hours: int, word: str) -> None:
    found = examined(clock=CorrectedClock(lambda: datetime.now(UTC) + timedelta(hours=hours)))

    assert found["clock"].verdict is Verdict.FAULT
    seconds = int(found["clock"].fact.split(" is ")[1].split()[0])
    assert abs(seconds - 7200) < 60
    assert found["clock"].fact.endswith(word)


def test_a_clock_that_is_a_little_off_is_a_warning(examined: Examined) -> None:
    clock = CorrectedClock(lambda: datetime.now(UTC) + timedelta(minutes=2))

    assert examined(clock=clock)["clock"].verdict is Verdict.WARNING


def test_another_authority_is_told_with_the_setting_that_names_it(examined: Examined, tmp_path: Path) -> None:
    ours, theirs = issue(tmp_path / "ours"), issue(tmp_path / "theirs")
    with Ministack(tmp_path / "tls", certificates=theirs) as server:
        found = examined(server.url, ca_bundle=str(ours.ca))
        assert found["connection"].verdict is Verdict.FAULT
        assert "aws.ca_bundle" in found["connection"].fact
        assert found["permissions"].verdict is Verdict.SKIPPED
        assert "there is no connection" in found["permissions"].fact
        assert examined(server.url, ca_bundle=str(theirs.ca))["connection"].verdict is Verdict.OK


def test_keys_that_nobody_has_end_the_examination_with_what_was_tried(examined: Examined) -> None:
    class Nothing:
        def fetch(self, deadline: float) -> AwsCredentials:
            return StaticCredentials(KeySource("env", "NO_SUCH_VARIABLE_HERE")).fetch(deadline)

    found = examined(credentials=Nothing())
    assert found["credentials"].verdict is Verdict.FAULT
    assert verdicts(found)["connection"] == "ok"
    assert found["permissions"].fact == "not tried: there are no credentials"


def test_keys_that_aws_does_not_know_are_told_and_nothing_is_tried_with_them(examined: Examined) -> None:
    found = examined(keys=Keys("AKIAIOSFODNN7EXAMPLE", "x" * 40))

    assert found["identity"].verdict is Verdict.FAULT
    assert found["permissions"].verdict is Verdict.SKIPPED


@pytest.mark.parametrize(("seconds", "verdict"), [(90, Verdict.OK), (-90, Verdict.FAULT)])
def test_temporary_keys_say_how_long_they_last(
    examined: Examined, fresh_ministack: Ministack, seconds: int, verdict: Verdict
) -> None:
    user = fresh_ministack.account.user(allow_everything())

    class Temporary:
        def fetch(self, deadline: float) -> AwsCredentials:
            end = datetime.now(UTC) + timedelta(seconds=seconds)
            return AwsCredentials(user.access_key_id, SecretValue(user.secret_key), None, end)

    found = examined(keys=user, credentials=Temporary())["credentials"]
    assert found.verdict is verdict
    assert any(f" {near} s" in found.fact for near in range(88, 92))


def test_a_name_without_an_address_is_told_before_anything_is_tried(examined: Examined) -> None:
    found = examined("https://secretsmanager.does-not-exist.invalid")

    assert verdicts(found)["name"] == "fault"
    assert "connection" not in found
    assert found["permissions"].verdict is Verdict.SKIPPED


def test_a_port_where_nobody_listens_and_a_server_that_hangs_are_told(examined: Examined) -> None:
    with FaultyServer(Hang()) as server:
        url = server.url
        assert verdicts(examined(url, seconds=0.5))["connection"] == "fault"
    assert verdicts(examined(url))["connection"] == "fault"


def test_sts_that_cannot_be_reached_is_a_warning_and_the_rest_is_tried(
    examined: Examined, monkeypatch: pytest.MonkeyPatch, fresh_ministack: Ministack
) -> None:
    keys = fresh_ministack.account.user(allow_everything())
    source = StaticCredentials(KeySource("text", keys.access_key_id), KeySource("text", keys.secret_key))
    factory = backend.aws_backend_factory(
        endpoint=endpoint_for(REGION, fresh_ministack.url),
        ca_bundle=None,
        timeout=5.0,
        recovery_window=30,
        credentials=source,
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    assert factory.diagnose is not None
    found = {finding.check: finding for finding in factory.diagnose(clock_now() + SECONDS, "doctor/")}
    assert found["identity"].verdict is Verdict.WARNING
    assert found["GetSecretValue"].verdict is Verdict.OK
