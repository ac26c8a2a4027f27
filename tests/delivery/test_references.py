"""References where the environment of a program is described."""

import pytest

from secrets_actor.delivery.references import SCHEME, Reference, find_in, parse_reference, parse_source, parse_variable
from secrets_actor.domain.names import SecretId
from secrets_actor.errors import InvalidInput, InvalidParameter

VALUE = "hunter2 in the wrong place"


@pytest.mark.parametrize(
    ("text", "name", "reference"),
    [
        ("DB=db/password", "DB", Reference(SecretId("db/password"))),
        ("DB?=db/password", "DB", Reference(SecretId("db/password"), optional=True)),
        ("_x1=a=b#user@BLUE", "_x1", Reference(SecretId("a=b"), ("user",), "BLUE")),
        ("DB=secret://db/login#user", "DB", Reference(SecretId("db/login"), ("user",))),
    ],
)
def test_a_variable_and_what_it_is_to_hold(text: str, name: str, reference: Reference) -> None:
    assert parse_variable(text) == (name, reference)


@pytest.mark.parametrize("text", ["DB", "=x", "1A=x", "A-B=x", "A??=x", "A\0=x", "A=", f"A={VALUE}", f"{VALUE}=a"])
def test_what_is_no_variable_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_variable(text)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("app/", "app/"),
        ("app/db#", Reference(SecretId("app/db"))),
        ("app/db#@AWSPREVIOUS", Reference(SecretId("app/db"), (), "AWSPREVIOUS")),
        ("app/db#admin#", Reference(SecretId("app/db"), ("admin",))),
    ],
)
def test_a_source_of_many_variables(text: str, source: str | Reference) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    "text", ["", "app", "app/db#user", "a b/", "#", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/"]
)
def test_what_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_source(text)


def test_a_reference_in_a_given_variable() -> None:
    assert find_in("DB", "postgres://me@host/db") is None
    assert find_in("DB", f"at {SCHEME}db/password") is None
    assert find_in("DB", "secret://db/login#user") == parse_reference("db/login#user")
    assert find_in("DB", "secret://db/login?") == Reference(SecretId("db/login"), optional=True)


def test_what_begins_like_a_reference_and_is_none_is_an_error_with_the_name_of_the_variable() -> None:
    with pytest.raises(InvalidParameter, match="variable DB") as refused:
        find_in("DB", f"{SCHEME}{VALUE}")
    assert "hunter2" not in str(refused.value)
