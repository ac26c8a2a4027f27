"""python -m tests.chaos.storm [--minutes N] [--seed S]: a whole system over the encrypted local store, 14 callers, and
a killer that ends workers, the actor, infra processes and supervisors at random. Afterwards the books must balance.

Rule 1: every call was answered, refused or timed out, within its time; nothing else was raised.
Rule 2: who is the only one to set a key, and repeats a set of unknown outcome with its token, reads what he set last.
Rule 3: afterwards the tree is whole and works, and no thread is left when it has stopped.
Rule 4: the killer stays below the tree's restart intensities: beyond them it has to give up, and other tests show that.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from secrets_actor import (
    DeadlineExceeded,
    SecretDeleted,
    SecretNotFound,
    SecretsError,
    ServerDown,
    System,
    WorkerCrashed,
)
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.secret import SecretValue
from secrets_actor.errors import BackendTimeout, StoreUnavailable
from secrets_actor.messages import Get, Set
from secrets_actor.otp import Pid
from tests.actor.rig import Watch, audit_log, settings, supervisor, whole, workers

SHARED: Final = tuple(f"shared/{number}" for number in range(4))
MEDDLERS, ASKERS, WRITERS = 8, 2, 4
CALL_TIMEOUT: Final = 3.0
WHOLE_WITHIN: Final = 15.0
# Seconds past his time until a caller is answered: his thread has to come by, on a machine that is busy.
LATE: Final = 2.0
# What may be raised: refusals of the store, and the tree's own.
UNKNOWN: Final = (ServerDown, DeadlineExceeded, WorkerCrashed, BackendTimeout, StoreUnavailable)
EXPECTED: Final = (SecretNotFound, SecretDeleted, *UNKNOWN)
# Kills in 10 seconds. Below: workers 100, core 10 (the actor and the workers' supervisor), infra 10; and the root has 3
# in a minute.
RATES: Final = {"worker": 60, "secrets": 5, "workers": 2, "timers": 4, "audit": 4}
ONCE: Final = ("core", "infra")


@dataclass
class Report:
    """What was asked and what came of it; `problems` is empty if the rules held."""

    outcomes: Counter[str] = field(default_factory=Counter)
    deeds: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    made: int = 0

    def __str__(self) -> str:
        counts = ", ".join(f"{number} {name}" for name, number in sorted(self.outcomes.items()))
        deeds = ", ".join(f"{number} {name}" for name, number in sorted(self.deeds.items()))
        lines = [f"{self.made} calls: {counts}", f"killed: {deeds}"]
        return "\n".join([*lines, *(f"PROBLEM {one}" for one in self.problems)])


class Storm:
    """One run."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.folder, self.watch, self.report = folder, Watch(), Report()
        self.gave_up: list[object] = []
        given = settings(folder, max_workers=6, call_timeout_seconds=CALL_TIMEOUT)
        self.system = System(given, observer=self.watch, on_give_up=self.gave_up.append)
        self.over = threading.Event()
        self._lock = threading.Lock()

    def run(self, seconds: float) -> Report:
        """Let it storm for so long."""
        with self.system:
            roles = [self._meddle] * MEDDLERS + [self._ask] * ASKERS + [self._write] * WRITERS
            callers = [
                threading.Thread(target=self._guarded, args=(role, f"own/{number}", self.random.random()))
                for number, role in enumerate(roles)
            ]
            for caller in callers:
                caller.start()
            self._strike(seconds)
            self.over.set()
            for number, caller in enumerate(callers):
                caller.join(30.0)
                if caller.is_alive():
                    self.report.problems.append(f"caller {number} waits still")
            self._check_health()
        self._check_rest()
        return self.report

    # --- callers ----------------------------------------------------------------------------------------------

    def _guarded(self, role: Callable[[random.Random, str], None], key: str, seed: float) -> None:
        try:
            role(random.Random(seed), key)
        except BaseException as error:
            self._problem(f"a caller was told {type(error).__name__}: {error}")

    def _problem(self, text: str) -> None:
        with self._lock:
            self.report.problems.append(text)

    def _call(self, what: Callable[..., Any], *given: Any, timeout: float, **more: Any) -> Any:
        """The answer of *what*, or the error; counted, and on time."""
        begun = clock_now()
        found: Any
        try:
            found = what(*given, timeout=timeout, **more)
            outcome = "answered"
        except EXPECTED as error:
            found = error
            outcome = type(error).__name__
        took = clock_now() - begun
        with self._lock:
            self.report.made += 1
            self.report.outcomes[outcome] += 1
        if took > timeout + LATE:
            self._problem(f"{outcome} after {took:.2f} s, with {timeout:.2f} s to wait")
        return found

    def _meddle(self, mine: random.Random, _key: str) -> None:
        """Anything, on keys that others meddle with, too."""
        secrets = self.system.secrets
        while not self.over.is_set():
            name, timeout = mine.choice(SHARED), mine.choice((0.005, 0.1, 2.0, 2.0))
            dice, coin = mine.random(), mine.random() < 0.5
            if dice < 0.6:
                self._call(secrets.get, name, refresh=coin, timeout=timeout)
            elif dice < 0.8:
                self._call(secrets.set, name, str(dice), timeout=timeout)
            elif dice < 0.9:
                self._call(secrets.delete, name, force=coin, timeout=timeout)
            elif dice < 0.95:
                self._call(secrets.restore, name, timeout=timeout)
            else:
                self._call(secrets.list, include_deleted=coin, timeout=timeout)

    def _ask(self, mine: random.Random, _key: str) -> None:
        """As a pykka actor does: no client tries again for it. It is the actor's configured time that counts."""
        while not self.over.is_set():
            name = mine.choice(SHARED)
            operation = Get(name, refresh=True) if mine.random() < 0.7 else Set(name, SecretValue("asked"))
            if isinstance(self._call(self.system.ref.ask, operation, timeout=CALL_TIMEOUT + LATE), ServerDown):
                self.over.wait(0.01)

    def _write(self, mine: random.Random, key: str) -> None:
        """Rule 2."""
        secrets, number = self.system.secrets, 0
        while not self.over.is_set():
            number += 1
            token, value = str(uuid.uuid4()), str(number)
            while isinstance(found := self._call(secrets.set, key, value, token=token, timeout=1.0), SecretsError):
                if not isinstance(found, UNKNOWN):
                    raise found
                if getattr(found, "token", token) != token:
                    self._problem(f"{type(found).__name__} carries another token")
            for _ in range(mine.randrange(4)):
                read = self._call(secrets.get, key, refresh=mine.random() < 0.3, timeout=1.0)
                if not isinstance(read, SecretsError):
                    if read.reveal() != value:
                        self._problem(f"{key}: read {read.reveal()!r} from the {read.source} after setting {value}")
                elif not isinstance(read, UNKNOWN):
                    raise read

    # --- the killer -------------------------------------------------------------------------------------------

    def _strike(self, seconds: float) -> None:
        begun = clock_now()
        once = {name: self.random.uniform(0.2, 0.8) * seconds for name in ONCE}
        budget = dict.fromkeys(RATES, 0.0)
        last = begun
        while (now := clock_now()) - begun < seconds:
            for name in RATES:
                budget[name] += RATES[name] / 10.0 * (now - last)
            last = now
            due = [name for name, when in once.items() if now - begun > when]
            ready = due or [name for name, left in budget.items() if left >= 1.0]
            if ready:
                name = self.random.choice(ready)
                if name in once:
                    del once[name]
                else:
                    budget[name] -= 1.0
                self._kill(name)
            self.over.wait(self.random.uniform(0.0, 0.02))

    def _kill(self, name: str) -> None:
        target: Pid | None
        if name == "worker":
            sup = self.system.whereis("workers")
            there = workers(self.system) if sup is not None and sup.published is not None else []
            target = self.random.choice(there) if there else None
        elif name in ONCE:
            target = supervisor(self.system, name)
        else:
            target = self.system.whereis(name)
        if target is not None and target.is_alive():
            self.report.deeds[name] += 1
            target.kill()

    # --- afterwards -------------------------------------------------------------------------------------------

    def _check_health(self) -> None:
        report, secrets = self.report, self.system.secrets
        deadline = clock_now() + WHOLE_WITHIN
        while not (self.system.running and whole(self.system) and not self.system.tree().disowned):
            if clock_now() > deadline:
                report.problems.append(f"the tree is not whole: {self.system.tree()}")
                break
            threading.Event().wait(0.01)
        for name in (*SHARED, "own/0"):
            secrets.delete(name, force=True, timeout=10)
            version = secrets.set(name, "calm", timeout=10).version_id
            if secrets.get(name, timeout=10).version_id != version:
                report.problems.append(f"{name} is not what was set last")
        if self.gave_up:
            report.problems.append(f"the tree gave up: {self.gave_up}")
        if self.watch.count("ProcessCrashed"):
            crashed = [str(one) for one in self.watch.events if type(one).__name__ == "ProcessCrashed"]
            report.problems.append(f"processes crashed by themselves: {crashed[:3]}")

    def _check_rest(self) -> None:
        report = self.report
        if sum(report.outcomes.values()) != report.made:
            report.problems.append("a call is unaccounted for")
        told = Counter(one["outcome"] for one in audit_log(self.folder))
        if told["ok"] < report.outcomes["answered"]:
            report.problems.append(f"{report.outcomes['answered']} answers, but {told['ok']} audit records of them")
        deadline = clock_now() + WHOLE_WITHIN
        while left := [one.name for one in threading.enumerate() if "#" in one.name]:
            if clock_now() > deadline:
                report.problems.append(f"threads left: {left}")
                break
            threading.Event().wait(0.01)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.storm")
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as folder:
        report = Storm(options.seed, Path(folder)).run(options.minutes * 60)
    print(report)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
