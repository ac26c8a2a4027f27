"""The steps of the gen_server scenarios. Each runs in the client's thread and gives its result, or NONE."""

from collections.abc import Callable
from typing import Any, Final

from secrets_actor.otp import CallFailed, CallTimeout, call, cast, spawn, stop
from tests.otp.replay.client import Caller, Client
from tests.otp.replay.gen_server_actions import CALL_ERRORS, Do, Raw, Waiting, address, existing, seconds, start_server
from tests.otp.replay.gen_server_script import Scripted
from tests.otp.replay.terms import of_call, of_stop, to_reason
from tests.otp.replay.world import Instance, World

NONE: Final = object()
DEFAULT_MS: Final = 5000  # of a call


def run_step(world: World, client: Client, step: dict[str, Any]) -> Any:
    """Do *step*."""
    return STEPS[step["op"]](world, client, step)


def _start(world: World, client: Client, step: dict[str, Any]) -> Any:
    timeout = step.get("timeout", "infinity")
    answer = start_server(world, Scripted, step["server"], link=bool(step.get("link")), timeout=seconds(timeout))
    world.let_run()
    return answer


def _call(world: World, client: Client, step: dict[str, Any]) -> Any:
    target = existing(world, address(world, step["to"]))
    request = Do(step["label"], step["do"])
    timeout = seconds(step.get("timeout", DEFAULT_MS))

    def question(instance: Instance) -> Any:
        try:
            return ["reply", call(Waiting(target, instance), request, timeout)]
        except CALL_ERRORS as error:
            return ["exit", of_call(error)]

    if "client" not in step:
        me = world.instance("client")
        value = question(me)
        with world.turn_of(me.waits_for):
            return value
    spawn(world, lambda: Caller(world, step["client"], question), label=step["client"])
    return NONE


def _cast(world: World, client: Client, step: dict[str, Any]) -> Any:
    cast(existing(world, address(world, step["to"])), Do(step["label"], step["do"]))
    return "ok"


def _send(world: World, client: Client, step: dict[str, Any]) -> Any:
    message = Do(step["label"], step["do"]) if "do" in step else Raw(step["msg"])
    existing(world, address(world, step["to"])).send(message)
    return NONE


def _stop(world: World, client: Client, step: dict[str, Any]) -> Any:
    timeout = step.get("timeout", "infinity")
    target = existing(world, address(world, step["to"])).resolve() or world.name("nobody at all")
    try:
        stop(target, to_reason(step["reason"]), seconds(timeout))
    except (CallFailed, CallTimeout) as error:
        return ["exit", of_stop(error, world.term_of(target.resolve()), step["reason"], timeout)]
    return "ok"


def _signal(world: World, client: Client, step: dict[str, Any]) -> Any:
    target = existing(world, address(world, step["to"])).resolve()
    if target is not None:
        target.exit(to_reason(step["reason"]), sender=client.me)
    return NONE


def _monitor(world: World, client: Client, step: dict[str, Any]) -> Any:
    client.monitors.add(client, world, step["to"], step["key"])
    return NONE


def _demonitor(world: World, client: Client, step: dict[str, Any]) -> Any:
    return client.demonitor_key(step["key"], bool(step.get("flush")))


def _link(world: World, client: Client, step: dict[str, Any]) -> Any:
    target = existing(world, address(world, step["to"])).resolve()
    if target is not None:
        client.me.link(target)
    return NONE


def _unlink(world: World, client: Client, step: dict[str, Any]) -> Any:
    target = existing(world, address(world, step["to"])).resolve()
    if target is not None:
        client.me.unlink(target)
    return NONE


def _mailbox(world: World, client: Client, step: dict[str, Any]) -> Any:
    return {"list": client.take_inbox()}


def _alive(world: World, client: Client, step: dict[str, Any]) -> Any:
    target = existing(world, address(world, step["to"])).resolve()
    return target is not None and target.is_alive()


def _whereis(world: World, client: Client, step: dict[str, Any]) -> Any:
    return world.term_of(world.registry.whereis(step["name"]))


def sleep(world: World, client: Client, step: dict[str, Any]) -> Any:
    """The scenario's own pause."""
    world.pause(step["ms"] / 1000)
    return NONE


def nothing(world: World, client: Client, step: dict[str, Any]) -> Any:
    """A step that only settles."""
    return NONE


STEPS: Final[dict[str, Callable[[World, Client, dict[str, Any]], Any]]] = {
    "start": _start,
    "call": _call,
    "cast": _cast,
    "send": _send,
    "stop": _stop,
    "signal": _signal,
    "monitor": _monitor,
    "demonitor": _demonitor,
    "link": _link,
    "unlink": _unlink,
    "mailbox": _mailbox,
    "alive": _alive,
    "whereis": _whereis,
    "sleep": sleep,
    "settle": nothing,
}
