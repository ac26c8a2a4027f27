"""The steps of a gen_server scenario, as the oracle takes them. PURE."""

from random import Random
from typing import Any, Final

from tests.otp.oracle.beam import LATE, Answer, Event, Life, Monitor, Process, Term, Wait
from tests.otp.oracle.server_actions import Doing, watched
from tests.otp.oracle.servers import Servers

QUIET_MS: Final = 30  # of rest after each step
DEFAULT_MS: Final = 5000  # of a call
NONE: Final = object()  # a step without a result


class ServerOracle(Servers):
    """Runs one scenario; `trace` is what comes of it."""

    def __init__(self, scenario: dict[str, Any], chance: Random | None = None) -> None:
        super().__init__(chance)
        self.scenario = scenario
        self.client = Process("client", traps=True)
        self.monitors: dict[str, Monitor] = {}
        self.next = Answer(self.client)
        self.begin(self.client, self.stepping())
        self.run(lambda: True)

    def play(self) -> list[Event]:
        """Do every step."""
        for number, step in enumerate(self.scenario["steps"], 1):
            self.step(number, step)
        return self.trace

    def step(self, number: int, step: Event) -> None:
        """Do *step*, and wait until all is at rest."""
        self.tell("step", step=number, op=step["op"])
        task, self.next = self.next, Answer(self.client)
        self.settle(task, (number, step))
        settles = step.get("settle", True)
        hurry = not settles and self.chance is not None and self.chance.random() < 0.7
        self.run(lambda: self.through, hurry=hurry)
        if not self.through:
            raise LookupError("the step never ends")
        if settles:
            self.come_to_rest()

    @property
    def through(self) -> bool:
        """Whether the client waits for its next step."""
        return self.client.wait is not None and self.client.wait.answer is self.next

    def stepping(self) -> Life:
        """The life of the process that runs the steps."""
        while True:
            number, step = yield Wait(self.next)
            value = yield from getattr(self, f"do_{step['op']}")(step)
            if value is not NONE:
                self.tell("result", step=number, value=value)

    def come_to_rest(self) -> None:
        """Until nobody does anything and nothing has happened for a while."""
        seen = -1
        while seen != len(self.trace):
            self.run(lambda: self.at_rest)
            quiet = QUIET_MS if self.chance is None else QUIET_MS + self.chance.randint(-5, 40)
            seen, limit = len(self.trace), self.now + quiet
            self.run(lambda: False, limit)
            self.now = max(self.now, limit)

    # --- steps ----------------------------------------------------------------------------------------------------

    def do_start(self, step: Event) -> Doing:
        ms = step.get("timeout", "infinity")
        return (yield from self.start(self.client, step["server"], bool(step.get("link")), _ms(ms)))

    def do_call(self, step: Event) -> Doing:
        question = (step["to"], step.get("timeout", DEFAULT_MS), step["label"], step["do"])
        if "client" not in step:
            return (yield from self.call(self.client, *question))
        caller = Process(step["client"])
        self.begin(caller, self.calling(caller, question))
        return NONE

    def calling(self, caller: Process, question: Any) -> Life:
        """The life of a client of its own."""
        value = yield from self.call(caller, *question)
        self.tell("client", client=caller.name, value=value)
        return "normal"

    def do_cast(self, step: Event) -> Doing:
        self.send(self.find(self.client, step["to"]), ("cast", step["label"], step["do"]))
        return "ok"
        yield

    def do_send(self, step: Event) -> Doing:
        message = ("info", step["label"], step["do"]) if "do" in step else ("raw", step["msg"])
        self.send(self.find(self.client, step["to"]), message)
        return NONE
        yield

    def do_stop(self, step: Event) -> Doing:
        """Two waits: for its turn, then for the end."""
        reason, begun, ms = step["reason"], self.now, _ms(step.get("timeout", "infinity"))
        target, taken, ended = self.find(self.client, step["to"]), Answer(self.client), Answer(self.client)

        def gone(why: Term) -> None:
            self.settle(taken, "ended")
            self.settle(ended, why)

        monitor = self.watch(Monitor(self.client, target, fired=gone))
        self.send(target, ("stop", reason, taken))
        turn = yield Wait(taken, ms)
        if turn is LATE:
            return ["exit", "timeout"]
        if turn == "ended":  # before its turn
            who = None if target is None else target.term
            request = ["sys", "terminate", [who, reason, step.get("timeout", "infinity")]]
            return ["exit", "noproc" if ended.value == "noproc" else [ended.value, request]]
        found = yield Wait(ended, None if ms is None else ms - (self.now - begun))
        self.unwatch(monitor)
        if found is LATE:
            return ["exit", "timeout"]
        return "ok" if found == reason else ["exit", found]

    def do_signal(self, step: Event) -> Doing:
        self.signal(self.find(self.client, step["to"]), self.client, step["reason"])
        return NONE
        yield

    def do_monitor(self, step: Event) -> Doing:
        name = step["to"]["name"] if isinstance(step["to"], dict) else None
        monitor = Monitor(self.client, self.find(self.client, step["to"]), step["key"], name)
        self.monitors[step["key"]] = self.watch(monitor)
        return NONE
        yield

    def do_demonitor(self, step: Event) -> Doing:
        return self.unwatch(self.monitors[step["key"]], bool(step.get("flush")))
        yield

    def do_link(self, step: Event) -> Doing:
        self.link(self.client, self.find(self.client, step["to"]))
        return NONE
        yield

    def do_unlink(self, step: Event) -> Doing:
        self.unlink(self.client, self.find(self.client, step["to"]))
        return NONE
        yield

    def do_mailbox(self, step: Event) -> Doing:
        messages, self.client.inbox = list(self.client.inbox), type(self.client.inbox)()
        return {"list": [_shown(one) for one in messages]}
        yield

    def do_alive(self, step: Event) -> Doing:
        target = self.find(self.client, step["to"])
        return target is not None and target.alive
        yield

    def do_whereis(self, step: Event) -> Doing:
        found = self.names.get(step["name"])
        return "undefined" if found is None else found.term
        yield

    def do_sleep(self, step: Event) -> Doing:
        yield Wait(ms=step["ms"], silent=True)
        return NONE

    def do_settle(self, step: Event) -> Doing:
        return NONE
        yield


def _ms(timeout: Any) -> int | None:
    return None if timeout == "infinity" else timeout


def _shown(message: Any) -> Term:
    match message:
        case ("exit", sender, reason):
            return ["EXIT", sender.term, reason]
        case ("down", monitor, reason):
            return ["DOWN", monitor.key, "process", watched(monitor), reason]
    return message[1]
