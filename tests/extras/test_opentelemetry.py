"""The way of a get as OpenTelemetry's own SDK takes it down, and a system's metrics there."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from secrets_actor import DeadlineExceeded, SecretNotFound, ServerDown, Settings, System, Unreachable
from secrets_actor.domain.tracing import CallTrace
from secrets_actor.events import CallbackFailed, CallerFacts, LifecycleEvent
from secrets_actor.extras.opentelemetry import Tracing, observe
from secrets_actor.runtime.settings import AwsSettings
from secrets_actor.testing import FakeStore, ManualClock, fake_system
from tests.actor.rig import eventually
from tests.servers.behaviours import Forward, Reset, aws_error
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack

NAME = "db/password"


class Spans:
    """What was exported, from a provider of its own."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracing = Tracing(self.provider)

    def take(self) -> list[ReadableSpan]:
        found = list(self.exporter.get_finished_spans())
        self.exporter.clear()
        return found

    def picture(self) -> list[tuple[str, str | None, str]]:
        """Name, name of the parent, and outcome of each span, as they began."""
        spans = self.take()
        names = {one.context.span_id: one.name for one in spans}
        return [
            (one.name, one.parent and names.get(one.parent.span_id, "elsewhere"), said(one, "outcome"))
            for one in sorted(spans, key=lambda span: (span.start_time, -(span.end_time or 0)))
        ]


def said(span: ReadableSpan, key: str) -> str:
    return str((span.attributes or {}).get(f"secrets_actor.{key}", ""))


@pytest.fixture
def spans() -> Iterator[Spans]:
    made = Spans()
    yield made
    made.provider.shutdown()


def test_a_get_is_a_call_a_wait_and_a_job_below_the_callers_span(spans: Spans) -> None:
    with fake_system(tracer=spans.tracing) as (system, store):
        store.put(NAME, "v")
        with spans.provider.get_tracer("test").start_as_current_span("request") as request:
            system.secrets.for_caller(CallerFacts("billing", (("unit", "a.service"), ("pid", 4711)))).get(NAME)
        exported = {span.name: span for span in spans.take()}
        system.secrets.get(NAME)
        assert spans.take() == []  # from the cache

    root, queue, job = (exported[f"secrets_actor.{name}"] for name in ("get", "queue", "worker"))
    assert set(exported) == {"request", root.name, queue.name, job.name}
    assert root.parent == request.get_span_context()
    assert queue.parent == job.parent == root.context
    facts = {
        key: said(root, key)
        for key in ("operation", "secret_id", "outcome", "source", "caller", "caller_unit", "caller_pid", "origin")
    }
    assert facts == {
        "operation": "get", "secret_id": NAME, "outcome": "ok", "source": "backend", "caller": "billing",
        "caller_unit": "a.service", "caller_pid": "4711", "origin": "fake",
    }  # fmt: skip
    asked = exported["request"]
    times = [asked.start_time, root.start_time, queue.start_time, queue.end_time, job.end_time, root.end_time]
    assert times == sorted(times, key=lambda at: at or 0)
    assert job.start_time == queue.end_time
    assert root.status.status_code is StatusCode.UNSET


def test_attempts_at_aws_are_below_their_job(spans: Spans, fresh_ministack: Ministack) -> None:
    throttled, forward = aws_error("ThrottlingException", last=True), Forward(fresh_ministack.process.port)
    keys = fresh_ministack.account.root
    with FaultyServer(throttled, forward) as server:
        aws = AwsSettings(
            region="us-east-1",
            endpoint_url=server.url,
            access_key=keys.access_key_id,  # type: ignore[arg-type]
            secret_key=keys.secret_key,  # type: ignore[arg-type]
        )
        with System(Settings(backend="aws_secrets_manager", aws=aws), tracer=spans.tracing) as system:
            system.secrets.list()
            exported = sorted(spans.take(), key=lambda span: span.start_time or 0)

    job = next(span for span in exported if span.name == "secrets_actor.worker")
    attempts = [span for span in exported if span.parent == job.context]
    assert [(span.name, said(span, "outcome"), span.kind) for span in attempts] == [
        ("ListSecrets", "throttled", SpanKind.CLIENT),
        ("ListSecrets", "ok", SpanKind.CLIENT),
    ]
    assert [said(span, "origin") for span in attempts] == [str(aws.endpoint_url).removeprefix("http://")] * 2
    assert [span.status.status_code for span in attempts] == [StatusCode.ERROR, StatusCode.UNSET]
    assert keys.secret_key not in "".join(span.to_json() for span in exported)


