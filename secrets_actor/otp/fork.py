"""os.fork() copies our objects and none of our threads. In the child every node is emptied, before anybody uses it.

Nothing is done before a fork: taking every lock of every process there would make the program wait for its slowest
server. So a lock may be held in the child by a thread that is not there; `forget` replaces them all.
"""

from __future__ import annotations

import os
import weakref
from typing import Any, Final, Protocol


class Forgets(Protocol):
    """A node."""

    def forget(self) -> None:
        """Be empty."""


_watched: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


def watch(node: Forgets) -> None:
    """Have *node* emptied in every child of a fork."""
    _watched.add(node)


def _in_child() -> None:
    for node in tuple(_watched):
        node.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
