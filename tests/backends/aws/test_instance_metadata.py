"""Role credentials from the metadata service: against ministack's, which insists on version 2, and against bad ones."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from secrets_actor.backends.aws.credentials.instance_metadata import InstanceMetadataCredentials
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from tests.servers.behaviours import Answer, Behaviour, Hang, Reset
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack
from tests.servers.process import reserve

END = datetime(2086, 11, 23, 18, 0, tzinfo=UTC)
KEYS = {
    "Code": "Success",
    "Type": "AWS-HMAC",
    "AccessKeyId": "ASIACANARY",
    "SecretAccessKey": "canary-secret",
    "Token": "canary-token",
    "Expiration": "2086-11-23T18:00:00Z",
}


@pytest.fixture
def version_2_only(tmp_path: Any, _nothing_is_left_behind: None) -> Iterator[Ministack]:
    with Ministack(tmp_path, imds_v2_only=True) as server:
        yield server


@pytest.fixture(autouse=True)
def _switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)


class Service:
    """A metadata service of ours: each path's answer, and a note of the heads that came."""

    def __init__(self, **answers: Answer | Behaviour) -> None:
        self.answers = {
            "token": Answer(b"imds-canary-token", content_type="text/plain"),
            "role": Answer(b"my-role\n", content_type="text/plain"),
            "keys": Answer(json.dumps(KEYS).encode()),
            **answers,
        }

    def serve(self, connection: Any) -> None:
        request = connection.next_request()
        while request is not None:
            head = request.head.decode()
            path = head.split()[1]
            which = "token" if path.endswith("/token") else "role" if path.endswith("/") else "keys"
            behaviour = self.answers[which]
            if not isinstance(behaviour, Answer):
                behaviour.serve(connection)
                return
            connection.client.sendall(behaviour._head() + behaviour.body)
            request = connection.next_request()


def fetch(url: str, monkeypatch: pytest.MonkeyPatch, within: float = 10.0) -> AwsCredentials:
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
    return InstanceMetadataCredentials().fetch(clock_now() + within)


def failing(url: str, monkeypatch: pytest.MonkeyPatch, within: float = 10.0) -> errors.MetadataServiceError:
    with pytest.raises(errors.MetadataServiceError) as caught:
        fetch(url, monkeypatch, within)
    assert caught.value.__context__ is None
    assert "canary" not in f"{caught.value} {caught.value.__dict__}"
    assert "\n" not in str(caught.value)
    return caught.value


