"""What is noted of a call for a tracer."""

from secrets_actor.domain.tracing import CallTrace, end, when_ended


def test_a_trace_ends_once() -> None:
    trace, told = CallTrace("get", "db/password", None, 1.0), list[str]()
    when_ended(trace, lambda: told.append("told"))

    end(trace, "ok", 2.0)
    end(trace, "timeout", 3.0)

    assert (trace.outcome, trace.ended, told) == ("ok", 2.0, ["told"])
