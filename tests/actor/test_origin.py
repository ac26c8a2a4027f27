"""Which endpoint answered reaches the secret, the audit record and the trace, from the store and from the cache."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from secrets_actor import Answer, BackendFactory, CallContext, Secret, SecretNotFound, System
from secrets_actor.domain.tracing import CallTrace
from secrets_actor.errors import RequestFailed
from secrets_actor.messages import Get, GetMany, Operation
from secrets_actor.results import SecretBatch
from secrets_actor.testing import FakeStore, ManualClock, fake_system
from tests.actor.rig import RigStore, audit_log, failure, running, settings
from tests.actor.test_bad_server import system_at
from tests.servers.account import allow_everything
from tests.servers.ministack import Ministack

T = TypeVar("T")
ENDPOINT = "store.example:8200"


class Traces:
    """A tracer that keeps the traces."""

    def __init__(self) -> None:
        self.all: list[CallTrace] = []

    def begin(self, trace: CallTrace) -> Callable[[], object]:
        self.all.append(trace)
        return lambda: None


def recorded(folder: Path) -> list[tuple[str, str, str | None]]:
    """Of each audit record: the operation, where the answer came from, and its origin."""
    return [(one["operation"], one["source"], one["origin"]) for one in audit_log(folder)]


def test_the_endpoint_is_in_the_secret_the_record_and_the_trace_and_stays_with_the_cached_secret(
    tmp_path: Path,
) -> None:
    store, traces = FakeStore(), Traces()
    store.put("a", "v")
    with System(settings(tmp_path), backend=store.factory(endpoint=ENDPOINT), tracer=traces) as system:
        first, second = system.secrets.get("a"), system.secrets.get("a")
        with pytest.raises(SecretNotFound) as caught:
            system.secrets.get("nothing")
        many = system.secrets.get_many(["a", "b"])
        system.secrets.list()
        system.secrets.set("b", "v")
        written = system.secrets.get("b")

    assert (first.source, second.source, written.source) == ("backend", "cache", "cache")
    assert {one.origin for one in (first, second, written, *many.found.values())} == {ENDPOINT}
    assert f"origin='{ENDPOINT}'" in repr(second)
    assert (caught.value.origin, many.errors["b"].origin) == (ENDPOINT, None)  # the batch was answered, not refused
    assert {origin for _, _, origin in recorded(tmp_path)} == {ENDPOINT}
    assert ("get", "cache", ENDPOINT) in recorded(tmp_path)
    assert {trace.origin for trace in traces.all} == {ENDPOINT}


def test_what_is_served_stale_is_of_the_endpoint_that_gave_it_and_what_was_not_answered_of_the_one_that_failed(
    tmp_path: Path,
) -> None:
    store = FakeStore(clock=ManualClock())
    store.put("a", "v")
    given = settings(tmp_path, ttl_seconds=10, max_stale_seconds=1000, breaker_failures=0)
    with System(given, backend=store.factory(endpoint=ENDPOINT), clock=store.clock) as system:
        system.secrets.get("a")
        store.clock.advance(20)  # type: ignore[attr-defined]
        with store.failing(RequestFailed("the connection broke")):
            stale = system.secrets.get("a")
            error = failure(lambda: system.secrets.get("b"))

    assert (stale.origin, error.origin) == (ENDPOINT, ENDPOINT)  # type: ignore[attr-defined]
    assert ("get", "stale", ENDPOINT) in recorded(tmp_path)


def test_the_local_store_names_its_folder_and_another_store_without_an_endpoint_its_name(
    tmp_path: Path, rig_store: RigStore
) -> None:
    with System(settings(tmp_path)) as system:
        system.secrets.set("a", "v")
        local = system.secrets.get("a", refresh=True)
        refused = failure(lambda: system.secrets.get("nothing"))
    rig_store.put("a", "v")
    with running(System(settings(tmp_path), backend=rig_store.factory()), rig_store) as system:
        other = system.secrets.get("a")
    with fake_system() as (system, store):
        store.put("a", "v")
        fake = system.secrets.get("a")

    assert (local.origin, refused.origin) == (str(tmp_path / "store"),) * 2  # type: ignore[attr-defined]
    assert (other.origin, fake.origin) == ("rig", "fake")


def test_a_backend_with_several_endpoints_names_the_one_that_answered(tmp_path: Path, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    rig_store.put("b", "v")

    class Replicated:
        name = "replicated"

        def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
            answer: Any
            if isinstance(operation, GetMany):
                found = {str(one): rig_store.get(Get(one)) for one in operation.secret_ids}
                a = found["a"]
                found["a"] = Secret(a.name, a.arn, a.value, a.version_id, a.stages, a.created_at, origin="one")
                answer = SecretBatch(found, {})
            else:
                answer = rig_store.perform(operation)
            return Answer(answer, origin="two")

        def close(self) -> None: ...

    with System(settings(tmp_path), backend=BackendFactory("replicated", Replicated)) as system:
        many = system.secrets.get_many(["a", "b"]).found
        one = system.secrets.get("a", refresh=True)

    assert {name: secret.origin for name, secret in many.items()} == {"a": "one", "b": "two"}
    assert one.origin == "two"


def test_aws_names_the_host_it_was_asked_at(tmp_path: Path, fresh_ministack: Ministack) -> None:
    keys, url = fresh_ministack.account.user(allow_everything()), fresh_ministack.url
    with running(system_at(url, tmp_path, keys)) as system:
        system.secrets.set("a", "v")
        found = system.secrets.get("a", refresh=True)
        refused = failure(lambda: system.secrets.get("nothing"))

    assert (found.origin, refused.origin) == (url.removeprefix("http://"),) * 2  # type: ignore[attr-defined]
