"""A supervisor driven at random, requests and crashes, against a model of what OTP's rules say."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from secrets_actor.otp import (
    AutoShutdown,
    ChildError,
    ChildSpec,
    CountChildren,
    DeleteChild,
    Flags,
    InitResult,
    ManualClock,
    NoProcess,
    Restart,
    RestartChild,
    StartChild,
    StartError,
    Stop,
    Stopped,
    Strategy,
    Supervisor,
    TerminateChild,
    WhichChildren,
    call,
    cast,
)
from secrets_actor.otp.child_table import State
from tests.otp.conftest import PATIENCE, Echo, Recorder, TestNode

NAMES = st.sampled_from("abcde")
PERIOD, INTENSITY = 10.0, 3


@dataclass
class Row:
    """A child as the model has it: `life` counts its incarnations."""

    name: str
    restart: Restart
    alive: bool = True
    life: int = 1
    significant: bool = False
    number: int = field(default_factory=itertools.count().__next__)


class Flaky(Echo):
    """Does not start as often as `fails` says."""

    def __init__(self, name: str, fails: dict[str, int]) -> None:
        self.name, self.fails = name, fails

    def init(self) -> InitResult:
        left = self.fails.get(self.name, 0)
        self.fails[self.name] = max(left - 1, 0)
        return Stop(Stopped("no")) if left else None


class SupervisorMachine(RuleBasedStateMachine):
    """The real one, and the model beside it."""

    @initialize(
        strategy=st.sampled_from(list(Strategy)),
        auto=st.sampled_from(list(AutoShutdown)),
        kinds=st.lists(st.tuples(st.sampled_from(list(Restart)), st.booleans()), max_size=4),
    )
    def begin(self, strategy: Strategy, auto: AutoShutdown, kinds: list[tuple[Restart, bool]]) -> None:
        self.clock = ManualClock()
        self.node = TestNode(Recorder(), self.clock)
        self.strategy, self.auto, self.alive = strategy, auto, True
        self.fails: dict[str, int] = {}
        self.rows = [
            Row(name, kind, significant=wish and auto is not AutoShutdown.NEVER and kind is not Restart.PERMANENT)
            for name, (kind, wish) in zip("abcde", kinds, strict=False)
        ]
        specs = [self.spec(row.name, row.restart, row.significant) for row in self.rows]
        self.sup = self.node.spawn(lambda: Supervisor(Flags(strategy, INTENSITY, PERIOD, auto), specs), "root")
        self.window: list[float] = []
        self.lives: dict[str, list[int]] = {}

    def teardown(self) -> None:
        if hasattr(self, "node"):
            self.node.close()

    def spec(self, name: str, restart: Restart, significant: bool = False) -> ChildSpec:
        return ChildSpec(name, lambda: Flaky(name, self.fails), restart, significant=significant)

    def row(self, name: str) -> Row | None:
        return next((row for row in self.rows if row.name == name), None)

    def ask(self, request: Any, expected: str | None) -> None:
        try:
            call(self.sup, request, PATIENCE)
            problem = None
        except ChildError as error:
            problem = error.problem
        except NoProcess:
            problem = "noproc"
        except StartError:
            problem = "failed"
        assert problem == (expected if self.alive else "noproc")

    def gone(self, row: Row) -> None:
        row.alive = False
        if row.restart is Restart.TEMPORARY:
            self.rows.remove(row)

    @rule(name=NAMES, kind=st.sampled_from(list(Restart)))
    def start_child(self, name: str, kind: Restart) -> None:
        row = self.row(name)
        self.ask(
            StartChild(self.spec(name, kind)),
            None if row is None else "already_started" if row.alive else "already_present",
        )
        if row is None and self.alive:
            self.rows.append(Row(name, kind))

    @precondition(lambda self: self.alive)
    @rule(name=NAMES)
    def a_child_does_not_start(self, name: str) -> None:
        row = self.row(name)
        if row is not None and row.alive:
            return
        self.fails[name] = 1
        if row is None:
            self.ask(StartChild(self.spec(name, Restart.PERMANENT)), "failed")
        else:
            self.ask(RestartChild(name), "failed")
        assert self.fails[name] == 0

    @rule(name=NAMES)
    def terminate_child(self, name: str) -> None:
        row = self.row(name)
        self.ask(TerminateChild(name), None if row else "not_found")
        if row is not None and self.alive:
            self.gone(row)

    @rule(name=NAMES)
    def restart_child(self, name: str) -> None:
        row = self.row(name)
        self.ask(RestartChild(name), "not_found" if row is None else "running" if row.alive else None)
        if row is not None and not row.alive and self.alive:
            row.alive, row.life = True, row.life + 1

    @rule(name=NAMES)
    def delete_child(self, name: str) -> None:
        row = self.row(name)
        self.ask(DeleteChild(name), "not_found" if row is None else "running" if row.alive else None)
        if row is not None and not row.alive and self.alive:
            self.rows.remove(row)

    @rule(seconds=st.sampled_from([1.0, 4.0, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.alive and any(row.alive for row in self.rows))
    @rule(data=st.data(), normally=st.booleans(), failures=st.integers(0, 2))
    def a_child_ends(self, data: st.DataObject, normally: bool, failures: int) -> None:
        row = data.draw(st.sampled_from([row for row in self.rows if row.alive]))
        pid = next(r.pid for r in call(self.sup, WhichChildren()) if r.spec.id == row.name)
        wanted = row.restart is Restart.PERMANENT or (row.restart is Restart.TRANSIENT and not normally)
        if not wanted or self.strategy is not Strategy.ONE_FOR_ONE:  # in a group it depends on who failed
            failures = 0
        self.fails[row.name] = failures
        cast(pid, lambda me: Stop() if normally else Stop(Stopped("boom")))
        assert pid.wait(PATIENCE) is not None
        if not wanted:
            self.gone(row)
            self.ends_with(row)
            return
        now = self.clock.now()
        self.window = [then for then in self.window if now - then <= PERIOD] + [now] * (1 + failures)
        if len(self.window) > INTENSITY:
            self.alive = False
            assert self.sup.wait(PATIENCE) is not None
            return
        first = self.rows.index(row)
        group = {
            Strategy.ONE_FOR_ONE: [row],
            Strategy.ONE_FOR_ALL: list(self.rows),
            Strategy.REST_FOR_ONE: self.rows[first:],
        }[self.strategy]
        for one in group:
            if one.restart is Restart.TEMPORARY:
                self.rows.remove(one)
            else:
                one.alive, one.life = True, one.life + 1

    def ends_with(self, row: Row) -> None:
        others = any(one.significant and one.alive for one in self.rows if one is not row)
        if row.significant and (self.auto is AutoShutdown.ANY_SIGNIFICANT or not others):
            self.alive = False
            assert self.sup.wait(PATIENCE) is not None

    @invariant()
    def the_model_holds(self) -> None:
        if not hasattr(self, "sup"):
            return
        if not self.alive:
            assert not self.sup.is_alive()
            assert all(not pid.is_alive() for pid in self.node._live)
            return
        found = call(self.sup, WhichChildren(), PATIENCE)
        while any(row.process is State.RESTARTING for row in found):  # its tries come by message, after the requests
            found = call(self.sup, WhichChildren(), PATIENCE)
        assert [(row.spec.id, row.pid is not None) for row in found] == [(row.name, row.alive) for row in self.rows]
        for mine, row in zip(self.rows, found, strict=True):
            if row.pid is not None:  # one incarnation, one serial
                assert row.pid.is_alive()
                known = self.lives.setdefault(f"{mine.name} {mine.number} {mine.life}", [row.pid.serial])
                assert known == [row.pid.serial]
        serials = [row.pid.serial for row in found if row.pid is not None]
        assert len(set(serials)) == len(serials)
        counts = call(self.sup, CountChildren())
        assert (counts.specs, counts.active) == (len(self.rows), sum(row.alive for row in self.rows))


TestSupervisorAgainstItsModel = SupervisorMachine.TestCase
TestSupervisorAgainstItsModel.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