def test_all_who_wait_for_one_flight_see_its_job(spans: Spans) -> None:
    with fake_system(tracer=spans.tracing) as (system, store), ThreadPoolExecutor(3) as pool:
        store.put(NAME, "v")
        with store.hold("get") as gate:
            answers = [pool.submit(system.secrets.get, NAME) for _ in range(3)]
            gate.wait_until_held()
            eventually(lambda: system.metrics().value("secrets_actor_callers_waiting") == 3)
        for answer in answers:
            answer.result(10)
        exported = spans.take()

    roots = [span for span in exported if span.name == "secrets_actor.get"]
    jobs = [span for span in exported if span.name == "secrets_actor.worker"]
    assert (len(roots), len(jobs)) == (3, 3)
    assert {job.parent and job.parent.span_id for job in jobs} == {root.context.span_id for root in roots}
    assert len({(job.start_time, job.end_time) for job in jobs}) <= 3


def test_a_worker_that_ended_and_the_one_after_it_are_both_shown(spans: Spans) -> None:
    with fake_system(tracer=spans.tracing) as (system, store):
        store.put(NAME, "v")
        store.fail_next(RuntimeError("a bug"), 1, "get")
        system.secrets.get(NAME)

    jobs = [(name, outcome) for name, _, outcome in spans.picture() if name.endswith("worker")]
    assert jobs == [("secrets_actor.worker", "crashed"), ("secrets_actor.worker", "ok")]


def test_a_refusal_is_an_error_with_its_code_and_no_text(spans: Spans) -> None:
    with fake_system(tracer=spans.tracing) as (system, _), pytest.raises(SecretNotFound):
        system.secrets.get(NAME)

    (root,) = (span for span in spans.take() if span.name == "secrets_actor.get")
    assert (root.status.status_code, root.status.description) == (StatusCode.ERROR, SecretNotFound.code)
    assert root.events == ()


def stale_of(root: ReadableSpan) -> list[tuple[str, Any]]:
    return [(event.name, (event.attributes or {}).get("secrets_actor.problem")) for event in root.events]


def test_a_stale_answer_is_an_event_that_names_the_problem(spans: Spans) -> None:
    clock = ManualClock()
    with fake_system(FakeStore(clock=clock), tracer=spans.tracing, ttl_seconds=10, ttl_jitter=0) as (system, store):
        store.put(NAME, "v")
        system.secrets.get(NAME)
        clock.advance(11)
        spans.take()
        with store.failing(Unreachable("gone", endpoint="fake"), "get"):
            assert system.secrets.get(NAME).stale
        (root,) = (span for span in spans.take() if span.name == "secrets_actor.get")

    assert (said(root, "outcome"), said(root, "source")) == ("ok", "stale")
    assert stale_of(root) == [("stale", Unreachable.code)]


def test_who_runs_out_of_time_and_is_helped_out_is_shown_so(spans: Spans) -> None:
    clock = ManualClock()
    with fake_system(FakeStore(clock=clock), tracer=spans.tracing, ttl_seconds=10, ttl_jitter=0) as (system, store):
        store.put(NAME, "v")
        system.secrets.get(NAME)
        clock.advance(11)
        spans.take()
        with store.hold("get"):
            assert system.secrets.get(NAME, timeout=0.05).stale
            exported = spans.take()
            with pytest.raises(DeadlineExceeded):
                system.secrets.get(NAME, timeout=0.05, allow_stale=False)
            more = spans.take()

    (root,) = (span for span in exported if span.name == "secrets_actor.get")
    assert (said(root, "outcome"), stale_of(root)) == ("ok", [("stale", DeadlineExceeded.code)])
    (root,) = (span for span in more if span.name == "secrets_actor.get")
    assert (said(root, "outcome"), root.events) == (DeadlineExceeded.code, ())
    jobs = [said(span, "outcome") for span in exported if span.name == "secrets_actor.worker"]
    assert set(jobs) <= {"unfinished"}


def test_an_open_breaker_is_an_event(spans: Spans) -> None:
    with FaultyServer(Reset()) as server:
        aws = AwsSettings(region="us-east-1", endpoint_url=server.url, access_key="AKIA", secret_key="x")  # type: ignore[arg-type]
        with System(Settings(backend="aws_secrets_manager", aws=aws), tracer=spans.tracing) as system:
            for _ in range(2):
                with pytest.raises(Unreachable):
                    system.secrets.get(NAME, timeout=3.0)
            exported = [span for span in spans.take() if span.name == "secrets_actor.get"]

    assert [[event.name for event in span.events] for span in exported] == [[], ["breaker_open"]]


def test_a_system_that_does_not_run_is_shown_too(spans: Spans) -> None:
    with fake_system(tracer=spans.tracing) as (system, _):
        pass
    with pytest.raises(ServerDown):
        system.secrets.get(NAME)

    assert [(name, outcome) for name, _, outcome in spans.picture()] == [("secrets_actor.get", ServerDown.code)]


