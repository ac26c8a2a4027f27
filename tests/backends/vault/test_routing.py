"""Which node a call goes to, how often, and after which pause."""

import base64
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.http.origin import Origin
from secrets_actor.backends.vault.failures import CheckAndSetFailed, NodeBehind, Refusal, Remedy
from secrets_actor.backends.vault.routing import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MAX_THROTTLED,
    OUTAGE,
    Rounds,
    asked_last,
    is_earlier,
    later_index,
    node_at,
)
from secrets_actor.domain import errors

REFUSED = Refusal(errors.ConnectionFailed("x"), Remedy.ELSEWHERE)
LATE = Refusal(errors.BackendTimeout("x"), Remedy.ELSEWHERE)
UNTRUSTED = Refusal(errors.TlsFailed("x"), Remedy.ELSEWHERE)
SEALED = Refusal(errors.StoreFailure("x", status=503), Remedy.ELSEWHERE, is_sealed=True)
UNWELL = Refusal(errors.StoreFailure("x", status=500), Remedy.ELSEWHERE)
NO_ACTIVE = Refusal(errors.NoActiveNode("x"), Remedy.ELECTION)
UPGRADING = Refusal(errors.StoreFailure("x", status=400), Remedy.PREPARED)
BEHIND = Refusal(errors.StoreFailure("x"), Remedy.ACTIVE_NODE)
THROTTLED = Refusal(errors.Throttled("x"), Remedy.SLOWER)
DENIED = Refusal(errors.AccessDenied("x"), Remedy.NONE)
REFUSED_BY_CAS = Refusal(CheckAndSetFailed("x", status=400), Remedy.NONE)
ODD_INDEX = Refusal(errors.InvalidRequest("x"), Remedy.NO_INDEX)


class Call:
    """A call that began at 100, with time until *deadline*; the dice always show 1."""

    def __init__(self, nodes: int = 3, deadline: float = 200.0) -> None:
        self.rounds, self.now, self.deadline = Rounds(range(nodes), 100.0), 100.0, deadline

    def fails(self, node: int, refusal: Refusal, active: int | None = None) -> tuple[int, float] | None:
        """Where it goes next; the pause passes."""
        found = self.rounds.next(node, refusal, active, dice=1.0, now=self.now, deadline=self.deadline)
        self.now += 0.0 if found is None else found[1]
        return found


def test_after_a_node_that_fails_the_next_is_asked_at_once() -> None:
    call = Call()

    assert call.rounds.has_others(0)
    assert call.fails(0, REFUSED) == (1, 0.0)
    assert call.fails(1, UNWELL) == (2, 0.0)
    assert not call.rounds.has_others(2)
    assert call.fails(2, SEALED) == (0, FIRST_PAUSE)


def test_pauses_between_rounds_grow_up_to_the_longest_and_half_of_them_is_chance() -> None:
    call = Call(nodes=1)
    pauses = [found[1] for _ in range(8) if (found := call.fails(0, NO_ACTIVE)) is not None]
    least = Rounds([0], 100.0).next(0, NO_ACTIVE, None, dice=0.0, now=100.0, deadline=200.0)

    assert pauses == [0.05, 0.1, 0.2, 0.4, *[LONGEST_PAUSE] * 4]
    assert least == (0, FIRST_PAUSE / 2)


@pytest.mark.parametrize("refusal", [NO_ACTIVE, UPGRADING])
def test_an_election_and_the_preparation_of_a_mount_are_waited_for_until_the_deadline(refusal: Refusal) -> None:
    """A mount that was just made is prepared by the active node: if that one dies over it, the next one does it."""
    call = Call(deadline=112.0)
    times = 0
    while (found := call.fails(times % 3, refusal)) is not None:
        times += 1
        assert found[0] == times % 3

    assert 111.5 <= call.now < 112.0
    assert type(call.rounds.verdict(refusal)) is type(refusal.error)


@pytest.mark.parametrize("refusal", [REFUSED, SEALED, UNWELL])
def test_nodes_that_do_not_answer_are_asked_twice_and_for_two_seconds(refusal: Refusal) -> None:
    quick, slow = Call(nodes=1), Call(nodes=1)
    rounds = len(list(itertools.takewhile(lambda found: found is not None, iter(lambda: quick.fails(0, refusal), 0))))
    slow.now += 60.0

    assert OUTAGE <= quick.now - 100.0 < OUTAGE + LONGEST_PAUSE
    assert rounds > 5
    assert slow.fails(0, refusal) is not None
    assert slow.fails(0, refusal) is None


def test_one_node_that_is_waiting_for_an_election_is_reason_enough_to_go_on() -> None:
    call = Call(nodes=2)
    call.now += 60.0
    for _ in range(5):
        assert call.fails(0, REFUSED) == (1, 0.0)
        assert call.fails(1, NO_ACTIVE) is not None


