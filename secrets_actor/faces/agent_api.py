"""The face that AWS's agents serve: `aws-secretsmanager-agent`, its successor, and the extension for Lambda. Programs
that ask one of those ask the daemon unchanged.

- `GET /secretsmanager/get?secretId=...`, with `versionId`, `versionStage`, `refreshNow`; or `GET /v1/...`: one secret.
- `GET /secretsmanager/watch?secretId=...`: server-sent events, see watch.py. This is ours, and so are `wait` and
  `missing` of a get.
- `GET /ping`: `healthy`.

Rule 1: the checks are made in the agents' order, and the first that fails answers: a forwarded request, the token, the
        method, the path, the parameters. What they answer is answered here, word for word; a header that they do not
        send may be added.
Rule 2: a token is shown in a header, which a page in a browser and a tricked proxy cannot set. On a Unix socket, and
        with a client's certificate, none is needed; one that is wrong is refused all the same.
Rule 3: a cached get is answered in some 20 us: what is the same for all answers is made once, and a query that came
        before is not parsed again.
Rule 4: only `_body` reveals a value, and nothing that can raise comes after that.

Source: aws/aws-secretsmanager-agent and its successor, `server.rs`, `parse.rs`, `cache_manager.rs` and `output.rs`; the
Lambda extension's answers as they were recorded.
"""

import base64
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, unquote

import msgspec
from msgspec import Struct

from secrets_actor.aws_json.requests import GetSecretValueRequest
from secrets_actor.domain.errors import (
    AccessDenied,
    BackendTimeout,
    DeadlineExceeded,
    InvalidAnswer,
    Overloaded,
    SecretDeleted,
    SecretNotFound,
    SecretsError,
    ServerDown,
    ServiceError,
    Unreachable,
)
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import Get
from secrets_actor.domain.secret import Secret
from secrets_actor.faces.aws_errors import worded
from secrets_actor.faces.exchange import Headers, Request, Response
from secrets_actor.faces.identity import Identity, Peer
from secrets_actor.faces.service import Service
from secrets_actor.faces.watch import TooManyWait, Watches

Dialect = Literal["agent", "lambda"]
TOKEN_HEADERS: Final = frozenset({"x-aws-parameters-secrets-token", "x-vault-token"})
PATH_PREFIX: Final = "/v1/"
PING, GET, WATCH = "/ping", "/secretsmanager/get", "/secretsmanager/watch"
# Seconds: the longest `wait` of a get.
MAX_WAIT: Final = 60.0
# Seconds before the deadline of a request by which the store must have answered: our answer is to come first.
_MARGIN: Final = 0.25
_LONGEST: Final = 3600.0
_ROLE: Final = re.compile(r"arn:[\w-]+:iam::\d{12}:role/[\w+=,.@/-]+", re.ASCII)
_REFRESH: Final = {"true": True, "1": True, "false": False, "0": False}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_TEXT: Final = ("content-type", "text/plain; charset=utf-8")
_JSON: Final = ("content-type", "application/json")
# No cache on the way keeps an answer, which may hold a value.
_UNKEPT: Final = ("cache-control", "no-store")
_STREAM: Final = (("content-type", "text/event-stream"), _UNKEPT)
_RETRY: Final = ("retry-after", "1")


def _text(status: int, text: str, *headers: tuple[str, str]) -> Response:
    return Response(status, (_TEXT, *headers), text.encode())


_FORWARDED: Final = _text(400, "Forwarded")
_BAD_TOKEN: Final = _text(403, "Bad Token")
_UNAUTHORIZED: Final = _text(401, "Bad Token")
_NOT_ALLOWED: Final = _text(405, "Not allowed", ("allow", "GET"))
_HEALTHY: Final = _text(200, "healthy")
_NOT_FOUND: Final = _text(404, "Not found")
_CROWDED: Final = _text(429, "Watch limit exceeded", _RETRY)
_BROKEN: Final = Response(500, (_JSON,), b'{"__type":"InternalFailure"}')


class _Refused(Exception):
    """A request that is refused before the store is asked. `response` is the answer."""

    def __init__(self, response: Response) -> None:
        super().__init__("refused")
        self.response = response


