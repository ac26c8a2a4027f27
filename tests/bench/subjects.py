"""The actors that tests.bench.kernel compares: pykka's plain one, and ours."""

import threading
from typing import Any

import pykka

from secrets_actor.otp import GenServer, Handled, InitResult, Reply, Stop, Stopped


class Plain(pykka.ThreadingActor):
    """The other side: an actor that returns what it gets, and counts what it is told."""

    use_daemon_thread = True

    def __init__(self, total: int = 0, done: threading.Event | None = None) -> None:
        super().__init__()
        self.left, self.done = total, done

    def on_receive(self, message: Any) -> Any:
        if self.done is not None:
            self.left -= 1
            if not self.left:
                self.done.set()
        return message


class Ours(GenServer):
    """The same as a gen_server."""

    def __init__(self, total: int = 0, done: threading.Event | None = None) -> None:
        self.left, self.done = total, done

    def handle_call(self, request: Any, caller: Any) -> Handled:
        return Reply(request)

    def handle_cast(self, message: Any) -> Handled:
        self.left -= 1
        if not self.left and self.done is not None:
            self.done.set()
        return None


class Ready(GenServer):
    """Dies when told, and says when it is up."""

    def __init__(self, up: threading.Semaphore) -> None:
        self.up = up

    def init(self) -> InitResult:
        self.up.release()
        return None

    def handle_cast(self, message: Any) -> Handled:
        return Stop(Stopped("bench"))
