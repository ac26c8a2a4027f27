"""The ports between the secrets actor and what it uses: backends, sources of credentials, the audit log. PURE."""

from collections.abc import Callable, Iterable
from typing import ClassVar, Final, Generic, Protocol, TypeVar

from msgspec import Struct, field
from msgspec.structs import force_setattr

from secrets_actor.domain.callbacks import optional
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.diagnosis import Finding
from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.operations.limits import checked_list
from secrets_actor.domain.tracing import Attempt, CallerName
from secrets_actor.structs import SelectiveStruct

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
C_co = TypeVar("C_co", bound=Credentials, covariant=True)


class CallContext(SelectiveStruct, frozen=True):
    """The circumstances of an operation, as they travel with it to a backend.

    *deadline* is in clock seconds (`otp.SystemClock().now()`). *repeated*: the operation may have taken effect already,
    because a worker ended over it. A backend adds an `Attempt` to *attempts* for each try; its worker adds one for the
    whole job. *avoid* has those of the factory's endpoints that have not answered lately: a backend with several asks
    others. At least one of them is not in it.
    """

    HIDDEN: ClassVar = frozenset({"attempts"})
    UNCOMPARED: ClassVar = frozenset({"attempts"})

    deadline: float
    credentials: Credentials | None = None
    repeated: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    avoid: frozenset[str] = frozenset()


class Answer(Struct, Generic[T_co], frozen=True):
    """A backend's answer, with the id by which the store knows the exchange (AWS: the request id), if it has one.

    `origin` is the endpoint that answered: one of the factory's `endpoints`, and so without a user or a
    password. A backend with one endpoint may leave it out. One without any may name the place of its store, as the
    local store names its folder; else its `BackendFactory.name` stands here. The worker fills that in, and hands it on
    to the `Secret`s in `value`; a backend that asks several endpoints for many secrets gives each its own.
    """

    value: T_co
    request_id: str | None = None
    origin: str | None = None


class Backend(Protocol):
    """One connection to a store. One worker at a time uses it, and no other thread does, except for `close`."""

    @property
    def name(self) -> str:
        """The backend's name in the configuration, such as `local_encrypted`."""

    def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
        """Carry out *operation* and return its answer. Blocks until it is done or `context.deadline` has passed.

        Raises only `SecretsError`s. The same write may come again with the same token: it must make one version at
        most.

        The answer's value has the type that the message declares (`class Get(Operation[Secret])`), and is about the
        secret that was asked for. If not, the caller gets an `InvalidAnswer` that says what was expected.
        """

    def close(self) -> None:
        """Close the connection. Any thread may call this, more than once. A `perform` under way then fails soon."""


class CredentialSource(Protocol[C_co]):
    """A place that credentials of one type come from. Fetching may block, so only workers call it."""

    def fetch(self, deadline: float) -> C_co:
        """Return fresh credentials; give up at *deadline* (clock seconds). Raises only `SecretsError`s, and a
        `CredentialsError` if the place has none. What is no `Credentials`, or ends at no time with a zone, is an
        `InvalidAnswer` for those who wait.

        A source may also have a method `release(deadline)`, which gives back what it has fetched: a server then revokes
        it, and nobody can use it any more. It may block until *deadline*, and raises only `SecretsError`s. It is called
        when a system that is being stopped has drained (`System.stop(drain=...)`), and when another store has come into
        force (`System.configure`) and the last call to this one is done. It is not called at any other end, so the
        credentials must end by themselves, too.

        And it may have a method `held()`, which returns what it fetched last, if that is good still, and else None. It
        asks nobody. It is called when a fetch fails and the secrets actor has no credentials, because it was started
        anew after a crash."""


# The methods that a source of credentials may have besides `fetch`. They are no part of the Protocol, where each would
# be one that every source must have.
RELEASE: Final = "release"
HELD: Final = "held"