def _wrong(text: str) -> _Refused:
    """Return the refusal of a request whose parameters are wrong."""
    return _Refused(_text(400, text))


class _Asked(Struct, frozen=True):
    """What a request asks for. *plain*: the current version, as the cache has it. *missing*: the status for a secret
    that is not there, if not the agents' own."""

    secret_id: SecretId
    version_id: str | None = None
    stage: str | None = None
    refresh: bool = False
    wait: float = 0.0
    missing: int | None = None
    plain: bool = True


class AgentApi:
    """The agents' face.

    *token_name* returns the name of a token, or None. *dialect*: whose answers are given, where the two differ.
    """

    name: Final = "agent"

    def __init__(
        self,
        service: Service,
        token_name: Callable[[str], str | None],
        watches: Watches,
        *,
        dialect: Dialect = "agent",
        path_prefix: str = PATH_PREFIX,
        token_headers: Iterable[str] = TOKEN_HEADERS,
    ) -> None:
        self._service, self._token_name, self._watches = service, token_name, watches
        self._client, self._check, self._now = service.client, service.gate.check, service.clock.now
        self._in_force = service.gate.in_force
        self._prefix, self._token_headers = path_prefix, frozenset(token_headers)
        self._bad_token = _UNAUTHORIZED if dialect == "lambda" else _BAD_TOKEN
        self._body = _lambda_body if dialect == "lambda" else _agent_body

    def takes(self, request: Request) -> bool:
        """Whether *request* is for this face: by its path, with any method."""
        path = request.path
        return path in (GET, PING) or path.startswith((self._prefix, "/secretsmanager/"))

    def broken(self, _request: Request) -> Response:
        """Return the answer of a face that has failed."""
        return _BROKEN

    async def answer(self, request: Request) -> Response:
        """Answer *request*."""
        path, shown, known = request.path, False, None
        if path == PING:
            return _HEALTHY if request.method == "GET" else _NOT_ALLOWED
        peer, token_headers = request.peer, self._token_headers
        for name, value in request.headers:
            if name in token_headers:
                shown, known = True, known or self._token_name(value)
            elif name == "x-forwarded-for":
                return _FORWARDED
        if known is None and (shown or (peer.uid is None and peer.certificate is None)):
            return self._unproven(peer)
        if request.method != "GET":
            return _NOT_ALLOWED
        identity = Identity(peer, known)
        asked = None
        try:
            if path == GET:
                asked = _by_query(request.query)
            elif path.startswith(self._prefix):
                asked = _by_path(path[len(self._prefix) :], request.query)
            elif path == WATCH:
                asked = _by_query(request.query)
                return await self._watch(request, identity, asked)
            else:
                return _NOT_FOUND
            return await self._get(request, identity, asked)
        except _Refused as refused:
            return refused.response
        except TooManyWait:
            return _CROWDED
        except SecretsError as error:
            return _error_response(error, asked)

    def _unproven(self, peer: Peer) -> Response:
        self._service.note_unproven(peer, "get")
        return self._bad_token

    async def _get(self, request: Request, identity: Identity, asked: _Asked) -> Response:
        secret = await self._ask(request, identity, asked)
        version_id = secret.version_id
        has = request.all("if-none-match")
        if has and asked.wait and _names(has, version_id):
            left = min(asked.wait, request.deadline - self._now() - 2 * _MARGIN)
            await self._watches.changed(identity, asked.secret_id, version_id, left)
            if not self._watches.still_proven(identity):
                raise _Refused(self._unproven(identity.peer))
            secret = await self._ask(request, identity, asked)  # the policy may be another one by now
            version_id = secret.version_id
        if has and _names(has, version_id):
            return Response(304, _facts(secret, version_id))
        return Response(200, (_JSON, *_facts(secret, version_id)), self._body(secret, version_id))

    async def _ask(self, request: Request, identity: Identity, asked: _Asked) -> Secret:
        """Return the secret, if the policy allows it. Raises `_Refused`, and what a get raises."""
        judged_by = self._in_force()
        await self._judge(identity, asked.secret_id)
        timeout = min(max(request.deadline - self._now() - _MARGIN, 0.0), _LONGEST)
        client = self._client(identity)
        if asked.plain:
            secret = await client.get(asked.secret_id, timeout=timeout)
        else:
            secret = await client.get(
                asked.secret_id,
                version_id=asked.version_id,
                stage=asked.stage,
                refresh=asked.refresh,
                timeout=timeout,
            )
        # An ARN: the answer says which secret it meant. Other rules: it may be the answer of another store.
        if secret.name != asked.secret_id or self._in_force() is not judged_by:
            await self._judge(identity, secret.name)
        return secret

    async def _judge(self, identity: Identity, secret_id: str) -> None:
        """Raise `_Refused` if the policy does not allow a get."""
        try:
            await self._check(identity, "get", secret_id)
        except AccessDenied as denied:  # told apart from the store's own
            refused = _Refused(_denied(denied))
        else:
            return
        raise refused

    async def _watch(self, request: Request, identity: Identity, asked: _Asked) -> Response:
        if not asked.plain or asked.wait or asked.missing:
            raise _wrong("a watch has the parameter secretId only")
        heard = next(iter(request.all("last-event-id")), None)
        try:
            stream = await self._watches.events(identity, asked.secret_id, heard)
        except AccessDenied as denied:
            return _denied(denied)
        return Response(200, _STREAM, stream=stream)


