"""The backend for OpenBao and Vault, and its factory: secrets in a KV mount of version 2.

`call_runner.py` sends and repeats calls. `reads.py` and `writes.py` know which calls an operation takes; what it means,
`domain.semantics` decides, as for our own stores.

Rule 1: `close` may be called from any thread, and ends a request as well as a pause.
Rule 2: `connect` loads TLS and the modules that write and read messages. Importing this file loads none of them, so
        that a program can start before it pays for them.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from secrets_actor.backends.vault.names import Mount
from secrets_actor.backends.vault.vault_credentials import VaultCredentials, VaultCredentialSource
from secrets_actor.clock import utc_now
from secrets_actor.domain.diagnosis import Finding
from secrets_actor.domain.errors import ExpiredToken, SecretsError, Unreachable
from secrets_actor.domain.operations import CurrentVersions, Get, GetMany, Operation
from secrets_actor.domain.ports import Answer, Backend, BackendFactory, CallContext
from secrets_actor.forks import loading

if TYPE_CHECKING:
    from secrets_actor.backends.vault.call_runner import CallRunner, Connection
    from secrets_actor.backends.vault.kv_session import Idempotency, KvSession, KvStore
    from secrets_actor.backends.vault.values import WriteJson

NAME: Final = "vault"
T = TypeVar("T")


def vault_backend_factory(
    *,
    endpoints: tuple[str, ...],
    connect: "Callable[[], Connection]",
    mount: str = "secret",
    namespace: str | None = None,
    recovery_window: int,
    write_json: "WriteJson" = "value",
    idempotency: "Idempotency" = "metadata",
    credentials: VaultCredentialSource,
    diagnose: Callable[[float, str], Iterable[Finding]] | None = None,
    on_tokens_lost: Callable[[], object] = lambda: None,
    wall_clock: Callable[[], datetime] = utc_now,
) -> BackendFactory:
    """Return the factory of connections to the KV *mount* in *namespace*.

    *endpoints* are the names of the cluster's nodes, and *connect* returns a new connection to them, in that namespace.
    *recovery_window* is in days, for deletes that name no window. *write_json* and *idempotency* are as the settings of
    these names say. *on_tokens_lost* is called once, from a worker, if the tokens of writes cannot be kept: a write
    that is repeated after others wrote is then not known. *wall_clock* tells which deletions are over; the server's own
    clock is asked before a secret is removed for good.
    """
    lock = threading.Lock()
    shared: list[KvStore] = []

    def new_backend() -> Backend:
        with loading():
            from secrets_actor.backends.vault.kv_session import KvStore

        with lock:  # several workers may connect at once
            if not shared:
                store = KvStore(
                    Mount(mount.strip("/"), namespace),
                    recovery_window=recovery_window,
                    write_json=write_json,
                    idempotency=idempotency,
                    on_tokens_lost=on_tokens_lost,
                    wall_clock=wall_clock,
                )
                shared.append(store)
        return VaultBackend(connect(), shared[0])

    return BackendFactory(NAME, new_backend, credentials, diagnose, endpoints, tells_versions=True)


class VaultBackend:
    """One worker's connections to the nodes (the Backend port). *store* is shared by all connections of a factory."""

    def __init__(self, connection: "Connection", store: "KvStore") -> None:
        with loading():
            from secrets_actor.backends.vault import current_versions, kv_records, kv_session, reads, writes
            from secrets_actor.backends.vault.call_runner import CallRunner

        self._connection, self._store = connection, store
        self._runner, self._session, self._records = CallRunner, kv_session.KvSession, kv_records.KvRecords
        self._reads, self._writes, self._versions = reads, writes, current_versions

    @property
    def name(self) -> str:
        """`vault`."""
        return NAME

    def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
        """Carry *operation* out by `context.deadline`, and return its answer. Raises only `SecretsError`s."""
        session = self._open(context)
        try:
            value = self._perform(session, operation)
        except SecretsError as error:
            # What was decided here is about the last answer. What came in place of an answer names its own node, or
            # none where that cannot be told.
            if error.origin is None and not isinstance(error, Unreachable):
                error.origin = session.origin
            raise
        return Answer(cast(T, value), session.request_id, session.origin)

    def _perform(self, session: "KvSession", operation: Operation[Any]) -> object:
        if isinstance(operation, Get) and self._reads.is_plain(operation):
            fresh = operation.refresh or operation.max_age == 0
            return self._reads.get_current(session, operation.secret_id, fresh=fresh)
        if isinstance(operation, GetMany):
            return self._reads.get_many(session, operation.secret_ids)
        if isinstance(operation, CurrentVersions):
            return self._versions.current_versions(session, operation)
        if operation.writes:
            return self._writes.carry_out(session, operation)
        return self._writes.decided(session, self._records(session, operation), operation)

    def sweep(self, context: CallContext) -> Iterator[str]:
        """Remove the secrets whose recovery window has ended, for good, and yield the name of each.

        Nobody else removes them, for a KV mount knows no window. Those that another program has deleted are left.
        Raises only `SecretsError`s.
        """
        yield from self._writes.sweep(self._open(context))

    def close(self) -> None:
        """Close the connections. From any thread, any number of times; a `perform` under way fails soon."""
        self._connection.close()

    def _open(self, context: CallContext) -> "KvSession":
        credentials = context.credentials
        if not isinstance(credentials, VaultCredentials):
            raise ExpiredToken("no token was given to this call: set vault.auth_method and what it needs")
        runner: CallRunner = self._runner(
            self._connection,
            context.deadline,
            credentials.token,
            avoid=context.avoid,
            attempts=context.attempts,
            in_doubt=context.repeated,
        )
        return self._session(self._store, runner, self._connection.pause, repeated=context.repeated)

    def __repr__(self) -> str:
        return f"<VaultBackend {self._store.mount.store_name} {self._connection!r}>"
