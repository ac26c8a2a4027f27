"""`doctor` on AWS's store, as an operator runs it: ministack healthy, and with one fault at a time."""

import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.cli.program import Done, Program
from tests.cli.test_doctor import findings
from tests.servers.account import Keys, Policy, allow_everything, statement
from tests.servers.behaviours import Connection
from tests.servers.faulty import FaultyServer
from tests.servers.http_messages import Stream, hang_up
from tests.servers.ministack import Ministack
from tests.servers.tls import issue


@dataclass(frozen=True, slots=True)
class OtherTime:
    """Passes requests on to *port*, and the answers back with a Date that is *ahead*: what a wrong clock here sees."""

    port: int
    ahead: timedelta

    def serve(self, connection: Connection) -> None:
        upstream = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.adopt(upstream)
        try:
            answers = Stream(upstream)
            while (request := connection.next_request()) is not None:
                upstream.sendall(request.raw)
                answer = answers.response()
                date = format_datetime(datetime.now(UTC) + self.ahead, usegmt=True).encode()
                head, changed = re.subn(rb"(?im)^date:[^\r]*", b"Date: " + date, answer.head)
                assert changed == 1, head
                connection.client.sendall(head + answer.body)
        finally:
            hang_up(upstream)


def user(server: Ministack, program: Program, url: str, allowed: Policy) -> tuple[Program, Keys]:
    """*program* for a new user who may do what *allowed* says, with the store at *url*; and his keys."""
    keys = server.account.user(allowed)
    return program.on_aws(url, keys).with_settings(AWS_ENDPOINT_URL_STS=server.url), keys


def not_ok(found: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {check: verdict for check, (verdict, _) in found.items() if verdict != "ok"}


def test_a_healthy_account_is_told_to_be(program: Program, fresh_ministack: Ministack) -> None:
    ours, keys = user(fresh_ministack, program, fresh_ministack.url, allow_everything())
    found = findings(ours)

    looked_at = ["configuration", "credentials", "name", "connection", "clock", "identity"]
    assert list(found) == [*looked_at, "permissions", "GetSecretValue", "reading many", "writing", "further"]
    assert not_ok(found) == {}
    assert "begins with app/" in found["permissions"][1]
    assert keys.secret_key not in f"{found}"
    assert fresh_ministack.client("secretsmanager").list_secrets(IncludePlannedDeletion=True)["SecretList"] == []


@pytest.mark.parametrize(("hours", "word"), [(2, "slow"), (-2, "fast")])
def test_a_clock_that_is_off_is_a_fault(program: Program, fresh_ministack: Ministack, hours: int, word: str) -> None:
    with FaultyServer(OtherTime(fresh_ministack.process.port, timedelta(hours=hours))) as server:
        ours, _ = user(fresh_ministack, program, server.url, allow_everything())
        found = findings(ours, status=1)

    assert not_ok(found) == {"clock": "fault"}
    told = re.fullmatch(r"this machine's clock is (\d+) s (\w+) set it right \(NTP\): .*", found["clock"][1])
    assert told is not None
    assert (abs(int(told[1]) - 7200) < 60, told[2]) == (True, word)


def test_another_authority_is_a_fault_that_names_the_setting(program: Program, tmp_path: Path) -> None:
    ours, theirs = issue(tmp_path / "ours"), issue(tmp_path / "theirs")
    with Ministack(tmp_path / "tls", certificates=theirs) as server:
        there, _ = user(server, program, server.url, allow_everything())
        found = findings(there.with_settings(AWS_CA_BUNDLE=str(ours.ca)), status=1)
        assert not_ok(found) == {"connection": "fault", "permissions": "skipped"}
        assert "aws.ca_bundle" in found["connection"][1]
        assert not_ok(findings(there.with_settings(AWS_CA_BUNDLE=str(theirs.ca)))) == {}


def test_a_missing_permission_is_a_fault_where_nothing_goes_without_it(
    program: Program, fresh_ministack: Ministack
) -> None:
    actions = ["secretsmanager:GetSecretValue", "secretsmanager:DeleteSecret"]
    allowed = allow_everything()
    allowed["Statement"].append(statement("Deny", actions, "*"))
    ours, _ = user(fresh_ministack, program, fresh_ministack.url, allowed)
    found = findings(ours, status=1)

    assert not_ok(found) == {"GetSecretValue": "fault", "writing": "warning"}
    assert found["GetSecretValue"][1].startswith("denied allow secretsmanager:GetSecretValue")
    done: Done = ours("doctor")
    columns = {line.index(verdict) for line in done.text.splitlines() for verdict in re.findall(r" (ok|fault) ", line)}
    assert columns == {len("GetSecretValue") + 1}
    assert re.search(r"^GetSecretValue +fault +denied\n +-> allow secretsmanager:GetSecretValue", done.text, re.M)


def test_keys_that_aws_does_not_know_are_a_fault_where_sts_cannot_be_asked(
    program: Program, fresh_ministack: Ministack
) -> None:
    stranger = program.on_aws(fresh_ministack.url, Keys("AKIAIOSFODNN7EXAMPLE", "x" * 40))
    found = findings(stranger.with_settings(AWS_ENDPOINT_URL_STS="http://127.0.0.1:9"), status=1)

    assert not_ok(found) == {"identity": "warning", "GetSecretValue": "fault", "others": "skipped"}
    assert stranger("get", "app/db").status == 4


@pytest.mark.parametrize(
    ("variables", "beginning"),
    [
        ({"SECRETS_ACTOR_PREFETCH__NAMES": "db,payments/api/key"}, "payments/api/"),
        ({"SECRETS_ACTOR_PREFETCH__NAMES": "a/b", "SECRETS_ACTOR_PREFETCH__PREFIXES": "smtp/"}, "smtp/"),
        ({"SECRETS_ACTOR_PREFETCH__NAMES": "db"}, "app/"),
    ],
)
def test_permissions_are_tried_on_names_as_the_configuration_has_them(
    program: Program, fresh_ministack: Ministack, variables: dict[str, str], beginning: str
) -> None:
    ours, _ = user(fresh_ministack, program, fresh_ministack.url, allow_everything())

    assert f"begins with {beginning} and" in findings(ours.with_settings(**variables))["permissions"][1]
