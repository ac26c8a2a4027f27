"""The bad weather keeps its rules: a token makes one write, and no tokenless write comes late."""

import socket

from secrets_actor.domain.operations import Set
from tests.actor.rig import eventually
from tests.contract.store import aws_kit, new_token, perform
from tests.linearizability.random_failures import Climate, Weather
from tests.servers.account import allow_everything
from tests.servers.behaviours import answer_json
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack

FAIR = Climate(mishap=0.0, breeze=0.0, calm=0.0)
SLOW = Climate(mishap=0.0, breeze=0.0, calm=1.0)


def test_a_token_makes_one_write(fresh_ministack: Ministack) -> None:
    weather = Weather(fresh_ministack.process.port, 1, FAIR)
    with FaultyServer(weather) as proxy:
        factory = aws_kit(proxy.url, fresh_ministack.account.user(allow_everything()))
        backend = factory.connect()
        write, other = Set("a", "v", new_token()), Set("a", "w", new_token())
        first, second, again = (perform(backend, factory, one).value for one in (write, other, write))
        backend.close()

    assert again.version_id == first.version_id != second.version_id
    assert weather.counts["token met again"] == 1


def test_a_write_whose_client_hung_up_comes_late_if_it_has_a_token_and_else_not_at_all() -> None:
    with FaultyServer(answer_json({})) as upstream:
        weather = Weather(upstream.port, 1, SLOW)
        with FaultyServer(weather) as proxy:
            _send_and_hang_up(proxy.port, b"DeleteSecret", b'{"SecretId":"a"}')
            _met(weather, "dropped with its client")
            _send_and_hang_up(proxy.port, b"CreateSecret", b'{"Name":"a","ClientRequestToken":"t"}')
            _met(weather, "delivered late")
            upstream.wait_for_requests(1)

        assert [b"CreateSecret" in one.head for one in upstream.requests] == [True]


def _met(weather: Weather, what: str) -> None:
    eventually(lambda: weather.counts[what], what)


def _send_and_hang_up(port: int, target: bytes, body: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as client:
        head = b"POST / HTTP/1.1\r\nX-Amz-Target: secretsmanager.%s\r\nContent-Length: %d\r\n\r\n"
        client.sendall(head % (target, len(body)) + body)
