"""The AWS backend: composes the pure parts with one transport. Signing, sending and retries are call_runner.py's.

Rule 1: `close` from any thread ends a request and a pause alike.
Rule 2: httpx, and what writes and reads messages, is loaded by `connect`, not by this file.
"""

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from secrets_actor.backends.aws.call_runner import CallRunner, Connection
from secrets_actor.backends.aws.corrected_clock import CorrectedClock
from secrets_actor.backends.aws.credentials.static import checked
from secrets_actor.backends.aws.endpoint import SETTING_NAMES, Endpoint
from secrets_actor.backends.aws.retry import RetryPolicy
from secrets_actor.backends.aws.retry_state import RetryState
from secrets_actor.backends.aws.sigv4 import Scope, SigningKeys
from secrets_actor.backends.aws.sigv4_json import JsonPost
from secrets_actor.backends.http.proxy import Proxy
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.diagnosis import Finding
from secrets_actor.domain.errors import MissingAccessKey
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.ports import Answer, Backend, BackendFactory, CallContext, CredentialSource
from secrets_actor.forks import loading

if TYPE_CHECKING:
    from secrets_actor.backends.aws.credentials.sts import Sts

NAME: Final = "aws_secrets_manager"
T = TypeVar("T")


def aws_backend_factory(
    *,
    endpoint: Endpoint,
    ca_bundle: str | None,
    ca_setting: str = "aws.ca_bundle",
    timeout: float,
    recovery_window: int,
    credentials: CredentialSource,
    clock: CorrectedClock | None = None,
    retries: RetryPolicy | None = None,
    proxy: Proxy | None = None,
    sts: "Callable[[str | None], Sts] | None" = None,
) -> BackendFactory:
    """What opens connections to Secrets Manager at *endpoint*, through *proxy* if there is one.

    *ca_setting* is who names the *ca_bundle*, for errors. *timeout* is seconds an attempt, *recovery_window* days for
    deletes that name none. All connections share one TLS context, the signing keys, the quota of tries (*retries*) and
    the *clock*, which is STS's, too, where *credentials* are had from there. *sts* makes what an examination asks whose
    the keys are. Raises `ConfigurationError` for a region or a URL that is none.
    """
    signer = JsonPost(endpoint.authority, Scope(endpoint.region, endpoint.service), SigningKeys())
    time_told, pace = clock or CorrectedClock(), RetryState(retries)
    lock = threading.Lock()
    shared: list[Any] = []

    def new_connection() -> Connection:
        with loading():
            from secrets_actor.backends.http.transport import Tls, Transport

        with lock:
            if not shared:
                shared.append(Tls(ca_bundle, ca_setting))
        transport = Transport(endpoint, shared[0], SETTING_NAMES, proxy)
        return Connection(endpoint, transport, signer, timeout, time_told, pace)

    def connect() -> Backend:
        return AwsBackend(new_connection(), recovery_window)

    def findings(deadline: float, prefix: str) -> Iterable[Finding]:
        with loading():
            from secrets_actor.backends.aws import diagnose
            from secrets_actor.backends.aws.credentials.sts import Sts

        target = diagnose.Target(
            new_connection, credentials, (sts or Sts)(endpoint.region), time_told.here, looks_up=proxy is None
        )
        return diagnose.diagnose(target, prefix, deadline)

    return BackendFactory(NAME, connect, credentials, findings, endpoint.authority)


class AwsBackend:
    """One connection to Secrets Manager, for one worker (the Backend port)."""

    def __init__(self, connection: Connection, recovery_window: int) -> None:
        with loading():
            from secrets_actor.backends.aws.carry_out import carry_out
        self._connection, self._recovery_window, self._carry_out = connection, recovery_window, carry_out
        self._checked: Credentials | None = None

    @property
    def name(self) -> str:
        """`aws_secrets_manager`."""
        return NAME

    def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
        """Carry *operation* out by `context.deadline`, in up to three attempts a call. Raises only `SecretsError`s."""
        if context.credentials is None:
            raise MissingAccessKey("no AWS keys were given to this call: set aws.auth_method and its keys")
        if context.credentials is not self._checked:
            self._checked = checked(context.credentials)
        runner = CallRunner(
            self._connection,
            context.deadline,
            context.credentials,
            in_doubt=context.repeated,
            attempts=context.attempts,
        )
        return self._carry_out(operation, runner, self._recovery_window)

    def close(self) -> None:
        """Give the connection up. Any thread, any number of times; a `perform` under way fails soon."""
        self._connection.close()

    def __repr__(self) -> str:
        closed = ", closed" if self._connection.closed.is_set() else ""
        return f"<AwsBackend [{self._connection.endpoint.name}{closed}]>"
