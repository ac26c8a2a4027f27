"""The face that gives out AWS credentials which tell who signs with them (minted_keys.py).

- `GET /control/credentials`, on Unix sockets: for the process at the other end, in the form of a `credential_process`.
  `secrets-actor credentials` asks it: a program's SDK starts that as a child, so it has the unit and the user of the
  program.
- `GET /aws/credentials`: in the form of a container's credential service (AWS_CONTAINER_CREDENTIALS_FULL_URI). The
  caller shows one of the named tokens in `Authorization`, as SDKs do with AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE; on a
  Unix socket it need not.

Rule 1: each caller gets credentials for itself, so no rule of the policy is asked: what may be done with them is
        decided when they are used.
Rule 2: each credential given out is in the audit log, and so is each refusal.
Rule 3: this file reveals a secret key only into the answer.

Source: AWS SDKs and Tools Reference Guide, "Process credential provider" and "Container credential provider".
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from secrets_actor.domain.ports import AuditRecord
from secrets_actor.faces.exchange import RepeatedHeader, Request, Response
from secrets_actor.faces.identity import Identity, caller_facts
from secrets_actor.faces.minted_keys import Mint, Minted
from secrets_actor.faces.service import Service

PROCESS, CONTAINER = "/control/credentials", "/aws/credentials"
_HEADERS: Final = (("content-type", "application/json"), ("cache-control", "no-store"))
_NONCE_BYTES: Final = 12


class CredentialsApi:
    """The face of credentials.

    *token_name* returns the name of a token, or None. *utc_now* is the wall clock, *random* returns that many random
    bytes.
    """

    name: Final = "credentials"

    def __init__(
        self,
        service: Service,
        mint: Mint,
        token_name: Callable[[str], str | None],
        utc_now: Callable[[], datetime],
        random: Callable[[int], bytes],
    ) -> None:
        self._service, self._mint, self._token_name = service, mint, token_name
        self._utc_now, self._random = utc_now, random

    def takes(self, request: Request) -> bool:
        """Whether *request* is for this face: by its path, with any method."""
        return request.path in (PROCESS, CONTAINER)

    async def answer(self, request: Request) -> Response:
        """Answer *request*."""
        if request.method != "GET":
            return _refused(405, "MethodNotAllowed", "credentials are asked for by GET", ("allow", "GET"))
        peer, token = request.peer, None
        if request.path == PROCESS:
            problem = None if peer.uid is not None else "these are for processes that ask over a Unix socket"
        else:
            token, problem = self._token_in(request)
        identity = Identity(peer, token)
        began = self._service.clock.now()
        if problem is not None:
            self._record(identity, "access_denied", began)
            return _refused(403, "AccessDenied", problem)
        minted = self._mint.mint(identity, self._utc_now(), self._random(_NONCE_BYTES))
        self._record(identity, "ok", began)
        return Response(200, _HEADERS, _process(minted) if request.path == PROCESS else _container(minted))

    def _token_in(self, request: Request) -> tuple[str | None, str | None]:
        """Return the name of the token that was shown, and why nothing is given; each may be None."""
        try:
            shown = request.one("authorization")
        except RepeatedHeader:
            return None, "the header Authorization must stand once"
        if shown is None:
            proven = request.peer.uid is not None or request.peer.certificate is not None
            return None, None if proven else "show a token of the daemon in the header Authorization"
        name = self._token_name(shown)
        return name, None if name is not None else "the daemon knows no such token"

    def _record(self, identity: Identity, outcome: str, began: float) -> None:
        took = self._service.clock.now() - began
        self._service.audit.record(
            AuditRecord("credentials", None, outcome, "mint", took, caller=caller_facts(identity))
        )


def _process(minted: Minted) -> bytes:
    return _encoded(minted, "SessionToken", {"Version": 1})


def _container(minted: Minted) -> bytes:
    return _encoded(minted, "Token", {})


def _encoded(minted: Minted, token: str, before: dict[str, Any]) -> bytes:
    return msgspec.json.encode(
        {
            **before,
            "AccessKeyId": minted.access_key_id,
            "SecretAccessKey": minted.secret_key.text(),
            token: minted.session_token,
            "Expiration": minted.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )


def _refused(status: int, code: str, message: str, *headers: tuple[str, str]) -> Response:
    # `code` and `message` are what SDKs look for in the refusal of a container's credential service.
    return Response(status, (*_HEADERS, *headers), msgspec.json.encode({"code": code, "message": message}))
