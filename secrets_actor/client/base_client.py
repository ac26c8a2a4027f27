"""The base of both clients: all that they share, which is everything except the waiting.

Rule 1: bad input is refused here, in the caller's thread, before anything is sent.
Rule 2: a cached answer is read in the caller's thread, and is audited like any other answer.
Rule 3: a caller reads what it wrote. While a write of this client is on its way, or its caller has given up on it, a
        get of that secret does not look into the cache: it goes through the actor's mailbox, behind the write. This
        ends when the actor has taken the write up, or when it never will. The client tells that from the state of the
        write, so it does not matter where and by what the writing caller was cut off.
Rule 4: a request that did not reach the actor, because the actor was being restarted, is sent again. A read whose actor
        died over it is sent again once. A write whose actor died is the caller's to repeat, with the token that the
        error carries: the client does not know whether it took effect. A request that the actor could not answer, and
        so did not audit, is audited here.
Rule 5: if a caller's time is over and the store has not answered, the caller gets the stale value that the cache may
        serve. So does a caller that must not wait: it runs in a process of the system that others wait for.
Rule 6: a call that is cut off, by a signal handler that raises or by a cancellation, is withdrawn: nothing of it stays.
Rule 7: the trace of a call begins before the call is sent, and ends when its caller goes on. An error that a tracer
        raises does not spoil the call; `ReportedTracer` has told of it.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, TypeVar
from weakref import ref

from msgspec import Struct, field

from secrets_actor.actor.cache import Cache
from secrets_actor.actor.error_translation import out_of_time, translated
from secrets_actor.actor.messages import CALLER_GAVE_UP
from secrets_actor.actor.stale_answers import STALE
from secrets_actor.client.background import Background, Subscribing
from secrets_actor.domain.errors import InvalidParameter, SecretsError
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import BATCH_SIZE, Get, GetMany, Operation, refreshed, with_token
from secrets_actor.domain.ports import AuditRecord, AuditTrail
from secrets_actor.domain.results import SecretBatch
from secrets_actor.domain.secret import Secret, Source, block_of
from secrets_actor.domain.tracing import (
    Caller,
    CallerName,
    CallTrace,
    Tracer,
    checked_caller,
    end,
    label_of,
    when_ended,
)
from secrets_actor.otp import CallingSelf, CallTimeout, Clock, From, Name, NoProcess, Pid, holds_up
from secrets_actor.pickling import START_THERE, LivesHere
from secrets_actor.uuids import new_uuid


def begin_trace(tracer: Tracer, operation: Operation[Any], caller: CallerName, now: float) -> CallTrace:
    """Return the trace of *operation*, which begins *now* (clock seconds), and tell *tracer* of it."""
    trace = CallTrace(operation.kind, getattr(operation, "secret_id", None), caller, now)
    with contextlib.suppress(Exception):
        when_ended(trace, tracer.begin(trace))
    return trace


def end_trace(caller: From[Any], now: float, source: str | None = None) -> None:
    """End the trace of *caller*, if it has one: its answer is here, or will not come any more.

    With *source* the caller got an answer from elsewhere, such as a stale value: then the trace is `ok`, and keeps the
    error that the caller was spared.
    """
    trace: CallTrace | None = caller.note.trace
    if trace is None:
        return
    error = caller.error
    code = "ok" if error is None else translated(error).code
    if source is not None:
        trace.problem, trace.source, code = code, source, "ok"
    with contextlib.suppress(Exception):
        end(trace, code, now)


T = TypeVar("T")
# Seconds: one day. That is longer than any caller waits, and short enough for every timer and lock.
MAX_TIMEOUT: Final = 86_400.0
# Numbers requests. `next` on it is atomic, so threads need no lock for it.
_order: Final = itertools.count(1)


class ClientParts(Struct, frozen=True):
    """The objects of one system that a client uses.

    *server*: the name of the secrets actor. *call_timeout*: seconds that a caller waits by default. *running*: whether
    the tree is up, or could be brought up. *tracer* is told of each call that the cache could not answer.
    """

    server: Name
    cache: Cache
    audit: AuditTrail
    clock: Clock
    call_timeout: float
    running: Callable[[], bool]
    background: Background
    tracer: Tracer | None = None


class Asked(Struct, Generic[T], eq=False):
    """A request on its way to the actor.

    *arrived* and *deadline* are clock seconds. *caller* is the handle on which the answer comes. *number* tells
    requests apart. *again*: a read that was sent a second time, because an actor died over it.
    """

    operation: Operation[T]
    arrived: float
    deadline: float
    caller: From[T]
    number: int
    again: bool = False


class Written:
    """A write to a secret in *lanes* that was, or is about to be, sent to the actor *server* (rule 3)."""

    __slots__ = ("_caller", "_server", "lanes")

    def __init__(self, lanes: tuple[str, ...], server: Pid, caller: Caller) -> None:
        self.lanes, self._server = lanes, server
        # A weak reference: the actor, its mailbox and the waiting caller hold the object. When all of them have dropped
        # it, nobody can take the write up any more.
        self._caller = ref(caller)

    @property
    def over(self) -> bool:
        """Whether the actor has taken the write up, or never will: then a get may look into the cache again."""
        caller = self._caller()
        return caller is None or caller.taken or not self._server.is_alive()


class Batches(Struct, eq=False):
    """A get of many secrets that is under way: the secrets found so far, and a request for each 20 of the rest."""

    asked: tuple[SecretId, ...]
    found: dict[str, Secret]
    chunks: list[tuple[GetMany, Asked[SecretBatch]]] = field(default_factory=list)
    errors: dict[str, SecretsError] = field(default_factory=dict)
    failures: list[SecretsError] = field(default_factory=list)

    def arrived(self, batch: SecretBatch) -> None:
        """Take in the answer to one request."""
        self.found |= batch.found
        self.errors |= batch.errors

    def failed(self, chunk: GetMany, error: SecretsError) -> None:
        """Note that one request failed as a whole: each of its ids gets the error, in a copy of its own."""
        self.failures.append(error)
        self.errors |= {secret_id: error.clone() for secret_id in chunk.secret_ids}

    def withdraw(self) -> None:
        """The caller waits no longer, perhaps because it was interrupted: work that has not begun does not begin."""
        for _, asked in self.chunks:
            withdraw(asked.caller)

    def result(self) -> SecretBatch:
        """Return all answers together. Raises the first error if nothing was found and every request failed."""
        if self.failures and not self.found and len(self.failures) == len(self.chunks):
            raise self.failures[0]
        return SecretBatch({one: self.found[one] for one in self.asked if one in self.found}, self.errors)


class BaseClient(Subscribing, LivesHere):
    """Base of both clients. *caller* is who asks, for the audit log."""

    _advice = "it belongs to a system of this process: " + START_THERE

    def __init__(self, parts: ClientParts, caller: CallerName = None) -> None:
        self._parts, self._caller = parts, checked_caller(caller)
        self._server, self._cache, self._audit = parts.server, parts.cache, parts.audit
        self._background = parts.background
        # Bound methods, looked up once: a cached get is so short that each look-up counts.
        self._now, self._hit, self._note_hit = parts.clock.now, parts.cache.hit, parts.audit.hit
        self._unanswered: dict[int, Written] = {}  # by number

    # --- from memory ----------------------------------------------------------------------------------------------

    def _recall(self, get: Get) -> Secret | None:
        """Return the cache's answer to *get*, or None if the actor has to answer. Raises `SecretNotFound` if the cache
        remembers that there is no such secret."""
        now = self._now()
        if not self._may_recall(get):
            return None
        found = self._cache.read(get, now)
        if found is not None:
            self._note_hit(found.name, block_of(found), now, self._caller)
            if self._cache.asks_refresh(get, now):
                self._server.send(refreshed(get))
            return found
        missing = self._cache.missing(get, now)
        if missing is not None:
            self._record(get, missing.code, Source.CACHE, now)
            raise missing
        return None

    def _may_recall(self, get: Get) -> bool:
        """Whether the cache may answer *get* (rule 3). In the child of a fork this starts the tree (`running`)."""
        return not self._has_written(get) and self._parts.running()

    def _has_written(self, get: Get) -> bool:
        """Whether a write to this secret is on its way, or its caller has given up on it (rule 3)."""
        if not self._unanswered:
            return False
        self._forget_what_is_over()
        written = tuple(self._unanswered.values())
        return any(lane in write.lanes for lane in SecretId(get.secret_id).lanes for write in written)

    def _forget_what_is_over(self) -> None:
        # A copy, and `pop` with a default, because other threads add and remove entries meanwhile.
        for number, write in tuple(self._unanswered.items()):
            if write.over:
                self._unanswered.pop(number, None)

    # --- asking ---------------------------------------------------------------------------------------------------

    def _asked(self, operation: Operation[T], timeout: float | None) -> Asked[T]:
        """Return the request for *operation*, which has not been sent yet. A write gets its token here: it stays the
        same however often the request is sent."""
        if not isinstance(operation, Operation):
            raise InvalidParameter("operation", "a message, such as messages.Get(name): an object, not its class")
        arrived = self._now()
        deadline = arrived + (self._parts.call_timeout if timeout is None else _checked(timeout))
        return Asked(with_token(operation, new_uuid), arrived, deadline, From(deadline), next(_order))

    def _send(self, asked: Asked[T]) -> None:
        """Send the request to the actor. If that is impossible, its handle is failed with the reason."""
        operation, caller = asked.operation, asked.caller
        tracer = self._parts.tracer
        trace = None if tracer is None else begin_trace(tracer, operation, self._caller, self._now())
        caller.note = Caller(self._caller, trace)
        server = self._server.resolve()
        if holds_up(self._server):
            caller.fail(CallingSelf("others wait for the process that asks"))
        elif server is None:
            caller.fail(self._server.registry.nobody(self._server.name))
        else:
            secret_id = getattr(operation, "secret_id", None)
            if operation.writes and secret_id is not None:
                # Before it is sent: a get that another thread begins from now on may be meant to see this write.
                self._unanswered[asked.number] = Written(SecretId(secret_id).lanes, server, caller.note)
            server.deliver(operation, caller)

    def _answered(self, asked: Asked[Any]) -> None:
        """Note that the actor has answered, or has ended: the trace ends, and the write is no longer under way."""
        end_trace(asked.caller, self._now())
        if self._unanswered:
            self._unanswered.pop(asked.number, None)
            self._forget_what_is_over()

    def _cut_off(self, asked: Asked[Any]) -> None:
        """Withdraw a request whose caller was hit by an exception, whichever it is (rule 6)."""
        withdraw(asked.caller)
        self._server.send(CALLER_GAVE_UP)
        if asked.caller.note is not None:  # None if the exception came before anything was sent
            end_trace(asked.caller, self._now())

    def _sends_again(self, asked: Asked[T], error: BaseException) -> bool:
        """Whether to wait for the actor and send the request again, after *error* of the OTP layer (rule 4)."""
        if isinstance(error, CallTimeout | CallingSelf):
            return False
        self._answered(asked)
        lost = isinstance(error, NoProcess)
        if lost or not (asked.operation.writes or asked.again):
            asked.again = asked.again or not lost
            return True
        return False

    def _ask_anew(self, asked: Asked[T]) -> None:
        """Send the request once more. It needs a new handle, because a handle settles only once."""
        asked.caller, asked.number = From(asked.deadline), next(_order)
        self._send(asked)

    def _last_resort(self, asked: Asked[T], error: BaseException) -> Secret:
        """Return the stale value that the cache may serve, if the caller's time is over or it must not wait (rule 5).

        Otherwise raises the `SecretsError` that *error* means, after it was audited.
        """
        operation = asked.operation
        timed_out, failure = isinstance(error, CallTimeout), translated(error, operation)
        if timed_out:
            self._server.send(CALLER_GAVE_UP)
        may_be_stale = timed_out or isinstance(error, CallingSelf)
        if may_be_stale and isinstance(operation, Get) and not self._has_written(operation):
            stale = self._cache.stale(operation, self._now())
            if stale is not None:
                self._record(operation, "ok", STALE, asked.arrived, stale.version_id, asked)
                end_trace(asked.caller, self._now(), STALE)
                return stale
        end_trace(asked.caller, self._now())
        if not timed_out:  # if it timed out, the actor still has the request, and writes the audit record
            self._record(operation, failure.code, "client", asked.arrived)
        raise failure

    def _gone(self, asked: Asked[T], failure: SecretsError | None = None) -> SecretsError:
        """Return the error for a caller that has waited for an actor until its time was over: *failure*, or else
        `DeadlineExceeded`. It has been audited then."""
        problem = failure or out_of_time(asked.operation)
        self._record(asked.operation, problem.code, "client", asked.arrived)
        return problem

    def _batches(self, secret_ids: Iterable[str], refresh: bool, timeout: float | None) -> Batches:
        """Return the get of many secrets: those in the cache are found already, and the rest has been asked for."""
        asked = GetMany(secret_ids).secret_ids
        found: dict[str, Secret] = {}
        now = self._now()
        for request in map(Get, () if refresh else asked):
            cached = self._cache.read(request, now) if self._may_recall(request) else None
            if cached is not None:
                found[request.secret_id] = cached
                self._note_hit(cached.name, block_of(cached), now, self._caller)
        batches = Batches(asked, found)
        rest = [secret_id for secret_id in asked if secret_id not in found]
        try:
            for start in range(0, len(rest), BATCH_SIZE):
                chunk = GetMany(rest[start : start + BATCH_SIZE])
                batches.chunks.append((chunk, self._asked(chunk, timeout)))
                self._send(batches.chunks[-1][1])
        except BaseException:
            batches.withdraw()
            raise
        return batches

    def _record(
        self,
        operation: Operation[Any],
        outcome: str,
        source: str,
        arrived: float,
        version_id: str | None = None,
        asked: Asked[Any] | None = None,
    ) -> None:
        if asked is not None:  # the actor still has this request: it must not write a second record
            asked.caller.note.recorded = True
        secret_id, duration = getattr(operation, "secret_id", None), self._now() - arrived
        record = AuditRecord(operation.kind, secret_id, outcome, source, duration, version_id, caller=self._caller)
        self._audit.record(record)

    def __repr__(self) -> str:
        name = label_of(self._caller)
        return f"<{type(self).__name__} of {self._server.name}{'' if name is None else f' for {name}'}>"


def withdraw(caller: From[Any]) -> None:
    """Fail the handle *caller*, because nobody waits for it any more: work that has not begun for it does not begin."""
    caller.fail(CallTimeout("withdrawn"))


def _checked(timeout: float) -> float:
    if isinstance(timeout, (int, float)) and 0 <= timeout <= MAX_TIMEOUT:
        return timeout
    raise InvalidParameter("timeout", f"seconds, 0 to {MAX_TIMEOUT:,.0f}")
