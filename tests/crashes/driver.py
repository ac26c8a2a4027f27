"""Children are killed at random moments of their work; after each, the store must hold what they were told it holds.

Rule 1: a child says what it begins, and that it is done only when it has the answer. After the kill the store opens,
        `verify` is clean, all that was done is there, and what was begun is wholly there or wholly not.
Rule 2: the next child goes on with the same store; after some, with a new one.
Rule 3: what the store must hold is what the fake store holds, which the same semantics have told.
"""

import contextlib
import copy
import os
import random
import select
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from secrets_actor.backends.local.keys.key_file import KEY_NAME, KeyFile
from secrets_actor.backends.local.open_store import is_there
from secrets_actor.backends.local.upkeep.rekey import rekey
from secrets_actor.backends.local.upkeep.verify import verify
from secrets_actor.clock import now as clock_now
from secrets_actor.testing.memory_records import MemoryRecords
from tests.crashes.plan import SECONDS, WINDOW, Deed, Rekey, State, carry_out, child, deeds, known, stored

PER_STORE: Final = 25
DEEDS: Final = 40
# Seconds until the kill, at most, after the moment that was aimed at.
SOON: Final = {"opening": 0.02, "work": 0.004, "rekey": 0.03, "idle": 0.002, "beside": 0.02}
AIMS: Final = ("work", "work", "work", "opening", "rekey", "rekey", "beside", "idle")


@dataclass(slots=True)
class Report:
    """What was done and killed; `problems` must stay empty."""

    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    there: Counter[str] = field(default_factory=Counter)
    absent: Counter[str] = field(default_factory=Counter)
    stores: int = 0
    unfinished: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        def of(counts: Counter[str]) -> str:
            kinds = ", ".join(f"{kind} {count}" for kind, count in counts.most_common())
            return f"{counts.total():,} ({kinds})" if counts else "0"

        return "\n".join(
            [
                f"kills {of(self.kills)}, on {self.stores} stores",
                f"acknowledged, and there afterwards: {of(self.acknowledged)}",
                f"unacknowledged: there {of(self.there)}; absent {of(self.absent)}",
                f"rekeys left unfinished, and gone on with: {self.unfinished}",
                *(self.problems or ["no problems"]),
            ]
        )


