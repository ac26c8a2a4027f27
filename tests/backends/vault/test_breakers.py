"""A cluster that waits for an election, or hangs over one, goes on being read: through the actor and its breakers."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import secrets_actor
from secrets_actor import System
from secrets_actor.backends.vault.backend import vault_backend_factory
from secrets_actor.backends.vault.vault_credentials import VaultCredentials
from secrets_actor.domain import errors
from secrets_actor.events import BreakerOpened
from tests.actor.rig import Watch, failure, settings
from tests.backends.vault.wire_rig import TOKEN, cluster_at, connected, name_of
from tests.servers.behaviours import Hang
from tests.servers.faulty import FaultyServer
from tests.servers.process import reserve
from tests.servers.vault_node import UNDONE, VaultNode, leader, redirect, said

VERSION = {"created_time": "2026-11-30T04:40:28.961362809Z", "deletion_time": "", "destroyed": False}
FOUND = said({"data": {"data": {"value": "v"}, "metadata": {**VERSION, "custom_metadata": None, "version": 1}}})
TIMES = {"created_time": VERSION["created_time"], "updated_time": VERSION["created_time"]}
KNOWN = said({"data": {**TIMES, "current_version": 1, "custom_metadata": None, "versions": {"1": VERSION}}})


class Static:
    """A token without an end."""

    def fetch(self, deadline: float) -> VaultCredentials:
        """The token."""
        return VaultCredentials(TOKEN)


@contextmanager
def system_over(folder: Path, *urls: str, timeout: float = 2.0) -> Iterator[tuple[System, Watch]]:
    cluster, watch = cluster_at(*urls), Watch()

    with ExitStack() as stack:
        factory = vault_backend_factory(
            endpoints=cluster.names,
            connect=lambda: stack.enter_context(connected(cluster=cluster, timeout=timeout)),
            mount="kv",
            recovery_window=30,
            idempotency="cas",
            credentials=Static(),
        )
        with secrets_actor.start(settings(folder, ttl_seconds=0), backend=factory, observer=watch) as system:
            yield system, watch


def opened(watch: Watch) -> list[str]:
    return [one.endpoint for one in watch.events if isinstance(one, BreakerOpened)]


def standby(gone: str, post: Any) -> VaultNode:
    """A standby that names *gone* as the active node, and answers writes by *post*."""
    return VaultNode(
        {
            "GET sys/leader": leader(address=gone),
            "GET kv/data/a": FOUND,
            "GET kv/metadata/a": KNOWN,
            "POST kv/data/a": post,
        }
    )


@pytest.mark.parametrize("gone_is_configured", [True, False])
def test_sets_without_an_active_node_fail_at_their_deadline_and_gets_go_on(
    tmp_path: Path, gone_is_configured: bool
) -> None:
    with reserve() as held:
        gone = f"http://127.0.0.1:{held.getsockname()[1]}"
        with FaultyServer(standby(gone, redirect(f"{gone}/v1/kv/data/a"))) as one:
            with FaultyServer(standby(gone, UNDONE)) as two:
                known = (gone, one.url, two.url) if gone_is_configured else (one.url, two.url)
                with system_over(tmp_path, *known) as (system, watch):
                    # Four failures of a store open a breaker, if none of them is taken for the answer of a node.
                    for number in range(5):
                        error = failure(lambda: system.secrets.set("a", "w", timeout=0.5))
                        # On a busy machine the actor's own error may come first.
                        assert isinstance(error, errors.NoActiveNode | errors.DeadlineExceeded), number
                        assert error.token
                    for name in ("a", "a"):
                        assert system.secrets.get(name).reveal() == "v"

    assert set(opened(watch)) <= {name_of(gone)}


def test_behind_one_address_a_set_without_an_active_node_leaves_gets_alone(tmp_path: Path) -> None:
    with (
        FaultyServer(standby("http://10.9.9.9:8200", UNDONE)) as one,
        system_over(tmp_path, one.url) as (system, watch),
    ):
        in_a_row = 0
        while in_a_row < 5:
            error = failure(lambda: system.secrets.set("a", "w", timeout=0.5))
            in_a_row += 1
            if not isinstance(error, errors.NoActiveNode):  # the actor's own error came first: the machine is busy
                assert system.secrets.get("a").reveal() == "v"
                in_a_row = 0
        assert system.secrets.get("a").reveal() == "v"

    assert opened(watch) == []


def test_sets_that_hang_in_standbys_leave_gets_alone(tmp_path: Path) -> None:
    """A leader that was stopped keeps its connections, and standbys wait for it with what they have passed on."""
    with reserve() as held:
        gone = f"http://127.0.0.1:{held.getsockname()[1]}"
        with FaultyServer(hanging(gone)) as one, FaultyServer(hanging(gone)) as two:
            with system_over(tmp_path, one.url, two.url, timeout=1.0) as (system, watch):
                error = failure(lambda: system.secrets.set("a", "w", timeout=2.08))
                assert isinstance(error, errors.BackendTimeout | errors.DeadlineExceeded)
                assert system.secrets.get("a").reveal() == "v"

    assert opened(watch) == []


def hanging(gone: str) -> VaultNode:
    return VaultNode(
        {
            "GET sys/leader": said({"ha_enabled": True, "is_self": False, "leader_address": gone}),
            "GET kv/data/a": FOUND,
            "GET kv/metadata/a": KNOWN,
            "POST kv/data/a": Hang(),
        }
    )