def test_ministack_gives_role_credentials_to_who_asks_by_version_2(
    version_2_only: Ministack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", "30")  # its first answer is slow: it loads what it needs for it

    found = fetch(version_2_only.url, monkeypatch)

    assert found.access_key_id
    assert found.session_token is not None
    assert found.expires_at is not None
    assert found.expires_at > datetime.now(UTC)


def test_the_three_requests_are_those_of_the_user_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyServer(Service()) as server:
        found = fetch(server.url, monkeypatch)
        heads = [request.head.decode().lower().splitlines() for request in server.requests]

    assert (found.access_key_id, found.secret_key.reveal()) == ("ASIACANARY", "canary-secret")
    assert found.session_token is not None
    assert (found.session_token.reveal(), found.expires_at) == ("canary-token", END)
    assert [head[0] for head in heads] == [
        "put /latest/api/token http/1.1",
        "get /latest/meta-data/iam/security-credentials/ http/1.1",
        "get /latest/meta-data/iam/security-credentials/my-role http/1.1",
    ]
    assert "x-aws-ec2-metadata-token-ttl-seconds: 21600" in heads[0]
    assert all("x-aws-ec2-metadata-token: imds-canary-token" in head for head in heads[1:])
    assert "canary" not in f"{found!r} {InstanceMetadataCredentials()!r}"


def test_an_answer_without_a_code_counts_as_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {name: value for name, value in KEYS.items() if name != "Code"}
    with FaultyServer(Service(keys=Answer(json.dumps(answer).encode()))) as server:
        assert fetch(server.url, monkeypatch).access_key_id == "ASIACANARY"


def test_a_proxy_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FaultyServer(Service()) as server:
        assert fetch(server.url, monkeypatch).expires_at == END


def test_a_token_that_does_not_come_speaks_of_the_hop_limit_and_is_awaited_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with FaultyServer(Hang()) as server:
        started = clock_now()
        error = failing(server.url, monkeypatch)
        spent = clock_now() - started

    assert "hop limit" in str(error)
    assert 1.0 <= spent < 5.0


def test_the_deadline_is_kept_when_it_comes_sooner_than_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyServer(Hang()) as server:
        started = clock_now()
        failing(server.url, monkeypatch, within=0.2)

        assert clock_now() - started < 0.9


@pytest.mark.parametrize(
    ("service", "told"),
    [
        (Service(token=Answer(b"canary", status=403)), r"a token \(HTTP 403\); switch the metadata service .* on"),
        (Service(token=Answer(b"canary", status=400)), r"a token \(HTTP 400\); see what answers there"),
        (Service(token=Answer(b"<html> canary </html>")), "no usable token"),
        (Service(token=Answer(b"")), "no usable token"),
        (Service(role=Answer(b"canary", status=404)), r"role's name \(HTTP 404\); attach an IAM role"),
        (Service(role=Answer(b"")), "attach an IAM role"),
        (Service(role=Answer(b"../../canary")), "attach an IAM role"),
        (Service(role=Answer(b"canary", status=401)), "ask again, the token ran out"),
        (Service(role=Hang()), "gave no answer in time, asked for the role's name; ask again"),
        (Service(keys=Reset(read_first=False)), "cannot be reached, asked for the role's credentials"),
        (Service(keys=Answer(b"canary", status=500)), r"credentials \(HTTP 500\); ask again"),
        (Service(keys=Answer(b"")), "holds no credentials"),
        (Service(keys=Answer(b"[]")), "holds no credentials"),
        (Service(keys=Answer(b"null")), "holds no credentials"),
        (Service(keys=Answer(b'{"AccessKeyId": "canary"')), "holds no credentials"),
        (Service(keys=Answer(b"[" * 100_000)), "holds no credentials"),
        (Service(keys=Answer(json.dumps({"Code": "Failed", "Message": "canary"}).encode())), r"\(Failed\)"),
        (Service(keys=Answer(json.dumps({"Code": "canary"}).encode())), r"\(a code unknown to us\)"),
        (Service(keys=Answer(json.dumps({"Code": ["canary"]}).encode())), r"\(a code unknown to us\)"),
        *(
            (Service(keys=Answer(json.dumps({**KEYS, name: wrong}).encode())), "holds no credentials")
            for name in ("AccessKeyId", "SecretAccessKey", "Token", "Expiration")
            for wrong in (None, "", 7, "can ary")
        ),
        (
            Service(keys=Answer(json.dumps({**KEYS, "Expiration": "2026-11-23T18:00:00"}).encode())),
            "holds no credentials",
        ),
    ],
)
def test_whatever_goes_wrong_says_what_to_do_and_quotes_nothing(
    service: Service, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyServer(service) as server:
        error = failing(server.url, monkeypatch)

    with pytest.raises(errors.MetadataServiceError, match=told):
        raise error


def test_there_is_no_way_back_to_version_1(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyServer(Service(token=Answer(b"", status=404))) as server:
        failing(server.url, monkeypatch)

        assert len(server.requests) == 1


def test_a_service_that_is_not_there_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with reserve() as holder:
        error = failing(f"http://127.0.0.1:{holder.getsockname()[1]}", monkeypatch)

    assert "see that this is an EC2 instance" in str(error)


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "True")
    with FaultyServer(Service()) as server:
        assert "AWS_EC2_METADATA_DISABLED" in str(failing(server.url, monkeypatch))
        assert server.connections == 0


def test_an_endpoint_that_is_none_is_told_without_being_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    error = failing("http://user:canary@host", monkeypatch)

    assert str(error).startswith("AWS_EC2_METADATA_SERVICE_ENDPOINT: http:// or https://")


def test_without_an_override_the_link_local_addresses_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    # No time is left, so that nothing goes out to them; the error names whom it would have asked.
    assert str(failing("", monkeypatch, within=0.0)).startswith("169.254.169.254:80: ")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6")
    assert str(failing("", monkeypatch, within=0.0)).startswith("[fd00:ec2::254]:80: ")
