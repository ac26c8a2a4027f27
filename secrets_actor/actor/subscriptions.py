"""The table of subscriptions. It is made outside the processes and outlives them, as the cache does.

Rule 1: any thread may add and cancel subscriptions. The secrets actor reports the versions that it sees, and each
        subscriber takes its own changes. Only our own processes take the lock, and no foreign code runs under it. A
        thread that adds or cancels takes no lock, because a signal handler may interrupt it there and wait for one of
        those processes. Its request waits in a queue, and the next process that takes the lock handles it first.
Rule 2: each subscription has one process at a time: the one that claims it while no other serves it.
Rule 3: a change leaves the table before the callback is called. So nobody is told twice, even if the process ends then.
Rule 4: after a fork the child has all subscriptions. What it knows of the secrets is out of date: it asks anew.
Rule 5: all subscriptions to one id (a name or an ARN) share what is known of its secret. The store's answer shows which
        secret the id means, because it has the ARN. From then on these subscriptions also hear of changes that are seen
        under any other id of that secret.
Rule 6: nobody asks for a secret while another subscriber's question about it is under way, nor during the pause after a
        question that failed. What is heard of a question counts only if nothing has put it out of date meanwhile.
Rule 7: if the store tells versions, one question asks for those of all secrets that are due soon, and one such question
        is under way at a time. A secret whose version is another one is read by its own subscriber.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from secrets_actor.actor.version_tracking import NEVER, ChangeQueue, Known, Outcome
from secrets_actor.domain.names import SecretId, without_suffix
from secrets_actor.domain.results import CurrentVersion
from secrets_actor.domain.secret import NewVersion, Secret, SetReceipt
from secrets_actor.otp import Pid

# Seconds for which a subscriber relies on another one's question to the store. After that it asks itself, because the
# other's process may have ended meanwhile.
ASKING: Final = 10.0
# The fewest seconds between two questions: a subscription is no reason to ask a store more often than that.
AT_LEAST: Final = 1.0
# A question for versions takes in each secret of which nothing was heard for this share of the time between two
# questions. So subscriptions that began at different times are soon asked for together.
_DUE_SOON: Final = 0.5
# How many versions one question asks for at most. A store that needs a request for each has time for these before the
# deadline: at 10 ms each, half of the default call timeout.
MOST: Final = 500
Callback = Callable[[NewVersion], object]


class LookAgain(Struct, frozen=True):
    """Message to a subscriber: look into the table."""


_LOOK_AGAIN: Final = LookAgain()


class Question(Struct, eq=False):
    """A subscriber's question to the store: for the versions of the secrets *ids*, or else for the one secret."""

    ids: tuple[SecretId, ...]
    of_versions: bool


class Entry(Struct, eq=False):
    """One subscription. Only the table changes it. Its repr leaves out the callback: that one's own repr may show the
    objects it was made of, and so a secret."""

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
    """The subscriptions to one id, and what is known of the secret that the id means. *arn* is that secret's ARN, and
    None until the store has answered with it. Times are clock seconds."""

    id: SecretId
    known: Known = field(default_factory=Known)
    arn: str | None = None
    asked: Question | None = None  # the question that is under way, if what is heard of it will count (rule 6)
    not_before: float = NEVER  # no subscriber asks before this time
    tries: int = 0  # how many questions since the last answer have failed
    outdated_at: float = NEVER  # when the actor was last told that somebody else changed the secret
    changed: bool = False  # somebody else changed the secret: its value is to be read
    untold: bool = False  # the store refuses to tell its version: its value is to be read each time
    entries: dict[int, Entry] = field(default_factory=dict)

    def is_about(self, asked: str, arn: str) -> bool:
        """Whether an answer to *asked*, with this *arn*, is about this secret."""
        return asked == self.id or arn == self.arn or self.id.means(arn)

    def may_be_about(self, arn: str) -> bool:
        """Whether the id may mean the secret with this *arn*, in place of the known one: their ARNs differ only in the
        suffix, as when a secret is deleted and one of the same name is created."""
        return self.arn is not None and self.id != self.arn and without_suffix(self.arn) == without_suffix(arn)

    def ask(self, question: Question, now: float) -> None:
        """Note that *question*, which asks for this secret, is sent *now*."""
        self.asked, self.not_before = question, now + ASKING

    def learn(self, version_id: str | None, seen_at: float, arn: str | None) -> None:
        """Note what the store has said: *version_id* is the current version, of the secret with this *arn*."""
        self.known, self.arn, self.changed = Known(version_id, seen_at), arn, False

    def doubt(self) -> None:
        """Have the subscribers ask at once: what is known, and what a question under way brings, is out of date."""
        self.known = replace(self.known, seen_at=NEVER)
        self.asked, self.not_before, self.tries = None, NEVER, 0


