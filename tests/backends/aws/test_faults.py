"""The whole backend behind a bad network: whatever happens, each call ends in its answer or a typed error, in time.

A small proxy of ours stands between the backend and ministack, which checks every signature; a script of seeded dice
says what each connection suffers.
"""

import random
import socket
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from secrets_actor.backends.aws.backend import aws_backend_factory
from secrets_actor.backends.aws.credentials.static import StaticCredentials
from secrets_actor.backends.aws.endpoint import endpoint_for
from secrets_actor.backends.aws.retry import RetryPolicy
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from secrets_actor.domain.operations import Get, Set
from secrets_actor.domain.ports import BackendFactory, CallContext
from secrets_actor.domain.secret import SecretValue
from tests.servers.account import allow_everything
from tests.servers.behaviours import aws_error
from tests.servers.faulty import FaultyServer
from tests.servers.http_messages import Stream, hang_up
from tests.servers.ministack import Ministack

SLACK = 2.0
# What a caller may be told when the tries did not help. Nothing else, and never a foreign exception.
TYPED = (
    errors.Throttled,
    errors.StoreFailure,
    errors.RequestFailed,
    errors.BodyReadFailed,
    errors.BackendTimeout,
    errors.InvalidAnswer,
    errors.ConnectionFailed,
)
CANARY = b"never-show-this"


@dataclass
class Weather:
    """Forwards requests to *port*, and harms a share of the answers."""

    port: int
    harms: tuple[str, ...]
    share: float
    seed: int = 1
    suffered: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._dice, self._lock = random.Random(self.seed), threading.Lock()

    def harm(self) -> str | None:
        """What happens to the next request."""
        with self._lock:
            found = self._dice.choice(self.harms) if self._dice.random() < self.share else None
            self.suffered[found or "none"] += 1
            return found

    def serve(self, connection: Any) -> None:
        """As a behaviour of the bad server."""
        upstream = socket.create_connection(("127.0.0.1", self.port), timeout=10.0)
        connection.adopt(upstream)
        try:
            answers = Stream(upstream)
            while (request := connection.next_request()) is not None:
                harm = self.harm()
                if harm == "reset":
                    return
                if harm == "hang":
                    connection.ended.wait(0.6)
                    return
                if harm in ("throttle", "500", "503"):
                    connection.client.sendall(REFUSALS[harm])
                    continue
                upstream.sendall(request.raw)
                answer = answers.response()
                if harm == "lost":  # it was done, and nobody hears of it
                    return
                if harm == "truncate":
                    connection.client.sendall(answer.raw[: len(answer.head) + len(answer.body) // 2])
                    return
                if harm == "corrupt":
                    connection.client.sendall(answer.head + bytes(byte ^ 0x5A for byte in answer.body))
                    continue
                if harm == "half head":
                    connection.client.sendall(answer.head[: len(answer.head) // 2])
                    return
                connection.client.sendall(answer.raw)
        finally:
            hang_up(upstream)


def refusal(code: str, status: int) -> bytes:
    body = aws_error(code, status).body
    return f"HTTP/1.1 {status} No\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


REFUSALS = {
    "throttle": refusal("ThrottlingException", 400),
    "500": refusal("InternalServiceError", 500),
    "503": b"HTTP/1.1 503 No\r\nContent-Length: 20\r\n\r\n<html>sorry</html>\r\n",
}
QUICK = ("500", "503", "reset", "lost", "truncate", "corrupt", "half head")


def kit_to(url: str, retries: RetryPolicy | None = None) -> BackendFactory:
    return aws_backend_factory(
        endpoint=endpoint_for("us-east-1", url),
        ca_bundle=None,
        timeout=0.5,
        recovery_window=30,
        credentials=StaticCredentials(),
        retries=retries,
    )


def outcome_of(perform: Callable[[], Any], within: float) -> Any:
    """The answer or the error; checks that it came in time, and that the error says nothing it must not."""
    started = clock_now()
    outcome, error = None, None
    try:
        outcome = perform()
    except errors.SecretsError as exc:
        error = exc
    assert clock_now() - started < within + SLACK
    if error is None:
        return outcome
    assert (error.__context__, error.__cause__) == (None, None)
    assert CANARY.decode() not in f"{error!r} {error.__dict__}"
    return error


@pytest.fixture
def keys(fresh_ministack: Ministack) -> AwsCredentials:
    user = fresh_ministack.account.user(allow_everything())
    return AwsCredentials(user.access_key_id, SecretValue(user.secret_key))


@pytest.mark.parametrize(
    "harm", [*QUICK, *(pytest.param(harm, marks=pytest.mark.slow) for harm in ("throttle", "hang"))]
)
def test_under_each_trouble_every_get_ends_in_its_answer_or_a_typed_error(
    fresh_ministack: Ministack, keys: AwsCredentials, harm: str
) -> None:
    weather = Weather(fresh_ministack.process.port, (harm,), 0.4)
    straight = kit_to(fresh_ministack.url).connect()
    straight.perform(Set("a", SecretValue(CANARY.decode())), CallContext(clock_now() + 10, keys))
    straight.close()
    with FaultyServer(weather) as server:
        backend = kit_to(server.url).connect()
        outcomes = []
        for _ in range(6 if harm in ("throttle", "hang") else 30):
            context = CallContext(clock_now() + 3.0, keys)
            outcomes.append(outcome_of(lambda context=context: backend.perform(Get("a"), context).value, 3.0))
        backend.close()

    assert weather.suffered[harm] > 0
    good = [found for found in outcomes if not isinstance(found, errors.SecretsError)]
    assert {found.value.reveal() for found in good} == {CANARY.decode()}
    assert all(isinstance(found, TYPED) for found in outcomes if isinstance(found, errors.SecretsError))
    assert len(good) > len(outcomes) / 2


def test_in_foul_weather_eight_workers_write_each_value_once_or_say_that_they_do_not_know(
    fresh_ministack: Ministack, keys: AwsCredentials
) -> None:
    weather = Weather(fresh_ministack.process.port, QUICK, 0.25, seed=7)
    straight = kit_to(fresh_ministack.url).connect()
    names = [f"s{n}" for n in range(8)]
    for name in names:
        straight.perform(Set(name, SecretValue("first")), CallContext(clock_now() + 10, keys))
    written: dict[str, list[Any]] = {name: [] for name in names}
    with FaultyServer(weather) as server:
        shared = kit_to(server.url, RetryPolicy(4))

        def run(name: str) -> None:
            backend = shared.connect()
            for turn in range(8):
                operation = Set(name, SecretValue(f"{name} {turn}"), f"{name}-{turn}".ljust(36, "-"))
                context = CallContext(clock_now() + 4.0, keys)
                written[name].append(outcome_of(lambda o=operation, c=context: backend.perform(o, c).value, 4.0))
            backend.close()

        threads = [threading.Thread(target=run, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60.0)

    outcomes = [found for each in written.values() for found in each]
    told = Counter(type(found).__name__ for found in outcomes)
    assert len(outcomes) == 64
    assert all(isinstance(found, TYPED) for found in outcomes if isinstance(found, Exception)), told
    for name in names:
        last_good = max((n for n, found in enumerate(written[name]) if not isinstance(found, Exception)), default=-1)
        value = straight.perform(Get(name), CallContext(clock_now() + 10, keys)).value.value.reveal()
        assert last_good >= 0
        assert value in [f"{name} {turn}" for turn in range(last_good, 8)]
    straight.close()
    assert sum(weather.suffered.values()) > 64
    assert told["SetReceipt"] > 40
