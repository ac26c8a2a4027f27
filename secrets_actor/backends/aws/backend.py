"""The AWS backend: composes the pure parts with one transport. The only place here that waits and tries again.

Rule 1: a call is signed anew for each attempt, and all its attempts end by the caller's deadline.
Rule 2: all attempts of one set carry one token: whatever was lost on the way, at most one version results.
Rule 3: `close` from any thread ends a request and a pause alike.
Rule 4: httpx is loaded by `connect`, not by this file.
"""

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from uuid import uuid4

from secrets_actor.backends.aws import failures, protocol
from secrets_actor.backends.aws.credentials.static import checked
from secrets_actor.backends.aws.endpoint import Endpoint, endpoint_for
from secrets_actor.backends.aws.retry import pause_before
from secrets_actor.backends.aws.sigv4 import JsonPost, Scope, SigningKeys
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import (
    ConnectionFailed,
    InvalidAnswer,
    MissingAccessKey,
    SecretExists,
    SecretsError,
    UnknownMessage,
)
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import Delete, Get, List, Operation, Restore, Set
from secrets_actor.domain.ports import Answer, Backend, BackendKit, CallContext, CredentialSource
from secrets_actor.domain.secret import SecretInfo, SetReceipt
from secrets_actor.forks import loading

if TYPE_CHECKING:
    from secrets_actor.backends.aws.transport import HttpAnswer, Transport

NAME: Final = "aws_secrets_manager"
T = TypeVar("T")
R = TypeVar("R")


def utc_now() -> datetime:
    """The wall clock, for signatures."""
    return datetime.now(UTC)


def kit(
    *,
    region: str,
    endpoint_url: str | None,
    ca_bundle: str | None,
    timeout: float,
    recovery_window: int,
    credentials: CredentialSource,
    wall_clock: Callable[[], datetime] = utc_now,
) -> BackendKit:
    """What opens connections to Secrets Manager in *region*, or at *endpoint_url*.

    *timeout* is seconds an attempt, *recovery_window* days for deletes that name none. All connections share one TLS
    context and the signing keys. Raises `ConfigurationError` for a region or a URL that is none.
    """
    endpoint = endpoint_for(region, endpoint_url)
    signer = JsonPost(endpoint.authority, Scope(endpoint.region, endpoint.service), SigningKeys())
    lock = threading.Lock()
    shared: list[Any] = []

    def connect() -> Backend:
        with loading():
            from secrets_actor.backends.aws.transport import Tls, Transport

        with lock:
            if not shared:
                shared.append(Tls(ca_bundle))
        return AwsBackend(endpoint, Transport(endpoint, shared[0]), signer, timeout, recovery_window, wall_clock)

    return BackendKit(NAME, connect, credentials)


class AwsBackend:
    """One connection to Secrets Manager, for one worker (the Backend port)."""

    def __init__(
        self,
        endpoint: Endpoint,
        transport: "Transport",
        signer: JsonPost,
        timeout: float,
        recovery_window: int,
        wall_clock: Callable[[], datetime],
    ) -> None:
        self._endpoint, self._transport, self._signer = endpoint, transport, signer
        self._timeout, self._recovery_window, self._wall_clock = timeout, recovery_window, wall_clock
        self._closed = threading.Event()

    @property
    def name(self) -> str:
        """`aws_secrets_manager`."""
        return NAME

    def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
        """Carry *operation* out by `context.deadline`, in up to three attempts a call. Raises only `SecretsError`s."""
        if context.credentials is None:
            raise MissingAccessKey("no AWS keys were given to this call: set aws.auth_method and its keys")
        exchange = _Exchange(self, context.deadline, checked(context.credentials))
        answer: Answer[Any]
        match operation:
            case Get():
                answer = exchange.run(protocol.get_call(operation), protocol.secret)
            case Set():
                answer = _set(exchange, operation)
            case Delete():
                answer = exchange.run(protocol.delete_call(operation, self._recovery_window), protocol.delete_receipt)
            case Restore():
                answer = exchange.run(protocol.restore_call(operation), protocol.restore_receipt)
            case List():
                answer = _list(exchange, operation)
            case _:
                raise UnknownMessage(f"the AWS backend does not know {type(operation).__name__}: use another operation")
        return cast("Answer[T]", answer)

    def close(self) -> None:
        """Give the connection up. Any thread, any number of times; a `perform` under way fails soon."""
        self._closed.set()
        self._transport.close()

    def __repr__(self) -> str:
        return f"<AwsBackend [{self._endpoint.name}{', closed' if self._closed.is_set() else ''}]>"


