"""What the oracle's servers do: the actions that the messages of a scenario carry. PURE."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from tests.otp.oracle.beam import CALL, LATE, Answer, Beam, Monitor, Process, Raised, Term, Wait

Actions = list[list[Any]]
Doing = Generator[Wait, Any, Any]
RETURNS = frozenset(("reply", "reply_count", "noreply", "ok", "ignore", "stop", "return", "throw_reply"))


@dataclass(eq=False)
class Timer:
    """A message to come."""

    pending: bool = True


class Server(Process):
    """A scripted server, with what its actions remember."""

    def __init__(self, spec: dict[str, Any], number: int, parent: Process | None) -> None:
        super().__init__(spec["id"], number, parent, spec.get("register"))
        self.spec = spec
        self.count = 0
        self.caller: Answer | None = None
        self.kept: dict[str, Answer] = {}
        self.timers: dict[str, Timer] = {}
        self.monitors: dict[str, Monitor] = {}


def watched(monitor: Monitor) -> Term:
    """Whom a DOWN is about: a process that was monitored by name goes by its name, and its node's."""
    if monitor.name is not None:
        return [monitor.name, "nonode@nohost"]
    return monitor.target.term if monitor.target is not None else "undefined"


class Acting(Beam):
    """Performs actions. How a server starts is its subclass's."""

    def start(self, me: Process, spec: dict[str, Any], link: bool, ms: int | None = None) -> Doing:
        """start or start_link: its answer."""
        raise NotImplementedError

    def perform(self, server: Server, actions: Actions) -> Doing:
        """All of them; the one that says what to return."""
        for action in actions:
            if self.chance is not None:
                yield Wait(pause=True)
            name, *arguments = action
            if name in RETURNS:
                return action
            if name in ("error", "exit", "throw"):
                raise Raised(name, arguments[0])
            waiting = getattr(self, f"act_{name}")(server, *arguments)
            if waiting is not None:
                yield from waiting
            if not server.alive:
                yield Wait()  # for nothing: it is dead
        return None

    def find(self, server: Process, to: Any) -> Process | None:
        """Whom *to* means."""
        if isinstance(to, dict):
            return self.names.get(to["name"])
        return server if to == "self" else self.latest.get(to)

    def call(self, me: Process, to: Any, ms: Any, label: str, actions: Actions) -> Doing:
        """A call: `["reply", V]` or `["exit", R]`."""
        target = self.find(me, to)
        if target is me:
            return ["exit", ["calling_self", CALL]]
        answer = Answer(me)
        monitor = Monitor(me, target, fired=lambda reason: self.settle(answer, ["exit", [reason, CALL]]))
        self.watch(monitor)
        self.send(target, ("call", label, actions, answer))
        found = yield Wait(answer, None if ms == "infinity" else ms)
        self.unwatch(monitor)
        answer.settled = True
        return ["exit", ["timeout", CALL]] if found is LATE else found

    def note(self, server: Server, tag: str, value: Term) -> None:
        self.tell("note", id=server.name, tag=tag, value=value)

    def act_emit(self, server: Server, tag: str) -> None:
        self.note(server, tag, True)

    def act_sleep(self, server: Server, ms: int) -> Doing:
        yield Wait(ms=ms, silent=True)

    def act_incr(self, server: Server) -> None:
        server.count += 1

    def act_keep(self, server: Server, key: str) -> None:
        assert server.caller is not None, "only a call can be kept"
        server.kept[key] = server.caller

    def act_reply_to(self, server: Server, key: str, value: Term) -> None:
        self.settle(server.kept[key], ["reply", value])

    def act_reply_now(self, server: Server, value: Term) -> None:
        assert server.caller is not None, "only a call has a caller"
        self.settle(server.caller, ["reply", value])

    def act_self_send(self, server: Server, message: Term) -> None:
        self.send(server, ("raw", message))

    def act_send(self, server: Server, to: Any, message: Term) -> None:
        self.send(self.find(server, to), ("raw", message))

    def act_self_cast(self, server: Server, label: str, actions: Actions) -> None:
        self.send(server, ("cast", label, actions))

    def act_cast(self, server: Server, to: Any, label: str, actions: Actions) -> None:
        self.send(self.find(server, to), ("cast", label, actions))

    def act_call(self, server: Server, *question: Any) -> Doing:
        self.note(server, "call_result", (yield from self.call(server, *question)))

    def act_call_raw(self, server: Server, *question: Any) -> Doing:
        kind, value = yield from self.call(server, *question)
        if kind == "exit":
            raise Raised("exit", value)
        self.note(server, "call_result", [kind, value])

    def act_send_after(self, server: Server, ms: int, message: Term, key: str) -> None:
        self.act_send_after_to(server, "self", ms, message, key)

    def act_send_after_to(self, server: Server, to: Any, ms: int, message: Term, key: str) -> None:
        timer = server.timers[key] = Timer()
        target = None if isinstance(to, dict) else self.find(server, to)

        def fire() -> None:
            if timer.pending:
                timer.pending = False
                self.send(target or self.find(server, to), ("raw", message))

        self.after(ms, fire)

    def act_start_timer(self, server: Server, ms: int, message: Term, key: str) -> None:
        self.act_send_after_to(server, "self", ms, ["timeout", key, message], key)

    def act_cancel(self, server: Server, key: str) -> None:
        self.act_read_timer(server, key, "cancel")
        server.timers[key].pending = False

    def act_read_timer(self, server: Server, key: str, tag: str = "read_timer") -> None:
        self.note(server, tag, "time_left" if server.timers[key].pending else False)

    def act_monitor(self, server: Server, to: Any, key: str) -> None:
        name = to["name"] if isinstance(to, dict) else None
        server.monitors[key] = self.watch(Monitor(server, self.find(server, to), key, name))

    def act_demonitor(self, server: Server, key: str, option: str = "") -> None:
        self.unwatch(server.monitors[key], option == "flush")

    def act_link(self, server: Server, to: Any) -> None:
        self.link(server, self.find(server, to))

    def act_unlink(self, server: Server, to: Any) -> None:
        self.unlink(server, self.find(server, to))

    def act_signal(self, server: Server, to: Any, reason: Term) -> None:
        self.signal(self.find(server, to), server, reason)

    def act_trap_exit(self, server: Server, traps: bool) -> None:
        server.traps = traps

    def act_start_linked(self, server: Server, spec: dict[str, Any]) -> Doing:
        self.note(server, "start_linked", (yield from self.start(server, spec, link=True)))
