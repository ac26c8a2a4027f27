"""A store with two endpoints, on two real servers: a dead one does not close the way to the other."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from secrets_actor import Answer, BackendFactory, CallContext, CircuitOpen, Secret, SecretValue, System, Unreachable
from secrets_actor.errors import ConnectionFailed, UnknownMessage
from secrets_actor.events import Attempt, BreakerClosed, BreakerOpened
from secrets_actor.messages import Get, Operation
from secrets_actor.testing import ManualClock
from tests.actor.rig import Watch, eventually, failure, settings
from tests.servers import behaviours
from tests.servers.behaviours import Reset
from tests.servers.faulty import FaultyServer

T = TypeVar("T")
MADE = datetime(2026, 1, 1, tzinfo=UTC)


class Replicas:
    """As a stranger would write it: asks the first of its *endpoints* that is not to be avoided, and then the next."""

    name = "replicas"

    def __init__(self, endpoints: tuple[str, ...], clock: ManualClock, *, goes_on: bool = True) -> None:
        self.endpoints, self.clock, self.goes_on = endpoints, clock, goes_on

    def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
        """The answer of the first that gives one."""
        if not isinstance(operation, Get):
            raise UnknownMessage("only get")
        failed: Unreachable | None = None
        for endpoint in self.endpoints:
            if endpoint not in context.avoid and (failed is None or self.goes_on):
                began = self.clock.now()
                try:
                    found: Any = self.ask(endpoint, operation.secret_id)
                    return Answer(found, origin=endpoint)
                except OSError:
                    failed = ConnectionFailed(f"{endpoint} is not there")
                    failed.origin = endpoint
                    context.attempts.append(Attempt("GET", began, self.clock.now(), failed.code, endpoint))
        assert failed is not None, "all were to be avoided"
        raise failed

    def ask(self, endpoint: str, name: str) -> Secret:
        """The secret, from one server. Raises `OSError`."""
        connection = http.client.HTTPConnection(endpoint, timeout=10)
        try:
            connection.request("GET", f"/{name}")
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        arn = f"arn:two:secretsmanager:here:000000000000:secret:{name}-000000"
        return Secret(name, arn, SecretValue(value), "1" * 32, ("AWSCURRENT",), MADE)

    def close(self) -> None:
        """Nothing is kept open."""


@contextmanager
def served(folder: Path, one: FaultyServer, two: FaultyServer, *, goes_on: bool = True) -> Iterator[Any]:
    """The system over both servers, its clock, which stands, and what its observer heard of the breakers."""
    endpoints = tuple(f"127.0.0.1:{server.port}" for server in (one, two))
    clock, watch = ManualClock(), Watch()
    backend = BackendFactory("replicas", lambda: Replicas(endpoints, clock, goes_on=goes_on), endpoints=endpoints)
    given = settings(folder, ttl_seconds=0)
    with System(given, backend=backend, clock=clock, observer=watch) as system:
        yield system, clock, watch, endpoints


def good(value: str) -> behaviours.Answer:
    """The answer of a server that is well."""
    return behaviours.Answer(json.dumps({"value": value}).encode())


def turns(watch: Watch) -> list[tuple[str, str]]:
    """What became of which breaker, in order."""
    return [
        (type(one).__name__, one.endpoint) for one in watch.events if isinstance(one, (BreakerOpened, BreakerClosed))
    ]


@pytest.mark.parametrize("goes_on", [True, False], ids=["the backend goes on", "the backend gives up"])
def test_a_dead_endpoint_costs_one_caller_and_all_others_are_answered_by_the_other(
    tmp_path: Path, goes_on: bool
) -> None:
    with (
        FaultyServer(Reset(), good("from one")) as one,
        FaultyServer(good("from two")) as two,
        served(tmp_path, one, two, goes_on=goes_on) as (system, clock, watch, (first, second)),
    ):
        if goes_on:
            assert system.secrets.get("a").origin == second
        else:
            assert failure(lambda: system.secrets.get("a")).origin == first  # type: ignore[attr-defined]
        for name in "abc":
            found = system.secrets.get(name)
            assert (found.text(), found.origin) == ("from two", second)
        assert one.connections == 1, "it is left alone"
        eventually(lambda: turns(watch) == [("BreakerOpened", first)])
        assert system.metrics().value("secrets_actor_breaker_state", "closed") == 1

        clock.advance(60)
        found = system.secrets.get("a")
        assert (found.text(), found.origin) == ("from one", first), "it has come back"
        eventually(lambda: turns(watch) == [("BreakerOpened", first), ("BreakerClosed", first)])


def test_with_both_endpoints_dead_nothing_is_sent_until_a_pause_is_over(tmp_path: Path) -> None:
    with (
        FaultyServer(Reset(), Reset(), good("from one")) as one,
        FaultyServer(Reset(), good("from two")) as two,
        served(tmp_path, one, two) as (system, clock, watch, (first, second)),
    ):
        assert isinstance(failure(lambda: system.secrets.get("a")), ConnectionFailed)
        refused = failure(lambda: system.secrets.get("b"))
        assert isinstance(refused, CircuitOpen)
        assert refused.origin is None, "nothing was sent"
        assert (one.connections, two.connections) == (1, 1)
        opened = [("BreakerOpened", first), ("BreakerOpened", second)]
        eventually(lambda: turns(watch) == opened)

        clock.advance(60)
        assert system.secrets.get("a").origin == second, "the first is dead still"
        assert system.secrets.get("b").origin == second
        clock.advance(60)
        assert system.secrets.get("a").origin == first
        later = [("BreakerOpened", first), ("BreakerClosed", second), ("BreakerClosed", first)]
        eventually(lambda: turns(watch) == opened + later)
