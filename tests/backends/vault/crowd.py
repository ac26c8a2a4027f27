"""Writers and readers on a cluster that is being broken: what each was told, and whether the books balance afterwards.

Rule 1: the values are unique, so that each version of a secret in the store can be laid to the set that made it.
Rule 2: a writer whose set fails repeats it with its token until it is told that it is done. So each set is one version:
        none is missing, and none is there twice.
Rule 3: a reader notes what it read and when. Whether that was old is judged afterwards, when the version of each value
        is known: a read must not see less than what its own system had been told to be set before the read began.
Rule 4: half of the readers read secrets that nobody sets (`calm/...`): a get waits in the lane of its secret for a set
        that came before it, and so tells nothing of the nodes.
Rule 5: two systems share some of the secrets, for the sets of one system to one secret never meet: its lane puts them
        in order. Not all: sets that meet have to start over, so how long they take tells nothing of the nodes.
"""

import contextlib
import itertools
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from secrets_actor import LogSettings, SecretsError, Settings, System, VaultSettings
from secrets_actor.clock import now as clock_now
from tests.servers.openbao import Administrator, OpenBaoCluster, Refused, until

WRITERS: Final = 16
READERS: Final = 16
# How many secrets are set by a writer of each system; the other writers have one each.
SHARED: Final = 2
# Seconds between two calls of a writer or a reader. They are to notice, not to wear out a machine of two cores.
PACE: Final = 0.05
RAW_PACE: Final = 0.1
# Seconds after which a writer that was never told that its set is done gives the test up.
GIVE_UP: Final = 90.0


def system_on(
    urls: Sequence[str],
    mount: str,
    token: str | None,
    folder: Path,
    *,
    vault: Mapping[str, Any] | None = None,
    **given: Any,
) -> System:
    """A system, not started, that keeps nothing in its cache, on the nodes at *urls*. *vault*: more of table `[vault]`;
    *given*: other settings."""
    of_vault = VaultSettings(addresses=tuple(urls), mount=mount, token=token, **(vault or {}))  # type: ignore[arg-type]
    log = LogSettings(output=str(folder / "log"))
    return System(Settings(**{"backend": "vault", "vault": of_vault, "ttl_seconds": 0, "log": log, **given}))


@dataclass(frozen=True, slots=True)
class Done:
    """A call that succeeded: by which system, on which secret, with which value, from when to when."""

    by: int
    key: str
    value: str
    begun: float
    ended: float


@dataclass(slots=True)
class Book:
    """What the crowd was told. `longest_set`: until a writer was told that its set is done, repeats included."""

    sets: list[Done] = field(default_factory=list)
    reads: list[Done] = field(default_factory=list)
    failed_sets: Counter[str] = field(default_factory=Counter)
    failed_reads: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def longest_set(self, since: float = 0.0) -> float:
        """Seconds, of the sets that ended after *since*."""
        return max((one.ended - one.begun for one in self.sets if one.ended > since), default=0.0)

    def longest_read(self, since: float = 0.0, *, calm: bool = False) -> float:
        """Seconds, of the reads that ended after *since*; *calm*: of those of secrets that nobody sets."""
        there = [one for one in self.reads if one.ended > since and (not calm or one.key.startswith("calm/"))]
        return max((one.ended - one.begun for one in there), default=0.0)

    def __str__(self) -> str:
        failed = ", ".join(f"{number} {name}" for name, number in sorted(self.failed_sets.items()))
        unread = ", ".join(f"{number} {name}" for name, number in sorted(self.failed_reads.items()))
        lines = [
            f"{len(self.sets)} sets, the longest {self.longest_set():.2f} s; failed first: {failed or 'none'}",
            f"{len(self.reads)} reads, the longest {self.longest_read():.2f} s, of secrets that nobody sets "
            f"{self.longest_read(calm=True):.2f} s; failed: {unread or 'none'}",
            *self.problems,
        ]
        return "\n".join(lines)


