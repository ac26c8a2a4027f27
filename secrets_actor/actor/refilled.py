"""A dynamic supervisor whose children are remembered outside of it: a fresh one starts them again."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from secrets_actor.otp import ChildSpec, DynamicSupervisor, Flags, From, StartChild


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
