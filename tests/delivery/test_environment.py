"""The environment of a command: what is in it, and what is refused."""

import json
from datetime import UTC, datetime

import pytest

from secrets_actor import Secret, SecretValue
from secrets_actor.delivery.environment import (
    MOST_OF_ONE,
    Contents,
    Environment,
    Mapped,
    contents_of,
    environment_of,
)
from secrets_actor.delivery.fetching import Fetched, Wanted
from secrets_actor.delivery.references import Reference, parse_reference, parse_source, parse_variable
from secrets_actor.errors import InvalidParameter, InvalidSecretValue

GIVEN = {"HOME": "/root", "PATH": "/bin", "DB_PASSWORD": "old"}
LOGIN = json.dumps({"user": "me", "port": 5432, "tls": True, "more": {"a": 1}, "none": None})


def fetched(*prefixes: str, **values: str | bytes) -> Fetched:
    """What a fetch brings: each value under its name, with / for __."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    named = {name.replace("__", "/"): value for name, value in values.items()}
    secrets = {
        (name, "AWSCURRENT"): Secret(name, f"arn:{name}", SecretValue(value), "v" * 32, ("AWSCURRENT",), at)
        for name, value in named.items()
    }
    below = {prefix: tuple(name for name in named if name.startswith(prefix)) for prefix in prefixes}
    return Fetched(secrets, below)


def made(mapped: Mapped, found: Fetched, given: dict[str, str] = GIVEN) -> dict[str, str]:
    return environment_of(mapped, given, contents_of(mapped, given, found)).reveal()


def mapped(
    *variables: str, sources: tuple[str, ...] = (), prefix: str = "", keep: tuple[str, ...] | None = None
) -> Mapped:
    parsed = tuple(map(parse_variable, variables))
    return Mapped(parsed, tuple(map(parse_source, sources)), prefix, keep is not None, keep or ())


def test_named_variables_are_added_to_the_given_ones_and_replace_them() -> None:
    one = mapped("DB_PASSWORD=db/password", "USER_NAME=db/login#user", "PORT=db/login#port", "TLS=db/login#tls")

    found = made(one, fetched(db__password="new", db__login=LOGIN))

    assert found == {**GIVEN, "DB_PASSWORD": "new", "USER_NAME": "me", "PORT": "5432", "TLS": "true"}
    assert one.wanted(GIVEN).names == ("db/password", "db/login")


def test_what_is_optional_and_missing_is_left_out() -> None:
    one = mapped("A?=a", "B?=b#user", sources=("app/",))

    assert made(one, fetched("app/", b="{}"), {}) == {}
    assert made(Mapped(sources=(Reference(parse_reference("a").name, optional=True),)), fetched(), {}) == {}


def test_a_prefix_brings_a_variable_for_each_secret_below_it() -> None:
    one = mapped(sources=("app/",), prefix="MY_")

    found = made(one, fetched("app/", app__db__password="a", app__api_key="b", app__1="c"), {})

    assert found == {"MY_DB_PASSWORD": "a", "MY_API_KEY": "b", "MY__1": "c"}
    assert one.wanted({}) == Wanted((), ("app/",))


def test_a_json_secret_brings_a_variable_for_each_member() -> None:
    assert made(mapped(sources=("app/db#",)), fetched(app__db=LOGIN), {}) == {
        "USER": "me",
        "PORT": "5432",
        "TLS": "true",
        "MORE": '{"a":1}',
    }
    assert made(mapped(sources=("app/db#more#",)), fetched(app__db=LOGIN), {}) == {"A": "1"}


@pytest.mark.parametrize("value", ["text", "[1]", b"\xff\xfe\xff"])
def test_a_secret_that_is_no_json_object_has_no_members(value: str | bytes) -> None:
    with pytest.raises(InvalidSecretValue):
        made(mapped(sources=("app/db#",)), fetched(app__db=value), {})


def test_references_in_given_variables_are_replaced() -> None:
    given = {"A": "secret://a", "B": "secret://b?", "C": "plain"}

    assert made(mapped(), fetched(a="value"), given) == {"A": "value", "C": "plain"}
    assert mapped("A=other").named(given)["A"] == parse_reference("other"), "what is asked for by name counts"


def test_a_pristine_environment_has_only_what_is_kept() -> None:
    given = {**GIVEN, "A": "secret://a", "B": "secret://b"}
    one = mapped("C=c", keep=("PATH", "A", "NOT_THERE"))

    assert made(one, fetched(a="1", c="3"), given) == {"PATH": "/bin", "A": "1", "C": "3"}
    assert one.wanted(given).names == ("a", "c"), "what is not passed on is not fetched"


@pytest.mark.parametrize(
    ("variables", "sources"),
    [
        (("DB=app/db", "DB=other"), ()),
        (("DB=app/db",), ("app/",)),
        ((), ("app/", "app/x/")),
        ((), ("app/", "login#")),
    ],
)
def test_a_name_from_two_places_is_an_error(variables: tuple[str, ...], sources: tuple[str, ...]) -> None:
    found = fetched("app/", "app/x/", app__db="1", other="2", app__x__db="3", login='{"DB": "4"}')

    with pytest.raises(InvalidParameter, match="variable DB: comes from"):
        made(mapped(*variables, sources=sources), found, {})


def test_two_secrets_below_a_prefix_with_one_variable_are_an_error() -> None:
    with pytest.raises(InvalidParameter, match="variable A_B: comes from app/a-b and from app/a/b"):
        made(mapped(sources=("app/",)), fetched("app/", **{"app__a-b": "1", "app__a__b": "2"}), {})


@pytest.mark.parametrize("name", ["path", "ld-preload", "bash_env", "dyld/insert"])
def test_a_store_gives_no_variable_that_steers_how_programs_are_loaded(name: str) -> None:
    found = fetched("app/", **{f"app__{name.replace('/', '__')}": "evil"})

    with pytest.raises(InvalidParameter, match="how programs are loaded"):
        made(mapped(sources=("app/",)), found, {})
    assert made(mapped(sources=("app/",), prefix="MY_"), found, {}).popitem()[1] == "evil"
    assert made(mapped("PATH=app/path"), fetched(app__path="/opt"), {}) == {"PATH": "/opt"}


@pytest.mark.parametrize("prefix", ["1", "a-b", "A=", "é"])
def test_a_prefix_that_no_name_may_have_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidParameter, match="prefix"):
        Mapped(prefix=prefix)


@pytest.mark.parametrize(
    ("value", "problem"),
    [(b"\xff", "binary"), ("before\0behind", "NUL"), ("x" * (MOST_OF_ONE - 2), "too long")],
)
def test_what_no_variable_can_hold_is_an_error_and_a_file_takes_it(value: str | bytes, problem: str) -> None:
    contents = Contents({"A": value})

    with pytest.raises(InvalidSecretValue, match=f"variable A: .*{problem}.* by a file"):
        contents.text("A")
    assert contents.bytes("A") == (value if isinstance(value, bytes) else value.encode())
    assert Contents({"A": "x" * (MOST_OF_ONE - 3)}).text("A")


def test_by_files_the_variables_have_the_paths_and_older_values_are_gone() -> None:
    one = mapped("DB_PASSWORD=db", "KEY=key")
    contents = contents_of(one, GIVEN, fetched(db="new", key=b"\xff"))

    found = environment_of(one, GIVEN, contents, {"DB_PASSWORD": "/dev/shm/x/DB_PASSWORD", "KEY": "/proc/self/fd/5"})

    assert found.reveal() == {
        "HOME": "/root",
        "PATH": "/bin",
        "DB_PASSWORD_FILE": "/dev/shm/x/DB_PASSWORD",
        "KEY_FILE": "/proc/self/fd/5",
    }


def test_no_repr_shows_a_value() -> None:
    one = mapped("DB=db")
    found = fetched(db="hunter2")
    contents = contents_of(one, {}, found)

    assert repr(contents) == "Contents(names=('DB',))"
    assert "hunter2" not in repr((found, contents, environment_of(one, {}, contents)))
    assert Environment({}) == Environment({})
