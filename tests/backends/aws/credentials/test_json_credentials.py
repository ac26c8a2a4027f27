"""Ends of keys, in all the forms that programs write them: what botocore takes is taken."""

import warnings
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.credentials import RefreshableCredentials
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.aws.credentials.json_credentials import credentials_in, moment
from secrets_actor.backends.aws_credentials import AwsCredentials

TAKEN = [
    "2086-01-02T03:04:05Z",
    "2086-01-02t03:04:05z",
    "2086-01-02 03:04:05Z",
    "2086-01-02 03:04:05 UTC",
    "2086-01-02T03:04:05 GMT",
    "2086-01-02T03:04:05.1234567Z",
    "2086-01-02T03:04:05.123456789+00:00",
    "2086-01-02T03:04:05,5Z",
    "2086-01-02T03:04:05 +0000",
    "2086-01-02T03:04:05-0730",
    "2086-01-02T03:04:05+02",
    "2086-01-02T03:04Z",
    "20860102T030405Z",
    "2086/01/02 03:04:05Z",
    "  2086-01-02T03:04:05Z\n",
    "9999-12-31T23:59:59Z",
    "Wed, 02 Jan 2086 03:04:05 GMT",
    "Wed, 2 Jan 2086 03:04:05 +0200",
    "2 Jan 2086 03:04:05 GMT",
    "Wed Jan  2 03:04:05 UTC 2086",
    "01/02/2086 03:04:05 +00:00",
    "1/2/2086 3:04:05 AM +00:00",
    "1/2/2086 12:04:05 AM +01:00",
    "1/2/2086 12:04:05 PM -01:00",
    "1/2/2086 11:04:05 pm Z",
]
REFUSED = [
    *("", " ", "soon", "2086-01-02T03:04:05", "2086-01-02 03:04:05", "2086-01-02", "2086-01-02Z", "3660000000"),
    *("2086-01-02T24:00:00Z", "2086-01-02T03:04:60Z", "2086-13-02T03:04:05Z", "10000-01-01T00:00:00Z", "9" * 5000),
    *("2086-01-02 03:04:05 +0000 UTC", "Wed Jan  2 03:04:05 2086", "2086-01-02T03:04:05 PST", "0000-01-01T00:00:00Z"),
    *(
        "1/2/2086 13:04:05 AM +00:00",
        "2086-01-02T03:04:05Z[UTC]",
        "2086-01-02T03:04:05+25:00",
        3660000000,
        True,
        [],
        {},
    ),
]


def of_botocore(end: Any) -> datetime | None:
    """The end of keys that botocore can use; None when it cannot."""

    def refresh() -> dict[str, Any]:
        raise AssertionError("they have not ended")

    metadata = {"access_key": "A", "secret_key": "s", "token": None, "expiry_time": end}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = RefreshableCredentials.create_from_metadata(metadata, refresh, "m")
            found.get_frozen_credentials()
    except (TypeError, ValueError, OverflowError):
        return None
    end_of_keys: datetime = found._expiry_time  # it has no public name
    return end_of_keys.astimezone(UTC)


@pytest.mark.parametrize("text", TAKEN)
def test_an_end_that_botocore_takes_is_the_same_moment(text: str) -> None:
    found = moment(text)

    assert found is not None
    assert found == of_botocore(text)
    assert found.tzinfo is UTC


@pytest.mark.parametrize("text", REFUSED)
def test_an_end_that_botocore_does_not_take_is_none(text: Any) -> None:
    assert moment(text) is None
    assert of_botocore(text) is None


@given(st.text(max_size=40) | st.sampled_from(TAKEN).flatmap(lambda text: st.permutations(list(text)).map("".join)))
def test_any_text_is_a_moment_or_none(text: str) -> None:
    found = moment(text)

    assert found is None or found.utcoffset() is not None


def test_the_last_hours_of_time_are_none_where_there_is_no_such_moment() -> None:
    assert moment("0001-01-01T00:00:00+01:00") is None
    assert moment("9999-12-31T23:59:59-01:00") is None


WHOLE = {"AccessKeyId": "A", "SecretAccessKey": "canary", "Token": "t", "Expiration": "2086-01-02T03:04:05Z"}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("wrong", [None, "", " ", 7, [], {}, "can ary", "\ud800", "x" * 70_000 + "\x00"])
def test_what_is_wrong_with_keys_is_told_by_its_field(name: str, wrong: Any) -> None:
    found = credentials_in({**WHOLE, name: wrong})

    assert isinstance(found, str)
    told = {"AccessKeyId": "access key", "SecretAccessKey": "secret key", "Token": "session token"}.get(name, name)
    assert name in found or told in found
    assert "canary" not in found


@pytest.mark.parametrize("token", ["", None])
def test_a_token_may_be_empty_where_there_may_be_none(token: str | None) -> None:
    for found in (
        credentials_in({**WHOLE, "Token": token}, bare=True),
        credentials_in({**WHOLE, "SessionToken": token}, from_process=True),
        credentials_in({"AccessKeyId": "A", "SecretAccessKey": "s"}, from_process=True),
    ):
        assert isinstance(found, AwsCredentials)
        assert found.session_token is None
    assert (
        credentials_in({name: value for name, value in WHOLE.items() if name != "Token"}, bare=True)
        == "Token is missing"
    )
    assert credentials_in(None) == "it is no JSON object"
