"""Requests of callers are counted as their records are taken out, and only so many callers are kept."""

from secrets_actor.domain.ports import AuditRecord
from secrets_actor.domain.tracing import CallerFacts
from secrets_actor.otp import ManualClock, Node
from secrets_actor.telemetry.audit_buffer import AuditBuffer
from secrets_actor.telemetry.caller_tally import MOST_CALLERS, CallerCount, CallerTally


def record(caller: CallerFacts | str | None, outcome: str = "ok", source: str = "backend") -> AuditRecord:
    return AuditRecord("get", "a", outcome, source, 0.0, caller=caller)


def test_requests_and_refusals_are_counted_for_each_caller() -> None:
    tally = CallerTally()
    web = CallerFacts("unit:web.service", (("uid", 1),))

    tally.count_hits([("a", b"", 1.0, "x"), ("b", b"", 2.0, web), ("b", b"", 3.0, web), ("c", b"", 4.0, None)])
    tally.count_hits([])
    tally.count_record(record(web), 6.0)
    tally.count_record(record(web, "access_denied", "policy"), 5.0)
    tally.count_record(record("x", "access_denied", "backend"), 5.0)  # the store said no to us, not we to the caller
    tally.count_record(record(None), 5.0)

    assert tally.counts == {"unit:web.service": CallerCount(4, 1, 6.0), "x": CallerCount(2, 0, 5.0)}


def test_the_caller_that_has_not_asked_for_longest_makes_room() -> None:
    tally = CallerTally()
    for number in range(MOST_CALLERS):
        tally.count_record(record(f"c{number}"), float(number))
    tally.count_record(record("c0"), 1000.0)

    tally.count_record(record("new"), 1001.0)

    assert len(tally.counts) == MOST_CALLERS
    assert "c1" not in tally.counts
    assert {"c0", "new"} <= set(tally.counts)


def test_a_buffer_shows_the_tally_what_is_taken_out_of_it() -> None:
    node = Node(clock=ManualClock())
    buffer, tally = AuditBuffer(node.name("audit"), node.clock), CallerTally()
    buffer.tally = tally
    buffer.record(record("x"))
    assert tally.counts == {}

    buffer.take_record()
    buffer.take_record()

    assert tally.counts == {"x": CallerCount(1, 0, node.clock.now())}
