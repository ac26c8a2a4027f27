"""The table of subscriptions. It is made outside the processes and outlives them, as the cache does.

Rule 1: any thread adds and cancels; the secrets actor says what it sees; each subscriber takes what is for it. Only
        processes of ours take the lock, and nobody else's code runs under it. A thread that adds or cancels may be
        interrupted, by a signal handler that waits for one of those processes, and so takes no lock: what it has to say
        waits in a queue, and the next process that takes the lock sees to it first.
Rule 2: each subscription has one process at a time: the one that claims it while no other serves it.
Rule 3: a change leaves the table before the callback is called: whatever ends the process then, nobody is told twice.
Rule 4: in the child of a fork all subscriptions are there, and what is known is to be asked for anew.
Rule 5: those to one id, a name or an ARN, have what is known in common. Which secret the id means, the answer to it
        tells: it has the ARN. From then on they are told what is heard of the secret under any other id, too.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from secrets_actor.actor.version_tracking import NEVER, ChangeQueue, Known
from secrets_actor.domain.names import SecretId, without_suffix
from secrets_actor.domain.secret import NewVersion, Secret, SetReceipt
from secrets_actor.otp import Pid

# Seconds for which a subscriber counts on the question of another one; its process may have ended over it.
ASKING: Final = 10.0
Callback = Callable[[NewVersion], object]


class LookAgain(Struct, frozen=True):
    """To a subscriber: something concerns you. *doubt*: what is known is nothing to go by."""

    doubt: bool = False


_LOOK_AGAIN: Final = LookAgain()


class Entry(Struct, eq=False):
    """One subscription. Only the table changes it. Its repr has no callback, whose own may show what it is made of."""

    number: int
    secret_id: SecretId
    callback: Callback
    queue: ChangeQueue = field(default_factory=ChangeQueue)
    pid: Pid | None = None
    cancelled: bool = False

    def __repr__(self) -> str:
        return f"Entry(number={self.number}, secret_id={self.secret_id!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("number", self.number), ("secret_id", self.secret_id)]


class _Topic(Struct, eq=False):
    """The subscriptions to one id, and what is known of the secret that it means. *arn* is that secret's, once the
    store has answered with it."""

    id: SecretId
    known: Known = field(default_factory=Known)
    arn: str | None = None
    asked_at: float = NEVER  # when a subscriber asked the store, and has not heard
    outdated_at: float = NEVER  # when somebody said that the secret has changed
    entries: dict[int, Entry] = field(default_factory=dict)

    def is_about(self, asked: str, arn: str) -> bool:
        """Whether an answer to *asked*, with this *arn*, is about this secret."""
        return asked == self.id or arn == self.arn or self.id.means(arn)

    def may_be_about(self, arn: str) -> bool:
        """Whether the id may mean the secret with this *arn*, which has come in the place of the one that was known."""
        return self.arn is not None and self.id != self.arn and without_suffix(self.arn) == without_suffix(arn)


class Subscriptions:
    """For all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: deque[Callable[[], None]] = deque()
        self._numbers = itertools.count(1)
        self._entries: dict[int, Entry] = {}
        self._topics: dict[str, _Topic] = {}
        self._by_name: dict[str, dict[str, _Topic]] = {}  # those that may mean a secret of this name, by id

    def forget(self) -> None:
        """In the child of a fork, where any lock may be held forever, and nothing is kept in memory."""
        self._lock = threading.Lock()
        for topic in tuple(self._topics.values()):
            topic.known, topic.asked_at = replace(topic.known, seen_at=NEVER), NEVER

    # --- coming and going -----------------------------------------------------------------------------------------

    def new(self, secret_id: SecretId, callback: Callback) -> Entry:
        """A subscription that is in no table yet."""
        return Entry(next(self._numbers), secret_id, callback)

    def add(self, entry: Entry, found: Secret | None = None, seen_at: float = NEVER) -> None:
        """Take a subscription in. *found* is what the subscriber has in hands: what the cache serves, as the store said
        at *seen_at*."""
        self._entries[entry.number] = entry
        self._said.append(lambda: self._enter(entry, found, seen_at))

    def _enter(self, entry: Entry, found: Secret | None, seen_at: float) -> None:
        if entry.cancelled:
            return
        secret_id = entry.secret_id
        topic = self._topics.get(secret_id)
        if topic is None:
            topic = self._topics[secret_id] = _Topic(secret_id)
            for name in secret_id.lanes:
                self._by_name.setdefault(name, {})[secret_id] = topic
        topic.entries[entry.number] = entry
        if topic.known != Known():
            entry.queue = entry.queue.begin(topic.known.version_id)
        elif found is not None:
            entry.queue = entry.queue.begin(found.version_id)
            topic.known, topic.arn = Known(found.version_id, seen_at), found.arn

    def remove(self, entry: Entry) -> None:
        """Cancel: no call of its callback begins from now on. Nothing if it was cancelled before."""
        entry.cancelled = True
        self._entries.pop(entry.number, None)
        self._said.append(lambda: self._leave(entry))
        _wake([entry])

    def _leave(self, entry: Entry) -> None:
        topic = self._topics.get(entry.secret_id)
        if topic is not None:
            topic.entries.pop(entry.number, None)
            if not topic.entries:
                self._forget(topic)

    def _hear(self) -> None:
        """Under the lock: see to what was said."""
        while self._said:
            self._said.popleft()()

    def _forget(self, topic: _Topic) -> None:
        del self._topics[topic.id]
        for name in topic.id.lanes:
            self._by_name[name].pop(topic.id)
            if not self._by_name[name]:
                del self._by_name[name]

    def claim(self, number: int, pid: Pid) -> Entry | None:
        """Give subscription *number* to the process *pid*. None if it was cancelled, or another one serves it."""
        with self._lock:
            self._hear()
            entry = self._entries.get(number)
            if entry is None or (entry.pid is not None and _serves(entry.pid)):
                return None
            entry.pid = pid
            return entry

    @property
    def numbers(self) -> tuple[int, ...]:
        """All that there are."""
        return tuple(self._entries)

    def take(self, entry: Entry, pid: Pid) -> NewVersion | None:
        """What the subscriber with the process *pid* is told next."""
        with self._lock:
            self._hear()
            if entry.cancelled or entry.pid is not pid or not pid.is_alive():
                return None
            change, entry.queue = entry.queue.take()
            return change

    def seen_at(self, entry: Entry) -> float:
        """When (clock seconds) the store last said which version is the current one."""
        topic = self._topics.get(entry.secret_id)
        return NEVER if topic is None else topic.known.seen_at

    def may_ask(self, entry: Entry, now: float) -> bool:
        """Whether this subscriber is to ask the store: not while another of the same id waits for an answer."""
        with self._lock:
            self._hear()
            topic = self._topics.get(entry.secret_id)
            if topic is None or now - topic.asked_at < ASKING:
                return False
            topic.asked_at = now
            return True

    def heard(self, entry: Entry) -> None:
        """This subscriber has an answer."""
        topic = self._topics.get(entry.secret_id)
        if topic is not None:
            topic.asked_at = NEVER

    # --- what the secrets actor sees ------------------------------------------------------------------------------

    def wants(self, names: Iterable[str]) -> bool:
        """Whether anybody has subscribed to what may be a secret of one of these *names*."""
        self._listen()
        return any(name in self._by_name for name in names)

    def _listen(self) -> None:
        if self._said:
            with self._lock:
                self._hear()

    def ids(self, names: Iterable[str]) -> tuple[str, ...]:
        """Under which ids people have subscribed to what may be a secret of one of these *names*."""
        with self._lock:
            self._hear()
            return tuple({secret_id: None for name in names for secret_id in self._by_name.get(name, ())})

    def read(self, asked: str, found: Secret, asked_at: float, now: float) -> tuple[str, ...]:
        """A read of *asked*, sent at *asked_at*, has *found* the current version. The ids to ask for anew."""
        self._listen()
        if found.name not in self._by_name:
            return ()
        arn, version_id = found.arn, found.version_id
        concerned: list[Entry] = []
        doubted: list[str] = []
        with self._lock:
            self._hear()
            for topic in tuple(self._by_name.get(found.name, {}).values()):
                if not topic.is_about(asked, arn):
                    doubted += [topic.id] * topic.may_be_about(arn)
                    continue
                topic.arn = arn
                if topic.known.outdates(version_id, asked_at):
                    doubted.append(topic.id)
                    continue
                topic.known = Known(version_id, now)
                for entry in topic.entries.values():
                    queue = entry.queue
                    entry.queue = queue.on_to(entry.secret_id, version_id) if queue.begun else queue.begin(version_id)
                concerned += [entry for entry in topic.entries.values() if entry.queue.waiting]
        _wake(concerned)
        return tuple(doubted)

    def wrote(self, asked: str, receipt: SetReceipt, sent_at: float, now: float) -> tuple[str, ...]:
        """A set of ours, to *asked*, sent at *sent_at*, has made a version the current one. The ids to ask for anew."""
        concerned: list[Entry] = []
        doubted: list[str] = []
        with self._lock:
            self._hear()
            for topic in tuple(self._by_name.get(receipt.name, {}).values()):
                if not topic.is_about(asked, receipt.arn):
                    doubted += [topic.id] * (topic.arn is None or topic.may_be_about(receipt.arn))
                    continue
                # Somebody else's change was told after it was sent: nobody knows which of the two came later.
                seen_at = now if sent_at > topic.outdated_at else NEVER
                topic.known, topic.arn = Known(receipt.version_id, seen_at), receipt.arn
                concerned += topic.entries.values()
                for entry in topic.entries.values():
                    entry.queue = entry.queue.on_to(entry.secret_id, receipt.version_id)
        _wake(concerned)
        return tuple(doubted)

    def absent(self, asked: str, now: float) -> None:
        """The store has said that there is no such secret as *asked*."""
        with self._lock:
            self._hear()
            topic = self._topics.get(asked)
            if topic is not None:
                topic.known, topic.arn = Known(None, now), None
                for entry in topic.entries.values():
                    entry.queue = entry.queue.begin(None)

    def doubt(self) -> None:
        """Another store is in force: what is known is to be asked for anew. For any thread."""
        self._said.append(self._doubt)
        _wake(tuple(self._entries.values()), LookAgain(doubt=True))

    def _doubt(self) -> None:
        for topic in self._topics.values():
            topic.known, topic.asked_at, topic.arn = replace(topic.known, seen_at=NEVER), NEVER, None

    def outdate(self, names: Iterable[str], now: float) -> None:
        """Secrets of these *names* have changed, somebody said *now*: who has subscribed to one asks for it anew."""
        concerned: list[Entry] = []
        with self._lock:
            self._hear()
            for topic in [topic for name in names for topic in self._by_name.get(name, {}).values()]:
                topic.known, topic.asked_at = replace(topic.known, seen_at=NEVER), NEVER
                topic.outdated_at = now
                concerned += topic.entries.values()
        _wake(concerned, LookAgain(doubt=True))

    def age(self, seconds: float) -> None:
        """What is known was heard so many *seconds* earlier than it seemed."""
        with self._lock:
            self._hear()
            for topic in self._topics.values():
                topic.known = replace(topic.known, seen_at=topic.known.seen_at - seconds)
            concerned = tuple(self._entries.values())
        _wake(concerned)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<Subscriptions [{len(self._entries)}, to {len(self._topics)} secrets]>"


def _serves(pid: Pid) -> bool:
    """Whether it lives, and will: an orphan is about to end."""
    return pid.is_alive() and (pid.parent is None or pid.parent.is_alive())


def _wake(entries: Iterable[Entry], look: LookAgain = _LOOK_AGAIN) -> None:
    for entry in entries:
        if entry.pid is not None:
            entry.pid.post(look)
