"""What a write leaves: versions, labels, facts; and what it refuses."""

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import (
    InvalidRequest,
    LimitExceeded,
    SecretDeleted,
    SecretExists,
    SecretNotFound,
    UnknownMessage,
)
from secrets_actor.domain.operations import AWSCURRENT, AWSPENDING, AWSPREVIOUS, Operation
from secrets_actor.domain.semantics.stages import MAX_STAGES, MAX_VERSIONS
from tests.domain.semantics.rig import NOW, Rig, token


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_write_without_a_token_takes_the_new_id(rig: Rig) -> None:
    made = [
        rig.ask(ops.Create("a", "v")).version_id,
        rig.ask(ops.Set("a", "v")).version_id,
        rig.ask(ops.Put("a", "v")).version_id,
        rig.ask(ops.Update("a", "v")).version_id,
        rig.ask(ops.Regenerate("a")).version_id,
    ]

    assert made == [token(1001 + number) for number in range(5)]
    assert rig.records.version_ids("a") == tuple(made)


def test_old_versions_without_a_label_go_and_the_others_stay(rig: Rig) -> None:
    rig.ask(ops.Create("a", "v", token(0)))
    rig.ask(ops.MoveStage("a", "mine", to=token(0)))
    rig.ask(ops.Put("a", "v", ["other"], token(1)))
    for number in range(2, MAX_VERSIONS + 5):
        rig.ask(ops.Set("a", "v", token(number)))

    assert rig.records.version_ids("a") == (token(0), token(1), *map(token, range(5, MAX_VERSIONS + 5)))
    assert rig.valued(rig.entry("a")) == set(rig.records.version_ids("a"))
    assert rig.ask(ops.Get("a", stage="mine")).version_id == token(0)


def test_a_put_of_current_and_previous_leaves_previous_where_current_came_from(rig: Rig) -> None:
    first = rig.ask(ops.Create("a", "v")).version_id

    put = rig.ask(ops.Put("a", "w", [AWSCURRENT, AWSPREVIOUS, "mine"]))

    assert put.stages == (AWSCURRENT, "mine")
    assert rig.entry("a").stages[AWSPREVIOUS] == first


def test_labels_are_no_more_than_aws_allows_but_a_set_goes_always(rig: Rig) -> None:
    made = rig.ask(ops.Create("a", "v")).version_id
    rig.ask(ops.Put("a", "w", [f"label {number}" for number in range(MAX_STAGES - 1)]))

    for refused in (ops.Put("a", "x", ["one more"]), ops.MoveStage("a", "one more", to=made)):
        with pytest.raises(LimitExceeded, match="take some off first"):
            rig.ask(refused)
    rig.ask(ops.Put("a", "x", ["label 1", "label 2"]))
    rig.ask(ops.Set("a", "y"))

    assert len(rig.entry("a").stages) == MAX_STAGES + 1


def test_tags_are_no_more_than_aws_allows(rig: Rig) -> None:
    rig.ask(ops.Create("a", "v", tags={f"key {number}": "" for number in range(49)}))
    rig.ask(ops.Tag("a", {"one more": "", "key 1": "changed"}))
    before = rig.picture()

    with pytest.raises(InvalidRequest, match="more than 50 tags"):
        rig.ask(ops.Tag("a", {"too many": ""}))

    assert rig.picture() == before


def test_what_changes_nothing_is_no_change(rig: Rig) -> None:
    made = rig.ask(ops.Create("a", "v", tags={"k": "v"})).version_id
    before = rig.picture()
    rig.later(hours=1)

    rig.ask(ops.Tag("a", {"k": "v"}))
    rig.ask(ops.Untag("a", ["never-there"]))
    rig.ask(ops.MoveStage("a", AWSCURRENT, to=made, remove_from=made))
    rig.ask(ops.Restore("a"))

    assert rig.picture() == before


def test_every_change_is_dated(rig: Rig) -> None:
    made = rig.ask(ops.Create("a", "v")).version_id
    changes: list[Operation[object]] = [
        ops.Tag("a", {"k": "v"}),
        ops.Untag("a", ["k"]),
        ops.MoveStage("a", "mine", to=made),
        ops.MoveStage("a", "mine", remove_from=made),
        ops.Update("a", description="d"),
        ops.Put("a", "w"),
        ops.Delete("a"),
        ops.Restore("a"),
    ]
    for change in changes:
        rig.later(minutes=1)
        rig.ask(change)
        assert rig.entry("a").changed_at == rig.now, change
    assert rig.entry("a").created_at == NOW


def test_an_empty_description_is_none(rig: Rig) -> None:
    rig.ask(ops.Create("a", "v", description=""))
    assert rig.entry("a").description is None

    rig.ask(ops.Update("a", description="d"))
    rig.ask(ops.Set("a", "w"))
    assert rig.entry("a").description == "d"

    rig.ask(ops.Set("a", "w", description=""))
    assert rig.entry("a").description is None


