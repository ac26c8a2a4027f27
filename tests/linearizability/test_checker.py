"""The checker: histories made by hand, histories of a register that is right, and those judged the plain way."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.linearizability.checker import check
from tests.linearizability.history import DELETED, FOREVER, MISSING, Act, Kind, Outcome, State
from tests.linearizability.simulated import plainly, simulate

R, W, D, U, P = Kind.READ, Kind.WRITE, Kind.DELETE, Kind.RESTORE, Kind.PURGE
DONE, FAILED, UNKNOWN = Outcome


def act(
    kind: Kind, begun: int, ended: int, value: str = "", outcome: Outcome = DONE, key: str = "k", saw: str = ""
) -> Act:
    """An operation; one of unknown outcome has no end."""
    return Act(key, kind, value, begun, FOREVER if outcome is UNKNOWN else ended, outcome, saw=saw)


GOOD: dict[str, list[Act]] = {
    "nothing was asked": [],
    "a read sees what was written": [act(W, 0, 1, "v1"), act(R, 2, 3, "v1")],
    "there is nothing at first": [act(R, 0, 1, MISSING), act(W, 2, 3, "v1"), act(R, 4, 5, "v1")],
    "two reads beside a write see it and what was before, in this order": [
        act(W, 0, 1, "v1"),
        act(W, 2, 9, "v2"),
        act(R, 3, 4, "v1"),
        act(R, 5, 6, "v2"),
    ],
    "two writes at once end in either order": [
        act(W, 0, 9, "v1"),
        act(W, 0, 9, "v2"),
        act(R, 10, 11, "v1"),
    ],
    "an unknown write is seen late": [
        act(W, 0, 1, "v1"),
        act(W, 2, 0, "v2", UNKNOWN),
        act(R, 3, 4, "v1"),
        act(W, 5, 6, "v3"),
        act(R, 7, 8, "v3"),
        act(R, 9, 10, "v2"),
        act(R, 11, 12, "v2"),
    ],
    "an unknown write is never seen": [act(W, 0, 1, "v1"), act(W, 2, 0, "v2", UNKNOWN), act(R, 3, 4, "v1")],
    "an unknown write made what is deleted": [act(W, 0, 0, "v1", UNKNOWN), act(D, 1, 2), act(R, 3, 4, DELETED)],
    "a failed write is never seen": [act(W, 0, 1, "v1"), act(W, 2, 3, "v2", FAILED), act(R, 4, 5, "v1")],
    "deleted and restored": [
        act(W, 0, 1, "v1"),
        act(D, 2, 3),
        act(R, 4, 5, DELETED),
        act(W, 6, 7, "v2", FAILED, saw=DELETED),
        act(U, 8, 9),
        act(R, 10, 11, "v1"),
    ],
    "a delete of what is deleted, and a restore of what is there": [
        act(W, 0, 1, "v1"),
        act(D, 2, 3),
        act(D, 4, 5),
        act(U, 6, 7),
        act(U, 8, 9),
        act(R, 10, 11, "v1"),
    ],
    "an unknown delete is seen late, an unknown restore later": [
        act(W, 0, 1, "v1"),
        act(D, 2, 0, "", UNKNOWN),
        act(U, 2, 0, "", UNKNOWN),
        act(R, 3, 4, "v1"),
        act(R, 5, 6, DELETED),
        act(R, 7, 8, "v1"),
    ],
    "deleted for good, and created": [
        act(W, 0, 1, "v1"),
        act(P, 2, 3),
        act(R, 4, 5, MISSING),
        act(W, 6, 7, "v2"),
        act(R, 8, 9, "v2"),
    ],
    "an unknown purge, and an unknown write behind it": [
        act(W, 0, 1, "v1"),
        act(P, 2, 0, "", UNKNOWN),
        act(W, 2, 0, "v2", UNKNOWN),
        act(R, 3, 4, MISSING),
        act(D, 5, 6),
        act(R, 7, 8, DELETED),
    ],
    "a write that nobody saw made the secret anew": [
        act(W, 0, 1, "v1"),
        act(W, 2, 20, "v2"),
        act(W, 2, 3, "v3"),
        act(R, 4, 5, "v3"),
        act(P, 6, 7),
        act(R, 8, 9, MISSING),
        act(D, 10, 11),
    ],
    "each secret by itself": [
        act(W, 0, 1, "v1"),
        act(W, 0, 1, "v1", key="other"),
        act(R, 2, 3, "v1", key="other"),
        act(W, 4, 5, "v2"),
        act(R, 6, 7, "v1", key="other"),
    ],
}

BAD: dict[str, list[Act]] = {
    "a stale read": [act(W, 0, 1, "v1"), act(W, 2, 3, "v2"), act(R, 4, 5, "v1")],
    "a read from the future": [act(R, 0, 1, "v1"), act(W, 2, 3, "v1")],
    "an unknown write seen before it began": [act(R, 0, 1, "v1"), act(W, 2, 0, "v1", UNKNOWN)],
    "a value that nobody wrote": [act(W, 0, 1, "v1"), act(R, 2, 3, "v9")],
    "a failed write is seen": [act(W, 0, 1, "v1"), act(W, 2, 3, "v2", FAILED), act(R, 4, 5, "v2")],
    "the new value, then the old one": [
        act(W, 0, 1, "v1"),
        act(W, 2, 9, "v2"),
        act(R, 3, 4, "v2"),
        act(R, 5, 6, "v1"),
    ],
    "an unknown write takes effect twice": [
        act(W, 0, 1, "v1"),
        act(W, 2, 0, "v2", UNKNOWN),
        act(R, 3, 4, "v2"),
        act(W, 5, 6, "v3"),
        act(R, 7, 8, "v3"),
        act(R, 9, 10, "v2"),
    ],
    "two writes one after the other end in the other order": [
        act(W, 0, 1, "v1"),
        act(W, 2, 3, "v2"),
        act(W, 4, 5, "v3"),
        act(R, 6, 7, "v2"),
    ],
    "two readers see two writes in two orders": [
        act(W, 0, 20, "v1"),
        act(W, 0, 20, "v2"),
        act(R, 1, 2, "v1"),
        act(R, 3, 4, "v2"),
        act(R, 5, 6, "v1"),
    ],
    "a deleted secret is read": [act(W, 0, 1, "v1"), act(D, 2, 3), act(R, 4, 5, "v1")],
    "nobody deleted it": [act(W, 0, 1, "v1"), act(R, 2, 3, DELETED)],
    "a write is refused though nobody deleted it": [act(W, 0, 1, "v1"), act(W, 2, 3, "v2", FAILED, saw=DELETED)],
    "a deleted secret is written": [act(W, 0, 1, "v1"), act(D, 2, 3), act(W, 4, 5, "v2")],
    "one unknown delete is seen twice": [
        act(W, 0, 1, "v1"),
        act(D, 2, 0, "", UNKNOWN),
        act(R, 3, 4, DELETED),
        act(U, 5, 6),
        act(R, 7, 8, "v1"),
        act(R, 9, 10, DELETED),
    ],
    "deleted for good, and read": [act(W, 0, 1, "v1"), act(P, 2, 3), act(R, 4, 5, "v1")],
    "gone without a purge": [act(W, 0, 1, "v1"), act(R, 2, 3, MISSING)],
    "of two secrets one": [
        act(W, 0, 1, "v1"),
        act(W, 0, 1, "v2", key="other"),
        act(R, 2, 3, "v1"),
        act(R, 2, 3, "v1", key="other"),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_history_is_accepted(name: str) -> None:
    assert check(GOOD[name]).violations == []


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_rejected(name: str) -> None:
    assert not check(BAD[name]).good


def test_a_violation_names_the_operation_and_what_the_secret_may_have_been() -> None:
    (found,) = check([act(W, 0, 1, "v1"), act(D, 2, 3), act(R, 4, 5, "v1"), act(W, 4, 9, "v3")]).violations

    assert (found.act, found.possible) == (act(R, 4, 5, "v1"), (State("v1", deleted=True),))
    assert found.beside == (act(W, 4, 9, "v3"),)
    assert "v1 (deleted)" in str(found)


def test_a_violation_names_the_read_that_came_too_late() -> None:
    (found,) = check(BAD["a stale read"]).violations

    assert (found.act, found.later) == (act(W, 2, 3, "v2"), (act(R, 4, 5, "v1"),))
    assert "later: [4, 5]" in str(found)


def test_two_writes_of_one_value_are_no_history_for_this_checker() -> None:
    with pytest.raises(ValueError, match="written twice"):
        check([act(W, 0, 1, "v1"), act(W, 2, 3, "v1")])


def test_sixty_four_writes_at_once_are_judged_without_trying_their_orders() -> None:
    writes = [act(W, 0, 2_000, f"v{number}") for number in range(64)]
    reads = [act(R, 3 * number, 3 * number + 1, f"v{number}") for number in range(40)]

    verdict = check([*writes, *reads])

    assert verdict.good
    assert verdict.widest < 200
    assert not check([*writes, *reads, act(R, 1_900, 1_901, "v7")]).good


PLANS = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.sampled_from([R, R, R, W, W, D, U, P]),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([0, 0, 0, 1]),
    ),
    max_size=60,
)
STEADY = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from([R, R, W]), st.just(False), st.just(0)), min_size=10, max_size=80
)


@settings(max_examples=300, deadline=None)
@given(PLANS)
def test_what_a_right_register_answers_is_accepted(plan: Sequence[tuple[int, Kind, bool, int]]) -> None:
    assert check(simulate(plan)).violations == []


@settings(max_examples=200, deadline=None)
@given(STEADY, st.randoms(use_true_random=False))
def test_a_right_register_that_once_answers_with_what_was_overwritten_is_rejected(
    plan: Sequence[tuple[int, Kind, bool, int]], dice: Random
) -> None:
    history = simulate(plan)
    chances = []
    for place, read in enumerate(history):
        if read.kind is R and read.outcome is DONE:
            writes = [one for one in history if one.kind is W and one.outcome is DONE and one.ended < read.begun]
            chances += [(place, old.value) for old in writes if any(old.ended < new.begun for new in writes)]
    if not chances:
        return
    place, value = dice.choice(chances)

    spoilt = [*history[:place], replace(history[place], value=value), *history[place + 1 :]]

    assert not check(spoilt).good


KINDS = st.sampled_from([R, R, W, W, D, U, P])
VALUES = st.sampled_from(["v0", "v1", "v2", "v3", DELETED, MISSING])
OUTCOMES = st.sampled_from([DONE, DONE, DONE, UNKNOWN, FAILED])
SAW = st.sampled_from(["", "", DELETED, MISSING])
ANY = st.lists(st.tuples(KINDS, st.integers(0, 12), st.integers(0, 6), VALUES, OUTCOMES, SAW), max_size=7)
FIRST = st.sampled_from([State(None), State("v0"), State("v0", deleted=True)])


@settings(max_examples=1_000, deadline=None)
@given(ANY, FIRST)
def test_any_small_history_is_judged_as_by_trying_every_order(drawn: list[Any], first: State) -> None:
    history = []
    for kind, begun, length, read, outcome, saw in drawn:
        if kind is R:
            history.append(act(R, begun, begun + length, read))
        else:
            written = f"v{sum(one.kind is W for one in history) + 1}" if kind is W else ""
            history.append(act(kind, begun, begun + length, written, outcome, saw=saw if outcome is FAILED else ""))

    assert check(history, first).good == plainly(history, first), history
