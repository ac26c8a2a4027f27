"""gen_server in the oracle: how servers start, which callback a message goes to, what its result does. PURE."""

from typing import Any

from tests.otp.oracle.beam import LATE, Answer, Life, Monitor, Process, Raised, Term, Wait
from tests.otp.oracle.server_actions import Acting, Doing, Server, watched

STATE = "state"


class Servers(Acting):
    """The servers of one scenario."""

    # --- starting -------------------------------------------------------------------------------------------------

    def start(self, me: Process, spec: dict[str, Any], link: bool, ms: int | None = None) -> Doing:
        """start or start_link: its answer."""
        name = spec.get("register")
        if name in self.names:
            return ["error", ["already_started", self.names[name].term]]
        number = self.numbers[spec["id"]] = self.numbers.get(spec["id"], 0) + 1
        server = self.latest[spec["id"]] = Server(spec, number, me if link else None)
        server.traps = bool(spec.get("trap_exit"))
        if name is not None:
            self.names[name] = server
        if link:
            self.link(me, server)
        started = Answer(me)
        self.watch(Monitor(me, server, fired=lambda reason: self.settle(started, ("killed", reason))))
        self.begin(server, self.live(server, started))
        answer = yield Wait(started, ms)
        if answer is LATE:
            self.unlink(me, server)
            self.end(server, "killed")
            return ["error", "timeout"]
        if isinstance(answer, tuple):  # in init; who traps exits learns of it in this way only
            me.inbox = type(me.inbox)(one for one in me.inbox if one[:2] != ("exit", server))
            return ["error", answer[1]]
        return answer

    def live(self, server: Server, started: Answer) -> Life:
        """The life of a server: the reason it ends with."""
        self.handle(server, "init", "none")
        try:
            action = yield from self.perform(server, server.spec.get("init", []))
        except Raised as error:
            if error.kind != "throw":
                return (yield from self.unstarted(server, started, ["error", error.reason], error.reason))
            action = ["return", error.term]
        match action:
            case None | ["ok"]:
                then: Any = None
            case ["ok", option]:
                then = option
            case ["ignore"] | ["return", "ignore"]:
                return (yield from self.unstarted(server, started, "ignore", "normal"))
            case ["stop", reason] | ["return", ["stop", reason]]:
                return (yield from self.unstarted(server, started, ["error", reason], reason))
            case _:
                junk = ["bad_return_value", as_term(server, action)]
                return (yield from self.unstarted(server, started, ["error", junk], junk))
        server.started = True
        self.settle(started, ["ok", server.term])
        return (yield from self.serve(server, then))

    def unstarted(self, server: Server, started: Answer, answer: Term, reason: Term) -> Doing:
        """Init did not go well: the name is free before the starter knows."""
        if server.registered is not None:
            del self.names[server.registered]
        self.settle(started, answer)
        if self.chance is not None:
            yield Wait(pause=True)
        return reason

    # --- serving --------------------------------------------------------------------------------------------------

    def serve(self, server: Server, then: Any) -> Doing:
        """One message after the other; the reason of the end."""
        while True:
            if isinstance(then, list):
                kind, message = "continue", (then[1], then[2])
            else:
                ms = then if isinstance(then, int) else None
                found = yield Wait(ms=ms)
                kind, *message = ("raw", "timeout") if found is LATE else found
                if kind == "exit" and message[0] is (server.parent or server):  # without a link its own parent
                    return (yield from self.terminate(server, message[1]))
                if kind == "stop":
                    reason, taken = message
                    self.settle(taken, "ok")
                    return (yield from self.terminate(server, reason))
            server.caller = message[2] if kind == "call" else None
            try:
                action = yield from self.callback(server, kind, message)
            except Raised as error:
                if error.kind != "throw":
                    return (yield from self.terminate(server, error.reason))
                action = ["return", error.term]
            match action:
                case None | ["noreply"] | ["return", ["noreply", _]]:
                    then = None
                case ["noreply", option]:
                    then = option
                case ["reply" | "throw_reply" | "reply_count", *rest] if kind == "call":
                    self.settle(message[2], ["reply", server.count if action[0] == "reply_count" else rest[0]])
                    then = rest[1] if len(rest) > 1 else None
                case ["stop", reason]:
                    return (yield from self.terminate(server, reason))
                case ["stop", reason, reply] if kind == "call":
                    return (yield from self.terminate(server, reason, message[2], reply))
                case _:
                    junk = ["bad_return_value", as_term(server, action)]
                    return (yield from self.terminate(server, junk))

    def callback(self, server: Server, kind: str, message: Any) -> Doing:
        """The callback for *message*: the action that says what it returns."""
        if kind in ("call", "cast", "continue", "info"):
            label, actions = message[0], message[1]
            if label != "-":
                self.handle(server, kind, label)
            return (yield from self.perform(server, actions))
        term = message[0]
        if kind == "exit":
            term = ["EXIT", message[0].term, message[1]]
        elif kind == "down":
            monitor, reason = message
            term = ["DOWN", monitor.key, watched(monitor), reason]
        self.handle(server, "info", term)
        key = term[0] if isinstance(term, list) and term else term
        return (yield from self.perform(server, server.spec.get("on_info", {}).get(str(key), [])))

    def handle(self, server: Server, callback: str, message: Term) -> None:
        self.tell("handle", id=server.name, cb=callback, msg=message)

    def terminate(self, server: Server, reason: Term, caller: Answer | None = None, reply: Term = None) -> Doing:
        """The terminate callback, then the reply if there is one: the reason of the end."""
        self.tell("terminate", id=server.name, start_no=server.number, reason=reason)
        try:
            yield from self.perform(server, server.spec.get("on_terminate", []))
        except Raised as error:
            if error.kind != "throw":
                reason = error.reason
        if caller is not None:
            self.settle(caller, ["reply", reply])
        return reason


def as_term(server: Server, action: Any) -> Term:
    """What a callback returned that is no answer."""
    match action:
        case ["return", term]:
            return term
        case ["ignore"]:
            return "ignore"
        case ["reply_count"]:
            return ["reply", server.count, STATE]
        case ["throw_reply", value]:
            return ["reply", value, STATE]
    name, *rest = action
    return [name, *rest[:1], STATE, *rest[1:]] if name == "reply" else [name, *rest[:2], STATE, *rest[2:]]
