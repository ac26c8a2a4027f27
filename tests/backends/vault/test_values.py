"""Values go into fields and come back; fields of other programs are read as JSON."""

import json
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor import SecretValue
from secrets_actor.backends.vault.values import WriteJson, fields_of, value_of
from secrets_actor.domain.errors import InvalidAnswer

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1)
HIDDEN = "never-show-this"


@given(TEXTS | st.binary(min_size=1), st.just("value"))
def test_a_value_comes_back_as_it_was(value: str | bytes, write_json: WriteJson) -> None:
    fields = json.loads(json.dumps(fields_of(SecretValue(value), write_json)))

    assert value_of(fields) == SecretValue(value)


@given(st.dictionaries(TEXTS, st.integers(-(2**53), 2**53) | TEXTS | st.none() | st.lists(st.booleans()), min_size=1))
def test_a_json_object_that_is_written_as_fields_means_the_same(members: dict[str, Any]) -> None:
    fields = fields_of(SecretValue(json.dumps(members)), "fields")

    assert value_of(fields).json() == members


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ('{"user": "a", "password": "b"}', {"user": "a", "password": "b"}),
        ('{"value": "b"}', {"value": '{"value": "b"}'}),
        ('{"value_base64": "b"}', {"value": '{"value_base64": "b"}'}),
        ("{}", {"value": "{}"}),
        ("[1]", {"value": "[1]"}),
        ("no json", {"value": "no json"}),
        ("[" * 600, {"value": "[" * 600}),
        # What the server would give back with another meaning.
        ('{"n": 9007199254740993}', {"value": '{"n": 9007199254740993}'}),
        ('{"n": -9007199254740993}', {"value": '{"n": -9007199254740993}'}),
        ('{"n": [1e400]}', {"value": '{"n": [1e400]}'}),
        ('{"n": NaN}', {"value": '{"n": NaN}'}),
        ('{"a": {"b": "\\ud800"}}', {"value": '{"a": {"b": "\\ud800"}}'}),
        ('{"\\ud800": 1}', {"value": '{"\\ud800": 1}'}),
        ('{"a":' * 200 + "1" + "}" * 200, {"value": '{"a":' * 200 + "1" + "}" * 200}),
        ('{"n": 9007199254740992, "é": [true, null, 0.5]}', {"n": 9007199254740992, "é": [True, None, 0.5]}),
    ],
)
def test_what_is_written_as_fields(text: str, fields: dict[str, Any]) -> None:
    assert fields_of(SecretValue(text), "fields") == fields
    assert fields_of(SecretValue(text), "value") == {"value": text}
    assert value_of(fields).text() == text


def test_bytes_are_written_as_base64() -> None:
    for write_json in ("value", "fields"):
        assert fields_of(SecretValue(b"\x00\xff"), write_json) == {"value_base64": "AP8="}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "a", "password": "b"},
        {"value": "a", "more": "b"},
        {"value": ""},
        {"value": 1},
        {"value": None},
        {"value_base64": "no base64!"},
        {"value_base64": ""},
        {"value_base64": "AP8"},
        {"other": "a"},
        {"ümlaut": ["ä", {"n": 123456789012345678901234567890}]},
    ],
)
def test_fields_of_another_program_are_read_as_json(fields: dict[str, Any]) -> None:
    assert value_of(fields).is_text
    assert value_of(fields).json() == fields


@pytest.mark.parametrize("fields", [{}, None, [], "text"])
def test_a_version_without_fields_has_no_value(fields: object) -> None:
    with pytest.raises(InvalidAnswer, match="no fields"):
        value_of(fields)


@pytest.mark.parametrize("fields", [{"value": HIDDEN * 6000}, {"a": HIDDEN * 6000}, {"value": f"{HIDDEN}\ud800"}])
def test_what_no_secret_can_hold_is_refused_and_not_shown(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidAnswer, match="another program") as refused:
        value_of(fields)

    assert not refused.value.retryable
    assert HIDDEN not in "".join(traceback.format_exception(refused.value))
    assert refused.value.__context__ is None
