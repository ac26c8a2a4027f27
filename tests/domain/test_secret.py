"""The masked value: no printable form of it, no copy, no pickle gives it away."""

import copy
import json
import pickle
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.domain.errors import InvalidSecretValue
from secrets_actor.domain.results import LinkedSecret, SecretDescription
from secrets_actor.domain.secret import MASK, MAX_VALUE_BYTES, Secret, SecretValue, Source

HIDDEN = "hunter2-in-clear"
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def secret(value: str | bytes = HIDDEN) -> Secret:
    return Secret("a", "arn", SecretValue(value), "v", ("AWSCURRENT",), datetime(2026, 1, 1, tzinfo=UTC))


@given(st.one_of(texts, st.binary(min_size=1)))
def test_a_value_comes_out_as_it_went_in(value: str | bytes) -> None:
    held = SecretValue(value)

    assert held.reveal() == value
    assert type(held.reveal()) is type(value)
    assert held.is_text == isinstance(value, str)
    assert SecretValue(held) == held


@pytest.mark.parametrize("value", [HIDDEN, HIDDEN.encode()])
def test_every_printable_form_is_the_mask(value: str | bytes) -> None:
    held = SecretValue(value)
    shown = [
        repr(held),
        str(held),
        f"{held}",
        f"{held!r:>40}",
        f"{held:>40}",
        "{}".format(held),  # noqa: UP032 - the form under test
        "%s %r" % (held, held),  # noqa: UP031
        repr([held]),
        repr({"value": held}),
        repr(secret(value)),
        str(secret(value)),
        f"{secret(value)}",
        repr(secret(value).value),
        repr(vars(SecretValue)),
        ascii(held),
    ]

    assert all(HIDDEN not in form for form in shown)
    assert all(MASK in form for form in shown[:-2])


@pytest.mark.parametrize("held", [secret(), SecretValue(HIDDEN)], ids=["secret", "value"])
def test_a_value_cannot_be_pickled(held: object) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled") as caught:
            pickle.dumps(held, protocol)
        assert HIDDEN not in str(caught.value)


def test_a_copy_is_the_value_itself() -> None:
    held = SecretValue(HIDDEN)

    assert copy.copy(held) is held
    assert copy.deepcopy(held) is held
    assert copy.deepcopy([held])[0] is held
    whole = secret()
    assert copy.copy(whole) is whole
    assert copy.deepcopy([whole])[0] is whole


@given(texts, texts)
def test_values_are_equal_as_their_contents_are(one: str, other: str) -> None:
    assert (SecretValue(one) == SecretValue(other)) == (one == other)
    assert (SecretValue(one.encode()) == SecretValue(other.encode())) == (one == other)


def test_a_text_is_not_equal_to_its_bytes_nor_to_a_plain_text() -> None:
    assert SecretValue("a") != SecretValue(b"a")
    assert SecretValue("a") != "a"


def test_secrets_are_equal_as_their_facts_and_values_are() -> None:
    assert secret() == secret()
    assert secret() != secret("other")
    assert secret() != HIDDEN


def test_a_value_has_no_hash() -> None:
    with pytest.raises(TypeError):
        hash(SecretValue(HIDDEN))


def test_a_value_takes_no_other_attribute() -> None:
    with pytest.raises(AttributeError):
        SecretValue(HIDDEN).note = "x"  # type: ignore[attr-defined]


def test_later_changes_of_a_bytearray_do_not_reach_the_value() -> None:
    given_bytes = bytearray(b"first")
    held = SecretValue(given_bytes)
    given_bytes[:] = b"other"

    assert held.reveal() == b"first"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", "is empty"),
        (b"", "is empty"),
        (bytearray(), "is empty"),
        ("\ud800", "lone surrogate"),
        ("ü" * (MAX_VALUE_BYTES // 2) + "x", "65536 bytes at most, this one 65537"),
        (b"x" * (MAX_VALUE_BYTES + 1), "65536 bytes at most"),
        ({"password": HIDDEN}, "not dict; encode objects as JSON text"),
        (None, "not NoneType"),
        (7, "not int"),
    ],
)
def test_a_value_that_no_store_would_take_is_refused(value: Any, says: str) -> None:
    with pytest.raises(InvalidSecretValue, match=says):
        SecretValue(value)


