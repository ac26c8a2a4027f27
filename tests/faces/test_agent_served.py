"""The agents' face as clients meet it: through a router, on a listener, on real sockets."""

import json
import os
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from secrets_actor.faces.agent_api import AgentApi
from secrets_actor.faces.guard import refusal
from secrets_actor.faces.policy import Rule
from secrets_actor.faces.router import Router
from secrets_actor.faces.watch import Watches
from tests.faces.served import Served as Listener
from tests.faces.served import eventually, served
from tests.faces.served_system import Served, served_system

NAME: Final = "db/password"
GET: Final = f"/secretsmanager/get?secretId={NAME}"
WATCH: Final = f"/secretsmanager/watch?secretId={NAME}"


class Rig:
    """The face, and what serves it."""

    def __init__(self, system: Served) -> None:
        self.system = system
        self.watches = Watches(system.service, ping=0.05)
        face = AgentApi(system.service, {"for-ci": "ci"}.get, self.watches)
        self.router = Router([face], refusal, lambda _: None)


@pytest.fixture
def rig() -> Iterator[Rig]:
    with served_system(Rule((f"uid:{os.getuid()}", "token:ci"), ("**",), ("get",))) as system:
        system.store.put(NAME, "hunter2")
        yield Rig(system)


def test_a_program_with_a_token_asks_over_tcp_as_it_asks_the_agent(rig: Rig) -> None:
    with served(rig.router) as listener:
        asked = urllib.request.Request(
            f"http://{listener.place}{GET}", headers={"X-Aws-Parameters-Secrets-Token": "for-ci"}
        )
        with urllib.request.urlopen(asked, timeout=10) as answer:
            found = json.load(answer)

        assert found["SecretString"] == "hunter2"
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Date"]


def test_a_program_asks_over_a_unix_socket_without_any_token(rig: Rig, tmp_path: Path) -> None:
    with served(rig.router, tmp_path) as listener, listener.client() as client:
        answers = [client.get(path) for path in (GET, f"/v1/{NAME}", "/ping", "/secretsmanager/no")]
        missing = client.get("/no")

    assert [one.status for one in answers] == [200, 200, 200, 404]
    assert answers[0].body == answers[1].body
    assert answers[2].body == b"healthy"
    assert missing.status == 404


def test_a_head_is_refused_as_the_agents_do(rig: Rig, tmp_path: Path) -> None:
    with served(rig.router, tmp_path) as listener, listener.client() as client:
        head = client.send(b"HEAD /ping HTTP/1.1\r\nHost: localhost\r\n\r\n").until(b"\r\n\r\n")
        after = client.get("/ping")

    assert head.startswith(b"HTTP/1.1 405 ")
    assert after.status == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1"])
def test_a_forwarded_request_is_refused(rig: Rig, tmp_path: Path, header: str) -> None:
    with served(rig.router, tmp_path) as listener, listener.client() as client:
        found = client.get(GET, header)

    assert found.status == 400


def stream(listener: Listener, *headers: str) -> Any:
    client = listener.client()
    lines = "".join(f"{header}\r\n" for header in headers)
    client.send(f"GET {WATCH} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    return client


def event(client: Any) -> dict[str, str]:
    """The next event, read from the chunks of the answer. Comments are passed over."""
    while True:
        part = client.exactly(int(client.until(b"\r\n"), 16) + 2).decode()
        if "data: " in part:
            return dict(line.split(": ", 1) for line in part.splitlines() if line)


def test_a_client_hears_of_each_change_while_it_is_connected(rig: Rig, tmp_path: Path) -> None:
    with served(rig.router, tmp_path) as listener, stream(listener) as client:
        told = [event(client)]
        receipt = rig.system.system.secrets.set(NAME, "newer")
        told.append(event(client))

        assert [one["event"] for one in told] == ["current", "changed"]
        assert told[1]["id"] == receipt.version_id
        assert rig.watches.waiting == 1
    assert eventually(lambda: rig.watches.waiting == 0)


def test_a_client_that_goes_away_frees_its_place(rig: Rig, tmp_path: Path) -> None:
    with served(rig.router, tmp_path) as listener:
        with stream(listener) as client:
            event(client)
        assert eventually(lambda: rig.watches.waiting == 0)


def test_the_streams_of_a_listener_that_is_killed_end_and_the_next_one_resumes_them(rig: Rig, tmp_path: Path) -> None:
    with served(rig.router, tmp_path) as listener, stream(listener) as client:
        heard = event(client)["id"]
        listener.kill()
        with pytest.raises((EOFError, ConnectionResetError)):
            event(client)
        assert eventually(lambda: rig.watches.waiting == 0)
        receipt = rig.system.system.secrets.set(NAME, "newer")

        with stream(listener, f"Last-Event-ID: {heard}") as again:
            told = event(again)

        assert (told["event"], told["id"]) == ("changed", receipt.version_id)
    assert eventually(lambda: rig.watches.waiting == 0)


def test_a_get_that_waits_is_held_open_by_the_server(rig: Rig, tmp_path: Path) -> None:
    with served(rig.router, tmp_path) as listener, listener.client() as client:
        tag = client.get(GET).headers["etag"]
        client.send(f"GET {GET}&wait=50 HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tag}\r\n\r\n".encode())
        assert eventually(lambda: rig.watches.waiting == 1)
        rig.system.system.secrets.set(NAME, "newer")

        assert json.loads(client.answer().body)["SecretString"] == "newer"
        assert client.socket.family == socket.AF_UNIX
