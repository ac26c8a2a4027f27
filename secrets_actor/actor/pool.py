"""The pool: decides which worker does which job, and when more workers are needed. PURE: the actor carries it out.

Rule 1: workers are started on demand, up to *max_workers*. A worker that is on its way counts as one.
Rule 2: if a worker ended abnormally, its supervisor starts it again: it is on its way, too. An adopted worker takes up
        room. If it is idle, it is on its way. If it is busy, the pool does not count on it: it announces itself only
        when its job is done.
Rule 3: a job whose worker ended goes to the front of the queue.
Rule 4: no worker is started until the pool knows which workers are there to be adopted, nor for a while after a start
        has failed.
Rule 5: the worker that finished a job last is the first to get another one, so that the others are idle for long and
        can be ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct

W = TypeVar("W", bound=Hashable)
J = TypeVar("J", bound=Hashable)


class Plan(Struct, Generic[W, J], frozen=True):
    """Give the jobs to the workers in *give* (pairs of worker and job), and start *start* more workers."""

    give: tuple[tuple[W, J], ...]
    start: int


_NOTHING: Final[Plan[Any, Any]] = Plan((), 0)


class Pool(Generic[W, J]):
    """The idle and busy workers, and the jobs that wait for one."""

    def __init__(self, max_workers: int) -> None:
        self._max_workers = max_workers
        self._idle: list[W] = []
        self._busy: dict[W, J] = {}
        self._adopted: dict[W, bool] = {}  # adopted workers that have not announced themselves; True: on its way
        self._expected = 0  # how many started workers have not announced themselves
        self.hires = True  # whether workers may be started now (rule 4)
        self._queue: deque[J] = deque()
        self._used: set[W] = set()  # the workers that had a job, or announced themselves, since `rested` was asked

    def submit(self, job: J, *, first: bool = False) -> None:
        """Queue *job*; in front of all others if *first*."""
        (self._queue.appendleft if first else self._queue.append)(job)

    def withdraw(self, job: J) -> bool:
        """Take *job* out of the queue. Return False if it was not there."""
        if job not in self._queue:
            return False
        self._queue.remove(job)
        return True

    def holder(self, job: J) -> W | None:
        """Return the worker that has *job*, or None."""
        return next((worker for worker, held in self._busy.items() if held == job), None)

    def knows(self, worker: W) -> bool:
        """Whether *worker* has announced itself and has not ended."""
        return worker in self._busy or worker in self._idle

    def ready(self, worker: W) -> bool:
        """*worker* has announced itself. Return False if it is known already."""
        if self.knows(worker):
            return False
        if self._adopted.pop(worker, None) is None:
            self._expected = max(0, self._expected - 1)
        self._idle.append(worker)
        self._used.add(worker)
        return True

    def adopt(self, worker: W, *, busy: bool) -> None:
        """Note that *worker* is there, idle or *busy*, and has not announced itself."""
        self._adopted[worker] = not busy

    def done(self, worker: W) -> None:
        """*worker* has finished its job, and is idle."""
        if self._busy.pop(worker, None) is not None:
            self._idle.append(worker)
            self._used.add(worker)

    def gone(self, worker: W, *, comes_back: bool) -> J | None:
        """*worker* has ended. Return the job that it had, or None. *comes_back*: its supervisor starts it again."""
        if worker in self._idle:
            self._idle.remove(worker)
        elif self._adopted.pop(worker, None) is None and worker not in self._busy:
            return None
        self._expected += comes_back
        return self._busy.pop(worker, None)

    def dismiss(self, worker: W) -> None:
        """Forget *worker*, which is idle: it gets no more jobs."""
        self._idle.remove(worker)

    def rested(self) -> tuple[W, ...]:
        """Return the workers that have been idle since the last call of this method, and begin a new period."""
        found = tuple(worker for worker in self._idle if worker not in self._used)
        self._used.clear()
        return found

    @property
    def workers(self) -> tuple[W, ...]:
        """All workers that have announced themselves."""
        return (*self._idle, *self._busy)

    @property
    def idle(self) -> tuple[W, ...]:
        """The workers that are idle."""
        return tuple(self._idle)

    def expect(self, workers: int) -> None:
        """Count on so many more *workers*; on so many fewer if the number is negative."""
        self._expected = max(0, self._expected + workers)

    def expect_none(self) -> None:
        """Count on no worker that has not announced itself."""
        self._expected = 0
        self._adopted = dict.fromkeys(self._adopted, False)

    def assign(self) -> Plan[W, J]:
        """Give waiting jobs to idle workers, and return the plan. Call it after any change."""
        if not self._queue:
            return _NOTHING
        give: list[tuple[W, J]] = []
        while self._queue and self._idle:
            worker, job = self._idle.pop(), self._queue.popleft()  # the last one in `_idle` came last (rule 5)
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
        """Whether there is no worker at all, and none is on its way."""
        return not (self._idle or self._busy or self._adopted or self._expected)

    @property
    def stuck(self) -> bool:
        """Whether jobs wait, no worker is idle, and workers are said to be on their way."""
        return bool(self._queue) and self._on_their_way > 0 and not self._idle

    @property
    def waiting(self) -> tuple[J, ...]:
        """The jobs that wait for a worker, in the order of the queue."""
        return tuple(self._queue)

    def __repr__(self) -> str:
        return f"<Pool [{len(self._busy)} busy, {len(self._idle)} idle, {len(self._queue)} waiting]>"
