"""Scripted workers and supervisors of the supervisor scenarios, and the child specs that start them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from secrets_actor.otp import (
    BRUTAL_KILL,
    IGNORE,
    INFINITY,
    AutoShutdown,
    ChildSpec,
    DynamicSupervisor,
    Exit,
    ExitReason,
    ExitSignal,
    Flags,
    From,
    GenServer,
    Handled,
    Ignore,
    InitResult,
    Kind,
    NoReply,
    Ok,
    Reply,
    Restart,
    Stop,
    Stopped,
    Strategy,
    Supervisor,
)
from tests.otp.replay.holdable import Holdable
from tests.otp.replay.terms import Junk, Raised, of_reason, raised, to_reason
from tests.otp.replay.world import Instance, World

SIMPLE: Final = "simple_one_for_one"


@dataclass(frozen=True)
class Crash:
    """Cast: end as *how* says."""

    how: list[Any]


@dataclass(frozen=True)
class Work:
    """Cast: sleep, then record it."""

    tag: Any
    ms: int


@dataclass(frozen=True)
class Incr:
    """Cast: one more."""


@dataclass(frozen=True)
class Count:
    """Call: how many."""


@dataclass(frozen=True)
class Ping:
    """Call: which start this is."""


class Worker(GenServer):
    """A worker with a scripted behaviour."""

    def __init__(self, world: World, name: str, script: dict[str, Any], number: int, instance: Instance) -> None:
        self._world, self._name, self._script, self._number = world, name, script, number
        self._instance = instance
        self._count = 0
        self.trap_exit = bool(script.get("trap_exit", False))

    def init(self) -> InitResult:
        """What the script has for this start."""
        self._world.record("init", id=self._name, start_no=self._number)
        self._sleep(self._script.get("init_ms", 0))
        result: InitResult = self._init_result(self._plan())
        self._instance.started = isinstance(result, Ok)
        return result

    def _plan(self) -> Any:
        number, script = self._number, self._script
        plan = script.get("init_plan", {})
        if str(number) in plan:
            return plan[str(number)]
        since, planned = script.get("init_from", [float("inf"), None])
        return planned if number >= since else script.get("init", "ok")

    def _init_result(self, plan: Any) -> Any:
        match plan:
            case "ok":
                return Ok(info=self._script.get("start_info"))
            case "ignore" | ["throw", "ignore"] | ["return", "ignore"]:
                return Ignore()
            case ["stop", reason] | [("throw" | "return"), ["stop", reason]]:
                return Stop(to_reason(reason))
        result: InitResult = _end(plan)
        return result

    def handle_call(self, request: Any, caller: From[Any]) -> Handled:
        """ping and count."""
        return Reply(["pong", self._number] if isinstance(request, Ping) else self._count)

    def handle_cast(self, message: Any) -> Handled:
        """crash, work, incr."""
        match message:
            case Crash(how):
                result: Handled = _end(how)
                return result
            case Work(tag, ms):
                self._sleep(ms)
                self._world.record("work", id=self._name, start_no=self._number, tag=tag)
            case Incr():
                self._count += 1
        return NoReply()

    def handle_info(self, message: Any) -> Handled:
        """Nothing was expected."""
        if isinstance(message, ExitSignal):
            term = ["EXIT", self._world.term_of(message.sender), of_reason(message.reason)]
        else:
            term = getattr(message, "message", ["unmapped", type(message).__name__])
        self._world.record("info", id=self._name, start_no=self._number, msg=term)
        return NoReply()

    def terminate(self, reason: ExitReason) -> None:
        """As slow and as clumsy as the script has it."""
        self._world.record("terminate", id=self._name, start_no=self._number, reason=of_reason(reason))
        ms = self._script.get("terminate_ms", 0)
        self._instance.hangs = ms == "hang"
        self._sleep(float("inf") if ms == "hang" else ms)
        if "terminate_raise" in self._script:
            _end(self._script["terminate_raise"])

    def abandon(self) -> None:
        """Cut off: end the sleep, if there is one."""
        self._instance.over.set()

    def _sleep(self, ms: float) -> None:
        if ms:
            self._instance.sleep(None if ms == float("inf") else ms / 1000)


def _end(how: list[Any]) -> Any:
    match how:
        case ["error", term]:
            raise raised(term)
        case ["exit", term]:
            raise Exit(to_reason(term))
        case ["stop", term]:
            return Stop(to_reason(term))
        case [("throw" | "return"), ["stop", term, _]]:  # a thrown value is the value returned
            return Stop(to_reason(term))
        case [("throw" | "return"), term]:
            return Junk(term)
    raise AssertionError(f"no such end: {how}")


class ScriptedSupervisor(Holdable, Supervisor):
    """A supervisor that can be held, and whose own init can ignore."""

    def __init__(self, flags: Flags, children: list[ChildSpec], instance: Instance, ignores: bool) -> None:
        super().__init__(flags, children)
        self._instance, self._ignores = instance, ignores

    def init(self) -> InitResult:
        """The children, unless the script says ignore."""
        if self._ignores:
            return Ignore()
        result = super().init()
        self._instance.started = isinstance(result, Ok)
        return result


class ScriptedDynamicSupervisor(Holdable, DynamicSupervisor):
    """The same for simple_one_for_one. The script of its template goes into every instance."""

    def __init__(self, flags: Flags, template: ChildSpec, instance: Instance) -> None:
        super().__init__(flags, template=template)
        self._instance = instance

    def init(self) -> None:
        """Nothing to start."""
        super().init()
        self._instance.started = True


def supervisor_factory(world: World, name: str, scenario: dict[str, Any]) -> Callable[[], GenServer]:
    """What makes the supervisor *name*; it runs in the supervisor's own thread."""

    def make() -> GenServer:
        world.supervisors[name] = scenario
        instance = world.enter(name, world.next_number(name), "sup_down", tells_start=True)
        world.record("init", id=name, start_no=instance.number)
        if scenario.get("init") == "ignore":
            return ScriptedSupervisor(Flags(), [], instance, ignores=True)
        flags = _flags(scenario)
        specs = [child_spec(world, child) for child in scenario["children"]]
        if scenario.get("strategy") == SIMPLE:
            if len(specs) != 1:
                raise Exit(Stopped(["bad_start_spec", scenario["children"]]))
            return ScriptedDynamicSupervisor(flags, specs[0], instance)
        return ScriptedSupervisor(flags, specs, instance, ignores=False)

    return make


