"""All that is wanted, at once or not at all."""

import json
from collections.abc import Iterator

import pytest

from secrets_actor import AccessDenied, Secrets, SecretsError
from secrets_actor.delivery.fetching import Wanted, fetch
from secrets_actor.delivery.references import parse_variable
from secrets_actor.errors import ConnectionFailed, InvalidSecretValue, MissingSecrets
from secrets_actor.testing import FakeStore, fake_system


def wanted(*references: str, prefixes: tuple[str, ...] = ()) -> Wanted:
    return Wanted(
        tuple(parse_variable(f"A={one}" if "?" not in one else f"A?={one[:-1]}")[1] for one in references), prefixes
    )


@pytest.fixture
def store() -> FakeStore:
    store = FakeStore()
    for name, value in {"app/a": "first", "app/b": "second", "other": json.dumps({"user": "me", "port": 1})}.items():
        store.put(name, value)
    store.put("binary", b"\xff\x00")
    return store


@pytest.fixture
def secrets(store: FakeStore) -> Iterator[Secrets]:
    with fake_system(store) as (system, _):
        yield system.secrets


def test_values_members_and_what_lies_below_a_prefix(secrets: Secrets, store: FakeStore) -> None:
    asked = wanted("app/a", "other#user", "other#port", "binary", "gone?", prefixes=("app/",))

    found = fetch(secrets, asked)

    first, user, port, binary, gone = asked.references
    assert [found.text(one) for one in (first, user, port, gone)] == ["first", "me", "1", None]
    assert [found.bytes(one) for one in (first, port, binary, gone)] == [b"first", b"1", b"\xff\x00", None]
    with pytest.raises(InvalidSecretValue):
        found.text(binary)
    assert {name: value.text() for name, value in found.below("app/").items()} == {"app/a": "first", "app/b": "second"}
    assert found.names == {"app/a", "app/b", "other", "binary"}
    assert set(found.values((user, port, gone))) == {
        b"first",
        b"second",
        b'{"user": "me", "port": 1}',
        b"\xff\x00",
        b"me",
        b"1",
    }
    assert "first" not in repr(found)
    assert store.calls["get"] == 0, "all in one question"


def test_all_that_is_missing_is_told_at_once(secrets: Secrets) -> None:
    with pytest.raises(MissingSecrets) as missing:
        fetch(
            secrets,
            wanted("app/a", "gone", "other#password", "app/a#user", "app/a@BLUE", "x?", prefixes=("no/", "app/")),
        )

    assert missing.value.missing == ("gone", "other#password", "app/a#user", "app/a@BLUE", "no/ (no secret below it)")
    assert "gone, other#password" in str(missing.value)


def test_one_that_is_missing_is_told_too(secrets: Secrets) -> None:
    with pytest.raises(MissingSecrets, match="gone"):
        fetch(secrets, wanted("gone"))


def test_one_that_is_scheduled_for_deletion_is_missing(secrets: Secrets) -> None:
    secrets.delete("app/a")

    with pytest.raises(MissingSecrets, match=r"app/a\b"):
        fetch(secrets, wanted("app/a", "app/b"))


def test_the_set_of_versions_tells_whether_something_has_changed(secrets: Secrets) -> None:
    asked = wanted("other#user", "gone?", "app/a@AWSPREVIOUS?", prefixes=("app/",))
    before = fetch(secrets, asked).versions

    assert fetch(secrets, asked).versions == before
    for name in ("app/a", "gone", "app/new"):  # a new version and a stage of it, one that was missing, one more below
        secrets.set(name, "value")
        after = fetch(secrets, asked).versions
        assert after != before
        before = after
    assert {stage for name, stage, _ in before if name == "app/a"} == {"AWSCURRENT", "AWSPREVIOUS"}


def test_who_may_get_one_by_one_and_not_many_gets_them(secrets: Secrets, store: FakeStore) -> None:
    with store.failing(AccessDenied("no batches"), "get_many"):
        found = fetch(secrets, wanted("app/a", "app/b", "gone?"))

    assert found.names == {"app/a", "app/b"}


@pytest.mark.parametrize("references", [("app/a",), ("app/a", "app/b"), ("app/a@AWSPREVIOUS",)])
def test_a_store_that_is_away_is_no_missing_secret(
    secrets: Secrets, store: FakeStore, references: tuple[str, ...]
) -> None:
    with store.failing(ConnectionFailed("away", endpoint="fake")), pytest.raises(SecretsError) as error:
        fetch(secrets, wanted(*references), timeout=5.0)

    assert isinstance(error.value, ConnectionFailed)
