"""python -m tests.chaos.kernel [--minutes N] [--seed S]: a three-level tree under 16 callers, its processes, the root
too, killed, crashed and hung at random. Afterwards the books must balance; see `Report`.
"""

import argparse
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from secrets_actor.clock import now as clock_now
from secrets_actor.otp import (
    SHUTDOWN,
    CallFailed,
    CallTimeout,
    ChildSpec,
    Flags,
    GenServer,
    Handled,
    LifecycleEvent,
    MailboxLimit,
    Node,
    NoProcess,
    Overloaded,
    Pid,
    Reply,
    Strategy,
    Supervisor,
    TimerServer,
    TreeNode,
    call,
    cast,
    snapshot,
    spawn,
    supervisor_spec,
)
from secrets_actor.otp.events import ChildRestarted, ChildStartFailed, ProcessDisowned, ProcessStarted

CALLERS: Final = 16
PATIENCE: Final = 0.2  # seconds a caller waits
DEADLINE: Final = 0.1  # seconds of a callback
WHOLE_WITHIN: Final = 15.0  # seconds the tree has to recover
CALM: Final = Flags(intensity=10**6, period=1.0)
DEEDS: Final = ("kill leaf", "crash leaf", "hang leaf", "kill group", "end group", "kill root")
LEAVES: Final = tuple(f"{group}{number}" for group in "abc" for number in range(4))


class Server(GenServer):
    """Answers now, later or never; dies or hangs when told."""

    trap_exit = True

    def __init__(self) -> None:
        self._cut = threading.Event()

    def handle_call(self, request: Any, caller: Any) -> Handled:
        return Reply(request)

    def handle_cast(self, message: Any) -> Handled:
        if message == "crash":
            raise RuntimeError("chaos")
        self._cut.wait()  # "hang": until it is cut loose
        return None

    def abandon(self) -> None:
        self._cut.set()


def children(pid: Pid) -> list[Pid]:
    """The processes below *pid*."""
    shown = pid.published  # None before the first child
    return [] if shown is None else [row.pid for row in shown.children if row.pid is not None]


def tree() -> list[ChildSpec]:
    """Three groups, one of each strategy, of four servers each."""
    limit = MailboxLimit(8)
    return [
        supervisor_spec(
            f"group {group}",
            Flags(strategy, CALM.intensity, CALM.period),
            [
                ChildSpec(name, Server, shutdown=0.05, name=name, mailbox=limit, callback_timeout=DEADLINE)
                for name in LEAVES
                if name[0] == group
            ],
        )
        for group, strategy in zip("abc", Strategy, strict=True)
    ]


@dataclass
class Report:
    """What was asked and what came of it; `problems` is empty if every call was answered, refused or timed out, the
    tree is whole, no thread was left but the counted ones, and the observer saw as many restarts as the tree shows.
    `disowned` threads were counted by the node, and as many at a time as `most` says."""

    outcomes: Counter[str] = field(default_factory=Counter)
    deeds: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    made: int = 0
    disowned: int = 0
    most: int = 0

    def __str__(self) -> str:
        counts = ", ".join(f"{number} {name}" for name, number in sorted(self.outcomes.items()))
        deeds = ", ".join(f"{number} {name}" for name, number in sorted(self.deeds.items()))
        return "\n".join(
            [
                f"{self.made} calls: {counts}",
                f"deeds: {deeds}",
                f"disowned: {self.disowned}, at most {self.most} at a time",
                *(f"PROBLEM {one}" for one in self.problems),
            ]
        )


