"""No job is lost, no worker has two, and there are never too many."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from secrets_actor.actor.pool import Plan, Pool


def staffed(*workers: str, max_workers: int = 4) -> Pool[str, int]:
    pool = Pool[str, int](max_workers)
    for worker in workers:
        pool.ready(worker)
    return pool


def test_a_job_goes_to_an_idle_worker_or_has_one_started() -> None:
    pool = staffed("w1")
    pool.submit(1)
    pool.submit(2)

    assert pool.assign() == Plan((("w1", 1),), start=1)
    assert pool.holder(1) == "w1"
    assert pool.holder(2) is None
    assert pool.waiting == (2,)
    assert repr(pool) == "<Pool [1 busy, 0 idle, 1 waiting]>"


def test_workers_on_their_way_count() -> None:
    pool = Pool[str, int](2)
    for job in (1, 2, 3):
        pool.submit(job)

    assert pool.assign().start == 2
    assert pool.assign().start == 0
    assert pool.stuck


def test_a_worker_that_ended_gives_its_job_back_and_is_expected_if_it_comes_back() -> None:
    pool = staffed("w1", max_workers=1)
    pool.submit(1)
    pool.assign()

    assert pool.gone("w1", comes_back=True) == 1
    pool.submit(1, first=True)
    assert pool.assign() == Plan((), start=0), "the new one is on its way"
    assert not pool.empty
    assert pool.ready("w2")
    assert pool.assign() == Plan((("w2", 1),), start=0)


def test_an_idle_worker_that_ended_had_no_job_and_a_strangers_end_means_nothing() -> None:
    pool = staffed("w1")

    assert pool.gone("w1", comes_back=False) is None
    assert pool.gone("stranger", comes_back=True) is None
    assert pool.empty
    assert not pool.knows("w1")


def test_a_worker_announces_itself_once() -> None:
    pool = staffed("w1")

    assert not pool.ready("w1")
    assert pool.knows("w1")


def test_a_worker_that_is_done_is_idle_and_one_that_had_nothing_stays_as_it_was() -> None:
    pool = staffed("w1")
    pool.submit(1)
    pool.assign()
    pool.done("w1")
    pool.done("w1")
    pool.done("stranger")
    pool.submit(2)
    pool.submit(3)

    assert pool.assign() == Plan((("w1", 2),), start=1)


def test_a_waiting_job_can_be_withdrawn_and_no_other() -> None:
    pool = staffed("w1")
    pool.submit(1)
    pool.assign()
    pool.submit(2)

    assert pool.withdraw(2)
    assert not pool.withdraw(2)
    assert not pool.withdraw(1)
    assert pool.waiting == ()


def test_workers_that_do_not_come_are_counted_on_no_more() -> None:
    pool = Pool[str, int](2)
    pool.submit(1)
    pool.assign()
    assert pool.stuck

    pool.expect_none()

    assert not pool.stuck
    assert pool.assign().start == 1
    pool.expect(-5)
    assert pool.assign().start == 1


def test_nobody_is_started_before_it_is_known_who_is_there() -> None:
    pool = Pool[str, int](4)
    pool.hires = False
    pool.submit(1)
    assert pool.assign() == Plan((), start=0)

    pool.hires = True
    pool.adopt("busy", busy=True)
    pool.adopt("idle", busy=False)

    assert pool.assign() == Plan((), start=0), "the idle one is about to announce itself"
    pool.submit(2)
    assert pool.assign() == Plan((), start=1), "nobody counts on the busy one"
    assert pool.ready("idle")
    assert pool.assign() == Plan((("idle", 1),), start=0)


def test_an_adopted_worker_that_does_not_come_is_counted_on_no_more() -> None:
    pool = Pool[str, int](4)
    pool.adopt("w1", busy=False)
    pool.submit(1)
    assert pool.assign().start == 0
    assert pool.stuck

    pool.expect_none()

    assert pool.assign().start == 1


def test_the_worker_that_was_done_last_has_the_next_job_and_the_others_rest() -> None:
    pool = staffed("w1", "w2", "w3")
    pool.rested()
    for job in range(4):
        pool.submit(job)
        assert pool.assign().give == (("w3", job),)
        pool.done("w3")

    assert pool.rested() == ("w1", "w2")


class Model(RuleBasedStateMachine):
    """Workers come, finish, die and fail to come, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.max_workers = 3
        self.pool = Pool[int, int](self.max_workers)
        self.next_job = self.next_worker = 0
        self.open: set[int] = set()  # jobs submitted and not done
        self.held: dict[int, int] = {}  # worker -> job
        self.idle: set[int] = set()
        self.coming = 0
        self.adopted: dict[int, bool] = {}  # whether it is busy

    def carry_out(self) -> None:
        plan = self.pool.assign()
        for worker, job in plan.give:
            assert worker in self.idle
            assert job in self.open
            assert job not in self.held.values()
            self.idle.discard(worker)
            self.held[worker] = job
        self.coming += plan.start

    @rule(first=st.booleans())
    def submit(self, first: bool) -> None:
        self.next_job += 1
        self.open.add(self.next_job)
        self.pool.submit(self.next_job, first=first)
        self.carry_out()

    @precondition(lambda self: self.coming)
    @rule()
    def worker_comes(self) -> None:
        self.coming -= 1
        self.next_worker += 1
        assert self.pool.ready(self.next_worker)
        self.idle.add(self.next_worker)
        self.carry_out()

    @precondition(lambda self: not (self.next_job or self.next_worker))
    @rule(busy=st.booleans())
    def worker_is_found_there(self, busy: bool) -> None:
        self.next_worker += 1
        self.adopted[self.next_worker] = busy
        self.pool.adopt(self.next_worker, busy=busy)

    @precondition(lambda self: self.adopted)
    @rule()
    def adopted_worker_announces_itself(self) -> None:
        worker, _ = self.adopted.popitem()
        assert not self.pool.knows(worker)
        assert self.pool.ready(worker)
        self.idle.add(worker)
        self.carry_out()

    @precondition(lambda self: self.adopted)
    @rule()
    def adopted_worker_ends(self) -> None:
        assert self.pool.gone(self.adopted.popitem()[0], comes_back=True) is None
        self.coming += 1
        self.carry_out()

    @precondition(lambda self: self.coming)
    @rule()
    def worker_cannot_start(self) -> None:
        self.coming -= 1
        self.pool.expect(-1)
        self.carry_out()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def job_done(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(sorted(self.held)))
        self.open.discard(self.held.pop(worker))
        self.idle.add(worker)
        self.pool.done(worker)
        self.carry_out()

    @precondition(lambda self: self.held or self.idle)
    @rule(data=st.data(), comes_back=st.booleans())
    def worker_ends(self, data: st.DataObject, comes_back: bool) -> None:
        worker = data.draw(st.sampled_from(sorted({*self.held, *self.idle})))
        job = self.pool.gone(worker, comes_back=comes_back)
        assert job == self.held.pop(worker, None)
        self.idle.discard(worker)
        self.coming += comes_back
        if job is not None:
            self.pool.submit(job, first=True)
        self.carry_out()

    @precondition(lambda self: self.pool.waiting)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.pool.waiting))
        assert self.pool.withdraw(job)
        self.open.discard(job)
        self.carry_out()

    @invariant()
    def every_job_waits_or_is_with_one_worker(self) -> None:
        assert sorted([*self.pool.waiting, *self.held.values()]) == sorted(self.open)
        for worker, job in self.held.items():
            assert self.pool.holder(job) == worker

    @invariant()
    def there_are_never_too_many(self) -> None:
        assert len(self.held) + len(self.idle) + len(self.adopted) + self.coming <= self.max_workers

    @invariant()
    def no_job_waits_while_something_could_be_done(self) -> None:
        if self.pool.waiting:
            assert not self.idle
            on_their_way = self.coming + sum(not busy for busy in self.adopted.values())
            assert on_their_way or len(self.held) + len(self.adopted) == self.max_workers
        assert self.pool.empty == (not (self.held or self.idle or self.adopted or self.coming))


TestAnyHistory = Model.TestCase


@given(st.integers(1, 5), st.integers(0, 12))
def test_it_starts_as_many_as_there_are_jobs_but_no_more_than_it_may(max_workers: int, jobs: int) -> None:
    pool = Pool[str, int](max_workers)
    for job in range(jobs):
        pool.submit(job)

    assert pool.assign().start == min(max_workers, jobs)
