"""The face `live`: who gets in, what a page may do, and when a stream ends."""

import asyncio
import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import pytest

from secrets_actor.domain.secret import SecretValue
from secrets_actor.faces.exchange import Response
from secrets_actor.faces.identity import Identity
from secrets_actor.faces.live import COOKIE, LiveFace, LiveStates, LiveStreams
from secrets_actor.faces.live_sessions import SESSION_SECONDS, LiveSessions
from secrets_actor.faces.policy import Policy, Rule
from tests.faces.asking import TCP, UNIX, request
from tests.faces.served_system import Served, served_system
from tests.faces.test_live_state import state

CANARY: Final = "hunter2-canary"


class Rig:
    """A face with a state that the test changes, and clocks that it moves."""

    def __init__(self, served: Served) -> None:
        self.served, self.now, self.clock = served, 1000.0, 0.0
        self.status, self.made, self.ended = "ok", 0, list[int]()
        numbers = count()

        def random(length: int) -> bytes:
            return next(numbers).to_bytes(length)

        self.sessions = LiveSessions(SecretValue(b"k" * 32), lambda: self.now, random)
        self.streams = LiveStreams(2)
        self.states = LiveStates(self._state, lambda: self.clock)
        self.face = LiveFace(
            served.service,
            self.sessions,
            self.states,
            self.streams,
            restart=self._restart,
            secure=False,
            wall_time=lambda: self.now,
            random=random,
        )

    def _state(self) -> Any:
        self.made += 1
        return state(now=self.now + self.clock, status=self.status)

    def _restart(self, serial: int) -> str:
        if serial != 7:
            raise LookupError("there is no such process any more")
        self.ended.append(serial)
        return "worker"

    def ask(self, target: str, *headers: tuple[str, str], **more: Any) -> Response:
        asked = request(target, *headers, **more)
        assert self.face.takes(asked)
        return asyncio.run(self.face.answer(asked))

    def session(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """The headers of a page that has a session: its cookie and its token."""
        cookie = self.sessions.enter(self.sessions.new_key(Identity(UNIX))) or ""
        return ("cookie", f"{COOKIE}={cookie}"), ("x-live-token", self.sessions.token_of(cookie))

    def post(self, path: str, body: Any, *headers: tuple[str, str], **more: Any) -> tuple[int, Any]:
        response = self.ask(path, *headers, method="POST", body=json.dumps(body).encode(), **more)
        return response.status, json.loads(response.body)

    def forbid(self) -> None:
        self.served.policy = Policy([Rule(("user:deploy",), ("**",), ("read",))])


@pytest.fixture
def rig() -> Iterator[Rig]:
    with served_system() as served:
        yield Rig(served)


def header(response: Response, name: str) -> str:
    return dict(response.headers)[name]


def test_the_page_has_a_nonce_of_its_own_and_lets_nothing_foreign_in(rig: Rig) -> None:
    first, second = (rig.ask("/live", peer=UNIX) for _ in range(2))

    policy = header(first, "content-security-policy")
    nonce = re.search(r"script-src 'nonce-([^']+)'", policy)
    assert nonce is not None
    assert first.body.count(f'nonce="{nonce[1]}"'.encode()) == 2
    assert b"__NONCE__" not in first.body
    assert b"__TOKEN__" not in first.body
    assert policy != header(second, "content-security-policy")
    for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"):
        assert part in policy
    assert "unsafe" not in policy
    assert header(first, "cache-control") == "no-store"
    assert header(first, "x-content-type-options") == "nosniff"
    assert header(first, "referrer-policy") == "no-referrer"


def test_a_key_lets_one_browser_in_once_and_a_reload_goes_by_the_cookie(rig: Rig) -> None:
    key = rig.sessions.new_key(Identity(UNIX))
    assert rig.ask(f"/live?key={key}", method="HEAD").status == 401  # and it is not used up by that

    entered = rig.ask(f"/live?key={key}")

    cookie = header(entered, "set-cookie")
    assert entered.status == 200
    assert re.fullmatch(
        rf"{COOKIE}=[\w-]+; Path=/live; Max-Age={SESSION_SECONDS:.0f}; HttpOnly; SameSite=Strict", cookie
    )
    shown = ("cookie", cookie.partition(";")[0])
    assert rig.ask(f"/live?key={key}").status == 401
    again = rig.ask(f"/live?key={key}", shown)
    assert (again.status, rig.ask("/live", shown).status, rig.ask("/live/events", shown, method="HEAD").status) == (
        200,
        200,
        200,
    )
    assert key.encode() not in again.body


@pytest.mark.parametrize("path", ["/live", "/live/events", "/live?key=wrong"])
def test_without_a_session_the_way_in_is_told(rig: Rig, path: str) -> None:
    response = rig.ask(path)

    assert response.status == 401
    assert b"secrets-actor live" in response.body
    assert "set-cookie" not in dict(response.headers)


def test_who_may_not_admin_gets_nothing_and_the_audit_log_has_it(rig: Rig) -> None:
    cookie, token = rig.session()
    rig.forbid()

    assert rig.ask("/live", peer=UNIX).status == 403
    assert rig.ask("/live", cookie).status == 403
    assert rig.ask("/live/events", cookie, method="HEAD").status == 403
    assert rig.post("/live/restart", {"process": 7}, cookie, token)[0] == 403
    assert rig.post("/live/refresh", {"secret": "a"}, cookie, token)[0] == 403
    assert rig.ended == []
    assert {(one.operation, one.outcome, one.source) for one in rig.served.audit.kept} == {
        ("admin", "access_denied", "policy")
    }


@pytest.mark.parametrize("by", ["session", "unix"])
def test_a_process_is_ended_with_the_token_alone_and_it_is_audited(rig: Rig, by: str) -> None:
    cookie, token = rig.session()
    more: dict[str, Any] = {}
    if by == "unix":
        page = rig.ask("/live", peer=UNIX).body
        found = re.search(rb'name="live-token" content="([0-9a-f]{64})"', page)
        assert found is not None
        cookie, token, more = ("accept", "*/*"), ("x-live-token", found[1].decode()), {"peer": UNIX}

    assert rig.post("/live/restart", {"process": 7}, cookie, **more)[0] == 403
    assert rig.post("/live/restart", {"process": 7}, cookie, ("x-live-token", "0" * 64), **more)[0] == 403
    assert rig.post("/live/restart", {"process": 7}, cookie, token, token, **more)[0] == 400
    assert rig.post("/live/restart", {"process": "7"}, cookie, token, **more)[0] == 400
    assert rig.ended == []

    assert rig.post("/live/restart", {"process": 7}, cookie, token, **more)[0] == 200
    assert rig.post("/live/restart", {"process": 8}, cookie, token, **more)[0] == 404
    assert rig.ended == [7]
    assert [(one.operation, one.outcome, one.source) for one in rig.served.audit.kept] == [
        ("restart", "ok", "live"),
        ("restart", "not_found", "live"),
    ]
    caller = rig.served.audit.kept[0].caller
    assert "deploy" in str(caller)


def test_a_secret_is_fetched_anew_and_no_answer_has_its_value(rig: Rig) -> None:
    rig.served.store.put("db", CANARY)
    cookie, token = rig.session()

    status, told = rig.post("/live/refresh", {"secret": "db"}, cookie, token)

    assert (status, told) == (200, {"done": "db was fetched anew"})
    missing, why = rig.post("/live/refresh", {"secret": "nope"}, cookie, token)
    assert missing == 409
    assert "nope" in why["error"]
    assert rig.post("/live/refresh", {"secret": ""}, cookie, token)[0] == 409
    assert rig.post("/live/refresh", {"name": CANARY}, cookie, token) == (
        400,
        {"error": 'the body is JSON, as {"secret": NAME} or {"process": SERIAL}'},
    )


def test_nothing_is_changed_by_get_and_nothing_is_shown_by_post(rig: Rig) -> None:
    for path, method in (("/live/restart", "GET"), ("/live/refresh", "GET"), ("/live", "POST"), ("/live", "PUT")):
        assert rig.ask(path, *rig.session(), method=method).status == 405


def test_a_state_is_made_once_for_all_who_look_and_news_has_another_number(rig: Rig) -> None:
    first = rig.states.look()
    assert rig.states.look() is first
    rig.clock = 0.5
    second = rig.states.look()
    assert (rig.made, second.number) == (2, first.number)
    # The page reckons with the daemon's clock, so whoever begins to look gets the time of now.
    assert json.loads(second.json)["now"] == 1000.5
    rig.clock, rig.status = 1.0, "degraded"
    assert rig.states.look().number == first.number + 1


def test_a_stream_has_the_whole_state_and_ends_when_the_policy_no_longer_lets_it(rig: Rig) -> None:
    cookie, _ = rig.session()

    async def scenario() -> list[bytes]:
        response = await rig.face.answer(request("/live/events", cookie))
        assert response.stream is not None
        heard = [await anext(response.stream)]
        rig.clock, rig.status = 10.0, "degraded"
        heard.append(await anext(response.stream))
        rig.forbid()
        with pytest.raises(StopAsyncIteration):
            await anext(response.stream)
        return heard

    first, second = asyncio.run(scenario())

    assert re.fullmatch(rb"retry: 500\nevent: state\ndata: \{[^\n]*\}\n\n", first)
    assert re.fullmatch(rb'event: state\ndata: \{[^\n]*"degraded"[^\n]*\}\n\n', second)


def test_a_stream_ends_with_its_session(rig: Rig) -> None:
    cookie, _ = rig.session()

    async def scenario() -> None:
        response = await rig.face.answer(request("/live/events", cookie))
        assert response.stream is not None
        await anext(response.stream)
        rig.now += SESSION_SECONDS
        with pytest.raises(StopAsyncIteration):
            await anext(response.stream)

    asyncio.run(scenario())
    assert rig.ask("/live/events", cookie, method="HEAD").status == 401


def test_there_are_so_many_streams_and_one_that_is_closed_makes_room(rig: Rig) -> None:
    cookie, _ = rig.session()

    async def scenario() -> None:
        open_ones = [await rig.face.answer(request("/live/events", cookie)) for _ in range(2)]
        assert (await rig.face.answer(request("/live/events", cookie))).status == 503
        for _ in range(2):  # more than once does no harm
            await open_ones[0].stream.aclose()  # type: ignore[union-attr]
        assert (await rig.face.answer(request("/live/events", cookie))).status == 200
        assert (await rig.face.answer(request("/live/events", cookie))).status == 503

    asyncio.run(scenario())


def test_a_cookie_on_tcp_is_needed_although_the_address_is_ours(rig: Rig) -> None:
    assert rig.ask("/live", ("cookie", f"{COOKIE}="), peer=TCP).status == 401
    assert rig.face.broken(request("/live")).status == 500
