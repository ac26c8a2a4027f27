"""Every caller is answered with its own, and every answer is audited once."""

from typing import Any

import pytest

from secrets_actor.actor.flights import Flight
from secrets_actor.actor.messages import Waiter
from secrets_actor.actor.replies import Replies
from secrets_actor.domain.errors import SecretNotFound
from secrets_actor.domain.operations import CurrentVersions, Get, List, Operation, Set
from secrets_actor.domain.ports import Answer, AuditRecord
from secrets_actor.domain.results import CurrentVersion, VersionBatch
from secrets_actor.domain.secret import SecretValue, SetReceipt
from secrets_actor.otp import From

TOKEN = "33333333-3333-4333-8333-333333333333"


class Sink:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []

    def record(self, record: AuditRecord) -> None:
        self.records.append(record)


def waiter(operation: Operation[Any]) -> Waiter:
    return Waiter(From[object](), operation, 2.0, 10.0)


def test_all_who_wait_get_the_answer_and_each_leaves_a_record() -> None:
    sink = Sink()
    write = Set("a", SecretValue("v"), TOKEN)
    flight = Flight(1, write, waiters=[waiter(write), waiter(write)])
    receipt = SetReceipt("a", "arn", TOKEN, created=True)

    Replies(sink, lambda: 5.5).settle(flight, Answer(receipt, "r-1", "there:443"), "backend")

    assert [one.reply_to.result() for one in flight.waiters] == [receipt, receipt]
    assert sink.records == [AuditRecord("set", "a", "ok", "backend", 3.5, TOKEN, "r-1", origin="there:443")] * 2


def test_of_many_versions_each_leaves_a_record() -> None:
    sink, ask = Sink(), CurrentVersions(["a", "b"])
    flight = Flight(1, ask, waiters=[waiter(ask)])
    batch = VersionBatch({"a": CurrentVersion("a", "arn", TOKEN)}, {"b": SecretNotFound("no")})

    Replies(sink, lambda: 2.0).settle(flight, Answer(batch, "r-1", "there:443"), "backend")

    assert flight.waiters[0].reply_to.result() is batch
    assert sink.records == [
        AuditRecord("current_versions", "a", "ok", "backend", 0.0, TOKEN, "r-1", origin="there:443"),
        AuditRecord("current_versions", "b", "not_found", "backend", 0.0, None, "r-1", origin="there:443"),
    ]


def test_each_gets_an_error_of_his_own() -> None:
    sink = Sink()
    flight = Flight(1, Get("a"), waiters=[waiter(Get("a")), waiter(Get("a"))])
    error = SecretNotFound("no", request_id="r-2")
    error.origin = "there:443"

    replies = Replies(sink, lambda: 2.0)
    for one in flight.waiters:
        replies.refuse(one, error, "backend")

    errors = [one.reply_to.error for one in flight.waiters]
    assert [type(one) for one in errors] == [SecretNotFound, SecretNotFound]
    assert len({id(one) for one in (*errors, error)}) == 3
    assert sink.records == [AuditRecord("get", "a", "not_found", "backend", 0.0, None, "r-2", origin="there:443")] * 2


def test_an_answer_that_came_too_late_says_so() -> None:
    sink, late = Sink(), waiter(List())
    late.reply_to.fail(TimeoutError())

    Replies(sink, lambda: 2.0).answer(late, (), "backend")

    assert [(one.operation, one.secret_id, one.outcome) for one in sink.records] == [("list", None, "too_late")]
    with pytest.raises(TimeoutError):
        late.reply_to.result()