def test_the_largest_values_pass() -> None:
    assert len(SecretValue(b"x" * MAX_VALUE_BYTES).reveal()) == MAX_VALUE_BYTES
    SecretValue("ü" * (MAX_VALUE_BYTES // 2))


@pytest.mark.parametrize("value", [f"{HIDDEN}\ud800", {"password": HIDDEN}])
def test_a_refusal_holds_the_value_nowhere(value: Any) -> None:
    try:
        SecretValue(value)
    except InvalidSecretValue as exc:
        caught = exc

    frames = [frame for frame, _ in traceback.walk_tb(caught.__traceback__)]
    ours = [frame for frame in frames if frame.f_globals["__name__"].startswith("secrets_actor")]
    assert ours
    assert all(HIDDEN not in repr(frame.f_locals) for frame in ours)
    assert HIDDEN not in str(caught)
    assert caught.__context__ is None


@pytest.mark.parametrize("value", ['{"user": "u", "ports": [1, 2]}', b'{"user": "u", "ports": [1, 2]}'])
def test_a_json_secret_is_parsed(value: str | bytes) -> None:
    assert secret(value).json() == {"user": "u", "ports": [1, 2]}
    assert secret(value).reveal() == value


@pytest.mark.parametrize("value", ["\ufeff{}", "\ufeff{}".encode(), "{}".encode("utf-16")])
def test_a_byte_order_mark_is_no_part_of_a_json_secret(value: str | bytes) -> None:
    assert secret(value).json() == {}
    assert SecretValue(value).json() == {}


@pytest.mark.parametrize("encoded", [False, True], ids=["text", "bytes"])
@pytest.mark.parametrize("value", ["[" * 30_000, "[" * 30_000 + "]" * 30_000, '{"a":' * 10_000 + "1" + "}" * 10_000])
def test_json_without_end_is_an_invalid_value(value: str, encoded: bool) -> None:
    with pytest.raises(InvalidSecretValue, match=r"read it with reveal\(\)") as caught:
        secret(value.encode() if encoded else value).json()

    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


def test_a_number_of_more_digits_than_python_reads_is_an_invalid_value() -> None:
    with pytest.raises(InvalidSecretValue, match="not JSON"):
        secret("9" * 5000).json()


@pytest.mark.parametrize("value", [f'{{"password": "{HIDDEN}', b"\xff" + HIDDEN.encode()])
def test_an_error_of_json_does_not_quote_the_document(value: str | bytes) -> None:
    with pytest.raises(InvalidSecretValue, match="not JSON") as caught:
        secret(value).json()

    assert HIDDEN not in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_a_value_is_not_serialised_to_json_by_accident() -> None:
    with pytest.raises(TypeError) as caught:
        json.dumps({"value": SecretValue(HIDDEN)})

    assert HIDDEN not in str(caught.value)


def test_credentials_show_none_of_their_keys() -> None:
    keys = AwsCredentials("AKIAHIDDEN", SecretValue(HIDDEN), SecretValue(HIDDEN + "token"))

    assert HIDDEN not in repr(keys)
    assert "AKIAHIDDEN" not in repr(keys)


@pytest.mark.parametrize(
    ("arn", "primary", "replica"),
    [
        ("arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf", None, False),
        ("arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf", "us-east-1", False),
        ("arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf", "eu-central-1", True),
        ("arn", "us-east-1", True),
    ],
)
def test_a_secret_whose_primary_region_is_another_is_a_replica(arn: str, primary: str | None, replica: bool) -> None:
    assert SecretDescription("a", arn, primary_region=primary).is_replica is replica


def test_a_secret_whose_primary_is_in_another_account_is_a_replica() -> None:
    primary = LinkedSecret("arn:aws:secretsmanager:us-east-1:210987654321:secret:a-AbCdEf", "InSync")

    assert SecretDescription("a", "arn", account_primary=primary).is_replica
    assert not SecretDescription("a", "arn", account_replicas=(primary,)).is_replica


@pytest.mark.parametrize("source", Source)
def test_a_secret_that_a_program_makes_comes_from_where_it_says(source: Source) -> None:
    made = Secret("a", "arn", SecretValue("v"), "v", (), datetime(2026, 1, 1, tzinfo=UTC), source)

    assert made.source is source
    assert secret().source is Source.BACKEND
    assert (made == Secret("a", "arn", SecretValue("v"), "v", (), made.created_at)) is (source is Source.BACKEND)


@given(texts)
def test_the_text_of_a_text_secret_is_a_str_and_its_bytes_are_utf_8(value: str) -> None:
    assert (SecretValue(value).text(), SecretValue(value).bytes()) == (value, value.encode())
    assert (secret(value).text(), secret(value).bytes()) == (value, value.encode())


@given(st.binary(min_size=1))
def test_a_binary_secret_has_bytes_and_no_text(value: bytes) -> None:
    assert (SecretValue(value).bytes(), secret(value).bytes()) == (value, value)
    for held in (SecretValue(value), secret(value)):
        with pytest.raises(InvalidSecretValue, match="read it with bytes"):
            held.text()


def test_the_error_of_a_binary_secret_does_not_show_it() -> None:
    with pytest.raises(InvalidSecretValue) as raised:
        secret(HIDDEN.encode()).text()

    frames = "".join(traceback.TracebackException.from_exception(raised.value, capture_locals=True).format())
    assert HIDDEN not in frames.replace("HIDDEN.encode()", "")
