"""A backend as the suite talks to it: operations as methods, names of its own, the table of divergences at hand."""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

from msgspec.structs import replace

from secrets_actor.backends.aws_credentials import AwsCredentialSource
from secrets_actor.backends.http.origin import Origin
from secrets_actor.backends.vault.vault_credentials import VaultCredentials
from secrets_actor.clock import now as clock_now
from secrets_actor.clock import utc_now
from secrets_actor.domain.errors import InvalidRequest, SecretDeleted, SecretNotFound, SecretsError
from secrets_actor.domain.operations import (
    Delete,
    Describe,
    Filter,
    Get,
    List,
    ListPage,
    Operation,
    RemoveRegions,
    Restore,
    Set,
)
from secrets_actor.domain.ports import Answer, Backend, BackendFactory, CallContext
from secrets_actor.domain.results import NamedReceipt, SecretDescription
from secrets_actor.domain.secret import DeleteReceipt, Secret, SecretValue, SetReceipt
from tests.contract.backends import BACKENDS, LIVE, RECOVERY_WINDOW
from tests.contract.divergences import DIVERGENCES
from tests.servers.account import REGION, Keys
from tests.tallies import MET

T = TypeVar("T")
SECONDS: Final = 15.0
# Seconds. ListSecrets may miss what happened in the last five minutes (AWS's API reference).
LIVE_PATIENCE: Final = 600.0
_GLANCE: Final = 5.0


def static_source(keys: Keys) -> AwsCredentialSource:
    """The package's own source of fixed keys."""
    from secrets_actor.backends.aws.credentials.static import StaticCredentials
    from secrets_actor.backends.key_source import KeySource

    return StaticCredentials(
        KeySource("text", keys.access_key_id),
        KeySource("text", keys.secret_key),
        None if keys.session_token is None else KeySource("text", keys.session_token),
    )


def aws_kit(url: str | None, keys: Keys, *, region: str = REGION, timeout: float = 5.0) -> BackendFactory:
    """The aws backend against the emulator at *url*; None: against AWS."""
    from secrets_actor.backends.aws.backend import aws_backend_factory
    from secrets_actor.backends.aws.endpoint import endpoint_for

    return aws_backend_factory(
        endpoint=endpoint_for(region, url),
        ca_bundle=None,
        timeout=timeout,
        recovery_window=RECOVERY_WINDOW,
        credentials=static_source(keys),
    )


class FixedToken:
    """A source of one token, which nobody renews."""

    def __init__(self, token: str) -> None:
        self._token = VaultCredentials(SecretValue(token))

    def fetch(self, _deadline: float) -> VaultCredentials:
        """The token."""
        return self._token


def vault_kit(
    url: str,
    token: str,
    mount: str,
    *,
    namespace: str | None = None,
    timeout: float = 5.0,
    recovery_window: int = RECOVERY_WINDOW,
    write_json: Literal["value", "fields"] = "value",
    idempotency: Literal["metadata", "cas"] = "metadata",
    on_tokens_lost: Callable[[], object] = lambda: None,
    wall_clock: Callable[[], datetime] = utc_now,
) -> BackendFactory:
    """The vault backend against the server at *url*, with a token."""
    from secrets_actor.backends.http.transport import Tls
    from secrets_actor.backends.vault.backend import vault_backend_factory
    from secrets_actor.backends.vault.call_runner import Connection
    from secrets_actor.backends.vault.cluster import Cluster

    parts = urlsplit(url)
    cluster, tls = Cluster([Origin(parts.scheme, str(parts.hostname), int(parts.port or 0))]), Tls()
    return vault_backend_factory(
        endpoints=cluster.names,
        connect=lambda: Connection(cluster, tls, namespace=namespace, timeout=timeout),
        mount=mount,
        namespace=namespace,
        recovery_window=recovery_window,
        write_json=write_json,
        idempotency=idempotency,
        credentials=FixedToken(token),
        on_tokens_lost=on_tokens_lost,
        wall_clock=wall_clock,
    )


def perform(
    backend: Backend,
    factory: BackendFactory,
    operation: Operation[T],
    *,
    seconds: float = SECONDS,
    repeated: bool = False,
) -> Answer[T]:
    """Carry *operation* out as a worker does: with fresh credentials and a deadline."""
    deadline = clock_now() + seconds
    credentials = None if factory.credentials is None else factory.credentials.fetch(deadline)
    return backend.perform(operation, CallContext(deadline, credentials, repeated))


def new_token() -> str:
    """A token as the client makes them."""
    return str(uuid.uuid4())


