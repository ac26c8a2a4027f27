"""The table of subscriptions. It is made outside the processes and outlives them, as the cache does.

Rule 1: any thread adds and cancels; the secrets actor says what it sees; each subscriber takes what is for him. Nobody
        else's code runs under the lock.
Rule 2: each subscription has one process at a time: the one that claims it while no other serves it.
Rule 3: a change leaves the table before the callback is called: whatever ends the process then, nobody is told twice.
Rule 4: in the child of a fork all subscriptions are there, and what is known is to be asked for anew.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from typing import Final

from secrets_actor.actor.sightings import NEVER, Known, Line
from secrets_actor.domain.changes import NewVersion
from secrets_actor.domain.names import SecretId
from secrets_actor.otp import Pid
from secrets_actor.records import dataclass, field, replace

# Seconds for which a subscriber counts on the question of another one; its process may have ended over it.
ASKING: Final = 10.0
Callback = Callable[[NewVersion], object]


@dataclass(frozen=True, slots=True)
class Look:
    """To a subscriber: something concerns you. *doubt*: what is known is nothing to go by."""

    doubt: bool = False


_LOOK: Final = Look()


@dataclass(slots=True, eq=False)
class Entry:
    """One subscription. Only the table changes it."""

    number: int
    secret_id: SecretId
    callback: Callback = field(repr=False)
    line: Line = field(default_factory=Line)
    pid: Pid | None = None
    cancelled: bool = False


@dataclass(slots=True, eq=False)
class _Lane:
    """The subscriptions to one secret, and what is known of it."""

    known: Known = field(default_factory=Known)
    asked_at: float = NEVER  # when a subscriber asked the store, and has not heard
    entries: dict[int, Entry] = field(default_factory=dict)


class Subscriptions:
    """For all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._entries: dict[int, Entry] = {}
        self._lanes: dict[str, _Lane] = {}

    def forget(self) -> None:
        """In the child of a fork, where any lock may be held forever, and nothing is kept in memory."""
        self._lock = threading.Lock()
        for lane in tuple(self._lanes.values()):
            lane.known, lane.asked_at = replace(lane.known, seen_at=NEVER), NEVER

    # --- coming and going -----------------------------------------------------------------------------------------

    def add(self, secret_id: SecretId, callback: Callback) -> Entry:
        """A new subscription."""
        with self._lock:
            entry = Entry(next(self._numbers), secret_id, callback)
            lane = self._lanes.setdefault(secret_id.lane, _Lane())
            if lane.known != Known():
                entry.line = entry.line.begin(lane.known.version_id)
            self._entries[entry.number] = lane.entries[entry.number] = entry
        return entry

    def begin(self, entry: Entry, version_id: str, seen_at: float) -> None:
        """What the subscriber has in hands: the version that the cache serves, as the store said at *seen_at*."""
        with self._lock:
            entry.line = entry.line.begin(version_id)
            lane = self._lanes.get(entry.secret_id.lane)
            if lane is not None and lane.known == Known():
                lane.known = Known(version_id, seen_at)

    def remove(self, entry: Entry) -> None:
        """Cancel: no call of its callback begins from now on. Nothing if it was cancelled before."""
        with self._lock:
            entry.cancelled = True
            self._entries.pop(entry.number, None)
            lane = self._lanes.get(entry.secret_id.lane)
            if lane is not None:
                lane.entries.pop(entry.number, None)
                if not lane.entries:
                    del self._lanes[entry.secret_id.lane]
        _wake([entry])

    def claim(self, number: int, pid: Pid) -> Entry | None:
        """Give subscription *number* to the process *pid*. None if it was cancelled, or another one serves it."""
        with self._lock:
            entry = self._entries.get(number)
            if entry is None or (entry.pid is not None and _serves(entry.pid)):
                return None
            entry.pid = pid
            return entry

    @property
    def numbers(self) -> tuple[int, ...]:
        """All that there are."""
        with self._lock:
            return tuple(self._entries)

    def take(self, entry: Entry, pid: Pid) -> NewVersion | None:
        """What the subscriber with the process *pid* is told next."""
        with self._lock:
            if entry.cancelled or entry.pid is not pid or not pid.is_alive():
                return None
            change, entry.line = entry.line.take()
            return change

    def seen_at(self, entry: Entry) -> float:
        """When (clock seconds) the store last said which version is the current one."""
        lane = self._lanes.get(entry.secret_id.lane)
        return NEVER if lane is None else lane.known.seen_at

    def may_ask(self, entry: Entry, now: float) -> bool:
        """Whether this subscriber is to ask the store: not while another of the same secret waits for an answer."""
        with self._lock:
            lane = self._lanes.get(entry.secret_id.lane)
            if lane is None or now - lane.asked_at < ASKING:
                return False
            lane.asked_at = now
            return True

    def heard(self, entry: Entry) -> None:
        """This subscriber has an answer."""
        lane = self._lanes.get(entry.secret_id.lane)
        if lane is not None:
            lane.asked_at = NEVER

    # --- what the secrets actor sees ------------------------------------------------------------------------------

    def wants(self, lane: str | None) -> bool:
        """Whether anybody has subscribed to the secret in *lane*."""
        return lane in self._lanes

    def read(self, name: str, version_id: str, asked_at: float, now: float) -> bool:
        """A read, sent at *asked_at*, has found that *version_id* is the current one. False: it is to be asked anew."""
        with self._lock:
            lane = self._lanes.get(name)
            if lane is None:
                return True
            if lane.known.outdates(version_id, asked_at):
                return False
            lane.known = Known(version_id, now)
            for entry in lane.entries.values():
                line = entry.line
                entry.line = line.on_to(entry.secret_id, version_id) if line.begun else line.begin(version_id)
            concerned = [entry for entry in lane.entries.values() if entry.line.waiting]
        _wake(concerned)
        return True

    def wrote(self, name: str, version_id: str, now: float) -> None:
        """A write of ours has made *version_id* the current one."""
        with self._lock:
            lane = self._lanes.get(name)
            if lane is None:
                return
            lane.known = Known(version_id, now)
            concerned = tuple(lane.entries.values())
            for entry in concerned:
                entry.line = entry.line.on_to(entry.secret_id, version_id)
        _wake(concerned)

    def absent(self, name: str, now: float) -> None:
        """The store has said that there is no such secret."""
        with self._lock:
            lane = self._lanes.get(name)
            if lane is not None:
                lane.known = Known(None, now)
                for entry in lane.entries.values():
                    entry.line = entry.line.begin(None)

    def doubt(self) -> None:
        """Another store is in force: what is known is to be asked for anew."""
        with self._lock:
            for lane in self._lanes.values():
                lane.known, lane.asked_at = replace(lane.known, seen_at=NEVER), NEVER
            concerned = tuple(self._entries.values())
        _wake(concerned, Look(doubt=True))

    def age(self, seconds: float) -> None:
        """What is known was heard so many *seconds* earlier than it seemed."""
        with self._lock:
            for lane in self._lanes.values():
                lane.known = replace(lane.known, seen_at=lane.known.seen_at - seconds)
            concerned = tuple(self._entries.values())
        _wake(concerned)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<Subscriptions [{len(self._entries)}, to {len(self._lanes)} secrets]>"


def _serves(pid: Pid) -> bool:
    """Whether it lives, and will: an orphan is about to end."""
    return pid.is_alive() and (pid.parent is None or pid.parent.is_alive())


def _wake(entries: Iterable[Entry], look: Look = _LOOK) -> None:
    for entry in entries:
        if entry.pid is not None:
            entry.pid.post(look)
