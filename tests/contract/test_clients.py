"""The contract as programs meet it: through a whole tree and either face, over our own stores and OpenBao."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from secrets_actor import LogSettings, Settings, System
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.ports import Answer
from secrets_actor.domain.results import NamedReceipt
from secrets_actor.domain.secret import DeleteReceipt, Secret, SetReceipt
from tests.both_clients import ASYNCIO, THREADS, seen_through
from tests.contract.backends import DICT, FAKE, LOCAL, ROWS, VAULT
from tests.contract.store import SECONDS, Store, outcome
from tests.contract.test_delete_restore import *  # noqa: F403  # their tests, with the store below
from tests.contract.test_get_many import *  # noqa: F403
from tests.contract.test_get_set import *  # noqa: F403
from tests.contract.test_versions import *  # noqa: F403

T = TypeVar("T")


@dataclass(slots=True)
class FacedStore(Store):
    """A store that is reached through *secrets*."""

    secrets: Any = None

    def ask(self, operation: Operation[T], *, seconds: float = SECONDS) -> Answer[T]:
        """The answer to *operation*."""
        return Answer(self.secrets.ask(operation, timeout=seconds))

    def set(
        self, name: str, value: str | bytes, *, token: str | None = None, description: str | None = None
    ) -> SetReceipt:
        """By the method; so are those below."""
        return self.secrets.set(name, value, token=token, description=description)  # type: ignore[no-any-return]

    def get(self, name: str, *, version_id: str | None = None, stage: str | None = None) -> Secret:
        """One version."""
        return self.secrets.get(name, version_id=version_id, stage=stage)  # type: ignore[no-any-return]

    def delete(self, name: str, *, window: int | None = None, force: bool = False) -> DeleteReceipt:
        """Delete."""
        return self.secrets.delete(name, recovery_window=window, force=force)  # type: ignore[no-any-return]

    def restore(self, name: str) -> NamedReceipt:
        """Restore."""
        return self.secrets.restore(name)  # type: ignore[no-any-return]

    def list(self, *, include_deleted: bool = False, page_size: int = 100) -> tuple[Any, ...]:
        """All."""
        return self.secrets.list(include_deleted=include_deleted)  # type: ignore[no-any-return]

    def at_once(self, operations: "list[Operation[T]]") -> "list[T | BaseException]":
        """Each asked in a thread of its own."""
        with ThreadPoolExecutor(len(operations)) as threads:
            return list(threads.map(lambda one: outcome(lambda: self.secrets.ask(one)), operations))  # type: ignore[arg-type]


def faced(where: str, face: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store behind a tree without a cache."""
    factory = ROWS[where].factory(request)
    backend = factory.connect()
    with System(Settings(ttl_seconds=0, log=LogSettings(output="logging")), backend=factory) as system:
        with seen_through(face) as seen:
            yield FacedStore(where, factory, backend, secrets=seen(system).secrets)
    backend.close()


THROUGH_VAULT = pytest.param((VAULT, THREADS), marks=pytest.mark.vault)


@pytest.fixture(
    params=[(FAKE, THREADS), (FAKE, ASYNCIO), (LOCAL, ASYNCIO), (DICT, THREADS), THROUGH_VAULT], ids=" through ".join
)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Each store of one's own, and OpenBao; both clients."""
    yield from faced(*request.param, request)


def test_the_tests_of_the_contract_are_here(store: Store) -> None:
    assert isinstance(store, FacedStore)
    assert sum(name.startswith("test_") for name in globals()) > 40
