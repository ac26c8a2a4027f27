"""Moving labels from one version to another."""

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import InvalidRequest, SecretNotFound, StoreError
from secrets_actor.domain.operations import AWSCURRENT, AWSPENDING, AWSPREVIOUS
from tests.contract.store import Store, failure, new_token


def labels(store: Store) -> dict[str, tuple[str, ...]]:
    known = store.ask(ops.Describe(store.name())).value.versions
    return {version_id: tuple(sorted(stages)) for version_id, stages in known.items() if stages}


def test_a_stage_is_moved_from_one_version_to_another(store: Store) -> None:
    first, second = store.set(store.name(), "one"), store.set(store.name(), "two")
    back = ops.MoveStage(store.name(), AWSCURRENT, to=first.version_id, remove_from=second.version_id)

    moved = store.ask(back).value

    assert (moved.name, moved.arn) == (store.name(), first.arn)
    assert store.get(store.name()).reveal() == "one"
    assert store.get(store.name(), stage=AWSPREVIOUS).reveal() == "two"
    is_new = store.get(store.name()).version_id != first.version_id
    assert is_new is store.diverges("moved-current-is-a-new-version")


def test_a_stage_of_ones_own_is_put_on_and_taken_off(store: Store) -> None:
    made = store.set(store.name(), "one")
    put_on = ops.MoveStage(store.name(), "mine", to=made.version_id)

    if store.diverges("no-labels-of-ones-own"):
        assert type(failure(lambda: store.ask(put_on))) is InvalidRequest
        return
    store.ask(put_on)
    assert store.get(store.name(), stage="mine").reveal() == "one"

    store.ask(ops.MoveStage(store.name(), "mine", remove_from=made.version_id))
    assert type(failure(lambda: store.get(store.name(), stage="mine"))) is SecretNotFound


def test_a_label_that_is_on_another_version_is_moved_only_by_who_names_that(store: Store) -> None:
    first, second = store.set(store.name(), "one").version_id, store.set(store.name(), "two").version_id
    labelled = not store.diverges("no-labels-of-ones-own")
    if labelled:
        store.ask(ops.MoveStage(store.name(), "mine", to=first))

    for stage, wrong in ((AWSCURRENT, None), (AWSCURRENT, first), ("mine", second)):
        to = first if stage == AWSCURRENT else second
        refusal = failure(
            lambda stage=stage, wrong=wrong, to=to: store.ask(ops.MoveStage(store.name(), stage, to, wrong))
        )
        assert type(refusal) is InvalidRequest
    unnamed = ops.MoveStage(store.name(), "mine", to=second)
    if not labelled:
        assert labels(store) == {first: (AWSPREVIOUS,), second: (AWSCURRENT,)}
    elif store.diverges("label-on-two-versions"):
        store.ask(unnamed)
        assert labels(store) == {first: (AWSPREVIOUS, "mine"), second: (AWSCURRENT, "mine")}
    else:
        assert type(failure(lambda: store.ask(unnamed))) is InvalidRequest
        assert labels(store) == {first: (AWSPREVIOUS, "mine"), second: (AWSCURRENT,)}

        store.ask(ops.MoveStage(store.name(), "mine", to=second, remove_from=first))
        assert labels(store) == {first: (AWSPREVIOUS,), second: (AWSCURRENT, "mine")}


def test_current_is_not_taken_off(store: Store) -> None:
    only = store.set(store.name(), "one").version_id
    asked = ops.MoveStage(store.name(), AWSCURRENT, remove_from=only)

    if store.diverges("current-taken-off"):
        store.ask(asked)
        assert AWSCURRENT not in labels(store).get(only, ())
    else:
        assert type(failure(lambda: store.ask(asked))) is InvalidRequest
        assert labels(store) == {only: (AWSCURRENT,)}


