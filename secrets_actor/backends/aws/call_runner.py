"""Runs the calls of one operation: signs, sends, reads and retries. The only file of this backend that waits.

Rule 1: each attempt of a call is signed anew, and all attempts end by the caller's deadline.
Rule 2: `retry.py` decides which errors are worth another attempt, and when. `retry_state.py` decides whether all calls
        together have attempts left. This file carries these decisions out.
Rule 3: once `Connection.closed` is set, a request or a pause ends, and there is no further attempt.
Rule 4: only `SecretsError`s leave this file, and without context: a frame of an earlier attempt holds what was sent.
Rule 5: an answer that cannot be understood, or that belongs to another question, ends its connection. The next attempt
        opens a new one, for all further answers on the old one may be out of step.
Rule 6: when AWS refuses the time of a signature, the clock is corrected for all workers, and the call is tried once
        more at once. This does not count as one of its attempts.
"""

import random
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, TypeVar

from msgspec import Struct, field

from secrets_actor.backends.aws import error_codes
from secrets_actor.backends.aws.clock_skew import TOLERATED, in_words, may_be_skew, too_far
from secrets_actor.backends.aws.corrected_clock import CorrectedClock
from secrets_actor.backends.aws.endpoint import Endpoint
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.backends.aws.question import Question
from secrets_actor.backends.aws.retry import FailureKind, classify, pause_before, pause_while_going, sdk_request
from secrets_actor.backends.aws.retry_state import RetryState
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.backends.http.http_date import http_date
from secrets_actor.backends.sigv4 import amz_date
from secrets_actor.clock import now
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
# A reader of an answer with success: (body, request id, what was asked) -> the value.
Read = Callable[[bytes, str | None, Question], R]
# Makes the error of an answer whose status is not 200: (call, status, headers, body) -> the error.
ErrorFor = Callable[[Call, int, Mapping[str, str], bytes], SecretsError]
# AWS's own clients send these two headers, unsigned: an id that all attempts of a call share, and which attempt it is.
_INVOCATION: Final = b"amz-sdk-invocation-id"
_REQUEST: Final = b"amz-sdk-request"
_NO_HEADERS: Final[Mapping[str, str]] = {}
# After these errors, AWS may have done what it was asked for.
_IN_DOUBT: Final = (Unreachable, StoreFailure, InvalidAnswer)


class Signer(Protocol):
    """Makes the headers of requests, with a signature if the server wants one. For any thread."""

    def headers(
        self, target: str, body: bytes, credentials: AwsCredentials, at: datetime, /
    ) -> list[tuple[bytes, bytes]]:
        """Return all headers of the request with X-Amz-Target *target*, ready to be sent."""


class Connection(Struct):
    """One worker's connection, and what its calls need beside it.

    *timeout* is in seconds for each attempt. All workers of a backend share *clock* and *retry_state*.
    """

    endpoint: Endpoint
    transport: "Transport"
    signer: Signer
    timeout: float
    clock: CorrectedClock
    retry_state: RetryState
    error_for: "ErrorFor" = error_codes.error_for
    closed: threading.Event = field(default_factory=threading.Event)
    # Seconds of the quickest answer so far. With less time than this left, an attempt is not worth starting.
    quickest: float | None = None

    def close(self) -> None:
        """Close the connection. From any thread, any number of times; a request or a pause under way fails soon."""
        self.closed.set()
        self.transport.close()

    def pause(self, seconds: float) -> None:
        """Wait for *seconds*. Raises `ConnectionFailed` when the connection is or gets closed."""
        if self.closed.wait(seconds):
            name = self.endpoint.name
            raise ConnectionFailed(f"{name}: this connection was given up; ask again", endpoint=name)


