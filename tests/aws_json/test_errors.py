"""AWS's error answers, both ways."""

import json
from typing import Any, Final

import pytest
from botocore.parsers import JSONParser
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.aws_json import errors
from tests.aws_json.test_codec import JSON

CANARY: Final = "canary-in-an-error"


@pytest.mark.parametrize("code", [*sorted(errors.MODELLED), "ValidationException", "InternalFailure"])
def test_botocore_reads_the_errors_that_we_write(code: str) -> None:
    body, status = errors.encode_error(code, "why"), errors.status_of(code)

    found = JSONParser().parse({"body": body, "headers": {}, "status_code": status}, None)

    assert (found["Error"]["Code"], found["Error"]["Message"]) == (code, "why")
    assert ("Message" in json.loads(body)) is (code in errors.MODELLED)
    assert status == (500 if code.startswith("Internal") else 400)
    told = errors.decode_error(body)
    assert told.codes == (code,)
    assert told.message is not None
    assert told.message.reveal() == "why"


def test_an_error_may_be_its_code_alone() -> None:
    assert json.loads(errors.encode_error("UnknownOperationException")) == {"__type": "UnknownOperationException"}


@pytest.mark.parametrize(
    ("body", "header", "codes"),
    [
        (b'{"__type": "com.amazon#ValidationException:http://x"}', None, ("ValidationException",)),
        (b'{"__type": 7, "code": "Throttling"}', "SlowDown:x", ("Throttling", "SlowDown")),
        (b"<html>", None, ()),
        (b"[]", "A", ("A",)),
    ],
)  # fmt: skip
def test_the_codes_of_an_error(body: bytes, header: str | None, codes: tuple[str, ...]) -> None:
    assert errors.decode_error(body, header).codes == codes


@given(members=st.dictionaries(st.sampled_from(["__type", "code", "message", "Message"]), JSON))
def test_whatever_an_error_is_it_is_read(members: dict[str, Any]) -> None:
    assert isinstance(errors.decode_error(json.dumps(members).encode()), errors.ErrorAnswer)


def test_awss_text_is_masked() -> None:
    found = errors.decode_error(json.dumps({"__type": "X", "message": CANARY}).encode())

    assert CANARY not in repr(found)
