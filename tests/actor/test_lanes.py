"""Operations of one secret take effect in order; others never wait for them."""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from secrets_actor.actor.lanes import Lanes


def test_reads_run_side_by_side() -> None:
    lanes = Lanes()

    assert [lanes.enter("a", ticket, writes=False) for ticket in (1, 2, 3)] == [[1], [2], [3]]


def test_a_write_waits_for_the_reads_before_it_and_those_behind_wait_for_it() -> None:
    lanes = Lanes()
    lanes.enter("a", 1, writes=False)
    lanes.enter("a", 2, writes=False)

    assert lanes.enter("a", 3, writes=True) == []
    assert lanes.enter("a", 4, writes=False) == []
    assert lanes.enter("a", 5, writes=False) == []
    assert lanes.leave("a", 1) == []
    assert lanes.leave("a", 2) == [3]
    assert lanes.leave("a", 3) == [4, 5]


def test_a_read_does_not_overtake_a_waiting_write() -> None:
    lanes = Lanes()
    lanes.enter("a", 1, writes=False)
    lanes.enter("a", 2, writes=True)

    assert lanes.enter("a", 3, writes=False) == []


def test_lanes_do_not_wait_for_each_other() -> None:
    lanes = Lanes()
    lanes.enter("a", 1, writes=True)

    assert lanes.enter("b", 2, writes=True) == [2]


def test_one_that_gives_up_while_it_waits_makes_room_for_those_behind() -> None:
    lanes = Lanes()
    lanes.enter("a", 1, writes=False)
    lanes.enter("a", 2, writes=True)
    lanes.enter("a", 3, writes=False)

    assert lanes.leave("a", 2) == [3]


def test_the_epoch_counts_the_writes_and_starts_anew_when_the_lane_is_empty() -> None:
    lanes = Lanes()
    assert lanes.epoch("a") == 0

    lanes.enter("a", 1, writes=False)
    lanes.enter("a", 2, writes=True)
    assert lanes.epoch("a") == 1
    lanes.enter("a", 3, writes=True)
    assert lanes.epoch("a") == 2

    for ticket in (1, 2, 3):
        lanes.leave("a", ticket)
    assert lanes.epoch("a") == 0
    assert len(lanes) == 0


def test_a_foreign_write_outdates_what_is_being_read_and_opens_no_lane() -> None:
    lanes = Lanes()
    lanes.enter("a", 1, writes=False)

    lanes.outdate("a")
    lanes.outdate("b")

    assert (lanes.epoch("a"), lanes.epoch("b"), len(lanes)) == (1, 0, 1)


def test_every_write_that_comes_or_ends_is_a_change_and_no_read_is() -> None:
    lanes, seen = Lanes(), []
    for step in (
        lambda: lanes.enter("a", 1, writes=False),
        lambda: lanes.enter("b", 2, writes=True),
        lambda: lanes.enter("b", 3, writes=True),
        lambda: lanes.leave("a", 1),
        lambda: lanes.leave("b", 2),
        lambda: lanes.leave("b", 3),
        lambda: lanes.outdate("c"),
        lanes.outdate_all,
    ):
        before = lanes.changes
        step()
        seen.append(lanes.changes > before)

    assert seen == [False, True, True, False, True, True, True, True]


def test_leaving_a_lane_that_nobody_is_in_does_nothing() -> None:
    assert Lanes().leave("a", 1) == []


def test_what_is_in_two_lanes_waits_for_both_and_both_wait_for_it() -> None:
    lanes = Lanes()
    lanes.enter(("a",), 1, writes=True)
    lanes.enter(("b",), 2, writes=False)

    assert lanes.enter(("a", "b"), 3, writes=True) == []
    assert lanes.enter(("b",), 4, writes=False) == []
    assert lanes.enter(("a",), 5, writes=False) == []
    assert lanes.leave(("a",), 1) == []
    assert lanes.leave(("b",), 2) == [3]
    assert lanes.leave(("a", "b"), 3) == [5, 4]
    assert lanes.epoch(("a", "b")) == 3


def test_a_read_that_waits_for_another_lane_holds_up_no_read() -> None:
    lanes = Lanes()
    lanes.enter(("a",), 1, writes=True)
    lanes.enter(("a", "b"), 2, writes=False)

    assert lanes.enter(("b",), 3, writes=False) == [3]
    assert lanes.enter(("b",), 4, writes=True) == []
    assert lanes.enter(("b",), 5, writes=False) == []
    assert lanes.leave(("a",), 1) == [2]
    assert lanes.leave(("a", "b"), 2) == []
    assert lanes.leave(("b",), 3) == [4]


@settings(deadline=None)
@given(st.data())
def test_in_every_history_of_shared_lanes_all_run_in_order_and_nobody_is_forgotten(data: st.DataObject) -> None:
    """What runs is what no earlier operation that shares a lane, and of which one writes, is in the way of."""
    lanes = Lanes()
    entered: list[tuple[int, str, bool]] = []
    running: set[int] = set()

    def check(started: list[int]) -> None:
        assert not running & set(started), "started twice"
        running.update(started)
        may = set[int]()
        for position, (one, names, writes) in enumerate(entered):
            before = [two for two in entered[:position] if set(two[1]) & set(names) and (two[2] or writes)]
            may |= {one} - {one for _ in before}
        assert running == may

    for number in range(data.draw(st.integers(0, 30))):
        if not entered or data.draw(st.booleans()):
            names, writes = data.draw(st.sampled_from(["a", "b", "c", "ab", "bc"])), data.draw(st.booleans())
            entered.append((number, names, writes))
            check(lanes.enter(names, number, writes=writes))
        else:
            leaver = entered.pop(data.draw(st.integers(0, len(entered) - 1)))
            running.discard(leaver[0])
            check(lanes.leave(leaver[1], leaver[0]))
    while entered:
        one, names, _ = entered.pop(0)
        running.discard(one)
        check(lanes.leave(names, one))
    assert len(lanes) == 0


@settings(deadline=None)
@given(st.data())
def test_in_every_history_writes_run_alone_in_order_and_nobody_is_forgotten(data: st.DataObject) -> None:
    lanes = Lanes()
    entered: dict[str, list[tuple[int, bool]]] = defaultdict(list)  # in order, not yet left
    running: dict[str, set[int]] = defaultdict(set)
    ticket = 0
    for _ in range(data.draw(st.integers(0, 40))):
        lane = data.draw(st.sampled_from("ab"))
        if not entered[lane] or data.draw(st.booleans()):
            ticket += 1
            writes = data.draw(st.booleans())
            entered[lane].append((ticket, writes))
            started = lanes.enter(lane, ticket, writes=writes)
        else:
            leaver = data.draw(st.sampled_from([one for one, _ in entered[lane]]))
            entered[lane] = [entry for entry in entered[lane] if entry[0] != leaver]
            running[lane].discard(leaver)
            started = lanes.leave(lane, leaver)
        assert not running[lane] & set(started), "started twice"
        running[lane] |= set(started)
        # What must run: the first, and with a read all reads up to the next write that has not finished.
        must: set[int] = set()
        for one, writes in entered[lane]:
            if writes and must:
                break
            must.add(one)
            if writes:
                break
        assert running[lane] == must
    for lane, left in entered.items():
        while left:
            one = next(t for t, _ in left if t in running[lane])
            left[:] = [entry for entry in left if entry[0] != one]
            running[lane].discard(one)
            running[lane] |= set(lanes.leave(lane, one))
    assert len(lanes) == 0
