"""What a record in the program's own logging looks like."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.log_fields import PREFIX, event_name, fields, message
from secrets_actor.telemetry.redaction import redact

anything = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text()))

names = st.one_of(st.text(), st.sampled_from([*vars(logging.makeLogRecord({})), "message", "asctime"]))


@given(st.text(), st.dictionaries(names, anything))
def test_every_event_makes_a_record_whatever_its_facts_are_called(event: str, facts: dict[str, Any]) -> None:
    """`makeRecord` refuses names that a record has already."""
    shown = redact(facts)
    text, arguments = message(event, shown)
    record = logging.getLogger("any").makeRecord("any", 20, "", 0, text, arguments, None, extra=fields(event, shown))

    assert record.getMessage().startswith(event)
    assert {name: vars(record)[f"{PREFIX}{name}"] for name in shown if name != "event"} == {
        name: fact for name, fact in shown.items() if name != "event"
    }


@pytest.mark.parametrize(
    ("fact", "shown"),
    [
        ("db/password", " a=db/password"),
        ("pass word", ' a="pass word"'),
        ("", ' a=""'),
        ("a=b", ' a="a=b"'),
        ('quo"ted', r' a="quo\"ted"'),
        ("uml\u00e4ut", " a=uml\u00e4ut"),
        ("100%", " a=100%"),
        (True, " a=true"),
        (0.25, " a=0.25"),
        (["x", 1], " a=x,1"),
        (["x y"], ' a="x y"'),
        (None, ""),
    ],
)
def test_a_message_tells_its_facts_by_name(fact: object, shown: str) -> None:
    text, arguments = message("happened", {"a": fact})

    assert (text % arguments if arguments else text) == f"happened{shown}"


def test_all_messages_of_an_event_have_one_pattern() -> None:
    assert message("audit", {"a": 1})[0] == message("audit", {"a": 2, "b": 3})[0] == "audit %s"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("ProcessStarted", "process_started"), ("SupervisorGaveUp", "supervisor_gave_up"), ("AWSEvent", "awsevent")],
)
def test_an_event_is_named_after_its_class(kind: str, name: str) -> None:
    assert event_name(kind) == name