class Crowd:
    """*writers* and *readers* on *systems*, which run, for as long as its block lasts. `book` is complete after it."""

    def __init__(
        self, systems: Sequence[System], *, writers: int = WRITERS, readers: int = READERS, pace: float = PACE
    ) -> None:
        self.systems, self.book, self._pace = systems, Book(), pace
        self._key_of = [self._key(number) for number in range(writers)]
        self.keys = sorted(set(self._key_of))
        self.calm_keys = [f"calm/{number}" for number in range(len(systems))]
        self._over, self._lock = threading.Event(), threading.Lock()
        self._threads = [
            threading.Thread(target=self._guarded, args=(self._write, number), name=f"writer {number}")
            for number in range(writers)
        ] + [
            threading.Thread(target=self._guarded, args=(self._read, number), name=f"reader {number}")
            for number in range(readers)
        ]

    def __enter__(self) -> Self:
        for number, key in enumerate([*self.keys, *self.calm_keys]):  # what readers find from the start
            self._set(number % len(self.systems), key, f"first of {key}")
        for one in self._threads:
            one.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._over.set()
        for one in self._threads:
            one.join(GIVE_UP + 30.0)
            if one.is_alive():
                self.book.problems.append(f"{one.name} waits still")

    def work_on(self, sets: int) -> None:
        """Return after *sets* more sets and reads. Raises `ServerFailed`."""
        first, first_reads = len(self.book.sets), len(self.book.reads)
        until(
            lambda: len(self.book.sets) >= first + sets and len(self.book.reads) >= first_reads + sets,
            f"{sets} more sets and reads",
        )

    def _key(self, writer: int) -> str:
        shared = writer // len(self.systems)
        return f"shared/{shared}" if shared < SHARED else f"own/{writer}"

    def _guarded(self, role: Callable[[int], None], number: int) -> None:
        try:
            role(number)
        except BaseException as error:
            with self._lock:
                self.book.problems.append(f"{role.__name__} {number} was told {type(error).__name__}: {error}")

    def _write(self, number: int) -> None:
        of, key = number % len(self.systems), self._key_of[number]
        for count in itertools.count(1):
            if self._over.wait(self._pace):
                return
            self._set(of, key, f"{number}.{count}")

    def _set(self, of: int, key: str, value: str) -> None:
        secrets, token, begun = self.systems[of].secrets, None, clock_now()
        while True:
            tried = clock_now()
            try:
                secrets.set(key, value, token=token)
                break
            except SecretsError as error:
                with self._lock:
                    self.book.failed_sets[f"{type(error).__name__} after {clock_now() - tried:.0f} s"] += 1
                if not error.retryable or clock_now() > begun + GIVE_UP:
                    raise
                if error.token is not None:
                    token = error.token
                threading.Event().wait(PACE)
        with self._lock:
            self.book.sets.append(Done(of, key, value, begun, clock_now()))

    def _read(self, number: int) -> None:
        of, keys = number % len(self.systems), self.calm_keys if number // len(self.systems) % 2 else self.keys
        for count in itertools.count(number):
            if self._over.wait(self._pace):
                return
            key, begun = keys[count % len(keys)], clock_now()
            try:
                found = self.systems[of].secrets.get(key, allow_stale=False).reveal()
            except SecretsError as error:
                with self._lock:
                    self.book.failed_reads[type(error).__name__] += 1
                continue
            with self._lock:
                self.book.reads.append(Done(of, key, str(found), begun, clock_now()))

    # --- afterwards -----------------------------------------------------------------------------------------------

    def judge(self, admin: Administrator, mount: str) -> list[str]:
        """What is wrong: what was told to writers and readers, sets without a version or with two, old
        reads."""
        problems = list(self.book.problems)
        for key in [*self.keys, *self.calm_keys]:
            versions = versions_of(admin, mount, key)
            sets = [one for one in self.book.sets if one.key == key]
            problems += _differences(key, [value for _, value in versions], [one.value for one in sets])
            number_of = {value: number for number, value in versions}
            problems += _old_reads(key, number_of, sets, [one for one in self.book.reads if one.key == key])
        return problems


def versions_of(admin: Administrator, mount: str, key: str) -> list[tuple[int, str]]:
    """The number and the value of each version of *key*, in their order, as an administrator sees them."""
    numbers = sorted(map(int, admin.read(f"{mount}/metadata/{key}")["versions"]))
    return [(number, str(admin.read(f"{mount}/data/{key}?version={number}")["data"]["value"])) for number in numbers]


def _differences(key: str, versions: Sequence[str], sets: Sequence[str]) -> Iterator[str]:
    there, done = Counter(versions), Counter(sets)
    for value in (done - there).elements():
        yield f"{key}: the set of {value} was told to be done, and has no version"
    for value in (there - done).elements():
        yield f"{key}: {value} has {there[value]} versions for {done[value]} sets"


def _old_reads(key: str, number_of: dict[str, int], sets: Sequence[Done], reads: Sequence[Done]) -> Iterator[str]:
    told: dict[int, list[Done]] = defaultdict(list)
    for one in sorted(sets, key=lambda one: one.ended):
        told[one.by].append(one)
    for by, own in told.items():
        newest, place = 0, 0
        for read in sorted((one for one in reads if one.by == by), key=lambda one: one.begun):
            while place < len(own) and own[place].ended < read.begun:
                newest = max(newest, number_of.get(own[place].value, 0))
                place += 1
            if number_of.get(read.value, 0) < newest:
                yield f"{key}: read {read.value} (version {number_of.get(read.value)}) when {newest} was set"


class RawWriters:
    """A writer without our client at each node, every 100 ms: how long the cluster itself takes nobody's writes."""

    TIMEOUT: Final = 2.0

    def __init__(self, cluster: OpenBaoCluster, mount: str) -> None:
        self._seen = [node.seen_by(cluster.admin_token(), self.TIMEOUT) for node in cluster.nodes]
        self._mount, self._over = mount, threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(len(self._seen))]
        self.successes: list[float] = []

    def __enter__(self) -> Self:
        for one in self._threads:
            one.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._over.set()
        for one in self._threads:
            one.join()

    def longest_gap(self, since: float = 0.0) -> float:
        """Seconds between two writes that succeeded, at whichever node, of those after *since*."""
        moments = sorted(one for one in list(self.successes) if one > since)
        return max((later - earlier for earlier, later in itertools.pairwise(moments)), default=0.0)

    def _write(self, number: int) -> None:
        while not self._over.wait(RAW_PACE):
            with contextlib.suppress(OSError, Refused):
                self._seen[number].write(f"{self._mount}/data/raw/{number}", data={"value": "raw"})
                self.successes.append(clock_now())
