"""The rest of the contract as programs meet it: what only some of our own stores know yet."""

from collections.abc import Iterator

import pytest

from tests.both_clients import ASYNCIO, THREADS
from tests.contract.backends import OWN
from tests.contract.store import Store
from tests.contract.test_administration import *  # noqa: F403  # their tests, with the store below
from tests.contract.test_clients import FacedStore, faced
from tests.contract.test_move_stage import *  # noqa: F403
from tests.contract.test_unsupported_operations import *  # noqa: F403
from tests.contract.test_writing import *  # noqa: F403


@pytest.fixture(params=[(where, face) for where in OWN for face in (THREADS, ASYNCIO)], ids=" through ".join)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Each store that knows them; both clients."""
    yield from faced(*request.param, request)


def test_the_tests_of_the_contract_are_here_too(store: Store) -> None:
    assert isinstance(store, FacedStore)
    assert sum(name.startswith("test_") for name in globals()) > 40