class Chaos:
    """One run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.events: list[LifecycleEvent] = []
        self.node = Node(self.events.append)
        timers = ChildSpec("timers", TimerServer)
        top = [timers, supervisor_spec("root", CALM, tree())]
        self.top = spawn(self.node, lambda: Supervisor(CALM, top), label="top")
        self.over = threading.Event()
        self.report = Report()
        self._lock = threading.Lock()

    def run(self, seconds: float) -> Report:
        callers = [threading.Thread(target=self._call, args=(self.random.random(),)) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        ends = clock_now() + seconds
        while clock_now() < ends:
            self._strike()
            time.sleep(self.random.expovariate(1 / 0.004))
        self.over.set()
        for number, caller in enumerate(callers):
            caller.join(10.0)
            if caller.is_alive():
                self.report.problems.append(f"caller {number} waits still")
        self._heal()
        self._check()
        self.top.exit(SHUTDOWN)
        if self.top.wait(30.0) is None:
            self.report.problems.append("the root does not stop")
        self._check_threads()
        return self.report

    def _call(self, seed: float) -> None:
        mine, counts, made = random.Random(seed), Counter[str](), 0
        while not self.over.is_set():
            made += 1
            name = mine.choice(LEAVES)
            try:
                answer = call(self.node.name(name), made, PATIENCE)
                counts["answered" if answer == made else "answered wrongly"] += 1
            except Overloaded:
                counts["overloaded"] += 1
            except NoProcess:
                counts["nobody there"] += 1
                self.node.registry.wait_for(name, 0.02)
            except CallFailed:
                counts["failed with the server"] += 1
            except CallTimeout:
                counts["timed out"] += 1
        with self._lock:
            self.report.outcomes.update(counts)
            self.report.made += made

    def _strike(self) -> None:
        deed = self.random.choices(DEEDS, (8, 8, 8, 8, 8, 1))[0]
        self.report.most = max(self.report.most, len(self.node.disowned))
        if deed.endswith("leaf"):
            target = self.node.registry.whereis(self.random.choice(LEAVES))
        else:
            roots = [pid for pid in children(self.top) if pid.label == "root"]
            groups = roots if deed == "kill root" else [pid for root in roots for pid in children(root)]
            target = self.random.choice(groups) if groups else None
        if target is None:
            return
        self.report.deeds[deed] += 1
        match deed:
            case "crash leaf":
                cast(target, "crash")
            case "hang leaf":
                cast(target, "hang")  # its supervisor will see to it
            case "end group":
                target.exit(SHUTDOWN, sender=target.parent)
            case _:
                target.kill()

    def _heal(self) -> None:
        deadline = clock_now() + WHOLE_WITHIN
        while clock_now() < deadline:
            try:
                if all(call(self.node.name(name), 1, 1.0) == 1 for name in LEAVES):
                    time.sleep(2 * DEADLINE)  # the last to hang
                    if all(call(self.node.name(name), 1, 1.0) == 1 for name in LEAVES):
                        return
            except (CallFailed, CallTimeout, Overloaded):
                time.sleep(0.02)
        self.report.problems.append("the tree is not whole")

    def _check(self) -> None:
        report = self.report
        if sum(report.outcomes.values()) != report.made or report.outcomes["answered wrongly"]:
            report.problems.append("a call is unaccounted for")
        report.disowned = sum(isinstance(event, ProcessDisowned) for event in list(self.events))
        if not 0 < report.most <= report.disowned:
            report.problems.append(f"{report.most} disowned at a time of {report.disowned}")
        shown = snapshot(self.top).root
        for node in shown.walk():
            if node.state != "running":
                report.problems.append(f"{node.id} is {node.state}")
            if node.strategy is not None:
                self._check_restarts(node)

    def _check_restarts(self, node: TreeNode) -> None:
        events = list(self.events)
        begun = max(i for i, e in enumerate(events) if isinstance(e, ProcessStarted) and e.serial == node.serial)
        # A restarted supervisor's children start before it does: only its restarts count, and they come later.
        seen = sum(isinstance(e, (ChildRestarted, ChildStartFailed)) and e.process == node.id for e in events[begun:])
        counted = sum(child.restarts for child in node.children)
        if seen != counted:
            self.report.problems.append(f"{node.id}: the observer saw {seen} restarts, the tree shows {counted}")

    def _check_threads(self) -> None:
        deadline = clock_now() + WHOLE_WITHIN
        while clock_now() < deadline:
            left = [one.name for one in threading.enumerate() if "#" in one.name and self._is_ours(one)]
            if not left and not self.node.disowned:
                return
            time.sleep(0.02)
        self.report.problems.append(f"threads left: {left}, disowned: {self.node.disowned}")

    def _is_ours(self, thread: threading.Thread) -> bool:
        return thread.name.partition("#")[0] in (*LEAVES, "top", "timers", "root", "group a", "group b", "group c")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.kernel")
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    report = Chaos(options.seed).run(options.minutes * 60)
    print(report)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
