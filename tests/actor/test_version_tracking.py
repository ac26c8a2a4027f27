"""What counts as news, and in which order it is told: decisions only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.actor.version_tracking import MAX_WAITING, NEVER, ChangeQueue, Known, Outcome, outcome_of
from secrets_actor.domain.errors import (
    AccessDenied,
    DecryptionFailed,
    InvalidRequest,
    SecretDeleted,
    SecretNotFound,
    StoreFailure,
    UnknownMessage,
)
from secrets_actor.domain.secret import NewVersion


def told(line: ChangeQueue) -> list[NewVersion]:
    """All that is waiting, in order."""
    found: list[NewVersion] = []
    while True:
        change, line = line.take()
        if change is None:
            return found
        found.append(change)


def test_what_it_begins_with_is_no_news_and_it_begins_once() -> None:
    line = ChangeQueue().begin("v1").begin("v2")

    assert (line.last, told(line)) == ("v1", [])
    assert line.on_to("n", "v1") is line


def test_the_first_version_of_a_secret_that_was_not_there_is_news() -> None:
    assert told(ChangeQueue().begin(None).on_to("n", "v1")) == [NewVersion("n", None, "v1")]


def test_a_write_of_ours_is_news_even_where_nothing_was_known() -> None:
    assert told(ChangeQueue().on_to("n", "v1")) == [NewVersion("n", None, "v1")]


def test_a_version_that_comes_back_is_news_again() -> None:
    line = ChangeQueue().begin("v1").on_to("n", "v2").on_to("n", "v1")

    assert told(line) == [NewVersion("n", "v1", "v2"), NewVersion("n", "v2", "v1")]


def test_a_read_that_may_have_been_overtaken_decides_nothing() -> None:
    known = Known("v2", seen_at=10.0)

    assert known.outdates("v1", asked_at=9.0)
    assert not known.outdates("v3", asked_at=10.0)
    assert not known.outdates("v2", asked_at=9.0)
    assert not Known().outdates("v1", asked_at=NEVER)


def test_who_is_far_behind_is_told_the_rest_as_one_change() -> None:
    line = ChangeQueue().begin("v0")
    for number in range(1, MAX_WAITING + 11):
        line = line.on_to("n", f"v{number}")

    changes = told(line)

    assert len(changes) == MAX_WAITING
    assert changes[-1] == NewVersion("n", f"v{MAX_WAITING - 1}", f"v{MAX_WAITING + 10}")


def test_a_change_there_and_back_that_he_missed_is_none() -> None:
    line = ChangeQueue().begin("v0")
    for number in range(1, MAX_WAITING + 1):
        line = line.on_to("n", f"v{number}")

    line = line.on_to("n", f"v{MAX_WAITING - 1}")

    assert len(told(line)) == MAX_WAITING - 1
    assert (line.last, told(line)[-1].new_version_id) == (f"v{MAX_WAITING - 1}",) * 2


@given(seen=st.lists(st.sampled_from("abc"), max_size=3 * MAX_WAITING), taken=st.sets(st.integers(0, 3 * MAX_WAITING)))
def test_the_changes_are_a_chain_from_the_first_version_to_the_last(seen: list[str], taken: set[int]) -> None:
    line, changes = ChangeQueue().begin("a"), list[NewVersion]()
    for number, version in enumerate(seen):
        line = line.on_to("n", version)
        if number in taken:
            change, line = line.take()
            changes += [] if change is None else [change]
    changes += told(line)

    assert [one.old_version_id for one in changes] == ["a", *[one.new_version_id for one in changes]][: len(changes)]
    assert all(one.old_version_id != one.new_version_id for one in changes)
    assert (changes[-1].new_version_id if changes else "a") == (["a", *seen])[-1]


@pytest.mark.parametrize(("error", "of_value", "of_version"), [
    (None, Outcome.ANSWERED, Outcome.ANSWERED),
    (SecretNotFound("no"), Outcome.ANSWERED, Outcome.ANSWERED),
    (StoreFailure("no", status=500), Outcome.FAILED, Outcome.FAILED),
    (ConnectionError(), Outcome.FAILED, Outcome.FAILED),
    (SecretDeleted("no"), Outcome.REFUSED, Outcome.REFUSED),
    (DecryptionFailed("no"), Outcome.REFUSED, Outcome.REFUSED),
    (AccessDenied("no"), Outcome.REFUSED, Outcome.UNTOLD),
    (InvalidRequest("no"), Outcome.REFUSED, Outcome.UNTOLD),
    (UnknownMessage("no"), Outcome.REFUSED, Outcome.UNTOLD),
], ids=repr)  # fmt: skip
def test_what_an_error_means_for_the_next_question(
    error: BaseException | None, of_value: Outcome, of_version: Outcome
) -> None:
    assert outcome_of(error, of_versions=False) is of_value
    assert outcome_of(error, of_versions=True) is of_version
