"""The process that runs the steps: it traps exits, and its mailbox can be looked into."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from secrets_actor.otp import Down, ExitSignal, From, GenServer, Handled, InitResult, Ok, Reply, Stop
from tests.otp.replay.gen_server_actions import Monitors
from tests.otp.replay.terms import of_reason
from tests.otp.replay.world import Instance, World


@dataclass(frozen=True)
class Step:
    """Run *action* in the client's own thread."""

    action: Callable[["Client"], Any]


class Client(GenServer):
    """Runs one step after the other; what comes meanwhile waits in its mailbox."""

    trap_exit = True

    def __init__(self, world: World) -> None:
        self._world = world
        world.enter("client", 0, None).on_answer = world.woken
        self.inbox: list[Any] = []
        self.monitors = Monitors()

    def handle_call(self, request: Step, caller: From[Any]) -> Handled:
        """One step."""
        return Reply(request.action(self))

    def handle_info(self, message: Any) -> Handled:
        """Keep it for the step `mailbox`."""
        self.inbox.append(message)
        return None

    def take_inbox(self) -> list[Any]:
        """All messages as terms; the mailbox is empty afterwards."""
        messages, self.inbox = self.inbox, []
        return [self._as_term(message) for message in messages]

    def demonitor_key(self, key: str, flush: bool) -> bool:
        """Take the monitor *key* back: whether it was live."""
        ref = self.monitors.refs[key]
        if flush:
            self.inbox = [one for one in self.inbox if not (isinstance(one, Down) and one.ref is ref)]
        return self.demonitor(ref, flush=flush)

    def _as_term(self, message: Any) -> Any:
        match message:
            case ExitSignal(sender, reason):
                return ["EXIT", self._world.term_of(sender), of_reason(reason)]
            case Down():
                return self.monitors.term_of(self._world, message, "process")
        return getattr(message, "message", ["unmapped", type(message).__name__])


class Caller(GenServer):
    """A client of its own: makes one call, records how it ended, and is gone."""

    def __init__(self, world: World, name: str, question: Callable[[Instance], Any]) -> None:
        self._world, self._name, self._question = world, name, question
        self._instance = world.enter(name, 0, None)
        self._instance.on_answer = world.woken

    def init(self) -> InitResult:
        """The starter does not wait for the call."""
        return Ok(then="call")

    def handle_continue(self, message: Any) -> Handled:
        """The call."""
        value = self._question(self._instance)
        with self._world.turn_of(self._instance.waits_for):
            self._world.record("client", client=self._name, value=value)
        return Stop()
