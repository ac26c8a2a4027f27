"""gen_server scenarios that nobody recorded, from a source of chance: servers, messages and steps at random.

As with the recordings, only those count that give one trace whatever the order in which their processes run.
"""

from random import Random
from typing import Any

from tests.otp.oracle.server_steps import ServerOracle
from tests.otp.replay.canonical import canonical

Spec = dict[str, Any]
Actions = list[list[Any]]
LIVELY = 2.3  # events a step has at least: one is that it begins, and most have a result
TRIES = 40  # schedules by which a scenario is judged
REASONS = ("normal", "shutdown", ["shutdown", "why"], "boom", "boom", ["odd", "tuple"])
SIGNALS = ("normal", "shutdown", "kill", "boom", ["shutdown", "why"])
WAKING = frozenset(("send", "cast", "signal", "reply_to", "link", "start_linked"))
MESSAGES = ("m1", "m2", ["m3", "more"], "strange")


def scenario(chance: Random) -> tuple[Spec, list[Spec]]:
    """A scenario in which something happens, and its canonical trace."""
    while True:
        steps = Author(chance).write()
        for flags in ({}, {"unordered": True, "any_order": True}):
            made = {"steps": [{**step, **flags} for step in steps]}
            if (trace := foretold(made)) is not None:
                return made, trace


def foretold(made: Spec) -> list[Spec] | None:
    """The canonical trace of a scenario; None if it has none, or more than one, or hardly any."""
    traces = []
    try:
        for one in (None, *map(Random, range(TRIES))):
            traces.append(canonical(ServerOracle(made, one).play(), made))
            if traces[-1] != traces[0] or len(traces[0]) < LIVELY * len(made["steps"]):
                return None
    except LookupError:  # it answers, cancels or links to what is not there
        return None
    return traces[0]


