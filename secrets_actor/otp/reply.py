"""From: the answer handle that travels with a call.

Rule 1: a handle settles exactly once. A later attempt to settle it returns False and changes nothing.
Rule 2: any thread may settle it: that of the server, one that ends the server, or the caller's, which stops waiting.
Rule 3: a thread can wait on it, and a callback can watch it. The callback runs once: in the thread that settles the
        handle or, if it was settled before, in the thread that adds the callback.
Rule 4: a thread that settles the handle first adds its outcome to a list, of which the first entry counts, and then
        opens the gate. A thread that watches first adds its callback and then looks for an outcome. So one of them sees
        the other, and taking a callback off the list is one step. A signal handler that raises may interrupt the thread
        that settles: the next thread that comes does the rest.
Rule 5: if many threads get one answer (`answer_all`), only a few are woken at first, and each wakes the next one as it
        leaves `wait`, for whatever reason. A thousand threads woken at once fight for the interpreter, and each runs
        every few milliseconds for nothing. A thread that leaves first says so and then wakes the next; a thread that
        wakes another then looks whether that one has left already, and if so goes on to the next. If a thread of the
        chain is held up, `Crowd.post` wakes all the others a little later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Generic, TypeVar

from secrets_actor.otp.errors import CallTimeout
from secrets_actor.otp.signal_safe import clamped, let_go
from secrets_actor.otp.threads import alone

T = TypeVar("T")
_Lock: Final = threading.Lock
_open: Final = type(_Lock()).release  # the plain C function, which `map` calls without running Python code in between
# How many threads of a group are awake at a time; a group no larger than this is woken as a whole. A thousand threads
# take 30 ms to leave on one core if all are woken at once, and 14 ms if a few are. It is more than one, so that a
# thread that is slow to run does not hold up the others.
AWAKE: Final = 4


class From(Generic[T]):
    """The right to answer one call. `deadline` (clock seconds) is the moment at which its caller stops waiting, None
    for never. `note` is free for a use that the caller and the server have agreed on."""

    __slots__ = (
        *("_callbacks", "_group", "_gate", "_outcomes", "_owing", "_waits"),
        *("deadline", "note", "patience"),
    )

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self.note: Any = None
        self.patience: float | None = 0.0  # seconds that its caller can wait for room in a mailbox; None: forever
        # A lock that is held until the handle is settled: a thread can wait on nothing that is cheaper.
        self._gate = _Lock()
        self._gate.acquire()
        self._outcomes: list[tuple[Any, BaseException | None]] = []  # value and error of each thread that settles
        self._callbacks: list[Callable[[From[T]], object]] = []
        self._owing: dict[Any, Any] | None = None
        self._waits = False  # whether a thread is in `wait`
        self._group: WakingGroup | None = None

    def owed_by(self, owing: dict[Any, Any]) -> None:
        """Add this handle at the end of *owing*, the table of the calls that a process has to answer. Settling takes it
        out."""
        self._owing = owing
        owing[self] = None

    def reply(self, value: T) -> bool:
        """Answer with *value*. Return False if the handle was settled before."""
        return self._settle(value, None)

    def fail(self, error: BaseException) -> bool:
        """Answer with *error*, which `wait` raises. Return False if the handle was settled before."""
        return self._settle(None, error)

    def _settle(self, value: Any, error: BaseException | None, group: WakingGroup | None = None) -> bool:
        """Settle the handle (rules 1 and 4). With *group*, a thread that waits is not woken here but by the group."""
        if group is not None:
            self._group = group  # first of all: a thread that stops waiting must find the group, to wake the next
        outcome = value, error
        self._outcomes.append(outcome)
        if self._outcomes[0] is not outcome:
            del self._outcomes[1:]  # nobody reads them, and they may hold a secret
            self._do_the_rest()
            return False
        owing = self._owing
        if owing is not None:
            try:  # noqa: SIM105 - `suppress` is a call, and a signal handler runs between calls: none is wanted here
                del owing[self]
            except KeyError:
                pass
        if group is None or not self._waits:
            try:  # noqa: SIM105
                self._gate.release()
            except RuntimeError:  # `_do_the_rest` in another thread has opened it already
                pass
        else:
            group.members.append(self)
        if self._callbacks:
            self._call_back()
        return True

    def _do_the_rest(self) -> None:
        """Finish what the thread that settled the handle may have been kept from: rule 4."""
        if self._owing is not None:
            self._owing.pop(self, None)
        if self._group is None:
            let_go(self._gate)
        self._call_back()

    def _call_back(self) -> None:
        while True:
            try:
                callback = self._callbacks.pop(0)
            except IndexError:
                return
            callback(self)

    @property
    def settled(self) -> bool:
        """Whether the handle has been answered or failed, or its caller has given up."""
        return bool(self._outcomes)

    @property
    def error(self) -> BaseException | None:
        """The error that the handle was settled with; None if it is not settled or was answered with a value."""
        return self._outcomes[0][1] if self._outcomes else None

    def on_settled(self, callback: Callable[[From[T]], object]) -> None:
        """Call *callback* with this handle when it settles: now, if it has. The callback must not raise or block."""
        self._callbacks.append(callback)
        if self._outcomes:
            self._call_back()

    def wait(self, timeout: float | None = None) -> T:
        """Wait for the answer and return it. Raises the error that the handle was failed with, or `CallTimeout` after
        *timeout* seconds (None: wait as long as it takes). The caller has then given up, and a later answer is
        dropped."""
        gate = self._gate
        timeout = 0.0 if alone() else timeout  # while Python shuts down no other thread runs that could answer
        try:
            self._waits = True
            if timeout is None:
                gate.acquire()
                let_go(gate)  # for the next thread that waits on this handle
            elif gate.acquire(True, timeout if 0.0 <= timeout <= threading.TIMEOUT_MAX else clamped(timeout)):
                let_go(gate)
            else:
                self.fail(CallTimeout(f"no answer within {timeout:.3g} seconds"))
        finally:
            self._waits = False
            if self._group is not None:
                self._group.wake_one()
        return self.result()

    def result(self) -> T:
        """Return the answer of a settled handle, or raise the error that it was failed with."""
        if not self._outcomes:
            raise RuntimeError("not settled yet")
        value, error = self._outcomes[0]
        if error is not None:
            raise error
        answer: T = value
        return answer


class WakingGroup:
    """The threads that have one answer and are still to be woken. Any thread may use it."""

    __slots__ = ("_waking", "members")

    def __init__(self) -> None:
        self.members: list[From[Any]] = []
        self._waking: Iterator[tuple[From[Any], None]] = iter(())

    def gathered(self) -> bool:
        """Wake the first threads: all members have been added. Return whether others are left to be woken."""
        members, self.members = self.members, []  # else group and handles would refer to each other: a cycle for the gc
        # Finding the next thread and opening its gate is one step of this iterator, so that a signal handler that
        # raises cannot come in between: that thread would never be woken.
        self._waking = zip(members, map(_open, [one._gate for one in members]))  # noqa: B905  of one length
        for _ in range(AWAKE):
            self.wake_one()
        return len(members) > AWAKE

    def wake_one(self) -> None:
        """Wake the next thread that has not left `wait`."""
        for one, _ in self._waking:
            if one._waits:
                return

    def post(self, message: object = None) -> None:  # noqa: ARG002
        """Wake all threads that are left. This is the target of a delayed message (*message* is ignored): a thread of
        the chain may be held up by a signal handler, or by busy threads that were woken before it."""
        for _ in self._waking:
            pass


def answer_all(callers: Sequence[From[T]], value: T) -> WakingGroup | None:
    """Answer all of *callers* with *value*; those that were settled before stay as they are. Return None if all of
    their threads have been woken, else the group of the others. They wake each other; send the group a delayed message
    all the same, see `Crowd.post`."""
    group = WakingGroup() if len(callers) > AWAKE else None
    try:
        for caller in callers:
            caller._settle(value, None, group)
    finally:
        left = group is not None and group.gathered()
    return group if left else None