class Subscriptions:
    """The table. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: deque[Callable[[], None]] = deque()  # the changes that wait for the lock (rule 1)
        self._numbers = itertools.count(1)
        self._entries: dict[int, Entry] = {}
        self._topics: dict[str, _Topic] = {}
        self._by_name: dict[str, dict[str, _Topic]] = {}  # by name: the topics whose id may mean a secret so named
        self._versions_asked: tuple[Question, float] | None = None  # the question for versions, and when it was sent
        self._put_off: list[Entry] = []  # those that are to look again when that question is answered

    def forget(self) -> None:
        """Prepare the table for the child of a fork, where any lock may be held forever, and the cache is empty."""
        self._lock = threading.Lock()
        self._versions_asked, self._put_off = None, []
        for topic in tuple(self._topics.values()):
            topic.doubt()

    # --- coming and going -----------------------------------------------------------------------------------------

    def new(self, secret_id: SecretId, callback: Callback) -> Entry:
        """Return a subscription that is not in the table yet."""
        return Entry(next(self._numbers), secret_id, callback)

    def add(self, entry: Entry, found: Secret | None = None, seen_at: float = NEVER) -> None:
        """Add a subscription. *found* is the secret that the program has already: the one that the cache serves, as the
        store gave it at *seen_at*."""
        self._entries[entry.number] = entry
        self._requests.append(lambda: self._enter(entry, found, seen_at))

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
        # The subscription begins with the version that is known, so that only later versions are changes.
        if topic.known != Known():
            entry.queue = entry.queue.begin(topic.known.version_id)
        elif found is not None:
            entry.queue = entry.queue.begin(found.version_id)
            topic.known, topic.arn = Known(found.version_id, seen_at), found.arn

    def remove(self, entry: Entry) -> None:
        """Cancel the subscription: no call of its callback begins from now on. Does nothing if it was cancelled."""
        entry.cancelled = True
        self._entries.pop(entry.number, None)
        self._requests.append(lambda: self._leave(entry))
        _wake([entry])

    def _leave(self, entry: Entry) -> None:
        topic = self._topics.get(entry.secret_id)
        if topic is not None:
            topic.entries.pop(entry.number, None)
            if not topic.entries:
                self._forget(topic)

    def _handle_requests(self) -> None:
        """Handle the requests that wait in the queue. Call it under the lock."""
        while self._requests:
            self._requests.popleft()()

    def _forget(self, topic: _Topic) -> None:
        del self._topics[topic.id]
        for name in topic.id.lanes:
            self._by_name[name].pop(topic.id)
            if not self._by_name[name]:
                del self._by_name[name]

    def claim(self, number: int, pid: Pid) -> Entry | None:
        """Give subscription *number* to the process *pid*. None if it was cancelled, or another process serves it."""
        with self._lock:
            self._handle_requests()
            entry = self._entries.get(number)
            if entry is None or (entry.pid is not None and _serves(entry.pid)):
                return None
            entry.pid = pid
            return entry

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of all subscriptions."""
        return tuple(self._entries)

    def take(self, entry: Entry, pid: Pid) -> NewVersion | None:
        """Take out the next change for the subscriber with the process *pid*. None if there is none, the subscription
        was cancelled, or the process does not serve it any more."""
        with self._lock:
            self._handle_requests()
            if entry.cancelled or entry.pid is not pid or not pid.is_alive():
                return None
            change, entry.queue = entry.queue.take()
            return change

    def question(self, entry: Entry, interval: float, now: float, *, of_versions: bool) -> Question | float:
        """Return the question that this subscriber is to ask *now*; the others leave it to this one. If there is none,
        return when (clock seconds) to look again.

        *interval*: for how many seconds a secret need not be asked for once the store has said which version is the
        current one. *of_versions*: the store tells versions."""
        with self._lock:
            self._handle_requests()
            topic = self._topics.get(entry.secret_id)
            if topic is None:
                return now + interval
            due = max(topic.known.seen_at + interval, topic.not_before)
            if now < due:
                return due
            if not of_versions or topic.changed or topic.untold:
                question = Question((topic.id,), of_versions=False)
                topic.ask(question, now)
                return question
            if self._versions_asked is not None and now < (until := self._versions_asked[1] + ASKING):
                self._put_off.append(entry)
                return until
            return self._question_for_versions(topic, now - interval * _DUE_SOON, now)

    def _question_for_versions(self, first: _Topic, due_soon: float, now: float) -> Question:
        """Return the question for the versions of *first* and of all secrets of which nothing was heard after
        *due_soon*."""
        due = [
            topic
            for topic in self._topics.values()
            if topic is not first
            and topic.known.seen_at <= due_soon
            and topic.not_before <= now
            and not (topic.changed or topic.untold)
        ]
        due.sort(key=lambda topic: topic.known.seen_at)  # so that none waits for ever if there are more than MOST
        together = [first, *due[: MOST - 1]]
        question = Question(tuple(topic.id for topic in together), of_versions=True)
        for topic in together:
            topic.ask(question, now)
        self._versions_asked = question, now
        return question

    def heard(
        self,
        question: Question,
        outcome: Callable[[str], Outcome],
        now: float,
        interval: float,
        pause: Callable[[int], float],
    ) -> None:
        """Note what came of *question*: the *outcome* for each id. A secret that was refused is asked for again in
        *interval* seconds, and one whose question failed after a *pause* that depends on how often it has failed."""
        concerned: list[Entry] = []
        with self._lock:
            self._handle_requests()
            if self._versions_asked is not None and self._versions_asked[0] is question:
                self._versions_asked = None
                concerned, self._put_off = self._put_off, []
            found = [self._topics[one] for one in question.ids if one in self._topics]
            topics = [topic for topic in found if topic.asked is question]
            failed = [topic for topic in topics if outcome(topic.id) is Outcome.FAILED]
            # One pause for all of them, so that they are asked for together again.
            tries = 1 + max((topic.tries for topic in failed), default=0)
            waits = {Outcome.ANSWERED: AT_LEAST, Outcome.REFUSED: interval, Outcome.FAILED: pause(tries)}
            for topic in topics:
                result = outcome(topic.id)
                topic.asked, topic.tries = None, tries if result is Outcome.FAILED else 0
                topic.untold = topic.untold or result is Outcome.UNTOLD
                topic.not_before = now + waits.get(result, 0.0)
                if result is Outcome.UNTOLD:
                    concerned += topic.entries.values()
        _wake(concerned)

    # --- reports of the secrets actor -----------------------------------------------------------------------------

    def wants(self, names: Iterable[str]) -> bool:
        """Whether there is a subscription to an id that may mean a secret with one of these *names*."""
        self._handle_requests_if_any()
        return any(name in self._by_name for name in names)

    def _handle_requests_if_any(self) -> None:
        """Handle the waiting requests, if there are any. The usual case, an empty queue, takes no lock."""
        if self._requests:
            with self._lock:
                self._handle_requests()

    def ids(self, names: Iterable[str]) -> tuple[str, ...]:
        """The ids of all subscriptions that may mean a secret with one of these *names*."""
        with self._lock:
            self._handle_requests()
            return tuple({secret_id: None for name in names for secret_id in self._by_name.get(name, ())})

    def read(self, asked: str, found: Secret, asked_at: float, now: float) -> tuple[str, ...]:
        """A read of *asked*, sent at *asked_at*, has *found* the current version. Return the ids to ask for anew: those
        for which this answer may be out of date, or which may mean this secret."""
        self._handle_requests_if_any()
        if found.name not in self._by_name:
            return ()
        arn, version_id = found.arn, found.version_id
        concerned: list[Entry] = []
        doubted: list[str] = []
        with self._lock:
            self._handle_requests()
            for topic in tuple(self._by_name.get(found.name, {}).values()):
                if not topic.is_about(asked, arn):
                    doubted += [topic.id] * topic.may_be_about(arn)
                    continue
                if topic.known.outdates(version_id, asked_at):
                    topic.arn = arn
                    doubted.append(topic.id)
                    continue
                topic.learn(version_id, now, arn)
                for entry in topic.entries.values():
                    queue = entry.queue
                    entry.queue = queue.on_to(entry.secret_id, version_id) if queue.begun else queue.begin(version_id)
                concerned += [entry for entry in topic.entries.values() if entry.queue.waiting]
        _wake(concerned)
        return tuple(doubted)

    def wrote(self, asked: str, receipt: SetReceipt, sent_at: float, now: float) -> tuple[str, ...]:
        """A set that we sent to *asked* at *sent_at* has made a version the current one. Return the ids to ask for
        anew: those that may mean this secret, but are not known to."""
        concerned: list[Entry] = []
        doubted: list[str] = []
        with self._lock:
            self._handle_requests()
            for topic in tuple(self._by_name.get(receipt.name, {}).values()):
                if not topic.is_about(asked, receipt.arn):
                    doubted += [topic.id] * (topic.arn is None or topic.may_be_about(receipt.arn))
                    continue
                # If we were told of somebody else's change after the set was sent, nobody knows which came later: the
                # subscribers ask.
                doubtful = sent_at <= topic.outdated_at
                topic.learn(receipt.version_id, NEVER if doubtful else now, receipt.arn)
                topic.changed = doubtful
                concerned += topic.entries.values()
                for entry in topic.entries.values():
                    entry.queue = entry.queue.on_to(entry.secret_id, receipt.version_id)
        _wake(concerned)
        return tuple(doubted)

    def told(self, asked: str, current: CurrentVersion, asked_at: float, now: float) -> bool:
        """The store, asked for the version of *asked* at *asked_at*, has told the *current* one, without the value.
        Return whether this is news to a subscriber, or may be: then the value is to be read (`outdate`)."""
        changed, version_id = False, current.version_id
        with self._lock:
            self._handle_requests()
            for topic in tuple(self._by_name.get(current.name, {}).values()):
                if not topic.is_about(asked, current.arn):
                    changed = changed or topic.may_be_about(current.arn)
                elif topic.outdated_at >= asked_at:
                    continue  # we were told of a change after the question was sent: it is asked for already
                elif topic.known.version_id == version_id or topic.known == Known():
                    topic.learn(version_id, now, current.arn)
                    for entry in topic.entries.values():
                        entry.queue = entry.queue.begin(version_id)
                else:
                    changed = True
        return changed

    def absent(self, asked: str, now: float, asked_at: float = math.inf) -> None:
        """Note that the store has said that there is no secret *asked*. It counts for nothing if we have heard of a
        change after *asked_at*."""
        with self._lock:
            self._handle_requests()
            topic = self._topics.get(asked)
            if topic is not None and topic.outdated_at < asked_at and topic.known.seen_at <= asked_at:
                topic.learn(None, now, None)
                for entry in topic.entries.values():
                    entry.queue = entry.queue.begin(None)

    def doubt(self) -> None:
        """Have all subscribers ask anew, because another store has come into force. For any thread."""
        self._requests.append(self._doubt)
        _wake(tuple(self._entries.values()))

    def _doubt(self) -> None:
        self._versions_asked = None
        for topic in self._topics.values():
            topic.doubt()
            topic.arn, topic.changed, topic.untold = None, False, False

    def outdate(self, names: Iterable[str], now: float) -> None:
        """Have the subscribers to secrets with these *names* ask anew: *now* we heard that somebody changed them."""
        concerned: list[Entry] = []
        with self._lock:
            self._handle_requests()
            for topic in [topic for name in names for topic in self._by_name.get(name, {}).values()]:
                topic.doubt()
                topic.changed, topic.outdated_at = True, now
                concerned += topic.entries.values()
        _wake(concerned)

    def age(self, seconds: float) -> None:
        """Make all that is known older by so many *seconds*, because the clock has leapt."""
        with self._lock:
            self._handle_requests()
            for topic in self._topics.values():
                topic.known = replace(topic.known, seen_at=topic.known.seen_at - seconds)
            concerned = tuple(self._entries.values())
        _wake(concerned)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<Subscriptions [{len(self._entries)}, to {len(self._topics)} secrets]>"


def _serves(pid: Pid) -> bool:
    """Whether the process *pid* lives and will go on: one whose parent has ended is about to end, too."""
    return pid.is_alive() and (pid.parent is None or pid.parent.is_alive())


def _wake(entries: Iterable[Entry]) -> None:
    for entry in entries:
        if entry.pid is not None:
            entry.pid.post(_LOOK_AGAIN)
