"""The face `live`: a page that shows the daemon as it lives, and two things that can be done there.

- `GET /live`: the page. With `?key=`, a key of `secrets-actor live`, it begins a session.
- `GET /live/events`: server-sent events: `state` with the whole state (live_state.py) when it has changed, and `ping`.
- `POST /live/refresh` `{"secret": NAME}`: fetch the secret anew.
- `POST /live/restart` `{"process": SERIAL}`: end that process, which its supervisor then starts again.

Rule 1: all of it needs `admin`, asked of the policy each time, and before each event of a stream. On a Unix socket, the
        caller is the process at the other end; on TCP, a session says who asks (live_sessions.py).
Rule 2: what changes anything is a POST with the token that is in the page, as `x-live-token`, and leaves an audit
        record. No answer holds a value.
Rule 3: a state is made only while somebody looks: one for all who look, at most two a second.
Rule 4: nothing foreign runs in the page: each answer has a nonce of its own, and the policy of its content allows no
        script and no style without it, and no other place to talk to.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from functools import cache, cached_property
from importlib.resources import files
from typing import Final, Self, TypeVar
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from secrets_actor.client.aio import settled
from secrets_actor.domain.errors import AccessDenied, SecretNotFound, SecretsError
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.ports import AuditRecord
from secrets_actor.faces.control import ADMIN
from secrets_actor.faces.exchange import Headers, RepeatedHeader, Request, Response
from secrets_actor.faces.identity import Identity, caller_facts
from secrets_actor.faces.live_sessions import SESSION_SECONDS, LiveSessions, cookie_in
from secrets_actor.faces.live_state import LiveState, as_json, changed
from secrets_actor.faces.router import JSON, json_response
from secrets_actor.faces.service import Service
from secrets_actor.otp import CallTimeout, From

# Seconds between two states, at least.
PERIOD: Final = 0.5
# Seconds after which a stream without news says that it is still there.
PING: Final = 15.0
# How many streams there may be at a time.
MOST: Final = 20
# Milliseconds after which a browser whose stream has ended asks again.
_RETRY: Final = 500
_PAGE: Final = "/live"
_EVENTS: Final = "/live/events"
_REFRESH: Final = "/live/refresh"
_RESTART: Final = "/live/restart"
PATHS: Final = frozenset({_PAGE, _EVENTS, _REFRESH, _RESTART})
COOKIE: Final = "secrets_actor_live"
_TOKEN: Final = "x-live-token"  # noqa: S105  # the name of a header
_HOW: Final = "run 'secrets-actor live' on this machine, and open the address that it prints"
# Headers of every answer. Source: MDN, "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", and OWASP's
# "HTTP Security Response Headers Cheat Sheet".
_SAFE: Final[Headers] = (
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-frame-options", "DENY"),
)


_T = TypeVar("_T")


class Snapshot:
    """A state, and its number, which is another one after each change. Two of the same number differ in `now` alone."""

    def __init__(self, state: LiveState, number: int) -> None:
        self.state, self.number = state, number

    @cached_property
    def json(self) -> bytes:
        """The state as JSON, made once for all who look."""
        return as_json(self.state)


class LiveStates:
    """Makes the state by *make* for all who look (rule 3). *now* returns clock seconds. For any thread."""

    def __init__(self, make: Callable[[], LiveState], now: Callable[[], float]) -> None:
        self._make, self._now = make, now
        self._lock = threading.Lock()
        self._made_at = 0.0
        self._latest: Snapshot | None = None

    def look(self) -> Snapshot:
        """Return the state of now, which may be half a second old."""
        with self._lock:
            now, latest = self._now(), self._latest
            if latest is not None and now - self._made_at < PERIOD:
                return latest
            self._made_at, state = now, self._make()
            number = 1 if latest is None else latest.number + changed(latest.state, state)
            self._latest = Snapshot(state, number)
            return self._latest


class _Refused(Exception):
    """The request gets this answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Looker(Struct, frozen=True):
    """Who looks: *identity*, and the *proof* that its token belongs to. *ends*: when the session is over (seconds since
    1970; None: it has none)."""

    identity: Identity
    proof: str
    ends: float | None = None


