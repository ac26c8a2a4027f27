"""Fixtures for pytest: a whole supervised system over the fake store, with a clock that the test moves.

Name the plugin in the `conftest.py` at the top of your tests. It does not load by itself, so that no other program's
pytest has to import it:

    pytest_plugins = ["secrets_actor.testing.plugin"]

`secrets_system` is the running system, `secrets_store` is the `FakeStore` behind it with its switches, and
`secrets_clock` is the `ManualClock` of both. The settings come from `secrets_settings`: override that fixture for a
module, or parametrize it for one test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from secrets_actor.otp import ManualClock
from secrets_actor.runtime.system import System
from secrets_actor.testing.fake_backend import FakeStore
from secrets_actor.testing.systems import fake_system


@pytest.fixture
def secrets_clock() -> ManualClock:
    """The clock of `secrets_system`: it stands still until `advance(seconds)` moves it."""
    return ManualClock()


@pytest.fixture
def secrets_store(secrets_clock: ManualClock) -> FakeStore:
    """The store of `secrets_system`: `put` fills it; `fail_next`, `failing` and `hold` make it fail and hang."""
    return FakeStore(clock=secrets_clock)


@pytest.fixture
def secrets_settings() -> dict[str, Any]:
    """The settings of `secrets_system`: fields of `secrets_actor.Settings`, such as `{"ttl_seconds": 0}`. Override this
    fixture to change them."""
    return {}


@pytest.fixture
def secrets_system(secrets_store: FakeStore, secrets_settings: dict[str, Any]) -> Iterator[System]:
    """A running system, which is stopped after the test. Everything but its store is real."""
    with fake_system(secrets_store, **secrets_settings) as (system, _):
        yield system
