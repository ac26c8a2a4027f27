"""The AWS backend and its factory: they put the pure parts and one transport together.

`call_runner.py` signs, sends and retries; `carry_out.py` knows which calls an operation takes.

Rule 1: `close` may be called from any thread, and ends a request as well as a pause.
Rule 2: `connect` loads TLS, the signature and the modules that write and read messages, a third of the package.
        Importing this file loads none of them, so that a program can start before it pays for them.
"""

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from secrets_actor.backends.aws.corrected_clock import CorrectedClock
from secrets_actor.backends.aws.credentials.static import checked
from secrets_actor.backends.aws.endpoint import SETTING_NAMES, Endpoint
from secrets_actor.backends.aws.retry import RetryPolicy
from secrets_actor.backends.aws.retry_state import RetryState
from secrets_actor.backends.aws_credentials import AwsCredentials, AwsCredentialSource
from secrets_actor.backends.http.proxy import Proxy
from secrets_actor.domain.diagnosis import Finding
from secrets_actor.domain.errors import MissingAccessKey
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.ports import Answer, Backend, BackendFactory, CallContext
from secrets_actor.forks import loading

if TYPE_CHECKING:
    from secrets_actor.backends.aws.call_runner import Connection
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
    credentials: AwsCredentialSource,
    clock: CorrectedClock | None = None,
    retries: RetryPolicy | None = None,
    proxy: Proxy | None = None,
    sts: "Callable[[str | None], Sts] | None" = None,
) -> BackendFactory:
    """Return the factory of connections to Secrets Manager at *endpoint*, through *proxy* if there is one.

    *ca_setting* is the setting that names *ca_bundle*; errors quote it. *timeout* is in seconds for each attempt;
    *recovery_window* is in days, for deletes that name no window. All connections share one TLS context, the signing
    keys, the retry quota (*retries*) and the *clock*. Where *credentials* come from STS, pass the clock that STS uses,
    so that a correction counts for both. *sts* makes the STS client for a region; the doctor asks it who the
    credentials belong to.
    """
    corrected, pace = clock or CorrectedClock(), RetryState(retries)
    lock = threading.Lock()
    shared: list[Any] = []

    def new_connection() -> "Connection":
        with loading():
            from secrets_actor.backends.aws.call_runner import Connection
            from secrets_actor.backends.aws.sigv4_json import JsonPost
            from secrets_actor.backends.http.transport import Tls, Transport
            from secrets_actor.backends.sigv4 import Scope, SigningKeys

        # Loading the CA certificates takes milliseconds, so the first connection does it for all. Several workers may
        # connect at once, hence the lock.
        with lock:
            if not shared:
                signer = JsonPost(endpoint.authority, Scope(endpoint.region, endpoint.service), SigningKeys())
                shared.append((Tls(ca_bundle, ca_setting), signer))
        tls, signer = shared[0]
        transport = Transport(endpoint, tls, SETTING_NAMES, proxy)
        return Connection(endpoint, transport, signer, timeout, corrected, pace)

    def connect() -> Backend:
        return AwsBackend(new_connection(), recovery_window)

    def findings(deadline: float, prefix: str) -> Iterable[Finding]:
        with loading():
            from secrets_actor.backends.aws import diagnose
            from secrets_actor.backends.aws.credentials.sts import Sts

        target = diagnose.Target(
            new_connection, credentials, (sts or Sts)(endpoint.region), corrected.here, looks_up=proxy is None
        )
        return diagnose.diagnose(target, prefix, deadline)

    return BackendFactory(NAME, connect, credentials, findings, (endpoint.place,))


class AwsBackend:
    """One connection to Secrets Manager, for one worker (the Backend port).

    *recovery_window* as in `carry_out`.
    """

    def __init__(self, connection: "Connection", recovery_window: int | None) -> None:
        with loading():
            from secrets_actor.backends.aws.call_runner import CallRunner
            from secrets_actor.backends.aws.carry_out import carry_out
        self._connection, self._recovery_window = connection, recovery_window
        self._carry_out, self._runner = carry_out, CallRunner
        self._checked: AwsCredentials | None = None

    @property
    def name(self) -> str:
        """`aws_secrets_manager`."""
        return NAME

    def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
        """Carry *operation* out by `context.deadline`, and return its answer.

        Each call has as many attempts as the retry policy allows. Raises only `SecretsError`s.
        """
        if not isinstance(context.credentials, AwsCredentials):
            raise MissingAccessKey("no AWS credentials were given to this call: set aws.auth_method and what it needs")
        # Compared by identity: the actor passes the same object until it has fetched new credentials.
        if context.credentials is not self._checked:
            self._checked = checked(context.credentials)
        runner = self._runner(
            self._connection,
            context.deadline,
            context.credentials,
            in_doubt=context.repeated,
            attempts=context.attempts,
        )
        return self._carry_out(operation, runner, self._recovery_window)

    def close(self) -> None:
        """Close the connection. From any thread, any number of times; a `perform` under way fails soon."""
        self._connection.close()

    def __repr__(self) -> str:
        closed = ", closed" if self._connection.closed.is_set() else ""
        return f"<AwsBackend [{self._connection.endpoint.name}{closed}]>"