def test_an_election_that_was_once_told_of_is_waited_for_though_all_nodes_fall_silent() -> None:
    """A standby that hears of no new leader yet waits for the stopped one with what it passes on."""
    call = Call(nodes=2)
    assert call.fails(0, NO_ACTIVE) == (1, 0.0)
    call.now += 2.0
    assert call.fails(1, LATE) is not None
    for _ in range(3):
        call.now += 2.0
        found = call.fails(0, LATE)
        assert found is not None


def test_after_a_node_that_may_have_waited_for_the_active_one_another_is_asked_first() -> None:
    call = Call()

    assert call.fails(0, LATE, 1) == (2, 0.0)
    assert call.fails(2, LATE, 1) == (1, 0.0)


def test_a_silent_node_that_may_be_the_active_one_is_asked_again_after_a_while() -> None:
    """It was stopped for less time than an election takes: the other one goes on naming it."""
    call = Call(nodes=2)
    call.now += 2.0
    assert call.fails(0, LATE) == (1, 0.0)
    for _ in range(3):
        found = call.fails(1, NO_ACTIVE)
        assert found is not None
        assert found[0] == 1
    call.now += 2.0
    again = call.fails(1, NO_ACTIVE)
    assert again is not None
    assert again[0] == 1
    assert call.fails(1, NO_ACTIVE) == (0, 0.0)
    assert call.fails(0, LATE) is not None


def test_one_node_that_may_be_there_soon_is_waited_for_whatever_the_others_say() -> None:
    call = Call(nodes=2)
    assert call.fails(0, UNTRUSTED) == (1, 0.0)
    assert call.fails(1, LATE) is not None


def test_what_no_node_can_do_ends_a_call_after_each_was_asked_once() -> None:
    call = Call(nodes=2)

    assert call.fails(0, UNTRUSTED) == (1, 0.0)
    assert call.fails(1, UNTRUSTED) is None


@pytest.mark.parametrize("remedy", [Remedy.NONE, Remedy.ASK_WHY])
def test_what_is_refused_for_good_is_not_asked_elsewhere(remedy: Remedy) -> None:
    assert Call().fails(0, Refusal(errors.AccessDenied("x"), remedy)) is None


def test_the_node_that_is_named_as_the_active_one_is_asked_next_but_once_a_round() -> None:
    call = Call()

    assert call.fails(0, NO_ACTIVE, 2) == (2, 0.0)
    assert call.fails(2, REFUSED) == (1, 0.0)
    assert call.fails(1, NO_ACTIVE, 2) == (0, FIRST_PAUSE)
    assert call.fails(0, NO_ACTIVE, 0) == (1, 0.0)


def test_a_node_that_hangs_costs_its_time_once_as_long_as_others_answer() -> None:
    call = Call()

    assert call.fails(0, LATE) == (1, 0.0)
    for _ in range(3):
        assert call.fails(1, NO_ACTIVE, 0) == (2, 0.0), "not the one that hangs, though it is named"
        found = call.fails(2, NO_ACTIVE, 0)
        assert found is not None
        assert found[0] == 1
    assert not call.rounds.has_others(2) or call.rounds.has_others(1)


def test_if_all_hang_all_are_asked_again() -> None:
    call = Call(nodes=2)

    assert call.fails(0, LATE) == (1, 0.0)
    assert call.fails(1, LATE) == (0, FIRST_PAUSE)
    assert call.fails(0, LATE) == (1, 0.0)


def test_a_used_up_quota_is_waited_for_a_few_times_at_the_same_node() -> None:
    call = Call()
    found = [call.fails(1, THROTTLED) for _ in range(MAX_THROTTLED)]

    assert found == [(1, 0.5), (1, 1.0), (1, 2.0), None]
    assert Call(deadline=100.4).fails(1, THROTTLED) is None


def test_a_node_that_is_behind_is_left_for_the_active_one() -> None:
    call = Call(deadline=101.0)

    assert call.fails(1, BEHIND, 2) == (2, FIRST_PAUSE)
    assert call.fails(1, BEHIND) == (1, 2 * FIRST_PAUSE)
    call.now = 100.999
    assert call.fails(1, BEHIND) is None


def test_an_index_that_cannot_be_read_is_left_out_once() -> None:
    call = Call()

    assert call.fails(1, ODD_INDEX) == (1, 0.0)
    assert call.fails(1, ODD_INDEX) is None


