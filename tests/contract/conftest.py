"""The store of each test: one for every backend."""

import uuid
from collections.abc import Iterator
from typing import Final

import pytest

from tests.contract.backends import BACKENDS, DAEMON, DAEMON_ROW, EMULATORS, LIVE, ROWS, VAULT, VAULT_ROW
from tests.contract.live import initial_environment, live_account
from tests.contract.store import LIVE_PATIENCE, Store, aws_kit

REAL: Final = pytest.param(LIVE, marks=pytest.mark.live)
# What speaks AWS's whole language.
AWS: Final = (*EMULATORS, REAL)


def opened_store(where: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of this kind, with an open backend that is closed after; a real account is left as it was."""
    if where == LIVE:
        yield from _live_store()
        return
    factory = ROWS[where].factory(request)
    backend = factory.connect()
    try:
        yield Store(where, factory, backend)
    finally:
        backend.close()


def _live_store() -> Iterator[Store]:
    account = live_account(initial_environment())
    if isinstance(account, str):
        pytest.skip(account)
    factory = aws_kit(account.endpoint_url, account.keys, region=account.region)
    prefix = f"{account.prefix}/{uuid.uuid4().hex[:10]}"
    store = Store(LIVE, factory, factory.connect(), prefix, patience=LIVE_PATIENCE)
    try:
        yield store
    finally:
        # By a connection of its own: a test may have closed the store's.
        own = Store(LIVE, factory, factory.connect(), prefix, store.written, LIVE_PATIENCE)
        left = own.clean_up()
        own.backend.close()
        store.backend.close()
        if left:
            lines = [f"{name}: {type(error).__name__}: {error}" for name, error in left.items()]
            pytest.fail("\n".join(["left in the account:", *lines]), pytrace=False)


@pytest.fixture(params=[*(one for one in BACKENDS if one not in (DAEMON, VAULT)), DAEMON_ROW, VAULT_ROW, REAL])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store with an open backend, for each backend in turn."""
    yield from opened_store(request.param, request)
