"""A dynamic supervisor whose children are remembered outside of it: a fresh one starts them again.

A child for which there was no thread is started as soon as there is one: nobody else would do it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from secrets_actor.otp import (
    ChildSpec,
    DynamicSupervisor,
    Flags,
    From,
    Handled,
    StartChild,
    StartError,
    lacks_thread,
)
from secrets_actor.records import dataclass

# Seconds between two tries to start a child for which there was no thread.
_PAUSE: Final = 0.5


@dataclass(frozen=True, slots=True)
class _StartLater:
    spec: ChildSpec


class RefilledSupervisor(DynamicSupervisor):
    """Starts with a child for each of *specs*, before it takes any message. One that cannot be started is left out."""

    def __init__(self, flags: Flags, specs: Callable[[], Iterable[ChildSpec]], max_children: int | None = None) -> None:
        super().__init__(flags, max_children)
        self._specs = specs

    def init(self) -> None:
        """Start them."""
        super().init()
        for spec in self._specs():
            self.handle_call(StartChild(spec), From())

    def handle_call(self, request: Any, caller: From[Any]) -> Handled:
        """As any other, but for a thread that is not to be had."""
        if isinstance(request, StartChild):
            caller.on_settled(lambda answer: self._look_at(request.spec, answer))
        return super().handle_call(request, caller)

    def _look_at(self, spec: ChildSpec, answer: From[Any]) -> None:
        if isinstance(answer.error, StartError) and lacks_thread(answer.error.reason):
            self.send_after(_PAUSE, _StartLater(spec))

    def handle_info(self, message: Any) -> Handled:
        """There may be a thread now."""
        if isinstance(message, _StartLater):
            self.handle_call(StartChild(message.spec), From())
            return None
        return super().handle_info(message)