class LiveFace:
    """The face `live` of one listener. *secure*: it speaks TLS. *restart* ends the process with this serial, and says
    whether it was there; *wall_time* returns seconds since 1970, *random* so many random bytes."""

    name = "live"

    def __init__(
        self,
        service: Service,
        sessions: LiveSessions,
        states: LiveStates,
        streams: LiveStreams,
        *,
        restart: Callable[[int], str],
        secure: bool,
        wall_time: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._service, self._sessions, self._states, self._streams = service, sessions, states, streams
        self._restart, self._secure, self._wall_time, self._random = restart, secure, wall_time, random

    def takes(self, request: Request) -> bool:
        """Whether the path is one of the page's."""
        return request.path in PATHS

    def broken(self, _: Request) -> Response:
        """Return the answer to a request that this face failed with."""
        return self._told(500, "the daemon failed; its log says where")

    async def answer(self, request: Request) -> Response:
        """Answer *request*."""
        try:
            match request.path, request.method:
                case "/live", "GET" | "HEAD":
                    return self._page(request)
                case "/live/events", "GET" | "HEAD":
                    return self._events(request)
                case "/live/refresh", "POST":
                    return await self._refreshed(request)
                case "/live/restart", "POST":
                    return self._restarted(request)
        except _Refused as error:
            return self._told(error.status, error.message, page=request.path == _PAGE)
        except AccessDenied as error:
            return self._told(403, str(error), page=request.path == _PAGE)
        except RepeatedHeader as error:
            return self._told(400, str(error), page=request.path == _PAGE)
        return self._told(405, f"ask by {'GET' if request.path in (_PAGE, _EVENTS) else 'POST'}")

    # --- who looks ------------------------------------------------------------------------------------------------

    def _looker(self, request: Request, cookie: str | None) -> Looker:
        """Return who looks. Raises `_Refused` without a session, and `AccessDenied`."""
        if request.peer.address is None:
            found = Looker(Identity(request.peer), f"uid {request.peer.uid}")
        else:
            session = None if cookie is None else self._sessions.find(cookie)
            if session is None or cookie is None:
                raise _Refused(401, f"there is no session, or it is over: {_HOW}")
            found = Looker(session.identity, cookie, session.end)
        self._service.gate.check_any(found.identity, ADMIN)
        return found

    def allows(self, looker: Looker) -> bool:
        """Whether *looker* may go on looking (rule 1)."""
        if looker.ends is not None and self._wall_time() >= looker.ends:
            return False
        try:
            self._service.gate.check_any(looker.identity, ADMIN)
        except AccessDenied:
            return False
        return True

    # --- the page -------------------------------------------------------------------------------------------------

    def _page(self, request: Request) -> Response:
        cookie, headers = cookie_in(request.all("cookie"), COOKIE), _SAFE
        key = parse_qs(request.query).get("key", [""])[0]
        # A session that there is goes on: the key in the address of a page that is loaded anew was used before. HEAD
        # uses no key: programs that look ahead at an address ask by it.
        if request.peer.address is not None and key and request.method == "GET":
            if cookie is None or self._sessions.find(cookie) is None:
                cookie = self._sessions.enter(key)
            if cookie is not None:
                headers = (*headers, ("set-cookie", self._cookie(cookie)))
        looker = self._looker(request, cookie)
        nonce = base64.urlsafe_b64encode(self._random(18)).decode()
        page = _template().replace("__NONCE__", nonce).replace("__TOKEN__", self._sessions.token_of(looker.proof))
        policy = (
            f"default-src 'none'; connect-src 'self'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            "img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )
        kind = ("content-type", "text/html; charset=utf-8")
        return Response(200, (kind, ("content-security-policy", policy), *headers), page.encode())

    def _cookie(self, cookie: str) -> str:
        secure = "; Secure" if self._secure else ""
        return f"{COOKIE}={cookie}; Path=/live; Max-Age={SESSION_SECONDS:.0f}; HttpOnly; SameSite=Strict{secure}"

    def _events(self, request: Request) -> Response:
        looker = self._looker(request, cookie_in(request.all("cookie"), COOKIE))
        headers = (("content-type", "text/event-stream; charset=utf-8"), *_SAFE)
        if request.method == "HEAD":
            return Response(200, headers)
        if not self._streams.take():
            raise _Refused(503, f"{self._streams.most} pages look already: close one")
        return Response(200, headers, b"", LiveStream(self._states, self._streams, lambda: self.allows(looker)))

    # --- what can be done -----------------------------------------------------------------------------------------

    def _asked(self, request: Request, kind: type[_T]) -> tuple[Identity, _T]:
        """Return who asks for something to be done, and the body. Raises `_Refused`, `AccessDenied`."""
        looker = self._looker(request, cookie_in(request.all("cookie"), COOKIE))
        if not self._sessions.is_token(request.one(_TOKEN) or "", looker.proof):
            raise _Refused(403, "the token of the page is missing or is another session's: load the page again")
        try:
            return looker.identity, msgspec.json.decode(request.body, type=kind)
        except msgspec.MsgspecError:
            pass  # its text quotes the body
        raise _Refused(400, 'the body is JSON, as {"secret": NAME} or {"process": SERIAL}')

    async def _refreshed(self, request: Request) -> Response:
        identity, body = self._asked(request, _Refresh)
        try:
            # The audit record is that of this get, in the name of who asked.
            await self._service.client(identity).get(SecretId(body.secret), refresh=True)
        except SecretsError as error:
            return self._told(409, str(error))
        return json_response(200, {"done": f"{body.secret} was fetched anew"})

    def _restarted(self, request: Request) -> Response:
        identity, body = self._asked(request, _Restart)
        began = self._service.clock.now()
        try:
            label = self._restart(body.process)
        except LookupError as error:
            self._record(identity, SecretNotFound.code, began)
            return self._told(404, str(error.args[0]))
        self._record(identity, "ok", began)
        return json_response(200, {"done": f"{label} was ended, and is started again"})

    def _record(self, identity: Identity, outcome: str, began: float) -> None:
        took = self._service.clock.now() - began
        self._service.audit.record(AuditRecord("restart", None, outcome, "live", took, caller=caller_facts(identity)))

    def _told(self, status: int, message: str, *, page: bool = False) -> Response:
        if page:  # a person reads it
            return Response(status, (("content-type", "text/plain; charset=utf-8"), *_SAFE), f"{message}\n".encode())
        return Response(status, (JSON[0], *_SAFE), msgspec.json.encode({"error": message}))


class _Refresh(Struct, frozen=True):
    """The body of a request to refresh."""

    secret: str


class _Restart(Struct, frozen=True):
    """The body of a request to restart."""

    process: int


class LiveStreams:
    """How many streams there are, in all listeners: *most* at a time. For any thread."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._lock, self._taken = threading.Lock(), 0

    def take(self) -> bool:
        """Take a place for one more, and return whether there was one."""
        with self._lock:
            free = self._taken < self.most
            self._taken += free
            return free

    def leave(self) -> None:
        """Give a place back."""
        with self._lock:
            self._taken -= 1


class LiveStream:
    """The stream of one page. It is no generator: one that has not begun could not be closed, and would keep its
    place."""

    def __init__(self, states: LiveStates, streams: LiveStreams, allowed: Callable[[], bool]) -> None:
        self._states, self._streams, self._allowed = states, streams, allowed
        self._sent = self._quiet = 0
        self._begun = self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Wait for the next event."""
        while not self._ended:
            if self._begun:
                await _rest(PERIOD)
            if not self._allowed():
                break  # the page asks again, and is refused by a status
            found = self._states.look()
            if found.number != self._sent:
                first = b"" if self._begun else b"retry: %d\n" % _RETRY
                self._sent, self._quiet, self._begun = found.number, 0, True
                return first + b"event: state\ndata: %b\n\n" % found.json
            self._quiet += 1
            if self._quiet * PERIOD >= PING:
                self._quiet = 0
                return b"event: ping\ndata: 1\n\n"  # an event without data is not told to the page
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the stream. May be called more than once."""
        if not self._ended:
            self._ended = True
            self._streams.leave()


async def _rest(seconds: float) -> None:
    try:
        await settled(From[None](), seconds)
    except CallTimeout:
        return


@cache
def _template() -> str:
    return files("secrets_actor.faces").joinpath("live_page.html").read_text("utf-8")
