"""A supervisor that can be suspended."""

from dataclasses import dataclass
from typing import Any

from secrets_actor.otp import ExitSignal, GenServer
from secrets_actor.otp.behaviour import Ending
from secrets_actor.otp.messages import Call


@dataclass(frozen=True)
class Hold:
    """Call: do nothing from now on but what the supervisor's parent or a stop want."""


@dataclass(frozen=True)
class Release:
    """Go on with what has come meanwhile."""


class Holdable(GenServer):
    """What sys:suspend does to a supervisor. A stop is served ahead of the queue by the process itself."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._held = False
        self._waiting: list[Any] = []

    def dispatch(self, message: Any) -> Ending | None:
        """Held, keep it for later; the parent's exit signal is obeyed at once, and what came before it is lost."""
        match message:
            case Call(Hold(), caller):
                self._held = True
                caller.reply(None)
                return None
            case Release():
                return self._release()
            case ExitSignal(sender) if sender is self.parent:
                return super().dispatch(message)
        if self._held:
            self._waiting.append(message)
            return None
        return super().dispatch(message)

    def _release(self) -> Ending | None:
        self._held = False
        waiting, self._waiting = self._waiting, []
        ending = None
        for message in waiting:
            if ending is None and self.me.is_alive():
                ending = super().dispatch(message)
        return ending
