"""Keys from a container's host: whom we ask, with which token, how often, and what we say when there are none."""

import json
import os
from pathlib import Path

import pytest

from secrets_actor.backends.aws.credentials import container
from secrets_actor.backends.aws.credentials.container import ContainerCredentials
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.errors import CredentialsError, MetadataServiceError, NoCredentials
from tests.backends.aws.credentials.conftest import Machine, failing, fetch, of_botocore, plain
from tests.servers.behaviours import Answer, Hang, Reset, answer_json
from tests.servers.faulty import FaultyServer
from tests.servers.metadata import MetadataServer, an_hour
from tests.servers.process import reserve

GOOD = answer_json(an_hour())


@pytest.fixture
def pod(machine: Machine, metadata: MetadataServer) -> Path:
    """The token file of a pod, whose URI is set."""
    file = metadata.switches.authorization = machine.write("token", "canary-token")
    machine.set(
        AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{metadata.url}/v1/credentials",
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(file),
    )
    return file


def full(machine: Machine, uri: str) -> None:
    machine.set(AWS_CONTAINER_CREDENTIALS_FULL_URI=uri)


def test_without_a_uri_it_declines(machine: Machine) -> None:
    error = failing(ContainerCredentials())

    assert isinstance(error, NoCredentials)
    assert [place for place, _ in error.tried] == ["container"]


def test_the_token_file_is_read_at_each_fetch_and_stands_over_the_variable(pod: Path, machine: Machine) -> None:
    machine.set(AWS_CONTAINER_AUTHORIZATION_TOKEN="another")
    assert plain(fetch(ContainerCredentials()))[0] == "ASIAMETADATA00000001"

    pod.write_text("canary-token-2")

    assert plain(fetch(ContainerCredentials()))[0] == "ASIAMETADATA00000001"


def test_the_variable_is_the_token_when_there_is_no_file(pod: Path, machine: Machine, metadata: MetadataServer) -> None:
    machine.unset("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    assert isinstance(failing(ContainerCredentials()), MetadataServiceError)
    machine.set(AWS_CONTAINER_AUTHORIZATION_TOKEN="canary-token")

    assert fetch(ContainerCredentials())


@pytest.mark.parametrize("token", ["canary\n", "canary\r\nX-Evil: 1", "\ncanary", "", "can\x00ary", " canary"])
def test_a_token_that_breaks_its_header_is_never_sent(pod: Path, metadata: MetadataServer, token: str) -> None:
    pod.write_bytes(token.encode())

    error = failing(ContainerCredentials())

    assert "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: the token" in str(error)
    assert metadata.seen == []


def test_a_token_file_that_is_not_there_is_told(pod: Path, metadata: MetadataServer) -> None:
    pod.unlink()

    assert "the file cannot be read" in str(failing(ContainerCredentials()))
    os.mkfifo(pod)
    assert "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: the file is a pipe" in str(failing(ContainerCredentials()))
    assert metadata.seen == []


def test_a_token_file_may_lie_in_the_home_and_have_a_byte_order_mark(
    machine: Machine, pod: Path, metadata: MetadataServer
) -> None:
    machine.write("marked", f"\ufeff{pod.read_text()}")
    machine.set(AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="~/marked")

    assert fetch(ContainerCredentials())


def test_the_relative_uri_stands_over_the_full_one_and_goes_to_the_host_of_ecs(
    machine: Machine, metadata: MetadataServer
) -> None:
    full(machine, f"{metadata.url}/v1/credentials")
    machine.set(AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/v2/credentials/canary")

    # No time is left, so that nothing goes out; the error names whom it would have asked.
    assert str(failing(ContainerCredentials(), within=0.0)).startswith("169.254.170.2:80: ")
    assert metadata.seen == []


@pytest.mark.parametrize("uri", ["v2/credentials/x", "@evil.example/x", "/a b", "/\r\nX: y", ":80/x"])
def test_a_relative_uri_is_a_path_and_cannot_change_the_host(machine: Machine, uri: str) -> None:
    machine.set(AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=uri)

    assert "a path that begins with a slash" in str(failing(ContainerCredentials()))


@pytest.mark.parametrize(
    "uri",
    [
        *("http://evil.example/x", "http://10.0.0.1/x", "http://169.254.169.254/x", "http://localhost.evil.example/"),
        *("http://127.0.0.1.evil.example/", "http://[fd00:ec2::254]/", "http://169.254.170.2.nip.example/x"),
    ],
)
def test_over_plain_http_nobody_else_is_asked(machine: Machine, uri: str) -> None:
    full(machine, uri)

    error = failing(ContainerCredentials())

    assert "only loopback addresses" in str(error)
    assert "evil" not in str(error)


@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("http://169.254.170.23/v1/credentials", "169.254.170.23:80"),
        ("http://[fd00:ec2::23]/v1/credentials", "[fd00:ec2::23]:80"),
        ("http://169.254.170.2/x?y=z", "169.254.170.2:80"),
        ("http://localhost:8080/x", "localhost:8080"),
        ("http://127.9.9.9:1/", "127.9.9.9:1"),
        ("http://[::1]/x", "[::1]:80"),
        ("https://anything.example/x", "anything.example:443"),
    ],
)
def test_these_hosts_may_be_asked(machine: Machine, uri: str, asked: str) -> None:
    full(machine, uri)

    assert str(failing(ContainerCredentials(), within=0.0)).startswith(f"{asked}: ")


