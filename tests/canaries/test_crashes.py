"""What breaks inside, with a value or a key in its hands: nothing of it is let out."""

import os
import resource
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import (
    KeyFileError,
    LocalSettings,
    LogSettings,
    SecretsError,
    ServerDown,
    Settings,
    StoreDamaged,
    StoreUnavailable,
    System,
    Unreachable,
    WorkerCrashed,
    WrongKey,
    start,
)
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.ports import Answer, Backend, BackendKit, CallContext
from secrets_actor.domain.secret import SecretValue
from tests.canaries.hunt import Hunt
from tests.canaries.planted import Values, plant_keys, some_keys
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

    def fetch(self, deadline: float) -> Credentials:
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


def by_an_answer_in_the_right_wrapping(value: str) -> object:
    return Answer(value)


FAILURES = (
    with_arguments,
    with_a_context,
    with_notes,
    as_our_error,
    by_leaving,
    by_an_interrupt,
    in_a_group,
    by_an_answer_that_is_none,
    by_an_answer_in_the_right_wrapping,
)


@pytest.mark.parametrize("fail", FAILURES)
def test_a_worker_that_dies_of_an_error_full_of_secrets(hunt: Hunt, fail: Callable[[str], object]) -> None:
    values = Values.planted(hunt)

    def connect() -> Backend:
        return Careless(fail, values.text)

    def fetch_fails() -> BackendKit:
        return BackendKit("careless", connect, Careless(fail, values.other))

    for kit in (BackendKit("careless", connect), fetch_fails(), BackendKit("careless", lambda: fail(values.text))):
        with System(Settings(call_timeout_seconds=2), kit=kit) as system:
            hunt.failure("get", SecretsError, lambda: system.secrets.get("canaries/one"))
            hunt.failure("set", SecretsError, lambda: system.secrets.set("canaries/one", values.other))
            hunt.failure("ask", SecretsError, lambda: system.ref.ask(_set(values.other)))
            hunt.objects(fail.__name__, system)

    hunt.nothing_was_found(texts=500, error=30, frames=10, log_of_secrets_actor=20)


def _set(value: str) -> Operation[Any]:
    from secrets_actor import Set

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

    hunt.nothing_was_found(texts=500, error=5, log_of_secrets_actor=20, log_of_httpcore=20)


def test_a_job_that_ends_three_workers_is_told_by_type_only(hunt: Hunt) -> None:
    values = Values.planted(hunt)
    kit = BackendKit("careless", lambda: Careless(with_arguments, values.text))

    with System(Settings(), kit=kit) as system, pytest.raises(WorkerCrashed) as caught:
        system.secrets.set("canaries/one", values.other)

    assert caught.value.error_type == "RuntimeError"
    hunt.error("crashed", caught.value)
    hunt.nothing_was_found(error=5, log_of_secrets_actor=10)


@pytest.fixture
def store(hunt: Hunt, tmp_path: Path) -> tuple[Path, Values]:
    """A local store with secrets in it, closed."""
    values = Values.planted(hunt)
    with start(Settings(local=LocalSettings(path=tmp_path / "store"))) as system:
        for number, value in enumerate((values.text, values.json, values.binary)):
            system.secrets.set(f"canaries/{number}", value)
    return tmp_path / "store", values


def missing_key(store: Path) -> None:
    (store / "key").unlink()


def short_key(store: Path) -> None:
    (store / "key").write_bytes((store / "key").read_bytes()[:20])


def other_key(store: Path) -> None:
    (store / "key").write_bytes(os.urandom(32))


def open_key(store: Path) -> None:
    (store / "key").chmod(0o644)


def rubbish(store: Path) -> None:
    (store / "secrets.db").write_bytes(b"rubbish" * 1000)


def folder_for_a_database(store: Path) -> None:
    for file in store.glob("secrets.db*"):
        file.unlink()
    (store / "secrets.db").mkdir()


def spoilt_values(store: Path) -> None:
    database = sqlite3.connect(store / "secrets.db")
    database.execute("UPDATE versions SET sealed = zeroblob(40)")
    database.commit()
    database.close()


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (missing_key, KeyFileError),
        (short_key, KeyFileError),
        (other_key, WrongKey),
        (open_key, KeyFileError),
        (rubbish, StoreDamaged),
        (folder_for_a_database, StoreUnavailable),
        (spoilt_values, SecretsError),
    ],
)
def test_a_spoilt_store_tells_nothing_of_what_it_held(
    hunt: Hunt, store: tuple[Path, Values], spoil: Callable[[Path], None], error: type[SecretsError]
) -> None:
    path, values = store
    key = (path / "key").read_bytes()
    hunt.plant("the key", key)
    spoil(path)

    with start(Settings(local=LocalSettings(path=path))) as system:
        for number in range(3):
            hunt.failure("get", error, lambda number=number: system.secrets.get(f"canaries/{number}"))
        if spoil is not spoilt_values:
            hunt.failure("set", error, lambda: system.secrets.set("canaries/0", values.other))
            hunt.failure("list", error, system.secrets.list)
        hunt.objects("spoilt", system)

    hunt.files(path, path / "key")
    hunt.nothing_was_found(texts=300, error=15, log_of_secrets_actor=10)


def test_a_locked_store_and_a_full_disk_let_nothing_out(hunt: Hunt, store: tuple[Path, Values], tmp_path: Path) -> None:
    path, values = store
    log = LogSettings(output=str(tmp_path / "audit.log"))
    with start(Settings(local=LocalSettings(path=path), log=log)) as system:
        other = sqlite3.connect(path / "secrets.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        hunt.failure("locked", SecretsError, lambda: system.secrets.set("canaries/0", values.other, timeout=0.2))
        other.close()
        with _no_file_grows():
            hunt.failure("full", SecretsError, lambda: system.secrets.set("canaries/0", values.other, timeout=2))
        hunt.attempt("room again", lambda: system.secrets.set("canaries/0", values.other))
        hunt.objects("full", system)

    hunt.files(tmp_path, path / "key")
    hunt.nothing_was_found(texts=300, error=10, file=3)


@contextmanager
def _no_file_grows() -> Iterator[None]:
    """What a full disk is to a program: every write fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


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
        hunt.text("value", "credentials", repr(Credentials(keys.access_key_id, SecretValue(keys.secret_key))))
        hunt.objects("observed", system)

    assert called.is_set()
    hunt.nothing_was_found(texts=100)
