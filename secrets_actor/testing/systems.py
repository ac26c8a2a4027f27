"""A whole system over the fake store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from secrets_actor.domain.tracing import Tracer
from secrets_actor.otp import Observer
from secrets_actor.runtime.settings import Settings
from secrets_actor.runtime.system import System
from secrets_actor.testing.fake_backend import FakeStore


@contextmanager
def fake_system(
    store: FakeStore | None = None,
    *,
    observer: Observer | None = None,
    tracer: Tracer | None = None,
    **settings: Any,
) -> Iterator[tuple[System, FakeStore]]:
    """A running system over *store* (None: a new one), and the store; stopped at the end.

    Everything but the store is real. The system runs on the store's clock. *settings* are those of
    `secrets_actor.Settings`, such as `ttl_seconds=0`; no file and no environment is read. *observer* is told every
    life-cycle event, *tracer* of each call that goes to the actor. Raises `ConfigurationError`, and `TypeError` for a
    setting that there is not.
    """
    store = FakeStore() if store is None else store
    with System(
        Settings(**settings), observer=observer, clock=store.clock, factory=store.factory(), tracer=tracer
    ) as system:
        yield system, store
