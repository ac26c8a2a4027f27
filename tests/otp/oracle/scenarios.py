"""Supervisor scenarios that nobody recorded, from a source of chance: trees, behaviours and steps at random."""

from random import Random
from typing import Any

Spec = dict[str, Any]
SIMPLE = "simple_one_for_one"
STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")
BAD_STARTS = (["stop", "no"], ["stop", "normal"], ["error", "no"], ["exit", "no"], ["throw", "no"], ["return", "no"])
ENDS = (
    ["error", "boom"],
    ["exit", "boom"],
    ["exit", "normal"],
    ["exit", "shutdown"],
    ["exit", ["shutdown", "why"]],
    ["stop", "boom"],
    ["stop", "normal"],
    ["stop", "shutdown"],
    ["stop", ["shutdown", "why"]],
    ["throw", "ball"],
)
ON_A_CHILD = ("terminate_child", "restart_child", "delete_child", "get_childspec")


def scenario(chance: Random) -> Spec:
    """A tree and up to a dozen steps."""
    return Author(chance).write()


class Author:
    """Knows the ids it has given away, so that its steps are about somebody."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.workers: list[str] = []
        self.supervisors: dict[str, Spec] = {}

    def maybe(self, probability: float) -> bool:
        return self.chance.random() < probability

    def write(self) -> Spec:
        root = self.tree("root", depth=self.chance.choice((1, 1, 2, 3)))
        steps: list[Spec] = []
        for _ in range(self.chance.randint(2, 11)):
            steps += self.steps()
            if self.maybe(0.3):
                steps.append({"op": "which_children", "sup": self.chance.choice(list(self.supervisors))})
        if any(one.get("strategy") == SIMPLE for one in self.supervisors.values()):
            steps = [{**step, "unordered": True} for step in steps]  # its children end in no order
        return {**root, "steps": steps}

    # --- trees ----------------------------------------------------------------------------------------------------

    def tree(self, name: str, depth: int) -> Spec:
        flags: Spec = {"intensity": self.chance.choice((0, 1, 1, 2, 3)), "period": 60}
        self.supervisors[name] = flags
        if self.maybe(0.05):
            flags |= {"init": "ignore", "children": []}
            return flags
        if self.maybe(0.15):
            auto = self.chance.choice(("never", "any_significant", "all_significant"))
            flags |= {"strategy": SIMPLE, "children": [self.child(f"{name}_tpl", 1, auto, listed=False)]}
            if auto != "never":
                flags["auto_shutdown"] = auto
            return flags
        flags["strategy"] = self.chance.choice(STRATEGIES)
        auto = self.chance.choice(("never", "never", "any_significant", "all_significant"))
        if auto != "never":
            flags["auto_shutdown"] = auto
        stem = "" if name == "root" else name
        flags["children"] = [
            self.child(f"{stem}{letter}", depth, auto) for letter in "abcd"[: self.chance.randint(0, 4)]
        ]
        return flags

    def child(self, name: str, depth: int, auto: str, listed: bool = True) -> Spec:
        spec: Spec = {"id": name, "restart": self.chance.choice(("permanent", "permanent", "transient", "temporary"))}
        if auto != "never" and spec["restart"] != "permanent" and self.maybe(0.6):
            spec["significant"] = True
        if depth > 1 and self.maybe(0.4):
            return {**spec, "type": "supervisor", "sup": self.tree(name, depth - 1)}
        if listed:
            self.workers.append(name)
        spec["behaviour"] = self.behaviour()
        if self.maybe(0.3):
            spec["shutdown"] = self.chance.choice(("brutal_kill", "infinity", 2000))
        return spec

    def behaviour(self) -> Spec:
        script: Spec = {"trap_exit": True} if self.maybe(0.7) else {}
        if self.maybe(0.03):
            return {
                **script,
                "start": self.chance.choice((["error", "no"], ["return", "no"], ["return", ["error", "no"]])),
            }
        if self.maybe(0.06):
            script["init"] = self.bad_start()
        elif self.maybe(0.3):
            script["init_plan"] = {str(n): self.bad_start() for n in self.chance.sample((2, 3, 4), 2)}
        elif self.maybe(0.1):
            script["init_from"] = [self.chance.choice((2, 3)), self.bad_start()]
        if self.maybe(0.1):
            script["terminate_raise"] = [self.chance.choice(("exit", "error")), "late"]
        if self.maybe(0.05):
            script["start_info"] = "info"
        return script

    def bad_start(self) -> Any:
        return "ignore" if self.maybe(0.25) else self.chance.choice(BAD_STARTS)

    # --- steps ----------------------------------------------------------------------------------------------------

    def steps(self) -> list[Spec]:
        name = self.chance.choice(list(self.supervisors))
        flags = self.supervisors[name]
        what = self.chance.random()
        if what < 0.45 and self.workers:
            return self.deaths()
        if what < 0.60:
            return [self.addition(name, flags)]
        if what < 0.85:
            return [self.request(name, flags)]
        if what < 0.90:
            how = self.chance.choice(("exit", "stop"))
            reason = self.chance.choice(("shutdown", "normal", "boom"))
            return [{"op": "stop_sup", "sup": name, "how": how, "reason": reason, "result_last": how == "stop"}]
        op = self.chance.choice(("count_children", "which_children"))
        return [{"op": op, "sup": name}]

    def deaths(self) -> list[Spec]:
        """One, or several at once, of which the supervisor of the first hears later."""
        dying = self.chance.sample(self.workers, self.chance.choice((1, 1, 1, min(2, len(self.workers)))))
        steps: list[Spec] = [{"op": "crash", "child": name, "how": self.chance.choice(ENDS)} for name in dying]
        if self.maybe(0.15):
            steps[0] = {"op": "signal", "child": dying[0], "reason": self.chance.choice(("kill", "boom", "normal"))}
        if len(steps) > 1 and len(self.supervisors) == 1:
            return [{"op": "suspend", "sup": "root"}, *steps, {"op": "resume", "sup": "root"}]
        return steps

    def addition(self, name: str, flags: Spec) -> Spec:
        if flags.get("strategy") == SIMPLE:
            label = f"{name}_{self.chance.choice('xyz')}"
            self.workers.append(label)
            return {"op": "start_child", "sup": name, "args": {"label": label}}
        stem = "" if name == "root" else name
        names = [f"{stem}{letter}" for letter in "abcdxy" if f"{stem}{letter}" not in self.supervisors]
        spec = self.child(self.chance.choice(names), 1, flags.get("auto_shutdown", "never"))
        return {"op": "start_child", "sup": name, "spec": spec}

    def request(self, name: str, flags: Spec) -> Spec:
        own = [one["id"] for one in flags["children"]] + [one for one in self.workers if one.startswith(f"{name}_")]
        step: Spec = {"op": self.chance.choice(ON_A_CHILD), "sup": name}
        step["child"] = self.chance.choice(own or ["nobody"])
        if flags.get("strategy") == SIMPLE and self.maybe(0.8) and step["child"] in self.workers:
            step |= {"op": "terminate_child", "by": "pid"}
        return step