def test_the_label_on_the_version_before_is_taken_off(store: Store) -> None:
    first, second = store.set(store.name(), "one").version_id, store.set(store.name(), "two").version_id

    taken_off = ops.MoveStage(store.name(), AWSPREVIOUS, remove_from=first)

    if store.diverges("no-labels-of-ones-own"):
        assert type(failure(lambda: store.ask(taken_off))) is InvalidRequest
        assert labels(store) == {first: (AWSPREVIOUS,), second: (AWSCURRENT,)}
    else:
        store.ask(taken_off)
        assert labels(store) == {second: (AWSCURRENT,)}


def test_no_label_is_moved_to_or_from_what_is_not_there(store: Store) -> None:
    only = store.set(store.name(), "one").version_id

    for asked in (
        ops.MoveStage(store.name(), "mine", to=new_token()),
        ops.MoveStage(store.name(), "mine", remove_from=new_token()),
        ops.MoveStage(store.name("missing"), "mine", to=only),
    ):
        assert isinstance(failure(lambda asked=asked: store.ask(asked)), StoreError)
    assert labels(store) == {only: (AWSCURRENT,)}


WRITES = {
    "put": lambda name: ops.Put(name, "three", token=new_token()),
    "put with stages": lambda name: ops.Put(name, "three", [AWSCURRENT], new_token()),
    "update": lambda name: ops.Update(name, "three", token=new_token()),
    "set": lambda name: ops.Set(name, "three", new_token()),
    "regenerate": lambda name: ops.Regenerate(name, "bytes", token=new_token()),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_new_current_version_takes_pending_off_the_one_before(store: Store, write: str) -> None:
    """A rotation may leave it on the current version; on one that is not current it would mean one under way."""
    store.set(store.name(), "one")
    second = store.set(store.name(), "two").version_id
    labelled = not store.diverges("no-labels-of-ones-own")
    for stage in (AWSPENDING, "mine"):
        asked = ops.MoveStage(store.name(), stage, to=second)
        if labelled:
            store.ask(asked)
        else:
            assert type(failure(lambda asked=asked: store.ask(asked))) is InvalidRequest
    assert labels(store)[second] == ((AWSCURRENT, AWSPENDING, "mine") if labelled else (AWSCURRENT,))

    third = store.ask(WRITES[write](store.name())).value.version_id

    left = (AWSPENDING,) if store.diverges("put-leaves-pending") else ()
    own = () if store.diverges("put-takes-labels") or not labelled else ("mine",)
    assert labels(store) == {second: (*left, AWSPREVIOUS, *own), third: (AWSCURRENT,)}


def test_what_is_pending_beside_the_current_version_stays_so(store: Store) -> None:
    first = store.set(store.name(), "one").version_id
    pending = ops.Put(store.name(), "two", [AWSPENDING], new_token())
    if store.diverges("no-labels-of-ones-own"):
        assert type(failure(lambda: store.ask(pending))) is InvalidRequest
        assert labels(store) == {first: (AWSCURRENT,)}
        return
    second = store.ask(pending).value.version_id
    third = store.ask(ops.Put(store.name(), "three", token=new_token())).value.version_id

    assert labels(store) == {first: (AWSPREVIOUS,), second: (AWSPENDING,), third: (AWSCURRENT,)}


def test_who_moves_current_moves_no_other_label_but_the_previous_one(store: Store) -> None:
    first = store.set(store.name(), "one").version_id
    labelled = ops.Put(store.name(), "two", [AWSPENDING, "mine"], new_token())
    if store.diverges("no-labels-of-ones-own"):
        assert type(failure(lambda: store.ask(labelled))) is InvalidRequest
        return
    second = store.ask(labelled).value.version_id
    for to, remove_from in ((second, first), (first, second)):
        store.ask(ops.MoveStage(store.name(), AWSCURRENT, to=to, remove_from=remove_from))

    assert labels(store) == {first: (AWSCURRENT,), second: (AWSPENDING, AWSPREVIOUS, "mine")}
