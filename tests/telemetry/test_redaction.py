"""Nothing reaches a line that is no plain fact."""

import json
import math
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.domain.names import SecretId
from secrets_actor.domain.secret import MASK, SecretValue
from secrets_actor.telemetry.redaction import in_order, looks_secret, printable, redact, scalar, shown

CANARY = "canary-7d0e"


class Chatty:
    def __repr__(self) -> str:
        return f"Chatty({CANARY})"

    __str__ = __repr__


class Colour(StrEnum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())
others = st.one_of(
    st.binary().map(lambda tail: CANARY.encode() + tail),
    st.just(CANARY).map(SecretValue),
    st.builds(Chatty),
    st.dictionaries(st.just("name"), st.just(CANARY), min_size=1),
    st.just({CANARY}),
    st.just(ValueError(CANARY)),
    st.just([[CANARY]]),
    st.just([Chatty(), {"x": CANARY}, CANARY.encode()]),
    st.just((SecretValue(CANARY),)),
    st.just(bytearray(CANARY.encode())),
    st.just(lambda: CANARY),
)
names = st.text(st.sampled_from("abcdexyz_"), min_size=1)


@given(st.dictionaries(names, st.one_of(scalars, others, st.lists(scalars))))
def test_what_passes_is_json_and_holds_no_object_s_inside(event: dict[str, Any]) -> None:
    passed = redact(event)

    text = json.dumps(passed, allow_nan=False)
    assert CANARY not in text
    assert set(passed) == set(event) - {"exc_info", "exception", "stack_info", "stack"}
    assert "\n" not in text


@given(st.one_of(scalars, others), st.sampled_from(["password", "DB_PASSWORD", "SecretString", "value", "key"]))
def test_under_a_secret_s_key_nothing_passes(fact: object, name: str) -> None:
    assert redact({name: fact}) == {name: MASK}


@pytest.mark.parametrize(
    "name",
    [
        "value",
        "secret_value",
        "secret_string",
        "SecretString",
        "SecretBinary",
        "secret_key",
        "aws_secret_access_key",
        "password",
        "db.password",
        "passwd",
        "passphrase",
        "token",
        "session_token",
        "SessionToken",
        "X-Amz-Security-Token",
        "authorization",
        "Authorization",
        "proxy-authorization",
        "credentials",
        "credential",
        "secret",
        "client_secret",
        "access_key",
        "api_key",
        "api-key",
        "private_key",
        "key",
        "signature",
        "cookie",
        "plaintext",
        "values",
        "keys",
    ],
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "event",
        "level",
        "timestamp",
        "operation",
        "secret_id",
        "outcome",
        "source",
        "duration_ms",
        "version_id",
        "request_id",
        "process",
        "serial",
        "reason",
        "last_message",
        "child",
        "restarts_in_window",
        "restarts_total",
        "intensity",
        "period",
        "count",
        "endpoint",
        "path",
        "name",
        "secrets",
    ],
)
def test_names_that_operators_need_are_shown(name: str) -> None:
    assert not looks_secret(name)


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (1.5, 1.5),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
        ("text", "text"),
        (SecretId("db/password"), "db/password"),
        (Colour.RED, "red"),
        (Number.ONE, 1),
        (b"bytes", "<bytes>"),
        (SecretValue("x"), "<SecretValue>"),
        ({"a": 1}, "<dict>"),
        (ValueError("text"), "ValueError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (ValueError, "<type>"),
        (Chatty(), "<Chatty>"),
    ],
)
def test_a_fact_shows_as_a_plain_scalar_or_as_its_type_s_name(fact: object, expected: object) -> None:
    found = scalar(fact)

    assert found == expected
    assert type(found) in {str, int, float, bool, type(None)}


def test_a_list_or_tuple_shows_its_scalars() -> None:
    assert shown("stages", ("AWSCURRENT", b"x", None, [1])) == ["AWSCURRENT", "<bytes>", None, "<list>"]
    assert shown("stages", []) == []


@given(st.text())
def test_a_text_is_one_printable_line_and_stays_as_it_is_if_it_was_one(text: str) -> None:
    found = printable(text)

    assert found.isprintable()
    assert found.encode().decode() == found
    if text.isprintable():
        assert found == text


def test_line_ends_terminal_controls_and_surrogates_are_escaped() -> None:
    assert printable("a\nb\x1b[31m\ud800ü") == "a\\nb\\x1b[31m\\ud800ü"


def test_exceptions_and_stacks_are_left_out() -> None:
    event = {"event": "x", "exc_info": ValueError(CANARY), "exception": CANARY, "stack": CANARY, "stack_info": True}

    assert redact(event) == {"event": "x"}


def test_the_event_given_is_not_changed() -> None:
    event = {"event": "x", "password": CANARY}
    redact(event)

    assert event == {"event": "x", "password": CANARY}


def test_time_level_and_event_come_first() -> None:
    assert list(in_order(None, "", {"b": 1, "event": "x", "a": 2, "level": "info", "timestamp": "t"})) == [
        "timestamp",
        "level",
        "event",
        "b",
        "a",
    ]
    assert in_order(None, "", {"b": 1}) == {"b": 1}
