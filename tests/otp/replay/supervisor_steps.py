"""The steps of the supervisor scenarios. Each runs in the client's thread and gives its result, or NONE."""

import contextlib
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from secrets_actor.otp import (
    BRUTAL_KILL,
    IGNORE,
    INFINITY,
    CallFailed,
    CallTimeout,
    ChildError,
    ChildSpec,
    CountChildren,
    DeleteChild,
    GetChildSpec,
    InvalidTree,
    Pid,
    RestartChild,
    StartChild,
    StartError,
    TerminateChild,
    TerminatePid,
    WhichChildren,
    call,
    cast,
    spawn,
    stop,
)
from secrets_actor.otp.child_table import Child, State
from tests.otp.replay.client import Client
from tests.otp.replay.gen_server_actions import existing
from tests.otp.replay.gen_server_steps import NONE, nothing, sleep
from tests.otp.replay.holdable import Hold, Release
from tests.otp.replay.supervisor_script import (
    SIMPLE,
    Count,
    Crash,
    Incr,
    Ping,
    Work,
    child_spec,
    supervisor_factory,
    worker_factory,
)
from tests.otp.replay.terms import of_call, of_child_error, of_reason, of_stop, problem, to_reason
from tests.otp.replay.world import World

ROOT: Final = "root"
Answer = Callable[["Tree", dict[str, Any], Any], Any]


class Tree:
    """The scenario's tree: what its steps need to know of it beside the world."""

    def __init__(self, world: World, client: Client, scenario: dict[str, Any]) -> None:
        self.world, self.client, self.scenario = world, client, scenario

    def start(self) -> Any:
        """Start the root; its answer as a term."""
        factory = supervisor_factory(self.world, ROOT, self.scenario)
        try:
            pid = spawn(self.world, factory, label=ROOT, link=True)
        except StartError as error:
            return "ignore" if error.reason is IGNORE else ["error", of_reason(error.reason)]
        return ["ok", self.world.term_of(pid)]

    def script_of(self, step: dict[str, Any]) -> dict[str, Any]:
        """The script of the supervisor that *step* is about."""
        return self.world.supervisors.get(step.get("sup", ROOT), {})

    def is_simple(self, step: dict[str, Any]) -> bool:
        """Whether the supervisor of *step* is a simple_one_for_one."""
        return bool(self.script_of(step).get("strategy") == SIMPLE)


def run_step(tree: Tree, step: dict[str, Any]) -> Any:
    """Do *step*."""
    op = step["op"]
    if op in PLAIN:
        return PLAIN[op](tree.world, tree.client, step)
    return STEPS[op](tree, step)


def _child(tree: Tree, step: dict[str, Any]) -> Any:
    return existing(tree.world, tree.world.latest(step["child"]))


def _sup(tree: Tree, step: dict[str, Any]) -> Any:
    return existing(tree.world, tree.world.latest(step.get("sup", ROOT)))


def _casting(message: Callable[[dict[str, Any]], Any]) -> Callable[[Tree, dict[str, Any]], Any]:
    def run(tree: Tree, step: dict[str, Any]) -> Any:
        cast(_child(tree, step), message(step))
        return NONE

    return run


def _asking(request: Any) -> Callable[[Tree, dict[str, Any]], Any]:
    def run(tree: Tree, step: dict[str, Any]) -> Any:
        try:
            return call(_child(tree, step), request)
        except (CallFailed, CallTimeout) as error:
            return ["exit", of_call(error)]

    return run


def _signal(tree: Tree, step: dict[str, Any]) -> Any:
    target = existing(tree.world, tree.world.latest(step["child"] if "child" in step else step.get("sup", ROOT)))
    pid = target.resolve()
    if pid is not None:
        pid.exit(to_reason(step["reason"]), sender=tree.client.me)
    return NONE


def _alive(tree: Tree, step: dict[str, Any]) -> Any:
    pid = _child(tree, step).resolve()
    return pid is not None and pid.is_alive()


def _api(request: Callable[[Tree, dict[str, Any]], Any], answer: Answer) -> Any:
    """A request to a supervisor, its answer and its errors as terms."""

    def run(tree: Tree, step: dict[str, Any]) -> Any:
        try:
            return answer(tree, step, call(_sup(tree, step), request(tree, step), None))
        except CallFailed as error:
            return ["exit", of_call(error)]
        except ChildError as error:
            return ["error", of_child_error(error, tree.world.term_of)]
        except InvalidTree as error:
            return ["error", problem(error)]
        except StartError as error:
            reason = of_reason(error.reason)
            if step["op"] == "start_child" and "spec" in step:
                reason = [reason, {"child": {}}]
            return ["error", reason]

    return run


