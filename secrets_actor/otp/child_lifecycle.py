"""The start and the stop of a child, as both kinds of supervisor do them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from secrets_actor.clock import sleep
from secrets_actor.otp.child_spec import BrutalKill, ChildSpec
from secrets_actor.otp.errors import InvalidTree, NameTaken, StartError
from secrets_actor.otp.pid import Pid
from secrets_actor.otp.process import spawn
from secrets_actor.otp.reasons import IGNORE, SHUTDOWN

if TYPE_CHECKING:
    from secrets_actor.otp.node import Node


# The longest time in seconds that a supervisor itself sleeps where no timer process runs. While it sleeps it handles no
# message, so it does not sleep for longer, even if the caller asked for that.
MAX_SLEEP: Final = 0.25


def check_timers(node: Node, spec: ChildSpec) -> None:
    """Raise `InvalidTree` if *spec* needs a timer and the node has no `TimerServer`."""
    if node.timers.keeper is None and (spec.backoff is not None or spec.callback_timeout is not None):
        text = f"{spec.id}: backoff and callback_timeout are timers: start a TimerServer on this node first"
        raise InvalidTree(text, "child", ("no_timer_server", spec.id))


def start_child(node: Node, spec: ChildSpec) -> Pid | None:
    """Start the child of *spec*, linked to the calling process, and return its pid; None if its init returned `Ignore`.
    Raises `StartError`, `NameTaken`, and `InvalidTree` for a spec that needs a timer where there is no `TimerServer`.

    Its name may still belong to an orphan: a process below a killed supervisor, which is ending for that reason. The
    orphan then gets its shutdown time first, or else a single kill would count as several failed restarts.
    """
    check_timers(node, spec)
    while True:
        try:
            limit = spec.callback_timeout
            return spawn(
                node,
                spec.start,
                label=spec.id,
                name=spec.name,
                link=True,
                timeout=limit,
                mailbox=spec.mailbox,
                deadline=limit,
            )
        except StartError as error:
            if error.reason is IGNORE:
                return None
            raise
        except NameTaken as error:
            orphan = error.holder
            if not isinstance(orphan, Pid) or not _is_orphan(orphan):
                raise
        _await_end(orphan, spec)


def _is_orphan(pid: Pid) -> bool:
    while pid.parent is not None:
        pid = pid.parent
        if not pid.is_alive():
            return True
    return False


def _await_end(orphan: Pid, spec: ChildSpec) -> None:
    grace = 0.0 if isinstance(spec.shutdown, BrutalKill) or spec.shutdown is None else spec.shutdown
    if orphan.wait(None if math.isinf(grace) else grace) is None:
        orphan.kill()
        orphan.wait()


def send_later(me: Pid, delay: float, message: object) -> None:
    """Send *message* to the supervisor *me* in *delay* seconds. Called in the supervisor's own thread. Where no timer
    process runs (it may be the very child that is to be started) the supervisor itself sleeps, at most `NAP`
    seconds."""
    timers = me.node.timers
    if timers.kept:
        timers.send_after(delay, me, message)
    else:
        sleep(min(delay, MAX_SLEEP))
        me.post(message)


def stop_children(me: Pid, running: Iterable[tuple[Pid, ChildSpec]]) -> None:
    """Stop *running* all at once, each within the shutdown time of its spec. A child that takes longer is killed and
    disowned."""
    waiting: list[tuple[Pid, float]] = []
    for pid, spec in running:
        if isinstance(spec.shutdown, BrutalKill):
            pid.kill()
            waiting.append((pid, math.inf))  # it may be ending by itself just now: wait until all have been told
        else:
            pid.exit(SHUTDOWN, sender=me)
            grace = spec.shutdown if spec.shutdown is not None else math.inf
            waiting.append((pid, grace))
    begun = me.node.clock.now()  # all children have been told by now, so their times run together
    for pid, grace in waiting:
        left = None if math.isinf(grace) else max(grace - (me.node.clock.now() - begun), 0.0)
        if pid.wait(left) is None:
            pid.kill()
            pid.wait()
