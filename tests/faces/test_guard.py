"""What is refused before any face sees it: what came through a proxy, from a web page, or under another name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.faces.exchange import Request
from secrets_actor.faces.guard import (
    BAD_HOST,
    BAD_TARGET,
    FORWARDED,
    FROM_A_PAGE,
    LOOPBACK,
    WRONG_HOST,
    Refused,
    refusal,
)
from secrets_actor.faces.identity import Peer

TCP = Peer(address="127.0.0.1:50000")
UNIX = Peer(uid=1000)
HOST = ("host", "localhost:2773")


def request(
    *headers: tuple[str, str], peer: Peer = TCP, path: str = "/secretsmanager/get", method: str = "GET"
) -> Request:
    return Request(method, path, "", tuple(headers), b"", peer, "127.0.0.1:2773", 0.0)


@pytest.mark.parametrize(
    "header",
    [
        "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-anything", "forwarded", "via",
        "x-real-ip", "x-original-url", "x-rewrite-url", "true-client-ip",
    ],
)  # fmt: skip
@pytest.mark.parametrize("peer", [TCP, UNIX], ids=["tcp", "unix"])
@pytest.mark.parametrize("value", ["10.0.0.1", ""])
def test_what_was_passed_on_is_refused(header: str, peer: Peer, value: str) -> None:
    assert refusal(request(HOST, (header, value), peer=peer)) is FORWARDED
    assert refusal(request((header, value), HOST, peer=peer, method="POST", path="/")) is FORWARDED
    assert refusal(request((header, value), HOST, peer=peer, path="/ping")) is None
    for path in ("/ping/", "/pin", "//ping", "/PING"):
        assert refusal(request((header, value), HOST, peer=peer, path=path)) is FORWARDED
    assert (FORWARDED.status, FORWARDED.text) == (400, "Forwarded")


@pytest.mark.parametrize(
    ("header", "value", "refused"),
    [
        ("origin", "https://evil.example", True),
        ("origin", "null", True),
        ("origin", "http://localhost:2773", True),
        ("sec-fetch-site", "cross-site", True),
        ("sec-fetch-site", "same-site", True),
        ("sec-fetch-site", " Cross-Site ", True),
        ("sec-fetch-site", "none", False),
        ("sec-fetch-site", "same-origin", False),
        ("sec-fetch-mode", "cors", False),
    ],
)
def test_what_a_web_page_sent_is_refused(header: str, value: str, refused: bool) -> None:
    for path, peer in (("/secretsmanager/get", TCP), ("/", UNIX), ("/ping", TCP)):
        found = refusal(request(HOST, (header, value), path=path, peer=peer))
        assert found is (FROM_A_PAGE if refused else None)
    assert FROM_A_PAGE.status == 403


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("localhost", None),
        ("localhost:2773", None),
        ("LocalHost:1", None),
        ("127.0.0.1:65535", None),
        ("[::1]", None),
        ("[::1]:2773", None),
        (" localhost ", None),
        ("secrets.internal:80", None),
        ("evil.example", WRONG_HOST),
        ("evil.example:2773", WRONG_HOST),
        ("localhost.evil.example", WRONG_HOST),
        ("localhost.", WRONG_HOST),
        ("localhost:", WRONG_HOST),
        ("localhost:x", WRONG_HOST),
        ("localhost:123456", WRONG_HOST),
        ("localhost:\u0661", WRONG_HOST),
        ("localhost:1:2", WRONG_HOST),
        ("evil@localhost", WRONG_HOST),
        ("localhost, evil.example", WRONG_HOST),
        ("localhost/", WRONG_HOST),
        ("::1", WRONG_HOST),
        ("127.1", WRONG_HOST),
        ("2130706433", WRONG_HOST),
        ("0.0.0.0", WRONG_HOST),
        ("", WRONG_HOST),
    ],
)
def test_on_tcp_the_host_must_mean_this_machine(host: str, found: Refused | None) -> None:
    hosts = LOOPBACK | {"secrets.internal"}

    assert refusal(request(("host", host)), hosts) is found
    assert refusal(request(("host", host), path="/ping"), hosts) is found
    assert refusal(request(("host", host), peer=UNIX), hosts) is None
    assert WRONG_HOST.status == 421


def test_the_host_stands_once() -> None:
    assert refusal(request()) is BAD_HOST
    assert refusal(request(HOST, HOST)) is BAD_HOST
    assert refusal(request(HOST, ("host", "evil.example"))) is BAD_HOST
    assert refusal(request(peer=UNIX)) is None, "curl over a socket may send none"
    assert refusal(request(HOST, HOST, peer=UNIX)) is BAD_HOST
    assert BAD_HOST.status == 400


@pytest.mark.parametrize(
    "path", ["http://localhost/secretsmanager/get", "*", "localhost:2773", "", "secretsmanager/get"]
)
def test_a_target_that_is_no_path_is_refused(path: str) -> None:
    assert refusal(request(HOST, path=path)) is BAD_TARGET
    assert BAD_TARGET.status == 400


@given(st.lists(st.tuples(st.sampled_from(["host", "origin", "via", "x-forwarded-for", "a"]), st.text()), max_size=4))
def test_no_refusal_quotes_the_request(headers: Any) -> None:
    """There are five answers, and each stands here."""
    assert refusal(request(*headers)) in {None, FORWARDED, FROM_A_PAGE, BAD_HOST, BAD_TARGET, WRONG_HOST}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("path", ["/live", "/live/refresh"])
@pytest.mark.parametrize("peer", [TCP, UNIX], ids=["tcp", "unix"])
def test_the_live_page_may_ask_the_place_that_it_came_from(scheme: str, path: str, peer: Peer) -> None:
    asked = request(
        HOST,
        ("origin", f"{scheme}://localhost:2773"),
        ("sec-fetch-site", "same-origin"),
        peer=peer,
        path=path,
        method="POST",
    )

    assert refusal(asked, pages=scheme) is None
    assert refusal(asked) is FROM_A_PAGE  # where no page is served


@pytest.mark.parametrize(
    "headers",
    [
        [HOST, ("origin", "https://localhost:2773")],
        [HOST, ("origin", "http://localhost:2774")],
        [HOST, ("origin", "http://localhost")],
        [HOST, ("origin", "http://127.0.0.1:2773")],
        [HOST, ("origin", "null")],
        [HOST, ("origin", "http://localhost:2773/")],
        [HOST, ("origin", "http://localhost:2773"), ("origin", "http://localhost:2773")],
        [HOST, HOST, ("origin", "http://localhost:2773")],
        [HOST, ("origin", "http://localhost:2773"), ("sec-fetch-site", "same-site")],
    ],
    ids=repr,
)
def test_the_page_of_any_other_place_may_not(headers: list[tuple[str, str]]) -> None:
    assert refusal(request(*headers, path="/live/refresh", method="POST"), pages="http") is FROM_A_PAGE


def test_the_exception_is_for_the_live_page_alone() -> None:
    for path in ("/", "/secretsmanager/get", "/lively", "/control/live"):
        assert refusal(request(HOST, ("origin", "http://localhost:2773"), path=path), pages="http") is FROM_A_PAGE


def test_the_live_page_on_a_unix_socket_that_somebody_forwards_goes_by_its_host() -> None:
    evil = ("host", "evil.example:8080")

    assert refusal(request(evil, peer=UNIX, path="/live"), pages="http") is WRONG_HOST
    assert refusal(request(peer=UNIX, path="/live"), pages="http") is BAD_HOST
    assert refusal(request(evil, peer=UNIX), pages="http") is None
    assert refusal(request(evil, peer=UNIX, path="/live")) is None, "no page is served there"
