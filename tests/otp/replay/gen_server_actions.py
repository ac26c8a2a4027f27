"""What scripted servers do: the actions of the language in `traces/README.md`."""

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
    From,
    GenServer,
    MonitorRef,
    NameTaken,
    Pid,
    StartError,
    Timer,
    call,
    cast,
    spawn,
)
from secrets_actor.otp.registry import Name
from tests.otp.replay.terms import Raised, of_call, of_name_taken, of_reason, raised, to_reason
from tests.otp.replay.world import Instance, World

Actions = list[list[Any]]
Maker = Callable[[World, dict[str, Any]], GenServer]
CALL_ERRORS: Final = (CallFailed, CallTimeout, CallingSelf)
UNRECORDED: Final = "-"
NODE: Final = "nonode@nohost"


RETURNS: Final = frozenset(
    ("reply", "reply_count", "noreply", "ok", "ignore", "stop", "throw", "throw_reply", "return")
)


@dataclass(frozen=True)
class Do:
    """A message that says what to do with it."""

    label: str
    actions: Actions


@dataclass(frozen=True)
class Raw:
    """A message that says nothing: the term *message*, looked up in on_info."""

    message: Any


class Acting(GenServer):
    """A server that performs actions. What they need to know of it is here; its callbacks are its subclass's."""

    def __init__(self, world: World, spec: dict[str, Any]) -> None:
        self._world, self._spec = world, spec
        self._name = spec["id"]
        self._instance = world.enter(self._name, world.next_number(self._name), "down")
        self.trap_exit = bool(spec.get("trap_exit", False))
        self._count = 0
        self._kept: dict[str, From[Any]] = {}
        self._timers: dict[str, Timer] = {}
        self._monitors = Monitors()
        self._caller: From[Any] | None = None

    def _note(self, tag: str, value: Any) -> None:
        self._world.record("note", id=self._name, tag=tag, value=value)

    def _address(self, to: Any) -> Pid | Name | None:
        return self.me if to == "self" else address(self._world, to)

    def _perform(self, actions: Actions) -> list[Any] | None:
        """Do all of it; what the last one wants returned, if it says so."""
        for action in actions:
            name, *arguments = action
            if name in RETURNS:
                return action
            act = getattr(self, f"_do_{name}", None)
            if act is None:
                self._world.unknown.append(f"no such action: {name}")
                return None
            act(*arguments)
        return None

    # --- actions --------------------------------------------------------------------------------------------------

    def _do_emit(self, tag: str) -> None:
        self._note(tag, True)

    def _do_sleep(self, ms: int) -> None:
        self._instance.sleep(ms / 1000)

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
        raise raised(term)

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
        target = existing(self._world, self._address(to))
        return call(Waiting(target, self._instance), Do(label, actions), seconds(timeout))

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
        self._monitors.add(self, self._world, self.me if to == "self" else to, key)

    def _do_demonitor(self, key: str, option: str = "") -> None:
        self.demonitor(self._monitors.refs[key], flush=option == "flush")

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
        self._note("start_linked", start_server(self._world, type(self), spec, link=True))


def start_server(world: World, make: Maker, spec: dict[str, Any], *, link: bool, timeout: float | None = None) -> Any:
    """Start a scripted server; its answer as a term."""
    try:
        pid = spawn(
            world,
            lambda: make(world, spec),
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


def seconds(timeout: Any) -> float | None:
    """A time-out as seconds; None is infinity."""
    return None if timeout == "infinity" else timeout / 1000


def address(world: World, to: Any) -> Pid | Name | None:
    """Whom *to* means: a registered name, or the latest instance of an id."""
    return world.name(to["name"]) if isinstance(to, dict) else world.latest(to)


def existing(world: World, target: Pid | Name | None) -> Pid | Name:
    """*target*, or for an id that never started, a name that nobody has."""
    return world.name("nobody at all") if target is None else target


class Waiting:
    """The address *target*; who calls it is at rest until the answer is there."""

    def __init__(self, target: Pid | Name, instance: Instance) -> None:
        self._target, self._instance = target, instance
        self.send, self.resolve = target.send, target.resolve

    def deliver(self, request: Any, caller: From[Any]) -> None:
        """Put a call into the mailbox."""
        if self._instance.on_answer is not None:
            caller.on_settled(self._instance.on_answer)
        self._target.deliver(request, caller)
        self._instance.waits_for = caller


class Monitors:
    """The monitors of one process: by the key that the scenario has for each, and what their `Down` shows."""

    def __init__(self) -> None:
        self.refs: dict[str, MonitorRef] = {}
        self._shown: dict[MonitorRef, tuple[str, Any]] = {}

    def add(self, server: GenServer, world: World, to: Any, key: str) -> None:
        """Have *server* monitor *to*; for a name that nobody has, the `Down` comes at once."""
        target = to if isinstance(to, Pid) else existing(world, address(world, to)).resolve()
        if target is not None:
            ref = server.monitor(target)
        else:
            ref = MonitorRef(server.me)
            server.me.send(Down(ref, None, NOPROC))
        self.refs[key] = ref
        self._shown[ref] = (key, [to["name"], NODE] if isinstance(to, dict) else None)

    def term_of(self, world: World, down: Down, *kind: str) -> list[Any]:
        """A `Down` as a term. A process that was monitored by name goes by its name, and its node's."""
        key, name = self._shown[down.ref]
        return ["DOWN", key, *kind, world.term_of(down.pid) if name is None else name, of_reason(down.reason)]