@pytest.mark.parametrize("uri", ["ftp://localhost/x", "http:///x", "localhost/x", "http://u:canary@localhost/", "http://[x",
                                 "http://localhost:0/", "http://localhost:99999/", "https://h/a b"])  # fmt: skip
def test_a_uri_that_is_none_is_told_without_being_quoted(machine: Machine, uri: str) -> None:
    full(machine, uri)

    assert "http:// or https://, a host, a path" in str(failing(ContainerCredentials()))


def test_lost_answers_are_asked_for_again_up_to_three_times(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "PAUSE", 0.01)
    for script in ((Reset(), GOOD), (Answer(b"", 500), Answer(b"", 429), GOOD), (Answer(b"{"), Answer(b"[]"), GOOD)):
        with FaultyServer(*(one if not isinstance(one, Answer) else _last(one) for one in script)) as server:
            full(machine, f"{server.url}/x?y=z")
            assert fetch(ContainerCredentials()).expires_at is not None
            assert len(server.requests) == len(script)
            assert server.requests[0].head.startswith(b"GET /x?y=z HTTP/1.1\r\n")
    with FaultyServer(Reset()) as server:
        full(machine, server.url)
        assert "asked for the container's credentials" in str(failing(ContainerCredentials()))
        assert len(server.requests) == 3


def _last(answer: Answer) -> Answer:
    return Answer(answer.body, answer.status, headers=(("Connection", "close"),), last=True)


@pytest.mark.parametrize(
    ("status", "told"), [(401, "see AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"), (403, "HTTP 403"), (404, "no such path"),
                         (400, "HTTP 400")]
)  # fmt: skip
def test_a_refusal_is_final(machine: Machine, status: int, told: str) -> None:
    with FaultyServer(Answer(b"canary", status)) as server:
        full(machine, server.url)
        error = failing(ContainerCredentials())

        assert len(server.requests) == 1
    assert told in str(error)
    assert error.status == status


def test_the_second_attempt_begins_only_if_it_can_end_in_time(machine: Machine) -> None:
    with FaultyServer(Answer(b"", 500)) as server:
        full(machine, server.url)
        started = clock_now()
        failing(ContainerCredentials(), within=0.5)

        assert clock_now() - started < 0.4
        assert len(server.requests) == 1


def test_a_service_that_is_silent_or_absent_costs_no_more_than_the_time_given(machine: Machine) -> None:
    with FaultyServer(Hang()) as server, reserve() as holder:
        for url in (server.url, f"http://127.0.0.1:{holder.getsockname()[1]}"):
            full(machine, url)
            started = clock_now()
            assert isinstance(failing(ContainerCredentials(), within=0.3), CredentialsError)
            assert clock_now() - started < 2.0


@pytest.mark.parametrize("missing", ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"])
def test_half_a_set_of_keys_is_none(machine: Machine, missing: str) -> None:
    answer = {name: value for name, value in an_hour().items() if name != missing}
    with FaultyServer(Answer(json.dumps(answer).encode())) as server:
        full(machine, server.url)

        assert f"gave no credentials ({missing} is missing)" in str(failing(ContainerCredentials(), within=0.9))


@pytest.mark.parametrize("token", ["", None])
def test_an_empty_session_token_is_none_to_botocore_too(machine: Machine, token: str | None) -> None:
    """Tools that stand in for ECS on a desk give keys that have none."""
    with FaultyServer(Answer(json.dumps({**an_hour(), "Token": token}).encode())) as server:
        full(machine, server.url)
        found, theirs = plain(fetch(ContainerCredentials())), of_botocore()

    assert theirs is not None
    assert found == (*theirs[:2], None)
    assert not theirs[2]


def test_a_proxy_is_never_asked(pod: Path, machine: Machine) -> None:
    machine.set(HTTP_PROXY="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9")
    machine.unset("NO_PROXY", "no_proxy")

    assert fetch(ContainerCredentials())


def test_its_repr_tells_nothing(pod: Path) -> None:
    assert repr(ContainerCredentials()) == "<ContainerCredentials>"
