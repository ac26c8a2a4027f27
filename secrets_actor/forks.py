"""The handling of os.fork() in a program with threads.

Rule 1: in the child none of our threads exists, and a lock that one of them held stays locked forever. So every object
        that was given to `on_fork` forgets all it knows in the child, before any code there uses it.
Rule 2: a fork waits until a library is loaded (`loading`): in the child it would stay half loaded and locked.
Rule 3: a fork waits for objects that must not be copied in the middle of their work (`Pauses`). They rest until it is
        over.
Rule 4: a fork waits for `PATIENCE` seconds at most: a disk that hangs must not hang the whole program.
Rule 5: Python does not notice a fork that is made in C, such as that of uWSGI's master. So every public entry first
        looks whether this is still the same process (`notice_fork`), before it takes any lock. A cached get is the
        exception, because that system call costs half as much as the get itself: it looks after a second at most.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from secrets_actor.clock import now

# The longest time in seconds that a fork waits (rule 4).
PATIENCE: Final = 5.0
# Dead references are swept out when so many are known, and then each time that the number of references has doubled.
_FIRST_SWEEP: Final = 64


class ForgetsInChild(Protocol):
    """An object that has threads, or locks that threads may hold."""

    def forget(self) -> None:
        """In the child of a fork: become as new."""


class PausesForFork(Protocol):
    """An object that holds something that a child must not inherit, such as a database that is open."""

    def pause(self, patience: float) -> bool:
        """Before a fork: let go of it, and rest. Return False if that takes longer than *patience* seconds."""

    def resume(self, child: bool, paused: bool) -> None:
        """After the fork: go on. *paused* is the result of `pause`; *child* is whether this is the forked process."""

    @property
    def busy(self) -> bool:
        """Whether the object is in the middle of its work, or was when this process was forked."""


class _Known:
    """A set of objects, each of which is in it for as long as it lives.

    A `weakref.WeakSet` will not do. It runs Python code when one of its objects dies, in the middle of whatever the
    thread does. If a signal handler raises there, such as KeyboardInterrupt, Python drops the exception, and a program
    that was told to end runs on. There is no lock here, because a signal handler may come in between.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._refs: dict[int, weakref.ref[Any]] = {}
        self._sweep_at = _FIRST_SWEEP

    def add(self, one: Any) -> None:
        self._refs[next(self._numbers)] = weakref.ref(one)
        if len(self._refs) >= self._sweep_at:
            for number, ref in tuple(self._refs.items()):
                if ref() is None:
                    self._refs.pop(number, None)  # a number is given once, so this is the reference just looked at
            self._sweep_at = _FIRST_SWEEP + 2 * len(self._refs)

    def __iter__(self) -> Iterator[Any]:
        found = (ref() for ref in tuple(self._refs.values()))
        # By id: so an object that was added twice comes once, and objects need not be hashable.
        return iter({id(one): one for one in found if one is not None}.values())


_forgetful: Final = _Known()
_pausing: Final = _Known()


class _Fork:
    """The handling of one fork at a time. Its lock is re-entrant, for a library that forks while it is loaded."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.held = False
        self.paused: list[tuple[PausesForFork, bool]] = []
        self.process = os.getpid()
        # By process id, a lock for the threads that notice the fork at the same time. One made before may be locked.
        self.noticed: dict[int, threading.RLock] = {}
        self.forgetting = 0  # the id of the thread that lets all objects forget; 0: none does

    def before(self) -> None:
        end = now() + PATIENCE
        self.held = self.lock.acquire(timeout=PATIENCE)
        for one in _pausing:
            self.paused.append((one, one.pause(max(0.0, end - now()))))

    def after(self, child: bool) -> None:
        paused, self.paused = self.paused, []
        for one, has_paused in paused:
            one.resume(child, has_paused)
        if child:
            self.forget_all()
        elif self.held:
            self.lock.release()

    def forget_all(self) -> None:
        self.lock = threading.RLock()
        for each in _forgetful:
            each.forget()
        self.process = os.getpid()  # last: other threads wait in `unheard` until all have forgotten

    def unheard(self, process: int) -> bool:
        with self.noticed.setdefault(process, threading.RLock()):
            if self.process == process or self.forgetting == threading.get_ident():
                return False
            self.forgetting = threading.get_ident()
            try:
                # There was no pause before this fork, so inherited things are let go of here. This is not done if a
                # thread of the parent was at work with one of them: it may hold locks of a library, and does not exist
                # here to release them.
                self.paused, idle = [], not any(one.busy for one in _pausing)
                for one in _pausing:
                    one.resume(child=True, paused=idle and one.pause(0.0))
                self.forget_all()
            finally:
                self.forgetting = 0
            return True


_fork: Final = _Fork()


def on_fork(one: ForgetsInChild) -> None:
    """Call `forget` of *one* in every child of a fork, for as long as *one* lives."""
    _forgetful.add(one)


def pauses(one: PausesForFork) -> None:
    """Pause *one* during every fork, for as long as *one* lives."""
    _pausing.add(one)


def notice_fork() -> bool:
    """Return whether this process was forked without Python noticing it. If so, all objects that were given to
    `on_fork` forget now. It takes half a microsecond at most."""
    process = os.getpid()
    return process != _fork.process and _fork.unheard(process)


@contextmanager
def loading() -> Iterator[None]:
    """Hold this around an import that is made after the start: a fork waits for it (rule 2)."""
    notice_fork()
    with _fork.lock:
        yield


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(
        before=_fork.before,
        after_in_parent=lambda: _fork.after(child=False),
        after_in_child=lambda: _fork.after(child=True),
    )