# --- the request ------------------------------------------------------------------------------------------------------


def _by_query(query: str) -> _Asked:
    """Return what a request with this *query* asks for. Raises `_Refused` and `InvalidSecretName`."""
    return (_known_query if len(query) <= _KEPT_LENGTH else _parsed_query)(query)


def _by_path(path: str, query: str) -> _Asked:
    """Return what a request with this *path*, without the prefix, asks for. Raises as `_by_query` does."""
    return (_known_path if len(path) + len(query) <= _KEPT_LENGTH else _parsed_path)(path, query)


def _parsed_query(query: str) -> _Asked:
    given = dict(parse_qsl(query, keep_blank_values=True))  # of a repeated parameter, the last counts
    return _asked(given, given.pop("secretId", None), "missing parameter secretId")


def _parsed_path(path: str, query: str) -> _Asked:
    secret_id = unquote(path)
    if any(segment in (".", "..") for segment in secret_id.split("/")):
        raise _wrong("the secret ID has a segment of dots")
    return _asked(dict(parse_qsl(query, keep_blank_values=True)), secret_id or None, "missing secret ID")


# Few secrets are asked for again and again. What is refused is not kept, nor what is longer than most: a client could
# fill the memory with it.
_KEPT_LENGTH: Final = 512
_known_query: Final = lru_cache(maxsize=1024)(_parsed_query)
_known_path: Final = lru_cache(maxsize=1024)(_parsed_path)


def _asked(given: dict[str, str], secret_id: str | None, missing: str) -> _Asked:
    known: dict[str, Any] = {}
    for name, value in given.items():
        match name:
            case "versionId":
                known["version_id"] = value
            case "versionStage":
                known["stage"] = value
            case "refreshNow":
                if value.lower() not in _REFRESH:
                    raise _wrong("invalid refreshNow value")
                known["refresh"] = _REFRESH[value.lower()]
            case "roleArn":
                if _ROLE.fullmatch(value) is None:
                    raise _wrong("invalid roleArn format, expected arn:<partition>:iam::<account>:role/<name>")
                raise _wrong("roleArn is not allowed here: the daemon asks in its own role")
            case "wait":
                if re.fullmatch(r"\d{1,2}", value, re.ASCII) is None or float(value) > MAX_WAIT:
                    raise _wrong(f"invalid wait value, expected seconds, 0 to {MAX_WAIT:.0f}")
                known["wait"] = float(value)
            case "missing":
                if value != "404":
                    raise _wrong("invalid missing value, expected 404")
                known["missing"] = 404
            case _:
                raise _wrong(f"unknown parameter: {_printable(name)}")
    if secret_id is None:
        raise _wrong(missing)
    plain = not ({"version_id", "stage"} & known.keys() or known.get("refresh"))
    if known.get("wait") and not plain:
        raise _wrong("wait is for the current version only")
    # Checked here, and not only by the client: what is kept is then names and ids, and no text that a client has put in
    # a wrong place.
    asked = Get(secret_id, known.get("version_id"), known.get("stage"))
    return _Asked(SecretId(asked.secret_id), plain=plain, **known)


