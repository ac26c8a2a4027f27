"""Scripted servers: every message carries the actions to perform on it. The language is in `traces/README.md`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from secrets_actor.otp import (
    IGNORE,
    NOPROC,
    CallFailed,
    CallingSelf,
    CallTimeout,
    Down,
    Exit,
    ExitReason,
    ExitSignal,
    From,
    GenServer,
    Handled,
    Ignore,
    InitResult,
    MonitorRef,
    NameTaken,
    NoReply,
    Ok,
    Pid,
    Reply,
    StartError,
    Stop,
    Timer,
    call,
    cast,
    spawn,
)
from secrets_actor.otp.registry import Name
from tests.otp.replay.terms import Junk, Raised, of_call, of_name_taken, of_reason, to_reason
from tests.otp.replay.world import World

Actions = list[list[Any]]
CALL_ERRORS: Final = (CallFailed, CallTimeout, CallingSelf)
UNRECORDED: Final = "-"


@dataclass(frozen=True)
class Do:
    """A message that says what to do with it."""

    label: str
    actions: Actions


@dataclass(frozen=True)
class Raw:
    """A message that says nothing: the term *message*, looked up in on_info."""

    message: Any


def start_server(world: World, spec: dict[str, Any], *, link: bool, timeout: float | None = None) -> Any:
    """Start a scripted server; its answer as a term."""
    try:
        pid = spawn(
            world,
            lambda: Scripted(world, spec),
            label=spec["id"],
            name=spec.get("register"),
            link=link,
            timeout=timeout,
        )
    except NameTaken as error:
        return ["error", of_name_taken(error, world.term_of)]
    except StartError as error:
        return "ignore" if error.reason is IGNORE else ["error", of_reason(error.reason)]
    return ["ok", world.term_of(pid)]


class Scripted(GenServer):
    """The server of the gen_server scenarios."""

    def __init__(self, world: World, spec: dict[str, Any]) -> None:
        self._world, self._spec = world, spec
        self._name = spec["id"]
        self._instance = world.enter(self._name, world.next_number(self._name), "down")
        self._count = 0
        self._kept: dict[str, From[Any]] = {}
        self._timers: dict[str, Timer] = {}
        self._monitors: dict[str, MonitorRef] = {}
        self._caller: From[Any] | None = None
        self.trap_exit = bool(spec.get("trap_exit", False))

    # --- callbacks ------------------------------------------------------------------------------------------------

    def init(self) -> InitResult:
        """`init` of the scenario's server."""
        self._handle("init", "none")
        result = self._init_result(self._perform(self._spec.get("init", [])))
        self._instance.started = result is None or isinstance(result, Ok)
        return result

    def handle_call(self, request: Do, caller: From[Any]) -> Handled:
        """A call with its actions."""
        self._handle("call", request.label)
        self._caller = caller
        try:
            return self._result(self._perform(request.actions))
        finally:
            self._caller = None

    def handle_cast(self, message: Do) -> Handled:
        """A cast with its actions."""
        self._handle("cast", message.label)
        return self._result(self._perform(message.actions))

    def handle_info(self, message: Any) -> Handled:
        """Raw messages, and what the kernel sends."""
        if isinstance(message, Do):
            self._handle("info", message.label)
            return self._result(self._perform(message.actions))
        return self._info(self._as_term(message))

    def handle_timeout(self) -> Handled:
        """OTP has it as the message `timeout`."""
        return self._info("timeout")

    def handle_continue(self, message: Do) -> Handled:
        """A continuation with its actions."""
        self._handle("continue", message.label)
        return self._result(self._perform(message.actions))

    def terminate(self, reason: ExitReason) -> None:
        """`on_terminate` of the scenario's server; a throw is a return value, which nobody wants."""
        self._world.record("terminate", id=self._name, start_no=self._instance.number, reason=of_reason(reason))
        self._perform(self._spec.get("on_terminate", []))

    def abandon(self) -> None:
        """Cut off: end the sleep, if there is one."""
        self._instance.over.set()

    # --- interpreting ---------------------------------------------------------------------------------------------

    def _handle(self, callback: str, message: Any) -> None:
        if message != UNRECORDED:
            self._world.record("handle", id=self._name, cb=callback, msg=message)

    def _note(self, tag: str, value: Any) -> None:
        self._world.record("note", id=self._name, tag=tag, value=value)

    def _info(self, term: Any) -> Handled:
        self._handle("info", term)
        key = term[0] if isinstance(term, list) and term else term
        table = self._spec.get("on_info", {})
        return self._result(self._perform(table.get(key if isinstance(key, str) else str(key), [])))

    def _as_term(self, message: Any) -> Any:
        match message:
            case Raw(term):
                return term
            case ExitSignal(sender, reason):
                return ["EXIT", self._world.term_of(sender), of_reason(reason)]
            case Down(ref, pid, reason):
                key = next((key for key, mine in self._monitors.items() if mine is ref), "unknown")
                return ["DOWN", key, self._world.term_of(pid), of_reason(reason)]
        return ["unmapped", type(message).__name__]

    def _address(self, to: Any) -> Pid | Name | None:
        return self.me if to == "self" else address(self._world, to)

    def _perform(self, actions: Actions) -> list[Any] | None:
        """Do all of it; what the last one wants returned, if it says so."""
        for action in actions:
            name, *arguments = action
            if name in RETURNS:
                return action
            getattr(self, f"_do_{name}")(*arguments)
        return None

    def _init_result(self, action: list[Any] | None) -> InitResult:
        match action:
            case None:
                return None
            case ["ok"] | ["ok", "hibernate"]:
                return Ok()
            case ["ok", int() as timeout]:
                return Ok(timeout=timeout / 1000)
            case ["ok", ["continue", label, actions]]:
                return Ok(then=Do(label, actions))
            case ["ignore"] | ["throw", "ignore"] | ["return", "ignore"]:
                return Ignore()
            case ["stop", reason] | [("throw" | "return"), ["stop", reason]]:
                return Stop(to_reason(reason))
        junk: InitResult = self._junk(action)
        return junk

    def _result(self, action: list[Any] | None) -> Handled:
        match action:
            case None:
                return None
            case ["reply", value]:
                return Reply(value)
            case ["reply", value, option]:
                return Reply(value, **_option(option))
            case ["throw_reply", value]:  # a thrown value is the value returned
                return Reply(value)
            case ["reply_count"]:
                return Reply(self._count)
            case ["noreply"]:
                return NoReply()
            case ["noreply", option]:
                return NoReply(**_option(option))
            case ["stop", reason]:
                return Stop(to_reason(reason))
            case ["stop", reason, reply]:
                return Stop(to_reason(reason), reply)
        junk: Handled = self._junk(action)
        return junk

    def _junk(self, action: list[Any]) -> Any:
        match action:
            case [("return" | "throw"), term]:
                return Junk(term)
            case ["ignore"] | ["ok"]:
                return Junk(action[0])
        return Junk([*action, "state"])

    # --- actions --------------------------------------------------------------------------------------------------

    def _do_emit(self, tag: str) -> None:
        self._note(tag, True)

    def _do_sleep(self, ms: int) -> None:
        self._instance.over.wait(ms / 1000)

    def _do_incr(self) -> None:
        self._count += 1

    def _do_keep(self, key: str) -> None:
        assert self._caller is not None, "only a call can be kept"
        self._kept[key] = self._caller

    def _do_reply_to(self, key: str, value: Any) -> None:
        self._kept[key].reply(value)

    def _do_reply_now(self, value: Any) -> None:
        assert self._caller is not None, "only a call has a caller"
        self._caller.reply(value)

    def _do_error(self, term: Any) -> None:
        raise Raised(term)

    def _do_exit(self, term: Any) -> None:
        raise Exit(to_reason(term))

    def _do_self_send(self, message: Any) -> None:
        self.me.send(Raw(message))

    def _do_send(self, to: Any, message: Any) -> None:
        target = self._address(to)
        if target is not None:
            target.send(Raw(message))

    def _do_self_cast(self, label: str, actions: Actions) -> None:
        cast(self.me, Do(label, actions))

    def _do_cast(self, to: Any, label: str, actions: Actions) -> None:
        target = self._address(to)
        if target is not None:
            cast(target, Do(label, actions))

    def _do_call(self, to: Any, timeout: Any, label: str, actions: Actions) -> None:
        self._note("call_result", self._calling(lambda: ["reply", self._call(to, timeout, label, actions)]))

    def _do_call_raw(self, to: Any, timeout: Any, label: str, actions: Actions) -> None:
        try:
            value = self._call(to, timeout, label, actions)
        except CALL_ERRORS as error:
            reason = of_call(error)
        else:
            self._note("call_result", ["reply", value])
            return
        raise Exit(to_reason(reason))

    def _call(self, to: Any, timeout: Any, label: str, actions: Actions) -> Any:
        self._instance.parked = True
        try:
            return call(existing(self._world, self._address(to)), Do(label, actions), seconds(timeout))
        finally:
            self._instance.parked = False

    def _calling(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except CALL_ERRORS as error:
            return ["exit", of_call(error)]

    def _do_send_after(self, ms: int, message: Any, key: str) -> None:
        self._timers[key] = self.send_after(ms / 1000, Raw(message))

    def _do_send_after_to(self, to: Any, ms: int, message: Any, key: str) -> None:
        target = existing(self._world, self._address(to))
        self._timers[key] = self.node.timers.send_after(ms / 1000, target, Raw(message))

    def _do_start_timer(self, ms: int, message: Any, key: str) -> None:
        self._timers[key] = self.send_after(ms / 1000, Raw(["timeout", key, message]))

    def _do_cancel(self, key: str) -> None:
        self._note("cancel", "time_left" if self.cancel_timer(self._timers[key]) is not None else False)

    def _do_read_timer(self, key: str) -> None:
        self._note("read_timer", "time_left" if self.node.timers.read(self._timers[key]) is not None else False)

    def _do_monitor(self, to: Any, key: str) -> None:
        target = existing(self._world, self._address(to)).resolve()
        self._monitors[key] = monitor(self, target)

    def _do_demonitor(self, key: str, option: str = "") -> None:
        self.demonitor(self._monitors[key], flush=option == "flush")

    def _do_link(self, to: Any) -> None:
        target = existing(self._world, self._address(to)).resolve()
        if target is None:
            raise Raised("noproc")
        self.me.link(target)

    def _do_unlink(self, to: Any) -> None:
        target = existing(self._world, self._address(to)).resolve()
        if target is not None:
            self.me.unlink(target)

    def _do_signal(self, to: Any, reason: Any) -> None:
        target = existing(self._world, self._address(to)).resolve()
        if target is not None:
            target.exit(to_reason(reason), sender=self.me)

    def _do_trap_exit(self, traps: bool) -> None:
        self.trap_exit = self.me.trap_exit = traps

    def _do_start_linked(self, spec: dict[str, Any]) -> None:
        self._note("start_linked", start_server(self._world, spec, link=True))


RETURNS: Final = frozenset(
    ("reply", "reply_count", "noreply", "ok", "ignore", "stop", "throw", "throw_reply", "return")
)


def _option(option: Any) -> dict[str, Any]:
    match option:
        case "hibernate":
            return {}
        case ["continue", label, actions]:
            return {"then": Do(label, actions)}
    return {"timeout": option / 1000}


def seconds(timeout: Any) -> float | None:
    """A time-out as seconds; None is infinity."""
    return None if timeout == "infinity" else timeout / 1000


def address(world: World, to: Any) -> Pid | Name | None:
    """Whom *to* means: a registered name, or the latest instance of an id."""
    return world.name(to["name"]) if isinstance(to, dict) else world.latest(to)


def existing(world: World, target: Pid | Name | None) -> Pid | Name:
    """*target*, or for an id that never started, a name that nobody has."""
    return world.name("nobody at all") if target is None else target


def monitor(server: GenServer, target: Pid | None) -> MonitorRef:
    """Monitor *target*; for a name that nobody has, the `Down` comes at once."""
    if target is not None:
        return server.monitor(target)
    ref = MonitorRef(server.me)
    server.me.send(Down(ref, None, NOPROC))
    return ref
