"""From: the answer handle that travels with a call.

Rule 1: it settles exactly once; whoever comes later is told so and changes nothing.
Rule 2: anyone may settle it: the server, the server's end, or the caller who stops waiting.
Rule 3: it can be waited on by a thread and watched by a callback, which runs once, in the thread that settles it or,
        if it was settled before, in the one that came to watch.
Rule 4: a thread that settles it adds its outcome to a list, of which the first one counts, and opens the gate then. One
        that watches adds its callback first and looks for an outcome then: so either side sees the other, and taking a
        callback off the list is atomic. A thread that settles may be cut off by a signal handler that raises: the next
        one that comes does the rest.
Rule 5: of a crowd that gets one answer (`answer_all`) a few are woken, and each thread wakes the next as it leaves, for
        whatever reason. A thousand woken at once fight for the interpreter, and each comes round every few milliseconds
        for nothing. A thread that leaves says so first and then wakes the next of its crowd; a thread that wakes
        another looks then whether that one has left, and goes on to the next if so. Nobody depends on that for long:
        see `Crowd.post`.
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
_open: Final = type(_Lock()).release
# How many of a crowd are woken at a time; a smaller one is woken as a whole. A thousand woken at once take 30 ms to
# leave on one core, and a few at a time 14. More than one: a thread that is slow to come round holds up no other.
AWAKE: Final = 4


class From(Generic[T]):
    """The right to answer one call. `deadline` (clock seconds) is when its caller stops waiting, None for never; `note`
    is for whatever caller and server have agreed on beside the question."""

    __slots__ = (
        *("_callbacks", "_crowd", "_gate", "_outcomes", "_owing", "_waits"),
        *("deadline", "note", "patience"),
    )

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self.note: Any = None
        self.patience: float | None = 0.0  # seconds its caller can wait for room in a mailbox; None: forever
        self._gate = _Lock()  # held until settled: a lock is the cheapest thing a thread can wait on
        self._gate.acquire()
        self._outcomes: list[tuple[Any, BaseException | None]] = []  # value and error of whoever settled, or tried to
        self._callbacks: list[Callable[[From[T]], object]] = []
        self._owing: dict[Any, Any] | None = None
        self._waits = False  # whether a thread is in `wait`
        self._crowd: Crowd | None = None

    def owed_by(self, owing: dict[Any, Any]) -> None:
        """Enter this handle among those who wait for something of a process, as the last. Settling takes it out."""
        self._owing = owing
        owing[self] = None

    def reply(self, value: T) -> bool:
        """Answer with *value*. False if it was settled before."""
        return self._settle(value, None)

    def fail(self, error: BaseException) -> bool:
        """Answer with *error*, which `wait` raises. False if it was settled before."""
        return self._settle(None, error)

    def _settle(self, value: Any, error: BaseException | None, crowd: Crowd | None = None) -> bool:
        if crowd is not None:
            self._crowd = crowd  # before anything that could let go whoever waits
        outcome = value, error
        self._outcomes.append(outcome)
        if self._outcomes[0] is not outcome:
            del self._outcomes[1:]
            self._do_the_rest()
            return False
        owing = self._owing
        if owing is not None:
            try:  # noqa: SIM105 - no call: nothing comes between this and the gate
                del owing[self]
            except KeyError:
                pass
        if crowd is None or not self._waits:
            try:  # noqa: SIM105
                self._gate.release()
            except RuntimeError:  # somebody has done so for us
                pass
        else:
            crowd.members.append(self)
        if self._callbacks:
            self._call_back()
        return True

    def _do_the_rest(self) -> None:
        """What the one who settled it may not have come to."""
        if self._owing is not None:
            self._owing.pop(self, None)
        if self._crowd is None:
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
        """Whether it has been answered, failed or given up."""
        return bool(self._outcomes)

    @property
    def error(self) -> BaseException | None:
        """The error it settled with; None while open or answered."""
        return self._outcomes[0][1] if self._outcomes else None

    def on_settled(self, callback: Callable[[From[T]], object]) -> None:
        """Run *callback* with this handle once it settles: now, if it has. The callback must not raise or block."""
        self._callbacks.append(callback)
        if self._outcomes:
            self._call_back()

    def wait(self, timeout: float | None = None) -> T:
        """The answer. Raises the error it failed with, or `CallTimeout` after *timeout* seconds: the caller has then
        given up, and a later answer is dropped."""
        gate = self._gate
        timeout = 0.0 if alone() else timeout  # the last thread of all: nobody is left who could answer
        try:
            self._waits = True
            if timeout is None:
                gate.acquire()
                let_go(gate)  # for others who wait
            elif gate.acquire(True, timeout if 0.0 <= timeout <= threading.TIMEOUT_MAX else clamped(timeout)):
                let_go(gate)
            else:
                self.fail(CallTimeout(f"no answer within {timeout:.3g} seconds"))
        finally:
            self._waits = False
            if self._crowd is not None:
                self._crowd.wake_one()
        return self.result()

    def result(self) -> T:
        """The answer of a settled handle; raises the error it failed with."""
        if not self._outcomes:
            raise RuntimeError("not settled yet")
        value, error = self._outcomes[0]
        if error is not None:
            raise error
        answer: T = value
        return answer


class Crowd:
    """Those threads, of all who got one answer, that wait for those before them to wake them. For any thread."""

    __slots__ = ("_waking", "members")

    def __init__(self) -> None:
        self.members: list[From[Any]] = []
        self._waking: Iterator[tuple[From[Any], None]] = iter(())

    def gathered(self) -> bool:
        """All are there: wake the first of them. Whether others are left."""
        members, self.members = self.members, []  # the awake drop the crowd, and the crowd drops them
        # To find the next and to open its gate is one step, which no interrupt can part.
        self._waking = zip(members, map(_open, [one._gate for one in members]))  # noqa: B905  of one length
        for _ in range(AWAKE):
            self.wake_one()
        return len(members) > AWAKE

    def wake_one(self) -> None:
        """Wake the next that has not left."""
        for one, _ in self._waking:
            if one._waits:
                return

    def post(self, message: object = None) -> None:  # noqa: ARG002
        """Wake all. To be sent a while later, as a delayed message: some threads may have been slow to come round, as
        they had a signal handler to run, or those woken before them kept the interpreter busy."""
        for _ in self._waking:
            pass


def answer_all(callers: Sequence[From[T]], value: T) -> Crowd | None:
    """Answer all of *callers* with *value*; those that were settled before stay as they are. If not all of their
    threads are awake now, the crowd: have it sent something in a while."""
    crowd = Crowd() if len(callers) > AWAKE else None
    try:
        for caller in callers:
            caller._settle(value, None, crowd)
    finally:
        left = crowd is not None and crowd.gathered()
    return crowd if left else None
