"""THE door to OpenTelemetry: it makes spans of each call, and offers a system's metrics. Extra: `opentelemetry`.

    import secrets_actor
    from secrets_actor.extras.opentelemetry import Tracing, observe

    with secrets_actor.start(tracer=Tracing()) as system:  # Tracing(names=False): no secret's name in a span
        observe(system)                                    # its metrics, too
        system.secrets.set("db/password", "correct horse")
        system.secrets.get("db/password", refresh=True)

secrets_actor.get                the whole call, as its caller sees it; its parent is the caller's current span
├─ secrets_actor.queue           the wait from the actor's mailbox to a worker: for the lane, credentials and the pool
├─ secrets_actor.worker          a job with a worker; one span for each time that the job was sent
│   └─ GetSecretValue            an attempt, under the store's name for it
└─ events: stale, breaker_open   a stale answer, or a refusal by the breaker

Rule 1: the spans are made when the call has ended, in the caller's own thread, with the times that were measured. So a
        slow exporter delays only the caller, and never the secrets actor.
Rule 2: a get that the cache answers has no spans: one span would take longer than many such gets.
Rule 3: no span has a value, a key or a token. `names=False` leaves out the secret's name, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from opentelemetry import context, metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from secrets_actor.clock import wall_time
from secrets_actor.domain.metrics import Metric, MetricKind
from secrets_actor.domain.tracing import OK, WORKER, Attempt, CallTrace
from secrets_actor.runtime.system import System

NAME: Final = "secrets_actor"
_BREAKER: Final = "circuit_open"  # the code of errors.CircuitOpen
_STALE: Final = "stale"
_UNFINISHED: Final = "unfinished"


class Tracing:
    """A tracer that makes spans, for `start(tracer=...)`. *provider*: None for the program's own. *names*: whether
    spans have the names of secrets."""

    def __init__(self, provider: trace.TracerProvider | None = None, *, names: bool = True) -> None:
        self._tracer = trace.get_tracer(NAME, tracer_provider=provider)
        self._names = names

    def begin(self, call: CallTrace) -> Callable[[], None]:
        """Take note of the caller's current span, which becomes the parent of all; return the function that makes the
        spans when the call has ended. Runs in the caller's thread."""
        # Our times are seconds of a monotonic clock; spans want nanoseconds since 1970.
        offset = int((wall_time() - call.began) * 1e9)
        return partial(self._tell, call, context.get_current(), offset)

    def _tell(self, call: CallTrace, parent: context.Context, offset: int) -> None:
        at: Callable[[float], int] = lambda seconds: int(seconds * 1e9) + offset  # noqa: E731
        root = self._span(f"{NAME}.{call.operation}", parent, at(call.began), call.outcome)
        facts = {"operation": call.operation, "source": call.source, "caller": call.caller, "origin": call.origin}
        facts |= {f"caller_{name}": str(fact) for name, fact in call.caller_facts}
        if self._names:
            facts["secret_id"] = call.secret_id
        root.set_attributes({f"{NAME}.{key}": str(fact) for key, fact in facts.items() if fact})
        if call.problem == _BREAKER:
            root.add_event("breaker_open", timestamp=at(call.ended))
        if call.source == _STALE:
            root.add_event(_STALE, {f"{NAME}.problem": call.problem or ""}, at(call.ended))
        below = trace.set_span_in_context(root, parent)
        first = min((sent for sent, _ in call.sendings), default=call.ended)
        if call.admitted is not None and first > call.admitted:
            self._span(f"{NAME}.queue", below, at(call.admitted)).end(at(first))
        for sent, parts in tuple(call.sendings):
            self._tell_job(sent, tuple(parts), call.ended, below, at)
        root.end(at(call.ended))

    def _tell_job(
        self, sent: float, parts: tuple[Attempt, ...], now: float, below: context.Context, at: Callable[[float], int]
    ) -> None:
        """Make the span of one job and of its attempts. If the worker has not answered, because it hangs or was ended,
        the span ends *now* with the outcome `unfinished`."""
        done = next((part for part in parts if part.name == WORKER), None)
        outcome, ended = (_UNFINISHED, now) if done is None else (done.outcome, done.ended)
        job = self._span(f"{NAME}.worker", below, at(sent), outcome)
        inside = trace.set_span_in_context(job, below)
        for part in parts:
            if part is not done:
                attempt = self._span(part.name, inside, at(part.began), part.outcome, kind=SpanKind.CLIENT)
                if part.origin is not None:
                    attempt.set_attribute(f"{NAME}.origin", part.origin)
                attempt.end(at(part.ended))
        job.end(at(ended))

    def _span(
        self,
        name: str,
        parent: context.Context,
        began: int,
        outcome: str = "",
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> Span:
        attributes = {f"{NAME}.outcome": outcome} if outcome else {}
        span = self._tracer.start_span(name, parent, kind, attributes, start_time=began)
        if outcome not in (OK, ""):
            span.set_status(Status(StatusCode.ERROR, outcome))
        return span


def observe(system: System, provider: metrics.MeterProvider | None = None) -> None:
    """Let *provider* (None: the program's own) collect the metrics of *system*. A histogram becomes two counters, its
    count and its sum: OpenTelemetry has no observable histogram."""
    meter = metrics.get_meter(NAME, meter_provider=provider)
    for family in system.metrics():
        metric = family.metric
        if metric.kind is MetricKind.GAUGE:
            meter.create_observable_gauge(metric.name, [partial(_read, system, metric, "value")], "", metric.help)
        elif metric.kind is MetricKind.COUNTER:
            meter.create_observable_counter(metric.name, [partial(_read, system, metric, "value")], "", metric.help)
        else:
            for part, unit in (("value", ""), ("sum", "s")):
                name = f"{metric.name}_{'count' if part == 'value' else part}"
                meter.create_observable_counter(name, [partial(_read, system, metric, part)], unit, metric.help)


def _read(
    system: System, metric: Metric, part: str, _options: metrics.CallbackOptions
) -> Iterable[metrics.Observation]:
    for family in system.metrics():
        if family.metric is metric:
            for sample in family.samples:
                labels = dict(zip(metric.labels, sample.labels, strict=True))
                yield metrics.Observation(getattr(sample, part), labels)
