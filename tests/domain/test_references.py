"""References: a secret, a member of it, one of its stages."""

import json
import traceback

import pytest

from secrets_actor.domain.references import Reference, member_of, parse_reference
from secrets_actor.errors import InvalidParameter, InvalidSecretName

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db/login-AbCdEf"


@pytest.mark.parametrize(
    ("text", "name", "member", "stage"),
    [
        ("db/password", "db/password", (), None),
        ("db/login#user", "db/login", ("user",), None),
        ("db/login#admin#user", "db/login", ("admin", "user"), None),
        ("db/login#user@AWSPREVIOUS", "db/login", ("user",), "AWSPREVIOUS"),
        ("db/login@BLUE_2", "db/login", (), "BLUE_2"),
        ("me@example.org", "me@example.org", (), None),
        ("me@Home", "me@Home", (), None),
        ("me@hOME", "me@hOME", (), None),
        ("mail@HOME@AWSCURRENT", "mail@HOME", (), "AWSCURRENT"),
        ("db/login#me@example.org", "db/login", ("me@example.org",), None),
        (f"{ARN}#user@AWSPENDING", ARN, ("user",), "AWSPENDING"),
    ],
)
def test_a_reference_is_read_and_written(text: str, name: str, member: tuple[str, ...], stage: str | None) -> None:
    found = parse_reference(text)

    assert found == Reference(found.name, member, stage)
    assert found.name == name
    assert str(found) == text


def test_what_looks_like_a_stage_and_is_none_is_written_so_that_it_is_read_again() -> None:
    name = parse_reference("mail@HOME@AWSCURRENT").name

    assert str(Reference(name)) == "mail@HOME@AWSCURRENT"
    assert str(Reference(name, ("x@Y",))) == "mail@HOME#x@Y@AWSCURRENT"


@pytest.mark.parametrize("text", ["a#", "a##b", "a#@AWSCURRENT"])
def test_an_empty_member_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        parse_reference(text)


@pytest.mark.parametrize("text", ["", "#a", "@AWSCURRENT", "a b", "a\n", "arn:aws:x"])
def test_what_names_no_secret_is_refused(text: str) -> None:
    with pytest.raises(InvalidSecretName):
        parse_reference(text)


def test_a_member_is_found_at_any_depth_and_what_is_no_text_is_json() -> None:
    value = json.dumps({"user": "me", "port": 5432, "tls": True, "db": {"user": "ä", "more": [1, "ä"]}})

    assert member_of(value, ("user",)) == "me"
    assert member_of(value.encode(), ("port",)) == "5432"
    assert member_of(value, ("tls",)) == "true"
    assert member_of(value, ("db", "user")) == "ä"
    assert member_of(f"\ufeff{value}", ("user",)) == "me"
    assert member_of(f"\ufeff{value}".encode(), ("user",)) == "me"
    assert member_of(value, ("db",)) == '{"user":"ä","more":[1,"ä"]}'


@pytest.mark.parametrize(
    ("value", "member"),
    [
        ("hunter2", ("user",)),
        (b"\xff\xfe", ("user",)),
        ('{"user": "hunter2"}', ("name",)),
        ('{"user": "hunter2"}', ("user", "name")),
        ('{"user": null}', ("user",)),
        ('{"user": "hunter2\\ud800"}', ("user",)),
        ('["hunter2"]', ("0",)),
        ("[" * 100_000, ("0",)),
    ],
)
def test_a_member_that_is_not_there_is_refused_without_a_word_of_the_value(
    value: str | bytes, member: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidParameter) as caught:
        member_of(value, member)

    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None
    for frame, _ in traceback.walk_tb(caught.value.__traceback__):
        assert frame.f_code.co_filename == __file__ or "hunter2" not in repr(frame.f_locals)
