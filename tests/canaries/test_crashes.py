"""What breaks inside, with a value or a key in its hands: nothing of it is let out."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import (
    LocalSettings,
    SecretsError,
    ServerDown,
    Settings,
    System,
    Unreachable,
    WorkerCrashed,
    start,
)
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.ports import Answer, Backend, BackendFactory, CallContext
from secrets_actor.domain.secret import SecretValue
from tests.canaries.canary_search import Hunt
from tests.canaries.planted_canaries import Values, plant_keys, some_keys
from tests.canaries.test_stores import aws, good
from tests.servers.behaviours import Forward, Gate
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack

SECONDS = 20.0


class Careless:
    """A backend and source of keys that nobody here wrote: it fails as *fail* does, with a value in its hands."""

    name = "careless"

    def __init__(self, fail: Callable[[str], object], value: str) -> None:
        self._fail, self._value = fail, value

    def perform(self, operation: Operation[Any], context: CallContext) -> Answer[Any]:
        """Fail."""
        local = [self._value, operation, context]
        return self._fail(local[0])

    def fetch(self, deadline: float) -> AwsCredentials:
        """Fail, too."""
        return self._fail(self._value)

    def close(self) -> None:
        """And once more."""
        raise RuntimeError(self._value)


def with_arguments(value: str) -> None:
    raise RuntimeError(value, {"body": value})


def with_a_context(value: str) -> None:
    try:
        raise KeyError(value)
    except KeyError as error:
        raise RuntimeError("no word of it") from error


def with_notes(value: str) -> None:
    error = RuntimeError("no word of it")
    error.add_note(value)
    error.body = value
    raise error


def as_our_error(value: str) -> None:
    try:
        raise KeyError(value)
    except KeyError as error:
        raise Unreachable("the store is away; try again") from error


def by_leaving(value: str) -> None:
    raise SystemExit(value)


def by_an_interrupt(value: str) -> None:
    raise KeyboardInterrupt(value)


def in_a_group(value: str) -> None:
    raise ExceptionGroup(value, [KeyError(value)])


def by_an_answer_that_is_none(value: str) -> object:
    return {"SecretString": value}


FAILURES = (
    with_arguments,
    with_a_context,
    with_notes,
    as_our_error,
    by_leaving,
    by_an_interrupt,
    in_a_group,
    by_an_answer_that_is_none,
)


@pytest.mark.parametrize("fail", [*FAILURES[:1], *(pytest.param(one, marks=pytest.mark.slow) for one in FAILURES[1:])])
def test_a_worker_that_dies_of_an_error_full_of_secrets(hunt: Hunt, fail: Callable[[str], object]) -> None:
    values = Values.planted(hunt)

    def connect() -> Backend:
        return Careless(fail, values.text)

    def fetch_fails() -> BackendFactory:
        return BackendFactory("careless", connect, Careless(fail, values.other))

    for factory in (
        BackendFactory("careless", connect),
        fetch_fails(),
        BackendFactory("careless", lambda: fail(values.text)),
    ):
        with System(Settings(call_timeout_seconds=2), backend=factory) as system:
            hunt.failure("get", SecretsError, lambda: system.secrets.get("canaries/one"))
            hunt.failure("set", SecretsError, lambda: system.secrets.set("canaries/one", values.other))
            hunt.failure("ask", SecretsError, lambda: system.ref.ask(_set(values.other)))
            hunt.objects(fail.__name__, system)

    hunt.nothing_was_found(texts=500, error=30, frames=10, log_of_secrets_actor=20)


def _set(value: str) -> Operation[Any]:
    from secrets_actor.messages import Set

    return Set("canaries/one", value)


@contextmanager
def held_at(ministack: Ministack, only: bytes, *, before: bool) -> Iterator[tuple[FaultyServer, Gate]]:
    """ministack behind a gate that holds what has *only* in it."""
    gate = Gate(only=only, before=before)
    with FaultyServer(Forward(ministack.process.port, gate)) as server:
        yield server, gate


def in_the_background(call: Callable[[], object]) -> "Future[object]":
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(call)
    finally:
        pool.shutdown(wait=False)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_who_is_killed_in_the_middle_of_a_set_takes_the_value_along(
    hunt: Hunt, fresh_ministack: Ministack, before: bool
) -> None:
    values, keys = Values.planted(hunt), good(fresh_ministack.account)
    plant_keys(hunt, keys)
    with held_at(fresh_ministack, b"CreateSecret", before=before) as (server, gate):
        settings = Settings(backend="aws_secrets_manager", aws=aws(server.url, keys))
        with start(settings) as system:
            writing = in_the_background(lambda: system.secrets.set("canaries/one", values.text))
            gate.wait_until_held()
            hunt.objects("held", system)
            system.whereis("workers").published.children[0].pid.kill()
            gate.wait_until_held(1 if before else 2)
            hunt.objects("worker killed", system)
            system.whereis("secrets").kill()
            error = writing.exception(SECONDS)
            assert isinstance(error, ServerDown)
            hunt.error("killed", error)
            gate.open()
            hunt.attempt("again", lambda: system.secrets.set("canaries/one", values.other, token=error.token))
            hunt.objects("after", system)

    hunt.nothing_was_found(texts=500, error=5, log_of_secrets_actor=20)


def test_a_job_that_ends_three_workers_is_told_by_type_only(hunt: Hunt) -> None:
    values = Values.planted(hunt)
    factory = BackendFactory("careless", lambda: Careless(with_arguments, values.text))

    with System(Settings(), backend=factory) as system, pytest.raises(WorkerCrashed) as caught:
        system.secrets.set("canaries/one", values.other)

    assert caught.value.error_type == "RuntimeError"
    hunt.error("crashed", caught.value)
    hunt.nothing_was_found(error=5, log_of_secrets_actor=10)


def test_a_callback_of_the_hosts_that_fails_lets_nothing_out(hunt: Hunt, tmp_path: Path) -> None:
    values = Values.planted(hunt)
    keys = some_keys()
    plant_keys(hunt, keys)
    called = threading.Event()

    def observe(event: object) -> None:
        called.set()
        raise RuntimeError(values.text)

    with start(Settings(local=LocalSettings(path=tmp_path / "store")), observer=observe) as system:
        hunt.attempt("set", lambda: system.secrets.set("canaries/one", values.text))
        hunt.text("value", "credentials", repr(AwsCredentials(keys.access_key_id, SecretValue(keys.secret_key))))
        hunt.objects("observed", system)

    assert called.is_set()
    hunt.nothing_was_found(texts=100)
