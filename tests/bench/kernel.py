"""python -m tests.bench.kernel [--quick]: what the kernel costs, as ratios to plain pykka in the same run.

Each figure is the median of several alternating rounds, so that a slow moment of the machine hits both sides.
"""

import argparse
import os
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from secrets_actor.otp import (
    SHUTDOWN,
    ChildSpec,
    DynamicSupervisor,
    Flags,
    Node,
    StartChild,
    Supervisor,
    TerminatePid,
    call,
    cast,
    spawn,
)
from tests.bench.subjects import Ours, Plain, Ready


def timed(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def calls(number: int, patience: float | None = None) -> tuple[float, float]:
    """Round trips: ours, pykka's, both with *patience* seconds for an answer (None: as long as it takes)."""
    pid, ref = spawn(Node(), Ours, label="ours"), Plain.start()

    def ours() -> None:
        for n in range(number):
            call(pid, n, patience)

    def theirs() -> None:
        for n in range(number):
            ref.ask(n, timeout=patience)

    found = timed(ours), timed(theirs)
    pid.exit(SHUTDOWN)
    ref.stop()
    return found


def bounded_calls(number: int) -> tuple[float, float]:
    """The same with a time-out, as calls have that somebody depends on."""
    return calls(number, 5.0)


def bare_calls(number: int) -> tuple[float, float]:
    """The floor: a queue, a lock and two threads without actors, beside pykka's round trip."""
    inbox: SimpleQueue[Any] = SimpleQueue()

    def serve() -> None:
        while (message := inbox.get()) is not None:
            message[1].append(message[0])
            message[2].release()

    def bare() -> None:
        for n in range(number):
            gate, answers = threading.Lock(), list[int]()
            gate.acquire()
            inbox.put((n, answers, gate))
            gate.acquire()

    def theirs() -> None:
        for n in range(number):
            ref.ask(n)

    threading.Thread(target=serve, daemon=True).start()
    ref = Plain.start()
    found = timed(bare), timed(theirs)
    inbox.put(None)
    ref.stop()
    return found


def casts(number: int) -> tuple[float, float]:
    """Messages sent and handled: ours, pykka's with its own queue."""
    done, theirs_done = threading.Event(), threading.Event()
    pid = spawn(Node(), lambda: Ours(number, done), label="ours")
    ref = Plain.start(number, theirs_done)

    def ours() -> None:
        for n in range(number):
            cast(pid, n)
        done.wait()

    def theirs() -> None:
        for n in range(number):
            ref.tell(n)
        theirs_done.wait()

    found = timed(ours), timed(theirs)
    pid.exit(SHUTDOWN)
    ref.stop()
    return found


def plain_lives(number: int, family: int = 1) -> float:
    """Starting and stopping plain actors, so many alive at a time: the system keeps the stacks of a few threads only,
    so a tenth thread costs more than a first."""

    def run() -> None:
        for _ in range(number // family):
            refs = [Plain.start() for _ in range(family)]
            for ref in refs:
                ref.stop()

    return timed(run)


FAMILY = 10


def lives(number: int) -> tuple[float, float]:
    """Starting and stopping ten at a time: processes that a supervisor starts and stops (itself included), and plain
    actors."""
    node, specs = Node(), [ChildSpec(f"w{n}", Ours) for n in range(FAMILY)]

    def ours() -> None:
        for _ in range(number // FAMILY):
            sup = spawn(node, lambda: Supervisor(Flags(), specs), label="root")
            sup.exit(SHUTDOWN)
            sup.wait()

    return timed(ours), plain_lives(number, FAMILY)


def lives_by_request(number: int) -> tuple[float, float]:
    """The same, each start and each stop a call to a dynamic supervisor: two round trips more."""
    sup = spawn(Node(), lambda: DynamicSupervisor(Flags()), label="pool")

    def ours() -> None:
        for _ in range(number):
            call(sup, TerminatePid(call(sup, StartChild(ChildSpec("w", Ours)))))

    found = timed(ours), plain_lives(number)
    sup.exit(SHUTDOWN)
    return found


def restarts(number: int) -> tuple[float, float]:
    """From crash to ready, and the start of a plain actor until it answers."""
    up = threading.Semaphore(0)
    node = Node()
    flags = Flags(intensity=10**9, period=1.0)
    sup = spawn(node, lambda: Supervisor(flags, [ChildSpec("a", lambda: Ready(up), name="a")]), label="root")
    up.acquire()
    name = node.name("a")

    def ours() -> None:
        for _ in range(number):
            while not name.resolve():
                pass
            cast(name, "die")
            up.acquire()

    refs: list[Any] = []

    def theirs() -> None:
        for _ in range(number):
            refs.append(Plain.start())
            refs[-1].ask("ready")

    found = timed(ours), timed(theirs)
    for ref in refs:
        ref.stop()
    sup.exit(SHUTDOWN)
    return found


def joined(threads: list[threading.Thread]) -> None:
    """Wait until all have ended."""
    for thread in threads:
        thread.join()


def crowd(number: int) -> str:
    """So many processes under one dynamic supervisor, which stops them in parallel; all threads are gone at the end."""
    sup = spawn(Node(), lambda: DynamicSupervisor(Flags()), label="pool")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def start() -> None:
        for _ in range(number):
            call(sup, StartChild(ChildSpec("w", Ours)), None)

    started = timed(start)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("w#")]
    assert len(threads) == number, f"{len(threads)} threads"
    sup.exit(SHUTDOWN)
    stopped = timed(lambda: sup.wait(120))
    ended = timed(lambda: joined(threads))
    return (
        f"{number} processes: started in {started:.2f} s, stopped in {stopped:.2f} s, their threads ended "
        f"{ended:.2f} s later; {(after - before) / 1024:.0f} MiB, {(after - before) / number:.1f} KiB each"
    )


@dataclass(frozen=True)
class Goal:
    """A comparison and the most it may cost."""

    name: str
    run: Callable[[int], tuple[float, float]]
    number: int
    most: float


GOALS = (
    Goal("call / ask().get()", calls, 5000, 0.8),
    Goal("call / ask().get(), with time-outs", bounded_calls, 5000, 0.8),
    Goal("two bare threads / ask().get()", bare_calls, 5000, 1.0),
    Goal("cast / tell", casts, 20000, 0.5),
    Goal("supervised start+stop / plain", lives, 300, 1.3),
    Goal("the same by request / plain", lives_by_request, 300, 1.3),
    Goal("restart / plain start", restarts, 200, 3.0),
)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.kernel")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--crowd", type=int, default=10_000)
    options = parser.parse_args()
    share = 10 if options.quick else 1
    missed = 0
    available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    for cores in sorted({1, len(available)}):
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, available[:cores])
        for goal in GOALS:
            rounds = [goal.run(goal.number // share) for _ in range(options.rounds)]
            ratio = statistics.median(ours / theirs for ours, theirs in rounds)
            each = statistics.median(ours for ours, _ in rounds) / (goal.number // share) * 1e6
            missed += ratio > goal.most
            mark = "" if ratio <= goal.most else "   MISSED"
            print(f"{cores} core(s)  {goal.name:34} {ratio:5.2f}  (most {goal.most})  {each:8.1f} us each{mark}")
    print(crowd(options.crowd // share))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
