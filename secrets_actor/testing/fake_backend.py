"""The fake store: a backend in memory that counts operations, and fails or hangs when a test tells it to.

Rule 1: all connections of one store share its records, its switches and one lock. An operation takes effect as a whole.
Rule 2: the order is always the same. An operation arrives and is counted. It passes the gates and then the faults that
        are set for `before`. It takes effect. It passes the gates and then the faults that are set for `after`.
Rule 3: an operation that is held ends as with a real store: at its deadline, or when its connection is closed, with a
        typed error.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final, TypeVar, get_args

from msgspec import Struct

from secrets_actor.clock import utc_now
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import BackendTimeout, RequestFailed, SecretsError, StoreError
from secrets_actor.domain.operations import Operation, Set
from secrets_actor.domain.ports import Answer, BackendFactory, CallContext, CredentialSource
from secrets_actor.domain.secret import SecretValue
from secrets_actor.otp import Clock, SystemClock
from secrets_actor.testing.gate import Gate, When
from secrets_actor.testing.memory_records import KINDS, MemoryRecords
from secrets_actor.uuids import new_uuid

T = TypeVar("T")

NAME: Final = "fake"


class _Switch(Struct, eq=False):
    """A gate or a fault (`what`), and the operations it is for: those of one kind (None: of any), `before` or `after`
    they take effect. `left` is how many more operations a fault fails; None: without end."""

    what: Gate | BaseException
    operation: str | None
    when: When
    left: int | None = None

    def __post_init__(self) -> None:
        if self.operation is not None and self.operation not in KINDS:
            raise ValueError(f"operation: {', '.join(sorted(KINDS))}, or None for any; not {self.operation!r}")
        if self.when not in get_args(When):
            raise ValueError(f"when: {' or '.join(get_args(When))}, not {self.when!r}")

    def fits(self, operation: str, when: When) -> bool:
        return self.when == when and self.operation in (None, operation)


class FakeStore:
    """A store in memory with the semantics of AWS Secrets Manager. Any thread may use its switches at any time.

    *recovery_window* is the number of days that a deleted secret can be restored, unless the deletion says otherwise.
    *wall_clock* dates versions and ends recovery windows. *clock* measures deadlines; the system that uses the store
    must have the same one, as it has with `fake_system`.

    *tells_versions*: subscriptions ask it for the versions of many secrets at once, and for values only when a version
    has changed, as they do with OpenBao.
    """

    def __init__(
        self,
        *,
        recovery_window: int = 30,
        wall_clock: Callable[[], datetime] = utc_now,
        clock: Clock | None = None,
        tells_versions: bool = False,
    ) -> None:
        self._tells_versions = tells_versions
        self.clock: Clock = SystemClock() if clock is None else clock
        self._wall_clock = wall_clock
        self._changed = threading.Condition()
        self._records = MemoryRecords(recovery_window, secrets.randbelow)
        self._switches: list[_Switch] = []
        self._calls: Counter[str] = Counter()
        self._exchanges = 0
        self.clock.on_jump(self._wake)  # so that held operations see a deadline that a moved clock has passed

    def factory(
        self, *, credentials: CredentialSource[Credentials] | None = None, endpoint: str | None = None
    ) -> BackendFactory:
        """Return a backend factory, for `start(backend=...)`. *credentials* is a source from which the system has to
        fetch credentials first; the store does not look at them. *endpoint* is a host and port, as if the store were
        far away: the system then guards it with a breaker."""
        endpoints = () if endpoint is None else (endpoint,)
        return BackendFactory(
            NAME, lambda: _Connection(self), credentials, endpoints=endpoints, tells_versions=self._tells_versions
        )

    # --- what is in it --------------------------------------------------------------------------------------------

    def put(self, name: str, value: str | bytes | SecretValue) -> None:
        """Set a secret without the system. This is not counted, and no switch holds it or fails it. Raises what a set
        raises."""
        with self._changed:
            self._records.perform(Set(name, SecretValue(value)), self._wall_clock(), new_uuid())

    def version_ids(self, name: str) -> tuple[str, ...]:
        """Return the ids of all versions of a secret, the oldest first; an empty tuple when there is no such secret."""
        with self._changed:
            return self._records.version_ids(name)

    @property
    def calls(self) -> Counter[str]:
        """The number of operations that have arrived, by kind: get, set, delete, restore, list, get_many, ..."""
        with self._changed:
            return self._calls.copy()

    def __repr__(self) -> str:
        with self._changed:
            return f"<FakeStore [{len(self._records)} secrets, {self._calls.total()} calls]>"

    # --- switches -------------------------------------------------------------------------------------------------

    def fail_next(
        self, error: BaseException, times: int = 1, operation: str | None = None, *, when: When = "before"
    ) -> None:
        """Let the next *times* operations raise *error*. *operation* is their kind (None: any).

        A `SecretsError` counts as the store's answer; any other exception crashes the worker. With *when* `after`, the
        operation takes effect and only its answer is lost. Raises `ValueError` for an unknown kind or *when*, and for
        *times* below 1.
        """
        if times < 1:
            raise ValueError(f"times: 1 at least, not {times}")
        self._switch_on(_Switch(error, operation, when, times))

    @contextmanager
    def failing(self, error: BaseException, operation: str | None = None, *, when: When = "before") -> Iterator[None]:
        """Make an outage: within the `with` block, all operations (of this kind, if one is given) raise *error*, as
        with `fail_next`."""
        switch = _Switch(error, operation, when)
        self._switch_on(switch)
        try:
            yield
        finally:
            self._switch_off(switch)

    @contextmanager
    def hold(self, operation: str | None = None, *, times: int | None = None, when: When = "before") -> Iterator[Gate]:
        """Hold operations until the gate is released, or until the `with` block ends.

        *operation* is their kind (None: any). Only the first *times* of them are held (None: all). With *when* `after`,
        they have taken effect, and only their answers are held. Raises `ValueError` for an unknown kind or *when*.
        """
        gate = Gate(self._changed, times=times)
        switch = _Switch(gate, operation, when)
        self._switch_on(switch)
        try:
            yield gate
        finally:
            gate.release()
            self._switch_off(switch)

    def _switch_on(self, switch: _Switch) -> None:
        with self._changed:
            self._switches.append(switch)

    def _switch_off(self, switch: _Switch) -> None:
        with self._changed:
            self._switches.remove(switch)

    # --- connections ----------------------------------------------------------------------------------------------

    def _perform(self, connection: _Connection, operation: Operation[T], context: CallContext) -> Answer[T]:
        deadline, new_id = context.deadline, new_uuid()
        with self._changed:
            self._exchanges += 1
            self._calls[operation.kind] += 1
            request_id = f"fake-{self._exchanges}"
            self._pass(connection, operation.kind, deadline, "before")
            try:
                value = self._records.perform(operation, self._wall_clock(), new_id, repeated=context.repeated)
            except StoreError as refusal:
                refusal.request_id = request_id
                raise
            self._pass(connection, operation.kind, deadline, "after")
            return Answer(value, request_id)

    def _close(self, connection: _Connection) -> None:
        with self._changed:
            connection.closed = True
            for switch in self._switches:
                if isinstance(switch.what, Gate):
                    switch.what.forget(connection)
            self._changed.notify_all()

    def _pass(self, connection: _Connection, operation: str, deadline: float, when: When) -> None:
        """Wait at the gates, then raise the first fault that fits."""
        self._look(connection, deadline)
        fitting = [switch for switch in self._switches if switch.fits(operation, when)]
        for switch in fitting:
            if isinstance(switch.what, Gate) and switch.what.admit(connection):
                self._wait_at(switch.what, connection, deadline)
        for switch in self._switches:  # looked at again: a test may have set a fault while this operation was held
            if switch.fits(operation, when) and not isinstance(switch.what, Gate):
                if switch.left is not None:
                    switch.left -= 1
                    if switch.left == 0:
                        self._switches.remove(switch)
                raise _own(switch.what)

    def _wait_at(self, gate: Gate, connection: _Connection, deadline: float) -> None:
        try:
            while not gate.is_open:
                # Python refuses to wait longer than TIMEOUT_MAX, and a test may set a deadline that is further away.
                self._changed.wait(min(max(deadline - self.clock.now(), 0.0), threading.TIMEOUT_MAX))
                self._look(connection, deadline)
        finally:
            gate.forget(connection)

    def _look(self, connection: _Connection, deadline: float) -> None:
        """Raise when the connection was closed or the deadline has passed."""
        if connection.closed:
            raise RequestFailed("the connection to the fake store was closed; ask again", endpoint=NAME)
        if self.clock.now() >= deadline:
            raise BackendTimeout("the fake store did not answer in time; ask again with more time", endpoint=NAME)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class _Connection:
    """One connection to a fake store."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store
        self.closed = False  # under the store's lock

    @property
    def name(self) -> str:
        """The backend's name."""
        return NAME

    def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
        """Carry *operation* out, once the switches let it pass. Raises `SecretsError`s, and the errors that a test
        set."""
        return self._store._perform(self, operation, context)

    def close(self) -> None:
        """Give up the connection. A `perform` that is held fails now."""
        self._store._close(self)

    def __repr__(self) -> str:
        return f"<connection to the fake store [{'closed' if self.closed else 'open'}]>"


def _own(error: BaseException) -> BaseException:
    """Return *error* for one operation. Each gets a copy of a `SecretsError`, because several threads must not add to
    one traceback."""
    return error.clone() if isinstance(error, SecretsError) else error.with_traceback(None)