def _start_request(tree: Tree, step: dict[str, Any]) -> Any:
    if "spec" in step:
        return StartChild(child_spec(tree.world, step["spec"]))
    args = step["args"]
    template = tree.script_of(step).get("children", [{"id": "nothing"}])[0]
    label = args["label"]
    if "sup" in template:
        start = supervisor_factory(tree.world, label, template["sup"])
    else:
        behaviour = {**template.get("behaviour", {}), **args.get("behaviour", {})}
        start = worker_factory(tree.world, label, behaviour)
    return StartChild(replace(child_spec(tree.world, template), start=start))


def _by_id(request: Callable[[Any], Any]) -> Callable[[Tree, dict[str, Any]], Any]:
    def make(tree: Tree, step: dict[str, Any]) -> Any:
        if step.get("by") != "pid":
            return request(step["child"])
        pid = tree.world.latest(step["child"])
        if tree.is_simple(step) and request is TerminateChild and pid is not None:
            return TerminatePid(pid)
        return request(pid)

    return make


def _started(tree: Tree, step: dict[str, Any], pid: Pid | None) -> Any:
    extra = [pid.info] if pid is not None and pid.info is not None else []
    return ["ok", tree.world.term_of(pid), *extra]


def _children(tree: Tree, step: dict[str, Any], rows: tuple[Child, ...]) -> Any:
    """OTP lists the newest first, and has no ids for the children of simple_one_for_one."""
    simple = tree.is_simple(step)
    return {"children": [_row(tree, row, simple) for row in reversed(rows)]}


def _row(tree: Tree, row: Child, simple: bool) -> Any:
    process = "restarting" if row.process is State.RESTARTING else tree.world.term_of(row.pid)
    return ["undefined" if simple else row.spec.id, process, str(row.spec.kind)]


def _counts(tree: Tree, step: dict[str, Any], counts: Any) -> Any:
    names = ("specs", "active", "supervisors", "workers")
    return {name: getattr(counts, name) for name in names}


def _spec(tree: Tree, step: dict[str, Any], spec: ChildSpec) -> Any:
    shutdown: Any = "brutal_kill" if spec.shutdown is BRUTAL_KILL else "infinity"
    if spec.shutdown is not BRUTAL_KILL and spec.shutdown != INFINITY:
        shutdown = round(float(spec.shutdown) * 1000)  # type: ignore[arg-type]
    told = {"id": spec.id, "restart": str(spec.restart), "shutdown": shutdown, "type": str(spec.kind)}
    return ["ok", {**told, "significant": spec.significant}]


def _ok(tree: Tree, step: dict[str, Any], nothing_: Any) -> Any:
    return "ok"


def _suspend(tree: Tree, step: dict[str, Any]) -> Any:
    with contextlib.suppress(CallFailed, CallTimeout):
        call(_sup(tree, step), Hold())
    return NONE


def _resume(tree: Tree, step: dict[str, Any]) -> Any:
    _sup(tree, step).send(Release())
    return NONE


def _stop_sup(tree: Tree, step: dict[str, Any]) -> Any:
    """`exit` is the parent's own exit signal."""
    pid, reason = _sup(tree, step).resolve(), to_reason(step["reason"])
    if step["how"] == "exit":
        if pid is not None:
            pid.exit(reason, sender=pid.parent)
            pid.wait()
        return NONE
    try:
        stop(_sup(tree, step), reason)
    except CallFailed as error:
        return ["exit", of_stop(error, tree.world.term_of(pid), step["reason"])]
    return "ok"


PLAIN: Final = {"sleep": sleep, "settle": nothing}
STEPS: Final[dict[str, Callable[[Tree, dict[str, Any]], Any]]] = {
    "crash": _casting(lambda step: Crash(step["how"])),
    "work": _casting(lambda step: Work(step.get("tag"), step["ms"])),
    "incr": _casting(lambda step: Incr()),
    "count": _asking(Count()),
    "ping": _asking(Ping()),
    "signal": _signal,
    "alive": _alive,
    "which_children": _api(lambda tree, step: WhichChildren(), _children),
    "count_children": _api(lambda tree, step: CountChildren(), _counts),
    "start_child": _api(_start_request, _started),
    "terminate_child": _api(_by_id(TerminateChild), _ok),
    "restart_child": _api(_by_id(RestartChild), _started),
    "delete_child": _api(_by_id(DeleteChild), _ok),
    "get_childspec": _api(_by_id(GetChildSpec), _spec),
    "suspend": _suspend,
    "resume": _resume,
    "stop_sup": _stop_sup,
}