class CallRunner:
    """Runs the calls of one operation over one *connection*, with one set of *credentials*, by one *deadline*.

    `in_doubt` is true once an attempt may have taken effect without an answer that says so. Each attempt is appended
    to *attempts*, if there is such a list.
    """

    def __init__(
        self,
        connection: Connection,
        deadline: float,
        credentials: AwsCredentials,
        *,
        in_doubt: bool = False,
        attempts: list[Attempt] | None = None,
    ) -> None:
        self._connection, self._deadline, self._credentials = connection, deadline, credentials
        self.in_doubt, self._attempts = in_doubt, attempts

    def run(self, call: Call, read: Read[R]) -> Answer[R]:
        """Send *call*, retry it as `retry.py` decides, and return the answer as *read* reads it.

        Raises only `SecretsError`s.
        """
        retry_state, invocation, attempt = self._connection.retry_state, new_uuid().encode(), 1
        paid: FailureKind | None = None
        ttl: str | None = None
        clock_tried = False
        while True:
            self._wait_for_turn()
            request = sdk_request(attempt, retry_state.policy.max_attempts, ttl)
            outcome = self._attempt(call, read, ((_INVOCATION, invocation), (_REQUEST, request.encode())))
            if isinstance(outcome, Answer):
                retry_state.succeeded(paid)
                return outcome
            # Each failure counts for the send rate, also one that is not retried.
            retry_state.failed(classify(outcome.error))
            if not clock_tried and self._corrects_clock(outcome):
                clock_tried = True
                continue
            paid = self._pause_after(outcome, attempt)
            ttl = self._ttl(outcome)
            attempt += 1

    def reconnect(self) -> None:
        """Hang up, so that the next attempt opens a new connection."""
        self._connection.transport.hang_up()

    def rest(self, attempt: int) -> bool:
        """Wait before a request is repeated that AWS refused *attempt* times, for a reason that will pass.

        Returns False at once, without waiting, when the repeated request could not end by the deadline.
        """
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
        if error is not None and may_have_taken_effect(error):
            self.in_doubt = True
        if self._attempts is not None:
            outcome_code, origin = "ok" if error is None else error.code, self._connection.endpoint.place
            self._attempts.append(Attempt(call.action, started, now(), outcome_code, origin))
        return outcome

    def _outcome(
        self, call: Call, read: Read[R], headers: tuple[tuple[bytes, bytes], ...], at: datetime, started: float
    ) -> "Answer[R] | _Failed":
        answer: HttpAnswer | None = None
        try:
            answer = self._send(call, at, headers, started)
            request_id = error_codes.request_id(answer.headers)
            if answer.status == 200:
                return Answer(read(answer.body, request_id, call.question), request_id)
            error = self._connection.error_for(call, answer.status, answer.headers, answer.body)
        except SecretsError as exc:
            error = exc.clone()  # without traceback and context (rule 4)
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
        """Wait until the next attempt, and return the kind of failure that it was paid for.

        Raises the error of *failed* when there is to be no further attempt.
        """
        connection = self._connection
        pause = pause_before(
            failed.error,
            attempt,
            dice=random.random(),  # noqa: S311  jitter
            now=now(),
            deadline=self._deadline,
            hint=failed.headers.get("x-amz-retry-after"),
            max_attempts=connection.retry_state.policy.max_attempts,
            needs=connection.quickest or 0.0,
        )
        kind = classify(failed.error)
        if pause is None or connection.closed.is_set() or not connection.retry_state.pay(kind):
            raise self._or_clock_error(failed)
        connection.pause(pause)
        return kind

    def _wait_for_turn(self) -> None:
        """In adaptive mode, wait until the send rate admits a request."""
        while (seconds := self._connection.retry_state.hold()) > 0:
            if now() + seconds >= self._deadline:
                raise Throttled("AWS throttles this account, and its turn would come too late: ask less often")
            self._connection.pause(seconds)

    def _corrects_clock(self, failed: "_Failed") -> bool:
        """Correct the clock if the signature's time was wrong. Returns whether there is time to try once more."""
        server = failed.server_time
        if server is None or not may_be_skew(failed.error) or not too_far(failed.signed_at, server):
            return False
        self._connection.clock.learn(server)
        return not self._connection.closed.is_set() and now() + (self._connection.quickest or 0.0) < self._deadline

    def _or_clock_error(self, failed: "_Failed") -> SecretsError:
        """Return the error as it is, or, where this machine's clock caused it, one that says so."""
        error, server = failed.error, failed.server_time
        if server is None or not isinstance(error, InvalidSignature) or not too_far(failed.signed_at, server):
            return error
        skew = self._connection.clock.skew(server)
        if abs(skew) < TOLERATED:  # the clock is right: the request was on its way for too long
            return error
        text = f"AWS does not accept the time of the signature: {in_words(skew)}; set it"
        return InvalidSignature(text, aws_code=error.aws_code, status=error.status, request_id=error.request_id)

    def _ttl(self, failed: "_Failed") -> str | None:
        """Return the moment, on the server's clock, after which an answer to the next attempt is of no use.

        None when the last answer did not tell the server's time.
        """
        server = failed.server_time
        if server is None:
            return None
        left = min(self._connection.timeout, self._deadline - now())
        return amz_date(server + timedelta(seconds=max(left, 0.0)))


class _Failed(SelectiveStruct, frozen=True):
    """A failed attempt: its error, when it was signed, and the headers of the answer if there was one."""

    HIDDEN: ClassVar = frozenset({"headers"})

    error: SecretsError
    signed_at: datetime
    headers: Mapping[str, str]

    @property
    def server_time(self) -> datetime | None:
        return http_date(self.headers.get("date"))


def may_have_taken_effect(error: SecretsError) -> bool:
    """Whether the call that ended in *error* may have taken effect."""
    return isinstance(error, _IN_DOUBT) and not isinstance(error, ConnectionFailed)
