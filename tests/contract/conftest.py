"""The store of each test: one for every backend. And the list of known divergences at the end of a run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from secrets_actor.domain.ports import BackendKit
from tests.contract.divergences import BACKENDS, DIVERGENCES, FAKE, LOCAL, MINISTACK, MOTO
from tests.contract.store import OBSERVED, RECOVERY_WINDOW, Store, aws_kit
from tests.servers.account import allow_everything
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer


def _kit(where: str, request: pytest.FixtureRequest) -> BackendKit:
    if where == LOCAL:
        from secrets_actor.backends.local.backend import kit

        path: Path = request.getfixturevalue("tmp_path")
        return kit(path=path / "store", recovery_window=RECOVERY_WINDOW)
    if where == FAKE:
        from secrets_actor.testing import FakeStore

        return FakeStore(recovery_window=RECOVERY_WINDOW).kit()
    server: Ministack | MotoServer = request.getfixturevalue({MINISTACK: "fresh_ministack", MOTO: "fresh_moto"}[where])
    # A user's keys: ministack never checks a signature of root's.
    return aws_kit(server.url, server.account.user(allow_everything()))


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store with an open backend, for each backend in turn."""
    kit = _kit(request.param, request)
    backend = kit.connect()
    try:
        yield Store(request.param, kit, backend)
    finally:
        backend.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the emulators are known to differ from AWS, and which of these this run has met."""
    if not OBSERVED:
        return
    terminalreporter.section("known divergences of the emulators")
    for (where, topic), known in sorted(DIVERGENCES.items()):
        met = "met" if (where, topic) in OBSERVED else "not met in this run"
        terminalreporter.line(f"{where} {topic} ({met}): {known.instead}; AWS: {known.aws}")
