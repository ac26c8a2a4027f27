"""The examination of the aws backend against a real emulator: healthy, and with one fault at a time."""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from secrets_actor.backends.aws import backend
from secrets_actor.backends.aws.corrected_clock import CorrectedClock
from secrets_actor.backends.aws.credentials.static import KeySource, StaticCredentials
from secrets_actor.backends.aws.examination import UNTRIED, probes
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.findings import Finding, Verdict
from secrets_actor.domain.secret import SecretValue
from tests.servers.account import REGION, Keys, Policy, allow_everything, policy, statement
from tests.servers.behaviours import Hang, aws_error
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack
from tests.servers.process import ROOT
from tests.servers.tls import issue

SECONDS = 30.0
# ministack calls these unknown actions, and says so with the code of a request that the secret's state forbids.
UNKNOWN_TO_MINISTACK = {"CancelRotateSecret", "RemoveRegionsFromReplication", "StopReplicationToReplica"}
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
        parts: dict[str, Any] = {"region": REGION, "ca_bundle": None, "timeout": 5.0, "recovery_window": 30} | more
        kit = backend.kit(endpoint_url=url or fresh_ministack.url, **{"credentials": source, **parts})
        assert kit.examine is not None
        found = list(kit.examine(time.monotonic() + seconds, "doctor/"))
        by_check = {finding.check: finding for finding in found}
        assert len(by_check) == len(found)
        assert not any(keys.secret_key in f"{finding}" or keys.access_key_id in f"{finding}" for finding in found)
        return by_check

    return examine


def verdicts(found: dict[str, Finding]) -> dict[str, str]:
    return {check: finding.verdict.value for check, finding in found.items()}


def test_a_healthy_account_is_found_healthy_and_unchanged(examined: Examined, fresh_ministack: Ministack) -> None:
    found = examined()

    expected = ["keys", "name", "connection", "clock", "identity", "GetSecretValue"]
    assert list(found)[: len(expected)] == expected
    assert {check for check, finding in found.items() if finding.verdict is not Verdict.OK} == {
        UNTRIED,
        *UNKNOWN_TO_MINISTACK,
    }
    assert found["identity"].fact.startswith("arn:aws:iam::")
    assert fresh_ministack.account.client("secretsmanager").list_secrets()["SecretList"] == []


def test_a_missing_permission_is_named_with_its_action(examined: Examined) -> None:
    actions = ["secretsmanager:DescribeSecret", "secretsmanager:ListSecrets"]
    found = examined(allowed=policy(statement("Allow", actions, "*")))

    assert found["GetSecretValue"].verdict is Verdict.FAULT
    assert "secretsmanager:GetSecretValue" in (found["GetSecretValue"].remedy or "")
    assert found["DeleteSecret"].verdict is Verdict.WARNING
    assert verdicts(found)["DescribeSecret"] == verdicts(found)["ListSecrets"] == "ok"


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("ResourceNotFoundException", Verdict.OK),
        ("AccessDeniedException", Verdict.WARNING),
        ("InvalidParameterException", Verdict.WARNING),
        ("InvalidRequestException", Verdict.WARNING),
        ("ThingsNobodyKnowsException", Verdict.WARNING),
        ("UnrecognizedClientException", Verdict.WARNING),
        ("LimitExceededException", Verdict.WARNING),
    ],
)
def test_only_an_answer_that_comes_after_the_permission_says_that_it_is_there(
    examined: Examined, code: str, verdict: Verdict
) -> None:
    with FaultyServer(aws_error(code)) as server:
        found = examined(server.url)["DescribeSecret"]

    assert found.verdict is verdict
    assert (code == "AccessDeniedException") is (found.fact == "denied")
    assert ("could not be told" in found.fact) is (verdict is Verdict.WARNING and code != "AccessDeniedException")


def test_all_actions_of_the_readmes_table_are_tried_but_one() -> None:
    table = (ROOT / "README.md").read_text().partition("| IAM action: `secretsmanager:` |")[2].partition("\n\n")[0]
    cells = [cell for row in table.splitlines() for cell in row.split("|")[4:5]]
    actions = {name for cell in cells for name in re.findall(r"`([A-Z]\w+)`", cell)}

    assert len(actions) == 23
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
        def fetch(self, deadline: float) -> Credentials:
            return StaticCredentials(KeySource("env", "NO_SUCH_VARIABLE_HERE")).fetch(deadline)

    found = examined(credentials=Nothing())
    assert found["keys"].verdict is Verdict.FAULT
    assert verdicts(found)["connection"] == "ok"
    assert found["permissions"].fact == "not tried: there are no keys"


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
        def fetch(self, deadline: float) -> Credentials:
            end = datetime.now(UTC) + timedelta(seconds=seconds)
            return Credentials(user.access_key_id, SecretValue(user.secret_key), None, end)

    found = examined(keys=user, credentials=Temporary())["keys"]
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
    kit = backend.kit(
        region=REGION,
        endpoint_url=fresh_ministack.url,
        ca_bundle=None,
        timeout=5.0,
        recovery_window=30,
        credentials=source,
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    assert kit.examine is not None
    found = {finding.check: finding for finding in kit.examine(time.monotonic() + SECONDS, "doctor/")}
    assert found["identity"].verdict is Verdict.WARNING
    assert found["GetSecretValue"].verdict is Verdict.OK
