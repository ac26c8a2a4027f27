"""What a transport brings back."""

import gzip

import httpx
import pytest

from secrets_actor.backends.http.httpx_transport import HttpxTransport
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from tests.backends.http.transport_rig import LONG, ask, endpoint, failing, transport_to
from tests.servers.behaviours import Answer, Behaviour, empty_body, html_500
from tests.servers.faulty import FaultyServer


def test_an_answer_comes_back_whole_whatever_its_status() -> None:
    with FaultyServer(Answer(b'{"a":1}', 418, headers=(("X-Amzn-RequestId", "r-1"),))) as server:
        with transport_to(server.port) as transport:
            answer = ask(transport)

    assert (answer.status, answer.body, answer.headers["x-amzn-requestid"]) == (418, b'{"a":1}', "r-1")
    assert "r-1" not in repr(answer)


@pytest.mark.parametrize(("behaviour", "status"), [(html_500(), 500), (empty_body(), 200)])
def test_a_strange_but_whole_answer_is_an_answer(behaviour: Behaviour, status: int) -> None:
    with FaultyServer(behaviour) as server, transport_to(server.port) as transport:
        assert ask(transport).status == status


def test_a_connection_is_kept_for_the_next_request() -> None:
    with FaultyServer(Answer()) as server, transport_to(server.port) as transport:
        for _ in range(5):
            ask(transport)

        assert (server.connections, len(server.requests)) == (1, 5)


def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again() -> None:
    with FaultyServer(Answer(), Answer()) as server, transport_to(server.port) as transport:
        ask(transport)
        server.drop()
        ask(transport)

        assert server.connections == 2


def test_the_request_goes_out_as_it_was_given() -> None:
    with FaultyServer(Answer()) as server, transport_to(server.port) as transport:
        transport.request(
            "PUT",
            [(b"Host", b"h"), (b"Content-Length", b"3")],
            b"\x00\xffz",
            until=clock_now() + LONG,
            path="/a/b?c",
        )

        head = b"PUT /a/b?c HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nAccept-Encoding: identity\r\n\r\n"
        assert server.requests[0].raw == head + b"\x00\xffz"


def test_a_redirect_is_not_followed_and_a_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FaultyServer(Answer(status=302, headers=(("Location", "http://127.0.0.1:9/"),))) as server:
        with transport_to(server.port) as transport:
            assert ask(transport).status == 302


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP ", "deflate", "br", "identity, gzip"])
def test_a_compressed_answer_that_nobody_asked_for_is_refused(coding: str, status: int) -> None:
    compressed = Answer(gzip.compress(b"body" * 1000), status, headers=(("Content-Encoding", coding),))
    with FaultyServer(compressed, Answer(b"plain")) as server, transport_to(server.port) as transport:
        error = failing(transport)

        assert type(error) is errors.InvalidAnswer
        assert "compressed, which nobody asked for" in str(error)
        assert ask(transport).body == b"plain"
        assert server.connections == 2


@pytest.mark.parametrize("coding", ["identity", ""])
def test_an_answer_that_is_said_not_to_be_compressed_is_taken(coding: str) -> None:
    with FaultyServer(Answer(b"body", headers=(("Content-Encoding", coding),))) as server:
        with transport_to(server.port) as transport:
            assert ask(transport).body == b"body"


def test_a_head_request_has_an_answer_without_a_body() -> None:
    with FaultyServer(Answer(b"")) as server, transport_to(server.port) as transport:
        answer = transport.request("HEAD", [(b"Host", b"h")], b"", until=clock_now() + LONG)

        assert (answer.status, answer.body) == (200, b"")


def test_what_is_asked_now_and_then_is_a_request_of_httpx_with_the_path_as_it_was_given() -> None:
    """httpx would encode the braces and quotes; a service is asked for the path that it gave out."""
    answer = Answer(b"found", headers=(("X-What", "such"),))
    with FaultyServer(answer) as server, transport_to(server.port) as transport:
        asked = HttpxTransport(transport)
        found = asked.ask("PUT", endpoint(server.port), '/{a}"b?c=%7B', [(b"X-Token", b"t")], until=clock_now() + LONG)

        assert (found.status_code, found.content, found.headers["x-what"]) == (200, b"found", "such")
        head = server.requests[0].raw
        assert head.startswith(b'PUT /{a}"b?c=%%7B HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n' % server.port)
        assert head.count(b"Content-Length: 0") == head.count(b"Accept-Encoding: identity") == 1


@pytest.mark.parametrize("host", ["1.2.3.999", "xn--a", "xn--.example"])
def test_a_host_that_httpx_does_not_take_is_a_typed_error(host: str) -> None:
    with FaultyServer(Answer(b"")) as server, transport_to(server.port) as transport:
        with pytest.raises(errors.RequestFailed) as caught:
            HttpxTransport(transport).ask("GET", endpoint(1, host=host), until=clock_now() + LONG)

        assert f"{host}:1" in str(caught.value)
        assert caught.value.__context__ is None


def test_code_that_is_written_for_httpx_runs_over_it() -> None:
    """By httpx's public hook. The Client's own Accept-Encoding would ask for compressed answers, which are refused."""
    with FaultyServer(Answer(b"found")) as server, transport_to(server.port) as transport:
        with httpx.Client(transport=HttpxTransport(transport), headers={"Accept-Encoding": "identity"}) as client:
            response = client.get(f"{server.url}/a?b", extensions={"deadline": clock_now() + LONG})

        assert (response.status_code, response.content) == (200, b"found")
        assert server.requests[0].raw.startswith(b"GET /a?b HTTP/1.1\r\nHost: 127.0.0.1")
        with pytest.raises(errors.ConnectionFailed):
            ask(transport)  # for the client has closed it
