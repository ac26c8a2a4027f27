"""What is put between us and a store, behind the Backend port: faults that a checker must catch, and distance."""

import random
import threading
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from secrets_actor.domain.operations import Get, Operation, Set
from secrets_actor.domain.ports import Answer, Backend, BackendFactory, CallContext
from secrets_actor.domain.secret import Secret, SetReceipt

T = TypeVar("T")
# Every so many'th chance is taken.
EVERY: Final = 12


class Fault:
    """Wraps the connections of a backend. What they share is in here, under `lock`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.chances = self.played = 0

    def factory(self, inner: BackendFactory) -> BackendFactory:
        """*inner*, with the fault."""
        return replace(inner, connect=lambda: _Connection(inner.connect(), self))

    def perform(self, backend: Backend, operation: Operation[Any], context: CallContext) -> Answer[Any]:
        """What the store does with *operation*."""
        return backend.perform(operation, context)

    def strikes(self) -> bool:
        """Whether to take this chance."""
        with self.lock:
            self.chances += 1
            struck = self.chances % EVERY == 0
            self.played += struck
        return struck


class Distance(Fault):
    """No fault: a store that is far away. Half of the questions take up to 4 ms, and half of the answers."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._dice, self._never = dice, threading.Event()

    def perform(self, backend: Backend, operation: Operation[Any], context: CallContext) -> Answer[Any]:
        """Travel there and back."""
        self._travel()
        answer = super().perform(backend, operation, context)
        self._travel()
        return answer

    def _travel(self) -> None:
        with self.lock:
            span = self._dice.uniform(-0.004, 0.004)
        if span > 0:
            self._never.wait(span)


class StaleReads(Fault):
    """A replica that lags: now and then a get is answered with the value before the present one."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, list[Secret]] = {}

    def perform(self, backend: Backend, operation: Operation[Any], context: CallContext) -> Answer[Any]:
        """Remember what was read, and answer with what was there before."""
        answer = super().perform(backend, operation, context)
        if not isinstance(operation, Get):
            return answer
        with self.lock:
            seen = self._seen.setdefault(answer.value.name, [])
            if not seen or seen[-1].version_id != answer.value.version_id:
                seen.append(answer.value)
        return Answer(seen[-2]) if len(seen) > 1 and self.strikes() else answer


class Reordering(Fault):
    """A queue that lets one pass: now and then a set is acknowledged, and takes effect after the next set."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[str, Set] = {}

    def perform(self, backend: Backend, operation: Operation[Any], context: CallContext) -> Answer[Any]:
        """Hold a set back, and let it go behind the next."""
        if not isinstance(operation, Set):
            return super().perform(backend, operation, context)
        name = operation.secret_id
        held = self._held.pop(name, None)
        if held is None and self.strikes():
            there = super().perform(backend, Get(name), context).value
            self._held[name] = operation
            return Answer(SetReceipt(there.name, there.arn, str(operation.token), created=False))
        answer = super().perform(backend, operation, context)
        if held is not None:
            super().perform(backend, held, context)
        return answer


class _Connection(Backend):
    def __init__(self, inner: Backend, fault: Fault) -> None:
        self._inner, self._fault = inner, fault

    @property
    def name(self) -> str:
        return self._inner.name

    def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
        return self._fault.perform(self._inner, operation, context)

    def close(self) -> None:
        self._inner.close()
