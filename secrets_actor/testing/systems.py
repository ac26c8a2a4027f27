"""`fake_system`: a whole running system over the fake store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.tracing import Tracer
from secrets_actor.otp import Observer
from secrets_actor.runtime.settings import Settings
from secrets_actor.runtime.system import Children, System
from secrets_actor.testing.fake_backend import FakeStore


@contextmanager
def fake_system(
    store: FakeStore | None = None,
    *,
    observer: Observer | None = None,
    tracer: Tracer | None = None,
    children: Children | None = None,
    **settings: Any,
) -> Iterator[tuple[System, FakeStore]]:
    """Give a running system over *store* (None: a new one), and the store. The system stops at the end of the `with`
    block.

    Everything but the store is real. The system uses the store's clock. *settings* are fields of
    `secrets_actor.Settings`, such as `ttl_seconds=0`; no file and no environment variable is read. *observer* is called
    with every life-cycle event, and *tracer* with each call that goes to the actor. *children* is as for
    `start`. Raises `ConfigurationError`, `InvalidParameter`, and
    `TypeError` for an unknown setting.
    """
    store = FakeStore() if store is None else store
    if not isinstance(store, FakeStore):
        raise InvalidParameter("store", f"a FakeStore, not {type(store).__name__}")
    with System(
        Settings(**settings),
        observer=observer,
        clock=store.clock,
        backend=store.factory(),
        tracer=tracer,
        children=children,
    ) as system:
        yield system, store