def test_names_can_be_left_out(spans: Spans) -> None:
    with fake_system(tracer=Tracing(spans.provider, names=False)) as (system, store):
        store.put(NAME, "v")
        system.secrets.get(NAME)
        told = "".join(span.to_json() for span in spans.take())

    assert "secrets_actor.operation" in told
    assert NAME not in told


def test_without_a_provider_it_goes_to_the_programs_own() -> None:
    tracing = Tracing()
    finish = tracing.begin(CallTrace("get", NAME, None, 1.0))

    assert isinstance(trace.get_current_span(), trace.NonRecordingSpan)
    assert finish() is None


class Spiteful:
    """A tracer that raises wherever it can."""

    def __init__(self, begins: bool) -> None:
        self.begins, self.ended = begins, 0

    def begin(self, call: CallTrace) -> Callable[[], object]:
        if not self.begins:
            raise RuntimeError("no")
        return self.end

    def end(self) -> None:
        self.ended += 1
        raise RuntimeError("no")


@pytest.mark.parametrize("begins", [True, False])
def test_a_tracer_that_raises_costs_nobody_the_answer_and_is_told_of_once(begins: bool) -> None:
    tracer, events = Spiteful(begins), list[LifecycleEvent]()
    with fake_system(tracer=tracer, observer=events.append) as (system, store):
        store.put(NAME, "v")
        for _ in range(3):
            assert system.secrets.get(NAME, refresh=True).reveal() == "v"

    assert tracer.ended == 3 * begins
    told = [one for one in events if isinstance(one, CallbackFailed)]
    assert told == [CallbackFailed("secrets_actor", "tracer", "RuntimeError")]


@pytest.mark.filterwarnings("error")
def test_a_tracer_that_makes_a_coroutine_is_told_of() -> None:
    async def begin(call: CallTrace) -> None:
        """Nobody would await it."""

    class Unsuspicious:
        def begin(self, call: CallTrace) -> Any:
            return begin(call)

    events: list[LifecycleEvent] = []
    with fake_system(tracer=Unsuspicious(), observer=events.append) as (system, store):
        store.put(NAME, "v")
        assert system.secrets.get(NAME).reveal() == "v"

    told = [one for one in events if isinstance(one, CallbackFailed)]
    assert told == [CallbackFailed("secrets_actor", "tracer", "InvalidParameter")]


def test_metrics_are_collected_by_opentelemetry_too() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    with fake_system() as (system, store):
        observe(system, provider)
        store.put(NAME, "hunter2-hunter2")
        for _ in range(3):
            system.secrets.get(NAME)
        data = reader.get_metrics_data()
    provider.shutdown()

    assert data is not None
    told = {
        metric.name: {tuple((point.attributes or {}).items()): point.value for point in metric.data.data_points}  # type: ignore[union-attr]
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }
    assert told["secrets_actor_cache_hits"] == {(): 2}
    assert told["secrets_actor_upstream_calls"] == {(("operation", "get"), ("outcome", "ok")): 1}
    assert told["secrets_actor_upstream_duration_seconds_count"] == {(("operation", "get"),): 1}
    assert 0 < told["secrets_actor_upstream_duration_seconds_sum"][("operation", "get"),] < 60
    assert told["secrets_actor_workers"][("state", "idle"),] == 1
    assert "hunter2" not in data.to_json()
    assert NAME not in data.to_json()


def test_the_face_for_asyncio_is_traced_alike(spans: Spans) -> None:
    async def ask(system: System) -> None:
        with spans.provider.get_tracer("test").start_as_current_span("request"):
            await system.async_secrets.get(NAME)
        with pytest.raises(SecretNotFound):
            await system.async_secrets.get("none")

    with fake_system(tracer=spans.tracing) as (system, store):
        store.put(NAME, "v")
        asyncio.run(ask(system))

    roots = [one for one in spans.picture() if one[0] == "secrets_actor.get"]
    assert roots == [
        ("secrets_actor.get", "request", "ok"),
        ("secrets_actor.get", None, SecretNotFound.code),
    ]


def test_a_coroutine_that_is_cancelled_ends_its_span(spans: Spans) -> None:
    async def run(system: System, held: Callable[[], object]) -> None:
        asked = asyncio.ensure_future(system.async_secrets.get(NAME))
        await asyncio.get_running_loop().run_in_executor(None, held)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    with fake_system(tracer=spans.tracing) as (system, store):
        with store.hold("get") as gate:
            asyncio.run(run(system, gate.wait_until_held))
            ended = {one.name: said(one, "outcome") for one in spans.take()}
            assert ended["secrets_actor.get"] == "deadline_exceeded"  # it says nothing of who bounded the time