def _printable(name: str) -> str:
    return "".join([one if one.isprintable() else "?" for one in name[:64]])


def _names(tags: tuple[str, ...], version_id: str) -> bool:
    """Whether one of the *tags* of If-None-Match is that of the version *version_id* (RFC 9110, 13.1.2)."""
    wanted = f'"{version_id}"'
    return any(tag.strip(" \t").removeprefix("W/") in (wanted, "*") for line in tags for tag in line.split(","))


# --- the answer -------------------------------------------------------------------------------------------------------


def _facts(secret: Secret, version_id: str) -> Headers:
    """Return the headers that say what is answered: which version, how old it is, and where it comes from."""
    stale = secret.stale
    facts: Headers = (
        _UNKEPT,
        ("age", str(int(secret.age))),
        ("x-secrets-actor-source", "stale" if stale else str(secret.source)),
    )
    if stale:
        facts = (*facts, ("x-secrets-actor-stale", "1"))
    # A store of a program's own may give any text as an id.
    if version_id.isascii() and version_id.isprintable() and '"' not in version_id:
        facts = (*facts, ("etag", f'"{version_id}"'))
    return facts


_encode: Final = msgspec.json.Encoder().encode


def _agent_body(secret: Secret, version_id: str) -> bytes:
    """Return *secret* as the agent writes it: the date as text, in seconds since 1970."""
    seconds, part = divmod((secret.created_at - _EPOCH) // _MICROSECOND, 1_000_000)
    created = f"{seconds}.{part:06}".rstrip("0") if part else str(seconds)
    facts = {"ARN": secret.arn, "Name": str(secret.name), "VersionId": version_id}
    stages = secret.stages
    after = {"VersionStages": stages, "CreatedDate": created} if stages else {"CreatedDate": created}
    value = secret.reveal()
    if isinstance(value, str):
        return _encode({**facts, "SecretString": value, **after})
    return _encode({**facts, "SecretBinary": base64.b64encode(value).decode(), **after})


def _lambda_body(secret: Secret, version_id: str) -> bytes:
    """Return *secret* as the extension for Lambda writes it: the date in the form of RFC 3339, and the value that is
    not there as null."""
    created = f"{secret.created_at.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
    facts = {"ARN": secret.arn, "CreatedDate": created, "Name": str(secret.name)}
    after = {"VersionId": version_id, "VersionStages": secret.stages, "ResultMetadata": {}}
    value = secret.reveal()
    if isinstance(value, str):
        return _encode({**facts, "SecretBinary": None, "SecretString": value, **after})
    return _encode({**facts, "SecretBinary": base64.b64encode(value).decode(), "SecretString": None, **after})


def _error(status: int, code: str, message: str, *headers: tuple[str, str]) -> Response:
    return Response(status, (_JSON, *headers), _encode({"__type": code, "message": message}))


def _denied(error: AccessDenied) -> Response:
    """Return the refusal of our policy. The text is the gate's, which says nothing of whether there is the secret."""
    return _error(403, "AccessDeniedException", str(error))


def _error_response(error: SecretsError, asked: _Asked | None) -> Response:
    """Return the answer that the agents give when the store refuses, or does not answer."""
    match error:
        case DeadlineExceeded() | BackendTimeout():
            return _error(504, "TimeoutError", "Timeout")
        case InvalidAnswer():
            return _error(502, "ConnectionError", "Response Error")
        case Unreachable():
            return _error(502, "ConnectionError", "Read Error")
        case ServiceError() if not isinstance(error, Overloaded | ServerDown):
            return _BROKEN
    version_id, stage = (None, None) if asked is None else (asked.version_id, asked.stage)
    request = GetSecretValueRequest(SecretId="-", VersionId=version_id, VersionStage=stage)
    words = worded(error, "GetSecretValue", request)
    if asked is not None and asked.missing and isinstance(error, SecretNotFound | SecretDeleted):
        # AWS says 400, as to any mistake. Callers that go by the status alone, such as External Secrets, could not tell
        # that a secret has been deleted.
        return _error(asked.missing, words.code, words.message or "")
    return _error(words.status, words.code, words.message or "")
