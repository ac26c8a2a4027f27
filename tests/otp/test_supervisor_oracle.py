"""Trees with failing inits and supervisors under supervisors, driven at random, step by step beside the oracle."""

from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.otp.oracle import Oracle
from tests.otp.oracle.scenarios import Author
from tests.otp.replay.canonical import canonical
from tests.otp.replay.runner import Stage

AT_REST = 0.004  # seconds; every process waits already, so this is only for those between two locks


class TreeMachine(RuleBasedStateMachine):
    """The real tree and the oracle's, which take the same steps."""

    @initialize(chance=st.randoms(), depth=st.integers(1, 3))
    def begin(self, chance: Random, depth: int) -> None:
        self.author = Author(chance)
        self.scenario = {**self.author.tree("root", depth), "steps": []}
        self.oracle, self.stage = Oracle(self.scenario), Stage(self.scenario, AT_REST)
        self.oracle.start_root()
        self.stage.start_root()

    def teardown(self) -> None:
        if hasattr(self, "stage"):
            self.stage.close()

    def take(self, steps: list[dict[str, Any]]) -> None:
        simple = any(one.get("strategy") == "simple_one_for_one" for one in self.author.supervisors.values())
        for step in steps:
            self.scenario["steps"].append({**step, "unordered": True} if simple else step)
            number = len(self.scenario["steps"])
            self.oracle.step(number, step)
            self.stage.step(number, step)

    @rule(chance=st.randoms())
    def somebody_asks_or_dies(self, chance: Random) -> None:
        self.author.chance = chance
        self.take(self.author.steps())

    @rule(chance=st.randoms())
    def somebody_dies(self, chance: Random) -> None:
        self.author.chance = chance
        self.take(self.author.deaths() if self.author.workers else [])

    @rule(data=st.data())
    def somebody_looks(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.author.supervisors)))
        self.take([{"op": "which_children", "sup": name}, {"op": "count_children", "sup": name}])

    @invariant()
    def both_have_seen_the_same(self) -> None:
        if hasattr(self, "stage"):
            mine = canonical(self.stage.world.trace, self.scenario)
            assert mine == canonical(self.oracle.trace, self.scenario)


TestTreeAgainstTheOracle = TreeMachine.TestCase
TestTreeAgainstTheOracle.settings = settings(
    max_examples=20, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