class Author:
    """Knows what it has given away: ids, names, and the keys under which servers keep things."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.pick = chance.choice
        self.ids = list("abcd"[: self.pick((1, 2, 2, 3, 4))])
        self.started: list[str] = []
        self.names = ["n_a", "n_b"] if self.maybe(0.4) else []
        self.kept: list[tuple[str, str]] = []
        self.timers: list[tuple[str, str]] = []
        self.watched: list[tuple[str, str]] = []
        self.watches: list[str] = []
        self.clients = 0
        self.labels = 0
        self.me = ""  # whose actions are written

    def maybe(self, probability: float) -> bool:
        return self.chance.random() < probability

    def label(self, stem: str) -> str:
        self.labels += 1
        return "-" if self.maybe(0.03) else f"{stem}{self.labels}"

    def write(self) -> list[Spec]:
        steps = [self.begin(self.ids[0])]
        for _ in range(self.chance.randint(2, 8)):
            steps.append(self.step())
            if self.maybe(0.2):
                steps.append(self.pick(({"op": "mailbox"}, {"op": "alive", "to": self.pick(self.ids)})))
        return [*steps, {"op": "mailbox"}]

    # --- servers --------------------------------------------------------------------------------------------------

    def begin(self, name: str) -> Spec:
        step: Spec = {"op": "start", "server": self.server(name)}
        if self.maybe(0.3):
            step["link"] = True
        if self.maybe(0.05):
            step["timeout"] = self.pick((90, 2000))
        self.started.append(name)
        return step

    def server(self, name: str) -> Spec:
        self.me = name
        spec: Spec = {"id": name}
        if self.maybe(0.35):
            spec["trap_exit"] = True
        if self.names and self.maybe(0.5):
            spec["register"] = self.pick(self.names)
        if self.maybe(0.35):
            some = [one for one in self.some(0.3) if one[0] != "signal"]  # a kill in init is not ours to decide
            spec["init"] = [*some, *self.init_end()]
        if self.maybe(0.4):
            keys = [key for key in ("m1", "m2", "m3", "EXIT", "DOWN", "timeout") if self.maybe(0.5)]
            spec["on_info"] = {key: self.program("info", 1) for key in keys}
        if self.maybe(0.25):
            spec["on_terminate"] = [*self.some(0.5), *self.pick(([], [], [self.raising()], [["stop", "ignored"]]))]
        return spec

    def init_end(self) -> Actions:
        what = self.chance.random()
        if what < 0.35:
            return self.pick(([], [["ok"]]))
        if what < 0.6:
            return [["ok", self.option(1)]]
        return [self.pick((["ignore"], ["stop", self.pick(REASONS)], self.raising(), ["return", "junk"]))]

    def option(self, depth: int) -> Any:
        if self.maybe(0.6) and depth < 3:
            return ["continue", self.label("t"), self.program("continue", depth + 1)]
        return self.pick((0, 100, 250, "hibernate", "infinity"))

    def raising(self) -> list[Any]:
        kind = self.pick(("error", "exit", "throw"))
        if kind == "throw":
            return ["throw", self.pick(("ball", ["stop", "thrown"], "ignore"))]
        return [kind, self.pick((*REASONS, "kill"))]

    # --- actions --------------------------------------------------------------------------------------------------

    def program(self, callback: str, depth: int) -> Actions:
        return [*self.some(0.5 if depth < 2 else 0.25, depth), *self.end(callback, depth)]

    def end(self, callback: str, depth: int) -> Actions:
        what = self.chance.random()
        if callback == "call" and what < 0.6:
            value = self.pick(("v", "undefined", 7, ["pair", 1]))
            if self.maybe(0.2):
                return [["reply", value, self.option(depth)]]
            return [self.pick((["reply", value], ["reply_count"], ["throw_reply", value], ["stop", "normal", value]))]
        if callback == "call" and what < 0.7:
            key = f"k{self.labels}"
            self.kept.append((self.me, key))
            return [["keep", key], self.pick((["noreply"], ["noreply", self.option(depth)]))]
        if what < 0.75:
            return self.pick(([], [], [["noreply"]], [["noreply", self.option(depth)]]))
        if what < 0.9:
            return [["stop", self.pick(REASONS)]]
        if what < 0.97 or callback == "call":
            return [self.raising()]
        return [self.pick((["return", "junk"], ["reply", "nobody"], ["ignore"], ["ok"], ["stop", "bye", "nobody"]))]

    def some(self, probability: float, depth: int = 0) -> Actions:
        actions: Actions = []
        while self.maybe(probability) and len(actions) < 3:
            actions.append(self.action(depth))
            if actions[-1][0] in WAKING and self.maybe(0.7):
                actions.append(["sleep", (120, 60)[depth] if depth < 2 else 30])  # let the others come first
        return actions

    def action(self, depth: int) -> list[Any]:
        to = self.pick([*self.started, *self.started, *({"name": name} for name in self.names)] or ["self"])
        kinds = [
            "emit",
            "emit",
            "incr",
            "sleep",
            "self_send",
            "send",
            "monitor",
            "link",
            "unlink",
            "signal",
            "trap_exit",
        ]
        kinds += ["send_after", "start_timer", "reply_to", "cancel", "demonitor"]
        if depth < 2:
            kinds += ["self_cast", "cast", "call", "call", "call_raw", "start_linked", "send_after_to"]
        kind = self.pick(kinds)
        made = getattr(self, f"a_{kind}", None)
        if made is not None:
            found: list[Any] = made(to, depth)
            return found
        return {
            "emit": ["emit", self.label("e")],
            "incr": ["incr"],
            "sleep": ["sleep", self.pick((5, 30, 150))],
            "self_send": ["self_send", self.pick(MESSAGES)],
            "send": ["send", to, self.pick(MESSAGES)],
            "link": ["link", to],
            "unlink": ["unlink", to],
            "signal": ["signal", self.pick((to, to, "self")), self.pick(SIGNALS)],
            "trap_exit": ["trap_exit", self.maybe(0.5)],
        }[kind]

    def known(self, table: list[tuple[str, str]]) -> list[str]:
        """The keys of mine."""
        return [key for name, key in table if name == self.me]

    def keyed(self, table: list[tuple[str, str]], stem: str) -> str:
        key = f"{stem}{len(table)}"
        table.append((self.me, key))
        return key

    def a_monitor(self, to: Any, depth: int) -> list[Any]:
        return ["monitor", to, self.keyed(self.watched, "w")]

    def a_demonitor(self, to: Any, depth: int) -> list[Any]:
        keys = self.known(self.watched)
        return ["demonitor", self.pick(keys), *self.pick(((), ("flush",)))] if keys else ["incr"]

    def a_send_after(self, to: Any, depth: int) -> list[Any]:
        return ["send_after", self.pick((0, 100, 250)), self.pick(MESSAGES), self.keyed(self.timers, "t")]

    def a_send_after_to(self, to: Any, depth: int) -> list[Any]:
        return ["send_after_to", to, self.pick((0, 100, 250)), self.pick(MESSAGES), self.keyed(self.timers, "t")]

    def a_start_timer(self, to: Any, depth: int) -> list[Any]:
        return ["start_timer", self.pick((0, 100, 250)), "tick", self.keyed(self.timers, "t")]

    def a_cancel(self, to: Any, depth: int) -> list[Any]:
        keys = self.known(self.timers)
        return [self.pick(("cancel", "read_timer")), self.pick(keys)] if keys else ["incr"]

    def a_reply_to(self, to: Any, depth: int) -> list[Any]:
        keys = self.known(self.kept)
        return ["reply_to", self.pick(keys), "late"] if keys else ["emit", "nobody"]

    def a_self_cast(self, to: Any, depth: int) -> list[Any]:
        return ["self_cast", self.label("k"), self.program("cast", depth + 1)]

    def a_cast(self, to: Any, depth: int) -> list[Any]:
        return ["cast", to, self.label("k"), self.other(to, "cast", depth)]

    def a_call(self, to: Any, depth: int, kind: str = "call") -> list[Any]:
        ms = self.pick((2000, "infinity", 70))
        return [kind, self.pick((to, to, to, "self")), ms, self.label("q"), self.other(to, "call", depth)]

    def a_call_raw(self, to: Any, depth: int) -> list[Any]:
        return self.a_call(to, depth, "call_raw")

    def a_start_linked(self, to: Any, depth: int) -> list[Any]:
        mine, name = self.me, self.pick(self.ids)
        spec = self.server(name)
        self.me = mine
        return ["start_linked", spec]

    def other(self, to: Any, callback: str, depth: int) -> Actions:
        """The actions of another server."""
        mine, self.me = self.me, str(to)
        actions = self.program(callback, depth + 1)
        self.me = mine
        return actions

    # --- steps ----------------------------------------------------------------------------------------------------

    def step(self) -> Spec:
        unborn = [name for name in self.ids if name not in self.started]
        if (unborn and self.maybe(0.5)) or self.maybe(0.1):
            return self.begin(self.pick(unborn or self.ids))
        to = self.pick([*self.started * 4, *({"name": name} for name in self.names), *unborn])
        what = self.chance.random()
        if what < 0.45:
            return self.request(to)
        return self.pick((self.s_send, self.s_stop, self.s_signal, self.s_watch, self.s_link, self.s_other))(to)

    def request(self, to: Any) -> Spec:
        kind = self.pick(("call", "call", "cast"))
        step: Spec = {"op": kind, "to": to, "label": self.label("c"), "do": self.other(to, kind, 0)}
        if kind == "call":
            step["timeout"] = self.pick((70, 2000))
            if self.maybe(0.4):
                self.clients += 1
                step |= {"client": f"p{self.clients}", "timeout": self.pick((70, 2000, "infinity"))}
        if kind == "cast" or "client" in step:
            step |= {"settle": False} if self.maybe(0.25) else {}
        return step

    def s_send(self, to: Any) -> Spec:
        if self.maybe(0.3):
            return {"op": "send", "to": to, "label": self.label("i"), "do": self.other(to, "info", 0)}
        return {"op": "send", "to": to, "msg": self.pick(MESSAGES)}

    def s_stop(self, to: Any) -> Spec:
        step: Spec = {"op": "stop", "to": to, "reason": self.pick(("normal", "shutdown", "boom", ["shutdown", "why"]))}
        return {**step, "timeout": self.pick((70, 2000))} if self.maybe(0.3) else step

    def s_signal(self, to: Any) -> Spec:
        return {"op": "signal", "to": to, "reason": self.pick(SIGNALS)}

    def s_watch(self, to: Any) -> Spec:
        if self.watches and self.maybe(0.5):
            step: Spec = {"op": "demonitor", "key": self.pick(self.watches)}
            return {**step, "flush": True} if self.maybe(0.5) else step
        self.watches.append(f"m{len(self.watches)}")
        return {"op": "monitor", "to": to, "key": self.watches[-1]}

    def s_link(self, to: Any) -> Spec:
        return {"op": self.pick(("link", "unlink")), "to": self.pick(self.started)}

    def s_other(self, to: Any) -> Spec:
        if self.names and self.maybe(0.5):
            return {"op": "whereis", "name": self.pick(self.names)}
        return self.pick(({"op": "sleep", "ms": self.pick((150, 200, 400))}, {"op": "settle"}))
