"""The calls of one operation: signed, sent, read, tried again. The only place of this backend that waits.

Rule 1: a call is signed anew for each attempt, and all its attempts end by the caller's deadline.
Rule 2: what to try again, and when, is decided in `retry.py`; whether the tries of all calls together allow it, in
        `retry_state.py`. This file carries it out.
Rule 3: once `Connection.closed` is set a request and a pause end alike, and nothing is tried again.
Rule 4: only `SecretsError`s leave, without context: a frame of the attempt before holds what was sent.
Rule 5: an answer that cannot be understood, or is one to another question, ends its connection: the next attempt has
        one of its own, for what comes on this one may be out of step from now on.
Rule 6: when AWS refuses the time of a signature the clock is corrected for all workers, and the call is tried once more
        at once, beside the attempts that it has.
"""

import random
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from msgspec import Struct, field

from secrets_actor.backends.aws import error_codes
from secrets_actor.backends.aws.asked import Asked
from secrets_actor.backends.aws.clock_skew import TOLERATED, http_date, in_words, may_be_skew, too_far
from secrets_actor.backends.aws.corrected_clock import CorrectedClock
from secrets_actor.backends.aws.endpoint import Endpoint
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.backends.aws.retry import FailureKind, classify, pause_before, pause_while_going, sdk_request
from secrets_actor.backends.aws.retry_state import RetryState
from secrets_actor.backends.aws.sigv4 import amz_date
from secrets_actor.backends.aws.sigv4_json import JsonPost
from secrets_actor.clock import now
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import (
    ConnectionFailed,
    InvalidAnswer,
    InvalidSignature,
    SecretsError,
    StoreFailure,
    Throttled,
    Unreachable,
)
from secrets_actor.domain.ports import Answer
from secrets_actor.domain.tracing import Attempt
from secrets_actor.structs import SelectiveStruct
from secrets_actor.uuids import new_uuid

if TYPE_CHECKING:
    from secrets_actor.backends.http.transport import HttpAnswer, Transport


R = TypeVar("R")
# What reads the body of an answer with success: the request id, and what was asked, come with it.
Read = Callable[[bytes, str | None, Asked], R]
_INVOCATION: Final = b"amz-sdk-invocation-id"
_REQUEST: Final = b"amz-sdk-request"
_NO_HEADERS: Final[Mapping[str, str]] = {}
# After these, AWS may have done what it was asked for.
_UNTOLD: Final = (Unreachable, StoreFailure, InvalidAnswer)


class Connection(Struct):
    """One worker's connection, and what its exchanges need beside it. *timeout* is seconds an attempt; *clock* and
    *pace* are those of all workers."""

    endpoint: Endpoint
    transport: "Transport"
    signer: JsonPost
    timeout: float
    clock: CorrectedClock
    pace: RetryState
    closed: threading.Event = field(default_factory=threading.Event)
    # Seconds of the quickest answer so far: an attempt with less than this left is none.
    quickest: float | None = None

    def close(self) -> None:
        """Give it up. Any thread, any number of times; an exchange under way fails soon."""
        self.closed.set()
        self.transport.close()

    def pause(self, seconds: float) -> None:
        """Wait. Raises `ConnectionFailed` when it is closed."""
        if self.closed.wait(seconds):
            name = self.endpoint.name
            raise ConnectionFailed(f"{name}: this connection was given up; ask again", endpoint=name)


