"""The backend `daemon`: the store of a daemon on this machine, through its AWS face and its Unix socket.

It is the AWS backend over another connection. What differs is here.

Rule 1: nothing is signed, and there are no credentials: the kernel tells the daemon which process asks.
Rule 2: the daemon's AWS face tells us by a header which error it is, with its text, for its own words are the best. An
        answer without that header is judged by AWS's code, with texts of ours: an operator who reads "allow it in IAM"
        would look in the wrong place.
Rule 3: a delete that names no recovery window is sent without one, unless one is configured here: the daemon decides.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec.structs import replace

from secrets_actor.backends.aws.backend import AwsBackend
from secrets_actor.backends.aws.corrected_clock import CorrectedClock
from secrets_actor.backends.aws.endpoint import Endpoint
from secrets_actor.backends.aws.retry_state import RetryState
from secrets_actor.backends.aws.sigv4_json import JSON_CONTENT_TYPE
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.backends.http.origin import UNIX, SettingNames
from secrets_actor.clock import now
from secrets_actor.domain.diagnosis import Finding, Verdict
from secrets_actor.domain.errors import (
    AccessDenied,
    DecryptionFailed,
    InvalidAnswer,
    InvalidRequest,
    LimitExceeded,
    SecretDeleted,
    SecretExists,
    SecretNotFound,
    SecretsError,
    StoreError,
    StoreFailure,
    Throttled,
    UnknownMessage,
    Unreachable,
)
from secrets_actor.domain.operations import Get, Operation
from secrets_actor.domain.ports import Answer, Backend, BackendFactory, CallContext
from secrets_actor.domain.secret import SecretValue
from secrets_actor.forks import loading
from secrets_actor.uuids import new_uuid

if TYPE_CHECKING:
    from secrets_actor.backends.aws.call_runner import Connection
    from secrets_actor.backends.aws.protocol import Call

NAME: Final = "daemon"
# Seconds that the doctor's get may take.
STEP: Final = 10.0
_ADDRESS: Final = "daemon_client.address"
SETTING_NAMES: Final = SettingNames(
    endpoint=_ADDRESS,
    endpoint_url=_ADDRESS,
    ca_bundle=_ADDRESS,
    proxy=_ADDRESS,
    not_there=f"is the daemon running? 'secrets-actor run' starts it; else check --socket, or {_ADDRESS}",
)
T = TypeVar("T")
# What the AWS backend wants to have; no request carries them (rule 1).
_NOBODY: Final = AwsCredentials("unsigned", SecretValue("unsigned"))
# The errors that the header is believed about. What is worth another attempt is judged by code and status alone.
_KINDS: Final[Mapping[str, type[SecretsError]]] = {
    kind.code: kind
    for kind in (
        AccessDenied,
        DecryptionFailed,
        InvalidRequest,
        LimitExceeded,
        SecretDeleted,
        SecretExists,
        SecretNotFound,
        UnknownMessage,
    )
}
# By the exact type of the error: a subclass has a text that fits here, too (rule 2).
_TEXTS: Final[Mapping[type[SecretsError], str]] = {
    AccessDenied: "the daemon's policy, or that of the store behind it, does not allow this to this user: see "
    "[[daemon.allow]] in its configuration, and its audit log",
    SecretNotFound: "no such secret, or no such version of it, in the daemon's store: check the name",
    StoreFailure: "the daemon could not have this done by its store: see its log; try again",
    Throttled: "the daemon, or the store behind it, gets too many requests: ask less often",
    LimitExceeded: "a quota of the daemon's store is used up: delete what is not needed",
    DecryptionFailed: "the daemon's store cannot decrypt the value: see the daemon's log",
    InvalidAnswer: f"the answer is none of a daemon's: check {_ADDRESS}, and that the face aws is served there",
}


def daemon_backend_factory(*, path: str, timeout: float, recovery_window: int | None = None) -> BackendFactory:
    """Return the factory of connections to the daemon whose Unix socket is at *path*.

    *timeout* is in seconds for each attempt; *recovery_window* is in days, for deletes that name no window. All
    connections share the retry quota.
    """
    endpoint = Endpoint(UNIX, path, 0, "")  # no region: only a signature needs one
    clock, pace = CorrectedClock(), RetryState()

    def new_connection() -> "Connection":
        with loading():
            from secrets_actor.backends.aws.call_runner import Connection
            from secrets_actor.backends.http.transport import Tls, Transport

        transport = Transport(endpoint, Tls(), SETTING_NAMES)
        return Connection(endpoint, transport, PlainPost(), timeout, clock, pace, error_for)

    def connect() -> Backend:
        return DaemonBackend(new_connection(), recovery_window)

    def findings(deadline: float, prefix: str) -> Iterable[Finding]:
        backend = connect()
        try:
            return _findings(backend, endpoint.name, prefix, deadline)
        finally:
            backend.close()

    return BackendFactory(NAME, connect, diagnose=findings, endpoints=(endpoint.place,))


class DaemonBackend:
    """One connection to a daemon, for one worker (the Backend port)."""

    def __init__(self, connection: "Connection", recovery_window: int | None) -> None:
        self._path = connection.endpoint.name
        self._aws = AwsBackend(connection, recovery_window)

    @property
    def name(self) -> str:
        """`daemon`."""
        return NAME

    def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
        """Carry *operation* out by `context.deadline`, and return its answer. Raises only `SecretsError`s."""
        return self._aws.perform(operation, replace(context, credentials=_NOBODY))

    def close(self) -> None:
        """Close the connection. From any thread, any number of times; a `perform` under way fails soon."""
        self._aws.close()

    def __repr__(self) -> str:
        return f"<DaemonBackend [{self._path}]>"


def _findings(backend: Backend, name: str, prefix: str, deadline: float) -> tuple[Finding, ...]:
    """Return whether the daemon answers, and whether it lets this user get what begins with *prefix*.

    Only a get is tried, of a secret that does not exist: the daemon writes an audit record for each try, and its policy
    is the place to read what else is allowed.
    """
    error: SecretsError | None = None
    try:
        backend.perform(Get(f"{prefix}{new_uuid()}"), CallContext(min(deadline, now() + STEP), None))
    except SecretNotFound:
        pass
    except SecretsError as found:
        error = found.clone()
    if isinstance(error, (Unreachable, InvalidAnswer)):
        return (Finding("connection", Verdict.FAULT, str(error)),)
    answers = Finding("connection", Verdict.OK, f"the daemon at {name} answers")
    if isinstance(error, AccessDenied):
        remedy = "allow it in [[daemon.allow]] of its configuration; if it is for names that begin otherwise: --prefix"
        text = f"the daemon's policy does not let this user get what begins with {prefix}"
        return answers, Finding("get", Verdict.WARNING, text, remedy)
    if error is not None:
        return answers, Finding("get", Verdict.FAULT, f"a get fails: {error}", "see the daemon's log, and its doctor")
    return answers, Finding("get", Verdict.OK, f"allowed, for what begins with {prefix}")


def error_for(call: "Call", status: int, headers: Mapping[str, str], body: bytes) -> SecretsError:
    """Return the error for the daemon's answer to *call*, an answer whose *status* is not 200 (rule 2)."""
    with loading():
        from secrets_actor.aws_json.errors import OWN_HEADER, decode_own
        from secrets_actor.backends.aws import error_codes

    known = error_codes.error_for(call, status, headers, body)
    told = decode_own(headers.get(OWN_HEADER))
    kind = None if told is None else _KINDS.get(told.code)
    if told is None or kind is None:
        return in_our_words(known)
    text = told.text or _TEXTS.get(kind) or str(known)
    if not issubclass(kind, StoreError):
        return kind(text)
    found = kind(text, aws_code=known.aws_code, status=known.status, request_id=known.request_id)
    for name, fact in told.facts().items():
        if hasattr(kind, name):
            setattr(found, name, fact)
    return found


def in_our_words(error: StoreError) -> StoreError:
    """Return *error*, which is one of AWS's codes, with the text that fits a daemon."""
    text = _TEXTS.get(type(error))
    if text is None:
        return error
    found = type(error)(text, aws_code=error.aws_code, status=error.status, request_id=error.request_id)
    found.retryable = error.retryable  # `error_codes` corrects it for a store that will never do this
    return found


class PlainPost:
    """Makes the headers of requests that are not signed (rule 1)."""

    def headers(
        self, target: str, body: bytes, _credentials: AwsCredentials, _at: datetime
    ) -> list[tuple[bytes, bytes]]:
        """Return all headers of the request with X-Amz-Target *target*, ready to be sent."""
        return [
            (b"Host", b"localhost"),
            (b"Content-Type", JSON_CONTENT_TYPE.encode()),
            (b"Content-Length", b"%d" % len(body)),
            (b"X-Amz-Target", target.encode()),
        ]