def test_a_set_that_may_restore_does_so_even_with_a_token_that_was_used(rig: Rig) -> None:
    rig.ask(ops.Set("a", "v", token(1)))
    rig.ask(ops.Delete("a"))
    with pytest.raises(SecretExists):
        rig.ask(ops.Set("a", "other", token(1), restore_on_set=True))
    assert rig.entry("a").deletion_date is not None
    with pytest.raises(SecretDeleted):
        rig.ask(ops.Set("a", "v", token(1)))

    receipt = rig.ask(ops.Set("a", "v", token(1), restore_on_set=True))

    assert (receipt.version_id, receipt.created) == (token(1), True)
    assert rig.entry("a").deletion_date is None


@pytest.mark.parametrize("name", ["a!b", "arn:fake:secretsmanager:fake:000000000000:secret:a-000001"])
def test_neither_an_arn_nor_a_name_that_aws_gives_is_created_by_a_set(rig: Rig, name: str) -> None:
    with pytest.raises(SecretNotFound):
        rig.ask(ops.Set(name, "v"))

    assert len(rig.records) == 0


def test_a_move_that_may_have_taken_effect_and_has_is_done(rig: Rig) -> None:
    first, second = rig.ask(ops.Set("a", "v")).version_id, rig.ask(ops.Set("a", "w")).version_id
    back = ops.MoveStage("a", AWSCURRENT, to=first, remove_from=second)
    off = ops.MoveStage("a", AWSPREVIOUS, remove_from=second)
    receipts = [rig.ask(back, repeated=True), rig.ask(back, repeated=True)]
    receipts += [rig.ask(off, repeated=True), rig.ask(off, repeated=True)]

    assert len(set(map(repr, receipts))) == 1
    assert rig.entry("a").stages == {AWSCURRENT: first}
    for refused in (back, off):
        with pytest.raises(InvalidRequest):
            rig.ask(refused)


def test_previous_is_not_put_on_the_current_version(rig: Rig) -> None:
    made = rig.ask(ops.Set("a", "v")).version_id

    with pytest.raises(InvalidRequest, match="cannot be AWSPREVIOUS too"):
        rig.ask(ops.MoveStage("a", AWSPREVIOUS, to=made))


def test_a_partial_arn_finds_the_secret_and_another_stores_arn_none(rig: Rig) -> None:
    arn = rig.ask(ops.Set("a", "v")).arn

    assert rig.ask(ops.Get(arn[: -len("-000001")])).name == "a"
    for other in (f"{arn[:-1]}9", arn.replace("fake", "aws")):
        with pytest.raises(SecretNotFound):
            rig.ask(ops.Get(other))


def test_an_operation_that_one_machine_does_not_know_is_refused_and_clears_nothing_away(rig: Rig) -> None:
    class Unheard(Operation[None]):
        kind = "unheard"
        writes = True

    with pytest.raises(UnknownMessage, match="the fake store does not know the operation Unheard"):
        rig.ask(Unheard())


def test_a_version_that_becomes_current_by_a_put_is_pending_no_more(rig: Rig) -> None:
    first = rig.ask(ops.Create("a", "v")).version_id
    rig.ask(ops.MoveStage("a", AWSPENDING, to=first))

    rig.ask(ops.Put("a", "w"))

    assert rig.entry("a").stages.keys() == {AWSCURRENT, AWSPREVIOUS}


def test_an_empty_secret_is_made_once_though_it_is_asked_for_twice(rig: Rig) -> None:
    made = rig.ask(ops.CreateEmpty("a"))

    assert rig.ask(ops.CreateEmpty("a"), repeated=True) == made
    with pytest.raises(SecretExists):
        rig.ask(ops.CreateEmpty("a"))


def test_the_arn_of_another_store_finds_nothing(rig: Rig) -> None:
    arn = rig.ask(ops.Create("a", "v")).arn

    assert rig.ask(ops.Get(arn)).arn == arn
    with pytest.raises(SecretNotFound):
        rig.ask(ops.Get(arn.replace("arn:", "arn:other-", 1)))


def test_current_versions_are_told_without_a_value_and_an_error_beside_them(rig: Rig) -> None:
    version_id = rig.ask(ops.Create("a", "v")).version_id
    rig.ask(ops.CreateEmpty("empty"))

    told = rig.ask(ops.CurrentVersions(("a", "empty", "none")))

    assert told.found["a"].version_id == version_id
    assert {name: type(error) for name, error in told.errors.items()} == {
        "empty": SecretNotFound,
        "none": SecretNotFound,
    }


def test_a_delete_that_may_have_taken_effect_and_has_is_done(rig: Rig) -> None:
    rig.ask(ops.Create("a", "one", token(1)))
    first = rig.ask(ops.Delete("a"))

    assert rig.ask(ops.Delete("a"), repeated=True) == first
    with pytest.raises(SecretDeleted):
        rig.ask(ops.Delete("a"))