class _Exchange:
    """The calls of one operation."""

    def __init__(self, backend: AwsBackend, deadline: float, credentials: Credentials) -> None:
        self._backend, self._deadline, self._credentials = backend, deadline, credentials

    def run(self, call: protocol.Call, read: Callable[[bytes, str | None], R]) -> Answer[R]:
        """*call*'s answer, read by *read*; tried again as `retry.py` has it."""
        attempt = 1
        while True:
            try:
                return self._attempt(call, read)
            except _Failed as exc:
                error, hint = exc.error, exc.hint
            pause = pause_before(
                error,
                attempt,
                dice=random.random(),  # noqa: S311  jitter
                now=time.monotonic(),
                deadline=self._deadline,
                hint=hint,
            )
            if pause is None or self._backend._closed.is_set():
                raise error
            if self._backend._closed.wait(pause):
                raise ConnectionFailed(
                    f"{self._backend._endpoint.name}: this connection was given up; ask again",
                    endpoint=self._backend._endpoint.name,
                )
            attempt += 1

    def _attempt(self, call: protocol.Call, read: Callable[[bytes, str | None], R]) -> Answer[R]:
        answer: HttpAnswer | None = None
        try:
            answer = self._send(call)
            request_id = failures.request_id(answer.headers)
            if answer.status == 200:
                return Answer(read(answer.body, request_id), request_id)
            error: SecretsError = failures.error_for(call, answer.status, answer.headers, answer.body)
        except SecretsError as exc:
            error = exc.clone()
        raise _Failed(error, None if answer is None else answer.headers.get("x-amz-retry-after"))

    def _send(self, call: protocol.Call) -> "HttpAnswer":
        backend = self._backend
        headers = backend._signer.headers(call.target, call.body, self._credentials, backend._wall_clock())
        until = min(self._deadline, time.monotonic() + backend._timeout)
        return backend._transport.request("POST", headers, call.body, until=until)


class _Failed(Exception):
    """One attempt's error, with the server's hint on when to come back. Never leaves this file."""

    def __init__(self, error: SecretsError, hint: str | None) -> None:
        super().__init__()
        self.error, self.hint = error, hint


def _set(exchange: _Exchange, operation: Set) -> Answer[SetReceipt]:
    """CreateSecret; if the name is taken, UpdateSecret. An ARN is of a secret that exists: straight to the update."""
    token = operation.token or str(uuid4())
    if not SecretId(operation.secret_id).is_arn:
        try:
            return exchange.run(
                protocol.create_call(operation, token),
                lambda body, request_id: protocol.set_receipt(body, created=True, request_id=request_id),
            )
        except SecretExists:
            pass
    return exchange.run(
        protocol.update_call(operation, token),
        lambda body, request_id: protocol.set_receipt(body, created=False, request_id=request_id),
    )


def _list(exchange: _Exchange, operation: List) -> Answer[tuple[SecretInfo, ...]]:
    """All pages, in order. A page may be empty and still not the last; a token seen before would mean no end."""
    infos: list[SecretInfo] = []
    token: str | None = None
    seen: set[str] = set()
    while True:
        answer = exchange.run(protocol.list_call(operation, token), protocol.page)
        infos += answer.value.infos
        token = answer.value.next_token
        if token is None:
            return Answer(tuple(infos), answer.request_id)
        if token in seen:
            raise InvalidAnswer(
                "Secrets Manager's list goes round in circles: list again", status=200, request_id=answer.request_id
            )
        seen.add(token)
