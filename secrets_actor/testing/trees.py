"""Functions for tests that look at a running supervision tree, or kill a process in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from secrets_actor.clock import now, sleep
from secrets_actor.otp import Pid, Tree, TreeNode
from secrets_actor.runtime.system import System
from secrets_actor.testing.gate import PATIENCE

# Seconds between two looks. These functions poll, because a tree as a whole sends no message when it is at rest.
_GLANCE: Final = 0.002
# Registered names of the tree, any of which leads to its top. Several, because one of these processes may be down just
# now, on its way to a restart.
_NAMED: Final = ("timers", "audit", "workers", "secrets")


def settled(system: System, timeout: float = PATIENCE) -> Tree:
    """Wait until every process of the tree runs, owes no answer and waits for a message; then return the tree.

    Raises `TimeoutError` after *timeout* seconds; its text names the processes that were not at rest.
    """
    deadline = now() + timeout
    while True:
        tree = system.tree()
        busy = [_described(node) for node in tree.root.walk() if not _at_rest(node)]
        busy += [repr(pid) for pid in _processes(system) if not pid.mailbox_idle()]
        if not busy:
            return tree
        if now() >= deadline:
            raise TimeoutError(f"after {timeout:g} seconds the tree is not at rest: {', '.join(busy)}")
        sleep(_GLANCE)


def find(system: System, who: str | int | threading.Thread, timeout: float = PATIENCE) -> Pid:
    """Return a living process of the tree. *who* is its registered name (or, if it has none, its id in the tree), its
    serial number, or its thread. Of several processes with the same id, the oldest is returned.

    Waits for a process that is not there yet, because a process may be at work before its supervisor shows it. Raises
    `LookupError` after *timeout* seconds, and at once when the system does not run.
    """
    deadline = now() + timeout
    while True:
        found = _look_for(system, who)
        if found is not None:
            return found
        if now() >= deadline or not system.running:
            raise LookupError(f"there is no process {who!r} in the tree; str(system.tree()) shows those there are")
        sleep(_GLANCE)


def kill(system: System, who: str | int | threading.Thread) -> Pid:
    """Kill a process of the tree as `exit(Pid, kill)` does in Erlang. Return its pid once the process has ended and
    every process that monitors it has been told.

    *who* is as for `find`. The restart by its supervisor may take longer; `settled` waits for that. Raises
    `LookupError`.
    """
    pid = find(system, who)
    pid.kill()
    pid.wait(PATIENCE)
    return pid


def _look_for(system: System, who: str | int | threading.Thread) -> Pid | None:
    if isinstance(who, str):
        named = system.whereis(who)
        if named is not None:
            return named
    for pid in _processes(system):
        if pid.is_alive() and (who in (pid.label, pid.serial) or (pid.thread is not None and pid.thread is who)):
            return pid
    return None


def _processes(system: System) -> list[Pid]:
    """Return all processes of the tree, each one after its supervisor."""
    for pid in filter(None, map(system.whereis, _NAMED)):
        top = pid
        # The system may be a part of a host program's tree: stop below the processes that are not ours.
        while top.parent is not None and top.parent.node is top.node:
            top = top.parent
        return list(_below(top))
    return []


def _below(pid: Pid) -> Iterator[Pid]:
    yield pid
    for child in getattr(pid.published, "children", ()):
        if child.pid is not None:
            yield from _below(child.pid)


def _at_rest(node: TreeNode) -> bool:
    return node.state == "running" and not node.open_calls and not node.mailbox


def _described(node: TreeNode) -> str:
    return f"{node.id} is {node.state}, mailbox {node.mailbox}, open calls {node.open_calls}"