class Driver:
    """Kills children in *scratch*."""

    def __init__(self, scratch: Path, seed: int) -> None:
        self._scratch, self._chance, self.report = scratch, random.Random(seed), Report()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._model = MemoryRecords(WINDOW, random.Random(1).randrange)
        self._folder = self._scratch / f"store-{self.report.stores}"
        self.report.stores += 1

    def run(self, kills: int) -> Report:
        """So many kills."""
        for number in range(kills):
            if number and number % PER_STORE == 0:
                self._finish()
                self._begin_anew()
            self._one(self._chance.choice(AIMS) if number % PER_STORE else "opening")
            if self.report.problems:
                break
        else:
            self._finish()
        return self.report

    def _one(self, aim: str) -> None:
        plan, states = self._planned(rekeys=aim != "beside")
        # A first child may have been killed before it had made a store: there is nothing to rekey then.
        if aim == "rekey" and is_there(self._folder, KeyFile(self._folder / KEY_NAME)):
            plan.insert(0, Rekey(self._chance.random() < 0.7))
            states.insert(0, states[0])
        with contextlib.ExitStack() as stack:
            if aim == "beside":
                stack.enter_context(_Child(lambda told: _rekey_on(self._folder, told)))
            at_work = stack.enter_context(_Child(lambda told: child(self._folder, plan, told)))
            heard = at_work.until(self._moment(aim), self._chance.uniform(0, SOON[aim]))
        heard += at_work.last_words
        failure = next((line for line in heard if line.startswith("failed")), None)
        if failure is not None:
            self.report.problems.append(f"the child failed: {failure}")
            return
        done = sum(line.startswith("done") for line in heard)
        begun = sum(line.startswith("begin") for line in heard)
        phase = _kind(plan[done]) if begun > done else "idle" if "opened" in heard else "opening"
        self.report.kills[f"{phase} beside a rekey" if aim == "beside" else phase] += 1
        self._check(plan, states, done, begun)

    def _planned(self, *, rekeys: bool) -> tuple[list[Deed], list[MemoryRecords]]:
        """What a child is to do, and what the store is after each (and before the first)."""
        model = copy.deepcopy(self._model)
        plan, states = [], [copy.deepcopy(model)]
        for deed in islice(deeds(model, self._chance, rekeys=rekeys), DEEDS):
            carry_out(model, deed)
            plan.append(deed)
            states.append(copy.deepcopy(model))
        return plan, states

    def _moment(self, aim: str) -> str:
        match aim:
            case "opening":
                return "opening"
            case "rekey":
                return "begin 0"
            case "idle":
                return "idle"
        return f"begin {self._chance.randrange(DEEDS)}"

    def _check(self, plan: list[Deed], states: list[MemoryRecords], done: int, begun: int) -> None:
        report, found = self.report, self._found()
        if found is None:
            return
        for deed in plan[:done]:
            report.acknowledged[_kind(deed)] += 1
        if found == known(states[done]):
            self._model = states[done]
            if begun > done and known(states[done]) != known(states[begun]):
                report.absent[_kind(plan[done])] += 1
        elif begun > done and found == known(states[begun]):
            self._model = states[begun]
            report.there[_kind(plan[done])] += 1
        else:
            report.problems.append(f"after {done} of {plan!r:.2000}: {_difference(found, known(states[done]))}")

    def _found(self) -> State | None:
        """What is in the store, if it is whole."""
        try:
            if not is_there(self._folder, KeyFile(self._folder / KEY_NAME)):
                return {}  # it was not made yet
            found = stored(self._folder)
            verified = verify(self._folder, KeyFile(self._folder / KEY_NAME), deadline=clock_now() + SECONDS)
        except Exception as exc:
            self.report.problems.append(f"the store does not open: {exc!r}")
            return None
        if not verified.clean:
            self.report.problems.append(f"the store is damaged: {[str(one) for one in verified.damage]}")
            return None
        self.report.unfinished += verified.unfinished is not None
        return found

    def _finish(self) -> None:
        """A last rekey brings what was begun to its end, and what is in the store stays."""
        key, deadline = KeyFile(self._folder / KEY_NAME), clock_now() + SECONDS
        rekey(self._folder, key, deep=True, deadline=deadline)
        verified = verify(self._folder, key, deadline=deadline)
        if not verified.clean or verified.unfinished is not None or stored(self._folder) != known(self._model):
            self.report.problems.append(f"after the last rekey: {verified}")


class _Child:
    """A child process that runs *work* with the descriptor it is to write to; killed at the end of the `with`."""

    def __init__(self, work: Callable[[int], object]) -> None:
        self._work = work
        self._rest = b""
        self.last_words: list[str] = []

    def __enter__(self) -> "_Child":
        self._reader, writer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                self._work(writer)
            except BaseException as exc:
                os.write(writer, f"failed {exc!r:.900}\n".encode())
            os._exit(0)
        os.close(writer)
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self.last_words = list(self._lines(SECONDS))
        os.close(self._reader)

    def until(self, moment: str, then: float) -> list[str]:
        """What the child says up to *moment* (or its end), and *then* so many seconds later."""
        heard = []
        for line in self._lines(SECONDS):
            heard.append(line)
            if line == moment or line.startswith("failed"):
                break
        return heard + list(self._lines(then))

    def _lines(self, seconds: float) -> Iterator[str]:
        deadline = clock_now() + seconds
        while True:
            while b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                yield line.decode()
            left = max(0.0, deadline - clock_now())
            if not select.select([self._reader], [], [], left)[0]:
                return
            part = os.read(self._reader, 4096)
            if not part:
                return
            self._rest += part


def _rekey_on(folder: Path, told: int) -> None:
    """Give the store new keys, again and again, as soon as there is one."""
    key = KeyFile(folder / KEY_NAME)
    for turn in range(1_000_000):
        if (folder / "secrets.db").exists():
            rekey(folder, key, deep=turn % 2 == 0, deadline=clock_now() + SECONDS)


def _kind(deed: Deed) -> str:
    if isinstance(deed, Rekey):
        return "deep rekey" if deed.deep else "rekey"
    return type(deed).__name__.lower()


def _difference(found: State, wanted: State) -> str:
    names = [name for name in sorted(found.keys() | wanted.keys()) if found.get(name) != wanted.get(name)]
    return "; ".join(f"{name}: {found.get(name)!r:.300} and not {wanted.get(name)!r:.300}" for name in names)
