"""Which worker does which job. PURE: it says what to do, the actor does it.

Rule 1: workers are started on demand, up to *max_workers*; one that is on its way counts.
Rule 2: a worker that ended abnormally is started again by its supervisor: it is on its way, too. One that was adopted
        takes up room; it is on its way if it has nothing to do, and if it is busy nobody counts on it.
Rule 3: a job whose worker ended goes to the front of the queue.
Rule 4: no worker is started until it is known which are there to be adopted, nor for a while after a start has failed.
Rule 5: the worker that had something to do last is the first to get more, so that the others rest and can be let go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct

W = TypeVar("W", bound=Hashable)
J = TypeVar("J", bound=Hashable)


class Plan(Struct, Generic[W, J], frozen=True):
    """Give each of *give* (worker, job), and start *start* more workers."""

    give: tuple[tuple[W, J], ...]
    start: int


_NOTHING: Final[Plan[Any, Any]] = Plan((), 0)


class Pool(Generic[W, J]):
    """Idle and busy workers, and the jobs that wait for one."""

    def __init__(self, max_workers: int) -> None:
        self._max_workers = max_workers
        self._idle: list[W] = []
        self._busy: dict[W, J] = {}
        self._adopted: dict[W, bool] = {}  # whether it is counted on
        self._expected = 0
        self.hires = True  # whether workers may be started now
        self._queue: deque[J] = deque()
        self._used: set[W] = set()  # since the last look

    def submit(self, job: J, *, first: bool = False) -> None:
        """Queue a job."""
        (self._queue.appendleft if first else self._queue.append)(job)

    def withdraw(self, job: J) -> bool:
        """Forget a job that waits for a worker. False if it does not."""
        if job not in self._queue:
            return False
        self._queue.remove(job)
        return True

    def holder(self, job: J) -> W | None:
        """The worker that is on this job."""
        return next((worker for worker, held in self._busy.items() if held == job), None)

    def knows(self, worker: W) -> bool:
        """Whether this worker has announced itself and not ended."""
        return worker in self._busy or worker in self._idle

    def ready(self, worker: W) -> bool:
        """A worker has announced itself. False if it is known already."""
        if self.knows(worker):
            return False
        if self._adopted.pop(worker, None) is None:
            self._expected = max(0, self._expected - 1)
        self._idle.append(worker)
        self._used.add(worker)
        return True

    def adopt(self, worker: W, *, busy: bool) -> None:
        """A worker is there that has not announced itself."""
        self._adopted[worker] = not busy

    def done(self, worker: W) -> None:
        """A worker has finished its job."""
        if self._busy.pop(worker, None) is not None:
            self._idle.append(worker)
            self._used.add(worker)

    def gone(self, worker: W, *, comes_back: bool) -> J | None:
        """A worker has ended; the job it was on."""
        if worker in self._idle:
            self._idle.remove(worker)
        elif self._adopted.pop(worker, None) is None and worker not in self._busy:
            return None
        self._expected += comes_back
        return self._busy.pop(worker, None)

    def dismiss(self, worker: W) -> None:
        """Forget an idle worker: it will have no more jobs."""
        self._idle.remove(worker)

    def rested(self) -> tuple[W, ...]:
        """The workers that have had nothing to do since this was last asked."""
        found = tuple(worker for worker in self._idle if worker not in self._used)
        self._used.clear()
        return found

    @property
    def workers(self) -> tuple[W, ...]:
        """All that have announced themselves."""
        return (*self._idle, *self._busy)

    @property
    def idle(self) -> tuple[W, ...]:
        """The workers that have nothing to do."""
        return tuple(self._idle)

    def expect(self, workers: int) -> None:
        """So many workers are on their way; a negative number: they are not, after all."""
        self._expected = max(0, self._expected + workers)

    def expect_none(self) -> None:
        """Count on no worker that has not announced itself."""
        self._expected = 0
        self._adopted = dict.fromkeys(self._adopted, False)

    def assign(self) -> Plan[W, J]:
        """Match waiting jobs with idle workers. Call it after any change."""
        if not self._queue:
            return _NOTHING
        give: list[tuple[W, J]] = []
        while self._queue and self._idle:
            worker, job = self._idle.pop(), self._queue.popleft()
            self._busy[worker] = job
            give.append((worker, job))
        room = self._max_workers - len(self._idle) - len(self._busy) - len(self._adopted) - self._expected
        start = max(0, min(len(self._queue) - self._on_their_way, room)) if self.hires else 0
        self._expected += start
        return Plan(tuple(give), start)

    @property
    def _on_their_way(self) -> int:
        return self._expected + sum(self._adopted.values())

    @property
    def empty(self) -> bool:
        """Whether there is no worker, and none on its way."""
        return not (self._idle or self._busy or self._adopted or self._expected)

    @property
    def stuck(self) -> bool:
        """Whether jobs wait for nothing but workers that are said to be on their way."""
        return bool(self._queue) and self._on_their_way > 0 and not self._idle

    @property
    def waiting(self) -> tuple[J, ...]:
        """The jobs that wait for a worker, first one first."""
        return tuple(self._queue)

    def __repr__(self) -> str:
        return f"<Pool [{len(self._busy)} busy, {len(self._idle)} idle, {len(self._queue)} waiting]>"
