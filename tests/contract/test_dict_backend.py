"""A backend of one's own passes the parts of the suite that it is for, and works in a whole system."""

from collections.abc import Iterator

import pytest

import secrets_actor
from secrets_actor import SecretNotFound
from secrets_actor.errors import UnknownMessage
from secrets_actor.messages import Describe
from tests.actor.rig import failure
from tests.contract.dict_backend import dict_backend_factory
from tests.contract.store import Store
from tests.contract.test_get_set import (
    test_a_get_after_a_second_set_returns_the_second_value,
    test_a_get_after_a_set_returns_the_value,
    test_a_version_was_made_just_now_in_utc,
    test_the_first_set_creates_and_the_second_does_not,
)

__all__ = [
    "test_a_get_after_a_second_set_returns_the_second_value",
    "test_a_get_after_a_set_returns_the_value",
    "test_a_version_was_made_just_now_in_utc",
    "test_the_first_set_creates_and_the_second_does_not",
]


@pytest.fixture
def store() -> Iterator[Store]:
    """Takes the place of the suite's own: the tests that are named above run over this one."""
    factory = dict_backend_factory()
    backend = factory.connect()
    yield Store("fake", factory, backend)  # no entry in the table of divergences
    backend.close()


def test_a_whole_system_runs_over_it() -> None:
    with secrets_actor.start(secrets_actor.Settings(), backend=dict_backend_factory()) as system:
        first = system.secrets.set("a", "one", token="1" * 32)
        assert system.secrets.set("a", "one", token="1" * 32).version_id == first.version_id
        assert system.secrets.get("a").reveal() == "one"
        assert system.secrets.get("a", refresh=True).source == "backend"
        assert [one.name for one in system.secrets.list()] == ["a"]
        system.secrets.delete("a", force=True)
        assert isinstance(failure(lambda: system.secrets.get("a")), SecretNotFound)
        assert isinstance(failure(lambda: system.secrets.ask(Describe("a"))), UnknownMessage)
