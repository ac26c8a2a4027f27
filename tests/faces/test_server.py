"""The server of a listener: what it hands on, and what it answers."""

from pathlib import Path

from secrets_actor.faces.exchange import Request, Response
from tests.faces.served import echo, served


def test_a_request_reaches_the_handler_whole(tmp_path: Path) -> None:
    asked: list[Request] = []

    async def keep(one: Request) -> Response:
        asked.append(one)
        return Response(201, (("x-one", "1"),), b"made")

    with served(keep, tmp_path) as one, one.client() as client:
        answer = client.post(b"body", "/a%2Fb?c=%20d", "X-Two: 2", "x-two: 3")

    assert (answer.status, answer.body, answer.headers["x-one"]) == (201, b"made", "1")
    assert "server" not in answer.headers
    [found] = asked
    assert (found.method, found.path, found.query, found.body) == ("POST", "/a%2Fb", "c=%20d", b"body")
    assert found.all("x-two") == ("2", "3")
    assert found.listener == f"unix:{tmp_path}/api.sock"


def test_a_connection_serves_many_requests() -> None:
    with served(echo) as one, one.client() as client:
        assert [client.post(b"%d" % number).body for number in range(20)] == [b"POST / %d" % n for n in range(20)]