# --- the error at the end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("met", "told"),
    [
        ([REFUSED, NO_ACTIVE, REFUSED], NO_ACTIVE),
        ([UNWELL, REFUSED, LATE], UNWELL),
        ([NO_ACTIVE, UNWELL, SEALED], NO_ACTIVE),
        ([SEALED, SEALED, REFUSED], SEALED),
        ([REFUSED, LATE, REFUSED], REFUSED),
        ([REFUSED, REFUSED, DENIED], DENIED),
    ],
)
def test_the_most_telling_error_of_the_last_round_is_raised(met: list[Refusal], told: Refusal) -> None:
    call = Call(deadline=100.01)
    for node, refusal in enumerate(met):
        last = call.fails(node, refusal)

    assert last is None
    assert call.rounds.verdict(met[-1]) is told.error


def test_that_a_node_is_behind_is_nobodys_business_outside() -> None:
    behind = Refusal(NodeBehind("x", status=412), Remedy.ACTIVE_NODE)
    behind.error.origin = "one:8200"
    error = Call().rounds.verdict(behind)

    assert isinstance(error, errors.StoreFailure)
    assert (type(error), error.status, error.origin) == (errors.StoreFailure, 412, "one:8200")


def test_if_all_nodes_are_sealed_the_error_says_so() -> None:
    call = Call(deadline=100.01)
    for node in range(3):
        call.fails(node, SEALED)

    error = call.rounds.verdict(SEALED)
    assert isinstance(error, errors.StoreFailure)
    assert (str(error), error.status) == ("all nodes of vault.addresses are sealed: unseal them", 503)
    alone = Call(nodes=1, deadline=100.01)
    alone.fails(0, SEALED)
    assert alone.rounds.verdict(SEALED) is SEALED.error


# --- nodes and their order ----------------------------------------------------------------------------------------


def test_who_is_to_be_asked_last_keeps_its_place_among_those() -> None:
    assert asked_last([0, 1, 2, 3], (3, 1)) == [0, 2, 1, 3]
    assert asked_last([0, 1], ()) == [0, 1]


NODES = [Origin("https", "one.example", 443), Origin("https", "10.0.0.2", 8200), Origin("http", "::1", 8200)]


@pytest.mark.parametrize(
    ("url", "node"),
    [
        ("https://ONE.example/v1/kv/data/a", 0),
        ("https://one.example:443", 0),
        ("https://10.0.0.2:8200/v1/x?y=z", 1),
        ("http://[::1]:8200", 2),
        ("http://10.0.0.2:8200", None),
        ("http://one.example", None),
        ("https://10.0.0.2", None),
        ("https://10.0.0.2:99999", None),
        ("https://[::1", None),
        ("ftp://one.example", None),
        ("", None),
    ],
)
def test_a_url_belongs_to_a_configured_node_or_to_none(url: str, node: int | None) -> None:
    assert node_at(url, NODES) == node


# --- the index ----------------------------------------------------------------------------------------------------


def index(value: object, cluster: object = "c") -> str:
    return base64.b64encode(json.dumps({"cluster": cluster, "value": value}).encode()).decode()


@given(st.permutations(range(8)), st.data())
def test_in_whatever_order_indexes_come_the_latest_is_kept(order: list[int], data: st.DataObject) -> None:
    """Two workers' answers may be read in another order than they were given in."""
    known = None
    for value in order:
        known = later_index(known, index(str(value)), wrote=data.draw(st.booleans()))

    assert known == index("7")


@pytest.mark.parametrize(
    ("known", "came"),
    [
        (index("7"), "?"),
        (index("7"), "e30="),
        (index("7"), index(7)),
        (index("7"), index("-7")),
        (index("7"), index("9" * 21)),
        (index("7"), index("3", "other")),
        (index("7"), index("3", 5)),
        ("?", index("3")),
    ],
)
def test_an_index_that_cannot_be_compared_counts_if_it_came_with_a_write(known: str, came: str) -> None:
    assert later_index(known, came, wrote=True) == came
    assert later_index(known, came, wrote=False) == known


@pytest.mark.parametrize("final", [DENIED, REFUSED_BY_CAS], ids=["denied", "check-and-set"])
def test_an_answer_that_is_final_is_told_whatever_other_nodes_said(final: Refusal) -> None:
    """Such as a write that is sent again after an election, and had taken effect: its check-and-set is refused."""
    call = Call()
    call.fails(0, NO_ACTIVE)
    assert call.fails(1, final) is None
    assert call.rounds.verdict(final) is final.error


@pytest.mark.parametrize(
    ("came", "than", "earlier"),
    [
        (index("6"), index("7"), True),
        (index("9"), index("10"), True),
        (index("7"), index("7"), False),
        (index("8"), index("7"), False),
        (index("6", "other"), index("7"), False),
        ("?", index("7"), False),
        (index("6"), "?", False),
    ],
)
def test_an_index_is_earlier_than_a_greater_one_of_the_same_cluster(came: str, than: str, earlier: bool) -> None:
    assert is_earlier(came, than) is earlier
