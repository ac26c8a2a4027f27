"""The store of each test: one for every backend."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from secrets_actor.domain.ports import BackendFactory
from tests.contract.divergences import BACKENDS, EMULATORS, FAKE, LIVE, LOCAL, MINISTACK, MOTO
from tests.contract.live import initial_environment, live_account
from tests.contract.store import LIVE_PATIENCE, RECOVERY_WINDOW, Store, aws_kit
from tests.servers.account import allow_everything
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer

REAL: Final = pytest.param(LIVE, marks=pytest.mark.live)
# What speaks AWS's whole language.
AWS: Final = (*EMULATORS, REAL)
# Our own stores that know all of it that makes sense on one machine.
WHOLE: Final = (LOCAL, FAKE)


def _factory(where: str, request: pytest.FixtureRequest) -> BackendFactory:
    if where == LOCAL:
        from secrets_actor.backends.local.backend import local_backend_factory

        path: Path = request.getfixturevalue("tmp_path")
        return local_backend_factory(path=path / "store", recovery_window=RECOVERY_WINDOW)
    if where == FAKE:
        from secrets_actor.testing import FakeStore

        return FakeStore(recovery_window=RECOVERY_WINDOW).factory()
    server: Ministack | MotoServer = request.getfixturevalue({MINISTACK: "fresh_ministack", MOTO: "fresh_moto"}[where])
    # A user's keys: ministack never checks a signature of root's.
    return aws_kit(server.url, server.account.user(allow_everything()))


def opened_store(where: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of this kind, with an open backend that is closed after; a real account is left as it was."""
    if where == LIVE:
        yield from _live_store()
        return
    factory = _factory(where, request)
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


@pytest.fixture(params=[*BACKENDS, REAL])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store with an open backend, for each backend in turn."""
    yield from opened_store(request.param, request)