class CallRunner:
    """The calls of one operation, over one *connection*, with one set of *credentials*, by one *deadline*.

    `in_doubt`: an attempt may have taken effect, and we have not heard of it. Each attempt is put down in *attempts*,
    if there is such a list.
    """

    def __init__(
        self,
        connection: Connection,
        deadline: float,
        credentials: Credentials,
        *,
        in_doubt: bool = False,
        attempts: list[Attempt] | None = None,
    ) -> None:
        self._connection, self._deadline, self._credentials = connection, deadline, credentials
        self.in_doubt, self._attempts = in_doubt, attempts

    def run(self, call: Call, read: Read[R]) -> Answer[R]:
        """*call*'s answer, read by *read*; tried again as `retry.py` has it. Raises only `SecretsError`s."""
        pace, invocation, attempt = self._connection.pace, new_uuid().encode(), 1
        paid: FailureKind | None = None
        ttl: str | None = None
        clock_tried = False
        while True:
            self._wait_for_turn()
            request = sdk_request(attempt, pace.policy.max_attempts, ttl)
            outcome = self._attempt(call, read, ((_INVOCATION, invocation), (_REQUEST, request.encode())))
            if isinstance(outcome, Answer):
                pace.succeeded(paid)
                return outcome
            pace.failed(classify(outcome.error))
            if not clock_tried and self._corrects_clock(outcome):
                clock_tried = True
                continue
            paid = self._pause_after(outcome, attempt)
            ttl = self._ttl(outcome)
            attempt += 1

    def reconnect(self) -> None:
        """Have the next attempt made on a connection of its own."""
        self._connection.transport.hang_up()

    def rest(self, attempt: int) -> bool:
        """Wait before what was refused *attempt* times, for a time only, is asked for again; False, at once, when that
        could not end by the deadline."""
        pause = pause_while_going(
            attempt,
            dice=random.random(),  # noqa: S311  jitter
            now=now(),
            deadline=self._deadline,
            needs=self._connection.quickest or 0.0,
        )
        if pause is not None:
            self._connection.pause(pause)
        return pause is not None

    def _attempt(self, call: Call, read: Read[R], headers: tuple[tuple[bytes, bytes], ...]) -> "Answer[R] | _Failed":
        at, started = self._connection.clock.now(), now()
        outcome = self._outcome(call, read, headers, at, started)
        error = outcome.error if isinstance(outcome, _Failed) else None
        if error is not None and untold(error):
            self.in_doubt = True
        if self._attempts is not None:
            self._attempts.append(Attempt(call.action, started, now(), "ok" if error is None else error.code))
        return outcome

    def _outcome(
        self, call: Call, read: Read[R], headers: tuple[tuple[bytes, bytes], ...], at: datetime, started: float
    ) -> "Answer[R] | _Failed":
        answer: HttpAnswer | None = None
        try:
            answer = self._send(call, at, headers, started)
            request_id = error_codes.request_id(answer.headers)
            if answer.status == 200:
                return Answer(read(answer.body, request_id, call.asked), request_id)
            error: SecretsError = error_codes.error_for(call, answer.status, answer.headers, answer.body)
        except SecretsError as exc:
            error = exc.clone()
        if isinstance(error, InvalidAnswer):
            self.reconnect()
        return _Failed(error, at, _NO_HEADERS if answer is None else answer.headers)

    def _send(self, call: Call, at: datetime, more: tuple[tuple[bytes, bytes], ...], started: float) -> "HttpAnswer":
        connection = self._connection
        headers = connection.signer.headers(call.target, call.body, self._credentials, at)
        headers += more
        until = min(self._deadline, started + connection.timeout)
        answer = connection.transport.request("POST", headers, call.body, until=until)
        taken = now() - started
        if connection.quickest is None or taken < connection.quickest:
            connection.quickest = taken
        return answer

    def _pause_after(self, failed: "_Failed", attempt: int) -> FailureKind:
        """Wait until the next attempt, and tell what it was paid for. Raises the error when there is to be none."""
        connection = self._connection
        pause = pause_before(
            failed.error,
            attempt,
            dice=random.random(),  # noqa: S311  jitter
            now=now(),
            deadline=self._deadline,
            hint=failed.headers.get("x-amz-retry-after"),
            max_attempts=connection.pace.policy.max_attempts,
            needs=connection.quickest or 0.0,
        )
        kind = classify(failed.error)
        if pause is None or connection.closed.is_set() or not connection.pace.pay(kind):
            raise self._told(failed)
        connection.pause(pause)
        return kind

    def _wait_for_turn(self) -> None:
        """In adaptive mode, until the send rate lets a request go."""
        while (seconds := self._connection.pace.hold()) > 0:
            if now() + seconds >= self._deadline:
                raise Throttled("AWS throttles this account, and its turn would come too late: ask less often")
            self._connection.pause(seconds)

    def _corrects_clock(self, failed: "_Failed") -> bool:
        """Whether the signature's time was wrong, and another try would have a better one."""
        server = failed.server_time
        if server is None or not may_be_skew(failed.error) or not too_far(failed.signed_at, server):
            return False
        self._connection.clock.learn(server)
        return not self._connection.closed.is_set() and now() + (self._connection.quickest or 0.0) < self._deadline

    def _told(self, failed: "_Failed") -> SecretsError:
        """The error as it is; or, where the clock is to blame for it, one that says so."""
        error, server = failed.error, failed.server_time
        if server is None or not isinstance(error, InvalidSignature) or not too_far(failed.signed_at, server):
            return error
        skew = self._connection.clock.skew(server)
        if abs(skew) < TOLERATED:  # the signature alone grew old on the way
            return error
        text = f"AWS does not accept the time of the signature: {in_words(skew)}; set it"
        return InvalidSignature(text, aws_code=error.aws_code, status=error.status, request_id=error.request_id)

    def _ttl(self, failed: "_Failed") -> str | None:
        """By when the server's answer to the next attempt is of use, on the server's clock."""
        server = failed.server_time
        if server is None:
            return None
        left = min(self._connection.timeout, self._deadline - now())
        return amz_date(server + timedelta(seconds=max(left, 0.0)))


class _Failed(SelectiveStruct, frozen=True):
    """One attempt's error, when it was signed, and the headers of the answer if there was one."""

    HIDDEN: ClassVar = frozenset({"headers"})

    error: SecretsError
    signed_at: datetime
    headers: Mapping[str, str]

    @property
    def server_time(self) -> datetime | None:
        return http_date(self.headers.get("date"))


def untold(error: SecretsError) -> bool:
    """Whether the call that *error* ended may have taken effect."""
    return isinstance(error, _UNTOLD) and not isinstance(error, ConnectionFailed)
