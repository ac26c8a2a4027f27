"""The ports where the floors meet: the actor asks a Backend and a CredentialSource, and tells an AuditSink. PURE."""

from collections.abc import Callable, Iterable
from typing import ClassVar, Generic, Protocol, TypeVar

from msgspec import Struct, field

from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.diagnosis import Finding
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.tracing import Attempt
from secrets_actor.structs import SelectiveStruct

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class CallContext(SelectiveStruct, frozen=True):
    """What travels with an operation to a backend: until when (clock seconds: `secrets_actor.clock.now()`
    tells them), with which keys, and whether it may have taken effect already, for a worker ended over it. A backend
    that tries several times adds a `Action` to *attempts* for each; its worker adds one for the whole."""

    HIDDEN: ClassVar = frozenset({"attempts"})
    UNCOMPARED: ClassVar = frozenset({"attempts"})

    deadline: float
    credentials: Credentials | None = None
    repeated: bool = False
    attempts: list[Attempt] = field(default_factory=list)


class Answer(Struct, Generic[T_co], frozen=True):
    """A backend's answer, with the request id under which the backend knows the exchange."""

    value: T_co
    request_id: str | None = None


class Backend(Protocol):
    """One connection to a store, used by one worker at a time and by no other thread, except `close`."""

    @property
    def name(self) -> str:
        """The backend's name in the configuration, such as `local_encrypted`."""

    def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
        """Carry *operation* out, blocking until it is done or `context.deadline` has passed.

        Raises only `SecretsError`s. May be asked the same `Set` again with the same token: at most one version results.
        """

    def close(self) -> None:
        """Give up the connection. Any thread may call this, more than once; a `perform` under way then fails soon."""


class CredentialSource(Protocol):
    """Where keys come from. Fetching may block, so only workers call it."""

    def fetch(self, deadline: float) -> Credentials:
        """Fresh credentials, by *deadline* (clock seconds). Raises only `SecretsError`s."""


class BackendFactory(Struct, frozen=True):
    """What runtime hands to the actor: how to open a connection, and the source of keys if the store wants any.

    `endpoint` is its host and port, for a store that has one: a breaker then guards it.
    `diagnose` looks at everything that the store needs, by a deadline (clock seconds), and changes nothing;
    the text is what names begin with that it may ask for. `prepare` is called by each start of a system, before
    anything else, with a deadline; it raises only `SecretsError`s.
    """

    name: str
    connect: Callable[[], Backend]
    credentials: CredentialSource | None = None
    diagnose: Callable[[float, str], Iterable[Finding]] | None = None
    endpoint: str | None = None
    prepare: Callable[[float], None] | None = None


class AuditRecord(Struct, frozen=True):
    """One operation as the audit log tells it: never a value, key or token.

    `caller` is what the asking part of the program calls itself; `outcome` is `ok` or the error's code; `duration` is
    seconds from the call's arrival to its answer. `place` is the file that a whole store went to, or came from.
    """

    operation: str
    secret_id: str | None
    outcome: str
    source: str
    duration: float
    version_id: str | None = None
    request_id: str | None = None
    caller: str | None = None
    place: str | None = None


class AuditSink(Protocol):
    """Takes audit records from any thread. Never blocks, never raises."""

    def record(self, record: AuditRecord) -> None:
        """Hand *record* over."""


class TakesHit(Protocol):
    """Takes note of a cached get, for less than a record costs. Keeps of it neither the block nor the value in it."""

    def __call__(self, name: str, kept: bytes, now: float, caller: str | None, /) -> None:
        """*caller* gets the secret *name* in the block *kept* at clock time *now*."""


class AuditTrail(AuditSink, Protocol):
    """An AuditSink that takes hits, too."""

    @property
    def hit(self) -> TakesHit:
        """For the cache."""
