"""An attempt that a rotated secret spoilt is made again with the new version, and no other one is."""

import traceback
from collections.abc import Iterator

import pytest

from secrets_actor import InvalidParameter, Secret, SecretNotFound, System, Throttled
from secrets_actor.testing import FakeStore, fake_system

NAME = "db/password"


class Refused(Exception):
    pass


class Database:
    """Lets in whoever has the *password*."""

    def __init__(self, password: str) -> None:
        self.password, self.logins = password, list[str]()

    def login(self, secret: Secret) -> str:
        given = str(secret.reveal())
        self.logins.append(given)
        if given != self.password:
            raise Refused("password authentication failed")
        return f"session {len(self.logins)}"


@pytest.fixture
def world() -> Iterator[tuple[System, FakeStore, Database]]:
    """A system that has the first password in its cache, and a database that takes it."""
    with fake_system() as (system, store):
        store.put(NAME, "first")
        system.secrets.get(NAME)
        yield system, store, Database("first")


def rotate(store: FakeStore, database: Database, password: str) -> None:
    store.put(NAME, password)
    database.password = password


def test_a_login_that_goes_well_asks_nobody(world: tuple[System, FakeStore, Database]) -> None:
    system, store, database = world

    assert system.secrets.retry_on_rotation(NAME, database.login, login_error=Refused) == "session 1"
    assert store.calls["get"] == 1


def test_after_a_rotation_the_new_version_is_tried(world: tuple[System, FakeStore, Database]) -> None:
    system, store, database = world
    rotate(store, database, "second")

    assert system.secrets.retry_on_rotation(NAME, database.login, login_error=Refused) == "session 2"
    assert (database.logins, store.calls["get"]) == (["first", "second"], 2)


def test_what_was_refused_is_not_tried_again(world: tuple[System, FakeStore, Database]) -> None:
    system, store, database = world
    database.password = "another"

    with pytest.raises(Refused):
        system.secrets.retry_on_rotation(NAME, database.login, login_error=Refused, attempts=5)

    assert (database.logins, store.calls["get"]) == (["first"], 2)


def test_unless_it_shall_be(world: tuple[System, FakeStore, Database]) -> None:
    system, store, database = world
    database.password = "another"

    with pytest.raises(Refused):
        system.secrets.retry_on_rotation(NAME, database.login, login_error=Refused, attempts=3, same_version=True)

    assert (database.logins, store.calls["get"]) == (["first"] * 3, 3)


def test_it_is_bounded_however_often_the_secret_is_rotated(world: tuple[System, FakeStore, Database]) -> None:
    system, store, database = world

    def always_too_late(secret: Secret) -> str:
        rotate(store, database, f"password {len(database.logins)}")
        return database.login(secret)

    with pytest.raises(Refused):
        system.secrets.retry_on_rotation(NAME, always_too_late, login_error=Refused, attempts=4)

    assert len(database.logins) == 4
    assert store.calls["get"] == 4


def test_any_other_error_is_none_of_our_business(world: tuple[System, FakeStore, Database]) -> None:
    system, store, _ = world

    def broken(secret: Secret) -> None:
        raise OSError("no route to the database")

    with pytest.raises(OSError, match="no route"):
        system.secrets.retry_on_rotation(NAME, broken, login_error=(Refused, KeyError))

    assert store.calls["get"] == 1


def test_a_function_may_tell_a_login_error(world: tuple[System, FakeStore, Database]) -> None:
    system, store, database = world
    rotate(store, database, "second")

    told = system.secrets.retry_on_rotation(NAME, database.login, login_error=lambda error: "password" in str(error))

    assert told == "session 2"


def test_when_the_store_cannot_be_asked_the_login_error_stands_with_a_note(
    world: tuple[System, FakeStore, Database],
) -> None:
    system, store, database = world
    rotate(store, database, "second")
    store.fail_next(Throttled("slow down"), times=10)

    with pytest.raises(Refused) as caught:
        system.secrets.retry_on_rotation(NAME, database.login, login_error=Refused)

    assert caught.value.__notes__ == ["whether the secret was rotated could not be found out: throttled"]
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    ours = [line for line in shown.splitlines() if "secret = " in line]
    assert ours
    assert not [line for line in ours if "first" in line or "second" in line]


def test_a_secret_that_is_not_there_and_bad_input_are_told_first(world: tuple[System, FakeStore, Database]) -> None:
    system, _, database = world

    with pytest.raises(SecretNotFound):
        system.secrets.retry_on_rotation("none", database.login, login_error=Refused)
    with pytest.raises(InvalidParameter):
        system.secrets.retry_on_rotation(NAME, database.login, login_error=Refused, attempts=0)
    assert database.logins == []