def _flags(scenario: dict[str, Any]) -> Flags:
    """A missing flag is the kernel's default. simple_one_for_one is a class of its own with us."""
    given: dict[str, Any] = {name: scenario[name] for name in ("intensity", "period") if name in scenario}
    if scenario.get("strategy", SIMPLE) != SIMPLE:
        given["strategy"] = _member(Strategy, scenario["strategy"])
    if "auto_shutdown" in scenario:
        given["auto_shutdown"] = _member(AutoShutdown, scenario["auto_shutdown"])
    return Flags(**given)


def _member(kind: Any, value: Any) -> Any:
    """The member of an enum, or what the kernel shall refuse."""
    return kind(value) if value in list(kind) else value


def child_spec(world: World, child: dict[str, Any]) -> ChildSpec:
    """The spec of a scenario's child; what is missing is the kernel's default."""
    given: dict[str, Any] = {}
    if "restart" in child:
        given["restart"] = _member(Restart, child["restart"])
    if "type" in child:
        given["kind"] = _member(Kind, child["type"])
    if "shutdown" in child:
        given["shutdown"] = _shutdown(child["shutdown"])
    if "significant" in child:
        given["significant"] = child["significant"]
    if "sup" in child:
        start = supervisor_factory(world, child.get("id", ""), child["sup"])
    else:
        start = worker_factory(world, child.get("id", ""), child.get("behaviour", {}))
    return ChildSpec(child.get("id", ""), start, **given)


def _shutdown(shutdown: Any) -> Any:
    if isinstance(shutdown, int) and not isinstance(shutdown, bool):
        return shutdown / 1000
    if shutdown == "infinity":
        return INFINITY
    return BRUTAL_KILL if shutdown == "brutal_kill" else shutdown


def worker_factory(world: World, name: str, script: dict[str, Any]) -> Callable[[], GenServer]:
    """What makes the worker *name*, with the script's start function, if it has one."""

    def make() -> Any:
        number = world.next_number(name)
        if "start" not in script:
            instance = world.enter(name, number, "down", tells_start=True)
            return Worker(world, name, script, number, instance)
        world.record("start_call", id=name, start_no=number)
        world.record("init_failed", id=name, start_no=number, reason=script["start"])
        match script["start"]:
            case ["error", term]:
                raise Raised(term, where="start")
            case ["return", "ignore"]:
                raise Exit(IGNORE)
            case ["return", ["error", term]]:
                raise Exit(to_reason(term))
            case [_, term]:
                return Junk(term, where="start")
        raise AssertionError(f"no such start function: {script['start']}")

    return make
