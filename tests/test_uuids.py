"""UUIDs as text, against the standard library's."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.uuids import new_uuid, uuid_bytes, uuid_text

TEXT = "f0b9c5b8-6a3e-4a53-9a63-5b2c6f6b1c52"


def test_a_new_one_is_random_of_version_4_and_of_the_usual_variant() -> None:
    made = [new_uuid() for _ in range(1000)]

    assert len(set(made)) == len(made)
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in made} == {(4, uuid.RFC_4122)}
    assert [str(uuid.UUID(one)) for one in made] == made


@given(st.uuids())
def test_text_and_bytes_are_as_the_standard_library_has_them(one: uuid.UUID) -> None:
    assert uuid_text(one.bytes) == str(one)
    assert uuid_bytes(str(one)) == one.bytes


@pytest.mark.parametrize(
    "text", ["", TEXT.upper(), TEXT.replace("-", ""), f"{TEXT} ", "g" + TEXT[1:], "é" * 36, "0" * 36, TEXT[:-2] + "-2"]
)
def test_any_other_text_has_no_bytes(text: str) -> None:
    assert uuid_bytes(text) is None
