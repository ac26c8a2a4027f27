"""What os.fork() does to a program with threads, and what is done about it.

Rule 1: in the child no thread of ours is there, and any lock may be held forever by one that is not. Whoever is known
        by `on_fork` forgets all it knows, before anybody there uses it.
Rule 2: a fork waits for a library that is being loaded (`loading`): in the child it would stay half loaded and locked.
Rule 3: it waits for those who must not be copied in the middle of their work (`Pauses`); they rest until it is done.
Rule 4: no fork waits longer than `PATIENCE`: a disk that hangs must not hang the whole program.
Rule 5: Python does not hear of a fork that is made in C, as by uWSGI's master. So whoever is asked anything there looks
        first whether this is still the process that it was (`notice_fork`), and before it takes any lock. A cached get
        is the exception, for a system call costs as much as half of it: it looks after a second at most.
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

# Seconds.
PATIENCE: Final = 5.0
# Those that died are looked for when so many are known, and then each time that their number has doubled.
_FIRST_SWEEP: Final = 64


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

    @property
    def busy(self) -> bool:
        """Whether it is in the middle of its work, or was when this process was forked."""


class _Known:
    """Objects that are known for as long as they live.

    A `weakref.WeakSet` does not do: it runs Python code when one of them dies, in the middle of whatever the thread is
    at. There Python drops what a signal handler raises, such as KeyboardInterrupt, and a program runs on that was told
    to end. And no lock is held here, for a handler may come in between.
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
                    self._refs.pop(number, None)  # a number is given once, so this is the one that was looked at
            self._sweep_at = _FIRST_SWEEP + 2 * len(self._refs)

    def __iter__(self) -> Iterator[Any]:
        found = (ref() for ref in tuple(self._refs.values()))
        return iter({id(one): one for one in found if one is not None}.values())


_forgetful: Final = _Known()
_pausing: Final = _Known()


class _Fork:
    """One at a time; re-entrant, for a library that forks while it is loaded."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.held = False
        self.paused: list[tuple[Pauses, bool]] = []
        self.process = os.getpid()
        self.noticed: dict[int, threading.RLock] = {}  # by process, the lock of who notices first there
        self.forgetting = 0  # the thread that does

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
        self.process = os.getpid()

    def unheard(self, process: int) -> bool:
        with self.noticed.setdefault(process, threading.RLock()):
            if self.process == process or self.forgetting == threading.get_ident():
                return False
            self.forgetting = threading.get_ident()
            try:
                # What was inherited is let go of here, for want of a better place. Not while a thread was at work
                # with anything of the kind: it may hold locks of a library, and is not here to release them.
                self.paused, idle = [], not any(one.busy for one in _pausing)
                for one in _pausing:
                    one.resume(child=True, paused=idle and one.pause(0.0))
                self.forget_all()
            finally:
                self.forgetting = 0
            return True


_fork: Final = _Fork()


def on_fork(one: Forgets) -> None:
    """Have *one* forget in every child, for as long as it lives."""
    _forgetful.add(one)


def pauses(one: Pauses) -> None:
    """Have *one* paused over every fork, for as long as it lives."""
    _pausing.add(one)


def notice_fork() -> bool:
    """Look whether this process was forked, and Python did not hear of it: then all that were told by `on_fork` to
    forget do so now. Whether it was. Half a microsecond at most."""
    process = os.getpid()
    return process != _fork.process and _fork.unheard(process)


@contextmanager
def loading() -> Iterator[None]:
    """Around an import in the middle of work."""
    notice_fork()
    with _fork.lock:
        yield


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_fork.before,
        after_in_parent=lambda: _fork.after(child=False),
        after_in_child=lambda: _fork.after(child=True),
    )
