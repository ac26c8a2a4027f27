"""Erlang processes in a time of their own: mailboxes, signals, links, monitors, timers. PURE.

Rule 1: a process is a generator. It yields what it waits for: `Wait`; it is resumed with what came, or with LATE.
Rule 2: time stands while anybody can run. Then it jumps to the next timer, and no further than the step allows.
Rule 3: who becomes able to run first, runs first; with a source of chance, anybody does, may be interrupted between
        two actions, and timers are late: what then differs from one source to the next is not defined.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from random import Random
from typing import Any

Event = dict[str, Any]
Term = Any
Life = Generator["Wait", Any, Any]
STACK, CALL = "$stack", "$call"
LATE = object()  # what a wait yields that took too long
TURNS = 3000  # of all processes together, after which a scenario goes on forever
LATEST_MS = 100  # by which a timer may be late, beside a quarter of its time


class Raised(Exception):
    """error, exit or throw in a process."""

    def __init__(self, kind: str, term: Term) -> None:
        super().__init__(kind)
        self.kind, self.term = kind, term

    @property
    def reason(self) -> Term:
        """The exit reason of a process that lets it through."""
        return [self.term, STACK] if self.kind == "error" else self.term


@dataclass(eq=False)
class Answer:
    """What somebody waits for, beside the mailbox: settled once; what comes later is dropped."""

    owner: "Process"
    value: Any = None
    settled: bool = False


@dataclass(frozen=True)
class Wait:
    """For a message, or for *answer*; up to *ms* milliseconds (None: forever)."""

    answer: Answer | None = None
    ms: int | None = None
    silent: bool = False  # a sleep: neither a message nor an answer ends it
    pause: bool = False  # for nothing: others may run first


@dataclass(eq=False)
class Process:
    """A server, a client, or the process that runs the steps."""

    name: str
    number: int | None = None
    parent: "Process | None" = None
    registered: str | None = None
    traps: bool = False
    started: bool = False
    alive: bool = True
    life: Life | None = None
    wait: Wait | None = None
    turn: int = 0  # of its waits: a time-out of an earlier one is none of this one's business
    inbox: deque[Any] = field(default_factory=deque)
    links: list["Process"] = field(default_factory=list)
    watchers: list["Monitor"] = field(default_factory=list)

    @property
    def term(self) -> Term:
        return {"pid": self.name if self.number is None else f"{self.name}#{self.number}"}


@dataclass(eq=False)
class Monitor:
    """Of *target* (None: nobody), by *owner*; *fired* is called with the reason instead of a DOWN, if it is there."""

    owner: Process
    target: Process | None
    key: str = ""
    name: str | None = None
    fired: Callable[[Term], None] | None = None


class Beam:
    """All processes of one scenario, and the trace of what they do."""

    def __init__(self, chance: Random | None = None) -> None:
        self.chance = chance
        self.slow = (
            None if chance is None else chance.choice((None, "client", "client", "a", "b", "p1"))
        )  # it runs last
        self.now = self.turns = 0
        self.trace: list[Event] = []
        self.names: dict[str, Process] = {}
        self.latest: dict[str, Process] = {}
        self.numbers: dict[str, int] = {}
        self.processes: list[Process] = []
        self._ready: deque[tuple[Process, int, Any]] = deque()
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def tell(self, ev: str, **fields: Any) -> None:
        """Record an event."""
        self.trace.append({"ev": ev, **fields})

    # --- running --------------------------------------------------------------------------------------------------

    def begin(self, process: Process, life: Life) -> None:
        process.life = life
        self.processes.append(process)
        self._ready.append((process, process.turn, None))

    def run(self, until: Callable[[], bool], limit: int | None = None, hurry: bool = False) -> None:
        """Until *until* holds and nobody can run (in a *hurry*: even if somebody can), or the next timer is due after
        *limit*."""
        while True:
            if self._ready:
                if hurry and until():
                    return
                if not self._timer_first(limit):
                    self._resume_one()
                    continue
            elif until() or not self._due or (limit is not None and self._due[0][0] > limit):
                return
            due, _, action = heapq.heappop(self._due)
            self.now = max(self.now, due)
            action()

    def _timer_first(self, limit: int | None) -> bool:
        """Whether, by chance, a timer that is nearly due fires before those who can run."""
        if self.chance is None or not self._due:
            return False
        due = self._due[0][0]
        return due <= self.now + LATEST_MS and (limit is None or due <= limit) and self.chance.random() < 0.4

    def _resume_one(self) -> None:
        self.turns += 1
        if self.turns > TURNS:
            raise LookupError("no end in sight")
        if self.chance is not None:
            self._ready.rotate(self.chance.randrange(len(self._ready)))
            if self._ready[0][0].name == self.slow:
                self._ready.rotate(1)
        process, turn, value = self._ready.popleft()
        if process.alive and process.turn == turn:
            self._resume(process, value)

    def after(self, ms: int, action: Callable[[], None]) -> None:
        """Do *action* in *ms* milliseconds."""
        if self.chance is not None:
            ms += self.chance.randint(0, LATEST_MS + ms // 4)
        heapq.heappush(self._due, (self.now + ms, next(self._order), action))

    def _resume(self, process: Process, value: Any) -> None:
        process.turn += 1
        process.wait = None
        assert process.life is not None
        try:
            wait = process.life.send(value)
        except StopIteration as stop:
            self.end(process, stop.value)
            return
        if not process.alive:  # it has killed itself
            process.life.close()
            return
        process.wait = wait
        if wait.pause:
            self._wake(process, None)
            return
        self._look(process)
        if process.wait is not None and wait.ms is not None:
            turn = process.turn
            self.after(wait.ms, lambda: self._late(process, turn))

    def _late(self, process: Process, turn: int) -> None:
        if process.alive and process.turn == turn and process.wait is not None:
            self._wake(process, LATE)

    def _wake(self, process: Process, value: Any) -> None:
        process.wait = None
        self._ready.append((process, process.turn, value))

    def _look(self, process: Process) -> None:
        """Whether what it waits for is there."""
        wait = process.wait
        if wait is None or wait.silent:
            return
        if wait.answer is not None:
            if wait.answer.settled:
                self._wake(process, wait.answer.value)
        elif process.inbox:
            self._wake(process, process.inbox.popleft())

    @property
    def at_rest(self) -> bool:
        """Whether nobody is doing anything: asleep counts, waiting for a message or for somebody else does not."""
        return all(not one.alive or (one.wait is not None and not one.wait.silent) for one in self.processes)

    # --- messages and signals -------------------------------------------------------------------------------------

    def send(self, target: Process | None, message: Any) -> None:
        if target is not None and target.alive:
            target.inbox.append(message)
            self._look(target)

    def settle(self, answer: Answer, value: Any) -> None:
        """Answer, unless somebody did before."""
        if not answer.settled:
            answer.settled, answer.value = True, value
            if answer.owner.wait is not None and answer.owner.wait.answer is answer:
                self._look(answer.owner)

    def signal(self, target: Process | None, sender: Process, reason: Term) -> None:
        """exit/2."""
        if target is None or not target.alive:
            return
        if reason == "kill":
            self.end(target, "killed")
        elif target.traps:
            self.send(target, ("exit", sender, reason))
        elif reason != "normal" or sender is target:
            self.end(target, reason)

    def link(self, process: Process, other: Process | None) -> None:
        if other is None:
            raise LookupError("nobody to link to")
        if not other.alive:
            if not process.traps:
                raise Raised("error", "noproc")
            self.send(process, ("exit", other, "noproc"))
        elif other is not process and other not in process.links:
            process.links.append(other)
            other.links.append(process)

    def unlink(self, process: Process, other: Process | None) -> None:
        if other is None:
            raise LookupError("nobody to unlink from")
        if other in process.links:
            process.links.remove(other)
            other.links.remove(process)

    def watch(self, monitor: Monitor) -> Monitor:
        """Begin to monitor."""
        if monitor.target is None and monitor.name is None and monitor.fired is None:
            raise LookupError("nobody to monitor")
        if monitor.target is not None and monitor.target.alive:
            monitor.target.watchers.append(monitor)
        else:
            self._fire(monitor, "noproc")
        return monitor

    def unwatch(self, monitor: Monitor, flush: bool = False) -> bool:
        """Take it back: whether it was live."""
        live = monitor.target is not None and monitor in monitor.target.watchers
        if live and monitor.target is not None:
            monitor.target.watchers.remove(monitor)
        if flush:
            inbox = monitor.owner.inbox
            inbox.extend([one for one in (inbox.popleft() for _ in range(len(inbox))) if one[:2] != ("down", monitor)])
        return live

    def _fire(self, monitor: Monitor, reason: Term) -> None:
        if monitor.fired is not None:
            monitor.fired(reason)
        else:
            self.send(monitor.owner, ("down", monitor, reason))

    def end(self, process: Process, reason: Term) -> None:
        """It is gone: its name first, then those who watch it and those linked to it hear of it."""
        process.alive = False
        if process.started:
            self.tell("down", id=process.name, start_no=process.number, reason=reason)
        if process.registered is not None and self.names.get(process.registered) is process:
            del self.names[process.registered]
        news: list[Monitor | Process] = [*process.watchers, *process.links]
        process.watchers, process.links = [], []
        if self.chance is not None:
            self.chance.shuffle(news)
        for one in news:
            if isinstance(one, Monitor):
                self._fire(one, reason)
            else:
                self._part(one, process, reason)

    def _part(self, other: Process, process: Process, reason: Term) -> None:
        if process in other.links:
            other.links.remove(process)
            if other.traps:
                self.send(other, ("exit", process, reason))
            elif reason != "normal":
                self.end(other, reason)
