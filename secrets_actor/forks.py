"""What os.fork() does to a program with threads, and what is done about it.

Rule 1: in the child no thread of ours is there, and any lock may be held forever by one that is not. Whoever is known
        by `on_fork` forgets all it knows, before anybody there uses it.
Rule 2: a fork waits for a library that is being loaded (`loading`): in the child it would stay half loaded and locked.
Rule 3: it waits for those who must not be copied in the middle of their work (`Pauses`); they rest until it is done.
Rule 4: no fork waits longer than `PATIENCE`: a disk that hangs must not hang the whole program.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from secrets_actor.clock import now

# Seconds.
PATIENCE: Final = 5.0


class Forgets(Protocol):
    """Somebody who knows threads, or locks that they may hold."""

    def forget(self) -> None:
        """In the child: be as new."""


class Pauses(Protocol):
    """Somebody who has what a child must not inherit."""

    def pause(self, patience: float) -> bool:
        """Before a fork: let go of it, and rest. False if that takes longer than *patience* seconds."""

    def resume(self, child: bool, paused: bool) -> None:
        """After the fork: go on. *paused* is what `pause` has said; *child* whether this is the forked process."""


_forgetful: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
_pausing: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


class _Fork:
    """One at a time; re-entrant, for a library that forks while it is loaded."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.held = False
        self.paused: list[tuple[Pauses, bool]] = []

    def before(self) -> None:
        end = now() + PATIENCE
        self.held = self.lock.acquire(timeout=PATIENCE)
        for one in tuple(_pausing):
            self.paused.append((one, one.pause(max(0.0, end - now()))))

    def after(self, child: bool) -> None:
        paused, self.paused = self.paused, []
        for one, has_paused in paused:
            one.resume(child, has_paused)
        if child:
            self.lock = threading.RLock()
            for each in tuple(_forgetful):
                each.forget()
        elif self.held:
            self.lock.release()


_fork: Final = _Fork()


def on_fork(one: Forgets) -> None:
    """Have *one* forget in every child, for as long as it lives."""
    _forgetful.add(one)


def pauses(one: Pauses) -> None:
    """Have *one* paused over every fork, for as long as it lives."""
    _pausing.add(one)


@contextmanager
def loading() -> Iterator[None]:
    """Around an import in the middle of work."""
    with _fork.lock:
        yield


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_fork.before,
        after_in_parent=lambda: _fork.after(child=False),
        after_in_child=lambda: _fork.after(child=True),
    )