class BackendFactory(Struct, frozen=True):
    """Opens connections to one store. The runtime makes it from the settings; a program may give its own
    to `start(backend=...)`.

    `connect` returns a new connection. A store needs no more than that and a name, and this is the smallest there is. A
    whole one is `tests/contract/dict_backend.py` of the sources: it keeps records, and `secrets_actor.semantics` says
    what each operation means.

        from datetime import UTC, datetime
        from typing import Any

        import secrets_actor
        from secrets_actor import Answer, BackendFactory, CallContext, Secret, SecretNotFound, SecretValue
        from secrets_actor.errors import UnknownMessage
        from secrets_actor.messages import Get, Operation

        class Fixed:
            name = "fixed"

            def perform(self, operation: Operation[Any], context: CallContext) -> Answer[Any]:
                if not isinstance(operation, Get):
                    raise UnknownMessage(f"there is no {operation.kind} here")
                if operation.secret_id != "db/password":
                    raise SecretNotFound("there is only one secret")
                arn = "arn:fixed:secretsmanager:here:000000000000:secret:db/password-000000"
                value, made = SecretValue("hunter2"), datetime(2026, 1, 1, tzinfo=UTC)
                return Answer(Secret("db/password", arn, value, "1" * 32, ("AWSCURRENT",), made))

            def close(self) -> None: ...

        with secrets_actor.start(backend=BackendFactory("fixed", Fixed)) as system:
            print(system.secrets.get("db/password"))

    `credentials` is where the store's credentials come from, if it needs any. `diagnose` checks everything that the
    store needs, and changes nothing. Its arguments are a deadline (clock seconds) and a prefix: it may ask only for
    secrets whose names begin with that. `prepare` is called at each start of a system, before anything else, with a
    deadline (clock seconds); it raises only `SecretsError`s.

    An error of the backend or of its credentials that is no `SecretsError` ends a worker. The log then tells the type
    of the error and its place; with `explains` it tells text and traceback, too, which may quote a secret.

    `endpoints` names the servers that the store is reached at, each by its host, and its port if need be: a circuit
    breaker guards each. With one, there is nothing else to do. A backend with several asks those that are not in
    `context.avoid`, in an order of its own. It names the one that answered by `Answer.origin`, and the one that
    refused, failed or kept silent by the `origin` of the error. When it goes on to another, it adds an `Attempt` with
    the `origin` that it leaves, and with the code of the error that it met there: so a dead endpoint costs one caller's
    wait, and the others answer.

    `tells_versions` says that the backend answers `CurrentVersions`, and that this costs less than reading the values.
    Subscriptions then follow the versions, and read a value only when its version is another one.

    Raises `InvalidParameter` for a field that is none of these.
    """

    name: str
    connect: Callable[[], Backend]
    credentials: CredentialSource[Credentials] | None = None
    diagnose: Callable[[float, str], Iterable[Finding]] | None = None
    endpoints: tuple[str, ...] = ()
    prepare: Callable[[float], None] | None = None
    explains: bool = False
    tells_versions: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InvalidParameter("name", "the name of the backend, a text that is not empty")
        if not callable(self.connect):
            raise InvalidParameter("connect", "a function that returns a new connection")
        for what in ("diagnose", "prepare"):
            optional(what, getattr(self, what))
        if self.credentials is not None and not callable(getattr(self.credentials, "fetch", None)):
            raise InvalidParameter("credentials", "a CredentialSource, which has a method fetch")
        force_setattr(self, "endpoints", checked_list("endpoints", self.endpoints, "endpoints"))
        for endpoint in self.endpoints:
            if not isinstance(endpoint, str) or not endpoint or "@" in endpoint:
                raise InvalidParameter("endpoints", "each a host, with a port if need be, and no user or password")


def checked_factory(given: object) -> None:
    """Check that *given*, the argument *backend* of a program, is a `BackendFactory` or None. Raises
    `InvalidParameter`."""
    if given is not None and not isinstance(given, BackendFactory):
        remedy = ": its factory() makes one" if callable(getattr(given, "factory", None)) else ""
        raise InvalidParameter("backend", f"a BackendFactory, not {type(given).__name__}{remedy}")


class AuditRecord(Struct, frozen=True):
    """One record of the audit log: one operation. It never holds a value, a key or a token.

    `outcome` is `ok` or the error's code. `source` says where the answer came from: `backend` (the store was asked),
    `cache`, `stale` (a value past its TTL), `actor` or `client` (which refused the call, or gave it up), `policy` (the
    rules of a daemon, which refused it), `proof` (a daemon refused the token or the signature, or none was shown),
    `mint` (credentials that a daemon gave out, or refused), `systemd` (a daemon refused a systemd credential, because
    it is no name of a secret, or the value has no such member), `live` (what was asked for at a daemon's live page), or
    `store` (work on a whole store). `duration` is the
    seconds from the call's arrival to its answer. `caller` is who asked: the label of a part of the program, or
    `CallerFacts`. `place` is the file that a whole store was written to, or read from. `origin`
    is the endpoint that gave the answer or the refusal, as in `Answer`; None if none did.
    """

    operation: str
    secret_id: str | None
    outcome: str
    source: str
    duration: float
    version_id: str | None = None
    request_id: str | None = None
    caller: CallerName = None
    place: str | None = None
    origin: str | None = None


class AuditSink(Protocol):
    """The port to the audit log. Any thread may call it. It never blocks and never raises."""

    def record(self, record: AuditRecord) -> None:
        """Take *record*."""


class TakesHit(Protocol):
    """Notes a cached get, for less than a record costs. It keeps neither the secret's block nor the value in it."""

    def __call__(self, name: str, kept: bytes, now: float, caller: CallerName, /) -> None:
        """Note that *caller* got the secret *name*, whose packed block is *kept*, at clock time *now*."""


class AuditTrail(AuditSink, Protocol):
    """An `AuditSink` that also takes cached gets."""

    @property
    def hit(self) -> TakesHit:
        """The function that notes a cached get."""
