"""Sixteen threads on four secrets of one system, its workers and its actor killed at random; every operation noted.

Rule 1: every call is answered, refused or timed out; nothing else is raised, and nothing stale is served, for none
        asks for it (`allow_stale=False`).
Rule 2: a change is noted as failed only where the package says that nothing was done: refused by the store for the
        state of the secret, not begun for a full queue or an open breaker. All other errors leave it unknown.
"""

import itertools
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from secrets_actor import CircuitOpen, DeadlineExceeded, Overloaded, SecretDeleted, SecretNotFound, SecretsError, System
from secrets_actor.clock import now as clock_now
from secrets_actor.errors import InvalidRequest
from secrets_actor.messages import Delete, Get, Restore, Set
from secrets_actor.otp import Pid
from tests.actor.rig import workers
from tests.linearizability.checker import Verdict, check
from tests.linearizability.history import DELETED, FOREVER, MISSING, Act, Kind, Outcome

THREADS: Final = 16
KEYS: Final = 4
# Seconds. Most callers wait until there is an answer; the others make unknown outcomes.
PATIENCE: Final = (0.02, 0.2, 5.0, 5.0, 5.0, 5.0)
LATE: Final = 5.0
# InvalidRequest: AWS restores nothing that is there; SecretDeleted is one, too.
_NOT_DONE: Final = (SecretNotFound, InvalidRequest, Overloaded, CircuitOpen)


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of the operations; the rest are direct gets. Kills are per second."""

    asks: float = 0.12
    sets: float = 0.12
    deletes: float = 0.01
    restores: float = 0.06
    refreshes: float = 0.08
    by_arn: float = 0.15
    worker_kills: float = 3.0
    actor_kills: float = 0.4


@dataclass(slots=True)
class Report:
    """What was asked and what came of it. `problems` is empty if the rules held."""

    outcomes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    weather: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    seconds: float = 0.0
    checked_in: float = 0.0

    @property
    def unknown(self) -> int:
        """How many changes ended without a word on whether they took effect."""
        return sum(number for name, number in self.outcomes.items() if name.endswith("unknown"))

    def __str__(self) -> str:
        sums = self.sums
        balance = " + ".join(f"{sums[name]} {name}" for name in ("answered", "refused", "timed out"))
        lines = [
            f"{sums['asked']} asked = {balance}, in {self.seconds:.1f} s; {sums['cached']} from the cache",
            *(f"{name}: {_told(counts)}" for name, counts in self._tables() if counts),
            f"{self.unknown} unknown outcomes; {len(self.verdict.violations)} violations in {self.verdict.acts} "
            f"operations, {self.verdict.widest} possibilities at most, checked in {self.checked_in:.2f} s",
        ]
        return "\n".join([*lines, *map(str, self.verdict.violations), *(f"PROBLEM {one}" for one in self.problems)])

    def _tables(self) -> Iterator[tuple[str, Counter[str]]]:
        yield from (("operations", self.outcomes), ("errors", self.errors), ("killed", self.kills))
        yield "weather", self.weather


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))


class Traffic:
    """One run over *system*, which runs: *operations* in all, no more than *seconds* of it. *also* is done every few
    milliseconds meanwhile, with dice of its own."""

    def __init__(
        self,
        system: System,
        *,
        operations: int,
        seed: int,
        seconds: float = 300.0,
        mix: Mix = Mix(),  # it is frozen
        also: Callable[[random.Random], object] = lambda _dice: None,
    ) -> None:
        self.system, self.report, self.acts = system, Report(), list[Act]()
        self._random, self._mix, self._also = random.Random(seed), mix, also
        self._operations, self._seconds = operations, seconds
        prefix = f"register/{uuid.uuid4().hex[:8]}"
        self._keys = [f"{prefix}/{number}" for number in range(KEYS)]
        self._arns: dict[str, str] = {}
        self._numbers, self._values = itertools.count(), itertools.count(1)
        self._over = threading.Event()
        self._lock = threading.Lock()

    def run(self) -> Report:
        """Have it done, and judge it."""
        begun = clock_now()
        self._ends = begun + self._seconds
        callers = [
            threading.Thread(target=self._call, args=(number, random.Random(self._random.random())))
            for number in range(THREADS)
        ]
        for caller in callers:
            caller.start()
        killer = threading.Thread(target=self._kill, args=(random.Random(self._random.random()),))
        killer.start()
        for number, caller in enumerate(callers):
            caller.join(self._seconds + 60.0)
            if caller.is_alive():
                self.report.problems.append(f"caller {number} waits still")
        self._over.set()
        killer.join(10.0)
        self.report.seconds = clock_now() - begun
        self._judge()
        return self.report

    def _judge(self) -> None:
        report, sums = self.report, self.report.sums
        if sums["asked"] != sums["answered"] + sums["refused"] + sums["timed out"]:
            report.problems.append("a call is unaccounted for")
        begun = clock_now()
        report.verdict = check(self.acts)
        report.checked_in = clock_now() - begun

    # --- callers --------------------------------------------------------------------------------------------------

    def _call(self, number: int, dice: random.Random) -> None:
        acts: list[Act] = []
        mine = Report()
        try:
            while next(self._numbers) < self._operations and clock_now() < self._ends:
                acts.append(self._act(f"caller {number}", dice, mine))
        except BaseException as error:
            mine.problems.append(f"a caller was told {type(error).__name__}: {error}")
        with self._lock:
            self.acts += acts
            for name in ("outcomes", "errors", "sums"):
                getattr(self.report, name).update(getattr(mine, name))
            self.report.problems += mine.problems

    def _act(self, by: str, dice: random.Random, report: Report) -> Act:
        """One operation."""
        key, timeout = dice.choice(self._keys), dice.choice(PATIENCE)
        kind, value, what = self._chosen(key, dice, timeout)
        report.sums["asked"] += 1
        error: SecretsError | None = None
        found: Any = None
        begun = time.monotonic_ns()
        try:
            found = what()
        except SecretsError as raised:
            error = raised
        ended = time.monotonic_ns()
        if error is None:
            report.sums["answered"] += 1
            self._arns[key] = found.arn
            if kind is Kind.READ:
                value = found.reveal()
                report.sums["cached"] += found.source == "cache"
                if found.stale:
                    report.problems.append(f"{key} was served stale")
            act = Act(key, kind, value, begun, ended, Outcome.DONE, by)
        else:
            report.sums["timed out" if isinstance(error, DeadlineExceeded) else "refused"] += 1
            report.errors[type(error).__name__] += 1
            if not (error.retryable or isinstance(error, _NOT_DONE)):
                report.problems.append(f"{kind}: {type(error).__name__}: {error}")
            act = _failed(key, kind, value, begun, ended, error, by)
        report.outcomes[f"{kind} {act.outcome}"] += 1
        return act

    def _chosen(self, key: str, dice: random.Random, timeout: float) -> tuple[Kind, str, Callable[[], Any]]:
        """An operation: what it is, the value that it writes, and how it is done."""
        secrets, ref, mix, throw = self.system.secrets, self.system.ref, self._mix, dice.random()
        patience = self.system.settings.call_timeout_seconds + LATE
        if throw < mix.sets:
            value = f"v{next(self._values)}"
            if dice.random() < 0.2:
                return Kind.WRITE, value, lambda: ref.ask(Set(key, value), timeout=patience)
            return Kind.WRITE, value, lambda: secrets.set(key, value, timeout=timeout)
        throw -= mix.sets
        if throw < mix.deletes:
            return Kind.DELETE, "", lambda: secrets.ask(Delete(key), timeout=timeout)
        throw -= mix.deletes
        if throw < mix.restores:
            return Kind.RESTORE, "", lambda: secrets.ask(Restore(key), timeout=timeout)
        throw -= mix.restores
        name = self._arns.get(key, key) if dice.random() < mix.by_arn else key
        refresh = dice.random() < mix.refreshes
        if throw < mix.asks:
            get = Get(name, refresh=refresh, allow_stale=False)
            if dice.random() < 0.3:
                return Kind.READ, "", lambda: ref.ask(get, timeout=patience)
            return Kind.READ, "", lambda: secrets.ask(get, timeout=timeout)
        return Kind.READ, "", lambda: secrets.get(name, refresh=refresh, allow_stale=False, timeout=timeout)

    # --- the killer -----------------------------------------------------------------------------------------------

    def _kill(self, dice: random.Random) -> None:
        rates = {"worker": self._mix.worker_kills, "secrets": self._mix.actor_kills}
        due = {name: dice.expovariate(rate) for name, rate in rates.items() if rate}
        begun = clock_now()
        while not self._over.wait(0.005):
            self._also(dice)
            for name, when in due.items():
                if clock_now() - begun > when:
                    due[name] = when + dice.expovariate(rates[name])
                    self._strike(name, dice)

    def _strike(self, name: str, dice: random.Random) -> None:
        target: Pid | None = self.system.whereis("workers" if name == "worker" else name)
        if name == "worker" and target is not None:
            there = workers(self.system) if target.published is not None else []
            target = dice.choice(there) if there else None
        if target is not None and target.is_alive():
            self.report.kills[name] += 1
            target.kill()


def _failed(key: str, kind: Kind, value: str, begun: int, ended: int, error: SecretsError, by: str) -> Act:
    """What an error means for the history (Rule 2)."""
    saw = MISSING if isinstance(error, SecretNotFound) else DELETED if isinstance(error, SecretDeleted) else ""
    if kind is Kind.DELETE and isinstance(error, InvalidRequest):
        saw = DELETED
    if kind is Kind.READ:
        return Act(key, kind, saw, begun, ended, Outcome.DONE if saw else Outcome.FAILED, by)
    if isinstance(error, _NOT_DONE) and error.token is None:
        return Act(key, kind, value, begun, ended, Outcome.FAILED, by, saw)
    return Act(key, kind, value, begun, FOREVER, Outcome.UNKNOWN, by)