@dataclass(slots=True)
class Store:
    """One backend under test. `where` is its name in the table of divergences.

    A real account is shared with others and shows what happened late: there only names under `prefix` are looked at,
    and for `patience` seconds a list may be wrong, a name taken still. Elsewhere a look counts at once.
    """

    where: str
    factory: BackendFactory
    backend: Backend
    prefix: str = field(default_factory=lambda: f"contract/{uuid.uuid4().hex[:10]}")
    written: set[str] = field(default_factory=set)
    patience: float = 0.0
    clock: Callable[[], float] = clock_now
    pause: Callable[[float], object] = threading.Event().wait

    def __post_init__(self) -> None:
        assert self.where in (*BACKENDS, LIVE)

    def name(self, suffix: str = "secret") -> str:
        """A name that no other test has."""
        return f"{self.prefix}/{suffix}"

    def diverges(self, topic: str) -> bool:
        """Whether this emulator is known to differ in *topic*. Notes that the topic was met."""
        known = (self.where, topic) in DIVERGENCES
        if known:
            MET.add((self.where, topic))
        return known

    def ask(self, operation: Operation[T], *, seconds: float = SECONDS, repeated: bool = False) -> Answer[T]:
        """The whole answer to *operation*. *repeated*: a worker may have ended over it before."""
        self._note(operation)
        return perform(self.backend, self.factory, operation, seconds=seconds, repeated=repeated)

    def _note(self, operation: Operation[Any]) -> None:
        if operation.writes and getattr(operation, "secret_id", None):
            self.written.add(getattr(operation, "secret_id"))  # noqa: B009

    def sees(self, look: Callable[[], object], expected: object) -> None:
        """Assert that *look* finds *expected*, within the store's patience."""
        end, found = self.clock() + self.patience, look()
        while found != expected and self.clock() < end:
            self.pause(_GLANCE)
            found = look()
        if found != expected:
            raise AssertionError(f"{found!r} was seen, not {expected!r}")

    def once_free(self, write: Callable[[], T]) -> T:
        """The answer to *write*, tried again within the store's patience while the name of what was deleted by force
        is taken."""
        return self._patiently(write, SecretDeleted)

    def _patiently(self, call: Callable[[], T], hindrance: type[SecretsError]) -> T:
        end = self.clock() + self.patience
        while True:
            try:
                return call()
            except hindrance:
                if self.clock() >= end:
                    raise
            self.pause(_GLANCE)

    def clean_up(self) -> dict[str, SecretsError]:
        """Delete all that was written here, for good. What is still there, each with what was in the way."""
        left: dict[str, SecretsError] = {}
        for name in sorted(self.written):
            try:
                self._delete_for_good(name)
            except SecretNotFound:
                continue
            except SecretsError as error:
                left[name] = error
        return left

    def _delete_for_good(self, name: str) -> None:
        perform(self.backend, self.factory, Describe(name))  # where there is none, moto's delete names another one
        delete = Delete(name, force=True)
        try:
            perform(self.backend, self.factory, delete)
        except InvalidRequest:  # copies in other regions go first
            copies = perform(self.backend, self.factory, Describe(name)).value.replicas
            if not copies:
                raise
            perform(self.backend, self.factory, RemoveRegions(name, [copy.region for copy in copies]))
            self._patiently(lambda: perform(self.backend, self.factory, delete), InvalidRequest)

    def set(
        self, name: str, value: str | bytes, *, token: str | None = None, description: str | None = None
    ) -> SetReceipt:
        """Set as the client does: with a token, made here if none is given."""
        return self.ask(Set(name, SecretValue(value), token or new_token(), description)).value

    def get(self, name: str, *, version_id: str | None = None, stage: str | None = None) -> Secret:
        """One version of a secret."""
        return self.ask(Get(name, version_id, stage)).value

    def delete(self, name: str, *, window: int | None = None, force: bool = False) -> DeleteReceipt:
        """Delete, softly unless by *force*."""
        return self.ask(Delete(name, window, force)).value

    def restore(self, name: str) -> NamedReceipt:
        """Call a soft delete off."""
        return self.ask(Restore(name)).value

    def list(self, *, include_deleted: bool = False, page_size: int = 100) -> "tuple[SecretDescription, ...]":
        """All secrets of this test."""
        if self.where == LIVE:
            return tuple(self.pages(ListPage((self.ours(),), None, None, include_deleted, page_size)))
        return self.all(include_deleted=include_deleted, page_size=page_size)

    def all(self, *, include_deleted: bool = False, page_size: int = 100) -> "tuple[SecretDescription, ...]":
        """All secrets of this test, out of a list of all that there are."""
        found = self.ask(List(include_deleted, page_size)).value
        return tuple(info for info in found if info.name.startswith(self.prefix))

    def ours(self) -> Filter:
        """The filter that leaves the secrets of this test."""
        return Filter("name", self.prefix)

    def pages(self, first: ListPage) -> "list[SecretDescription]":
        """All secrets from page *first* on."""
        asked, found = first, list[SecretDescription]()
        while True:
            page = self.ask(asked).value
            assert len(page.secrets) <= first.page_size
            found += page.secrets
            if page.next_token is None:
                return found
            asked = replace(first, next_token=page.next_token)

    def names(self, *, include_deleted: bool = False, page_size: int = 100) -> "list[str]":
        """The names of all secrets of this test, sorted."""
        return sorted(info.name for info in self.list(include_deleted=include_deleted, page_size=page_size))

    def at_once(self, operations: "list[Operation[T]]") -> "list[T | BaseException]":
        """The answers to *operations*, each asked over a connection of its own, all at the same time."""
        for operation in operations:
            self._note(operation)
        start = threading.Barrier(len(operations))
        answers: list[T | BaseException] = [TimeoutError("never answered")] * len(operations)

        def one(position: int, operation: Operation[T]) -> None:
            backend = self.factory.connect()
            try:
                start.wait(SECONDS)
                answers[position] = perform(backend, self.factory, operation).value
            except BaseException as error:
                answers[position] = error
            finally:
                backend.close()

        threads = [threading.Thread(target=one, args=each) for each in enumerate(operations)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * SECONDS)
        return answers


def outcome(call: Callable[[], object]) -> object:
    """What *call* answers or raises."""
    try:
        return call()
    except Exception as error:
        return error


def failure(call: Callable[[], object]) -> BaseException:
    """What *call* raises."""
    found = outcome(call)
    if isinstance(found, BaseException):
        return found
    raise AssertionError("nothing was raised")
