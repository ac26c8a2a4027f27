"""Versions and their stages: the one before the last set is AWSPREVIOUS."""

from contextlib import suppress

import pytest

from secrets_actor.domain.errors import InvalidAnswer, InvalidRequest, SecretNotFound, SecretsError
from secrets_actor.domain.operations import AWSCURRENT, AWSPENDING, AWSPREVIOUS, Put
from tests.contract.store import Store, failure, new_token


def test_the_value_before_the_last_set_is_read_by_stage(store: Store) -> None:
    first = store.set(store.name(), "one")
    store.set(store.name(), "two")

    previous = store.get(store.name(), stage=AWSPREVIOUS)

    assert (previous.reveal(), previous.version_id) == ("one", first.version_id)
    assert previous.stages == (AWSPREVIOUS,)


def test_the_stages_move_on_with_every_set(store: Store) -> None:
    for value in ("one", "two", "three"):
        store.set(store.name(), value)

    assert store.get(store.name(), stage=AWSCURRENT).reveal() == "three"
    assert store.get(store.name(), stage=AWSPREVIOUS).reveal() == "two"


def test_a_new_secret_has_no_previous_version(store: Store) -> None:
    store.set(store.name(), "one")

    with pytest.raises(SecretNotFound):
        store.get(store.name(), stage=AWSPREVIOUS)


def test_a_version_is_read_by_its_id(store: Store) -> None:
    first, second = store.set(store.name(), "one"), store.set(store.name(), "two")

    assert store.get(store.name(), version_id=first.version_id).reveal() == "one"
    assert store.get(store.name(), version_id=second.version_id).reveal() == "two"


def test_a_version_without_a_stage_is_still_read_by_its_id(store: Store) -> None:
    first = store.set(store.name(), "one")
    store.set(store.name(), "two")
    store.set(store.name(), "three")

    if store.diverges("old-version-by-id"):
        with pytest.raises(SecretNotFound):
            store.get(store.name(), version_id=first.version_id)
    else:
        old = store.get(store.name(), version_id=first.version_id)
        assert (old.reveal(), old.stages) == ("one", ())


def test_the_first_of_twelve_versions_is_still_read_by_its_id(store: Store) -> None:
    made = [store.set(store.name(), f"value {number}").version_id for number in range(12)]

    kept = []
    for version_id in made:
        with suppress(SecretNotFound):
            kept.append(store.get(store.name(), version_id=version_id).version_id)

    if store.diverges("old-version-by-id"):
        assert kept == made[-2:]
    else:
        assert kept == (made[-10:] if store.diverges("ten-versions") else made)


def test_a_version_is_read_by_id_and_stage_together_when_they_match(store: Store) -> None:
    first = store.set(store.name(), "one")
    store.set(store.name(), "two")

    assert store.get(store.name(), version_id=first.version_id, stage=AWSPREVIOUS).reveal() == "one"


def test_a_version_id_and_a_stage_that_do_not_match_are_refused(store: Store) -> None:
    first = store.set(store.name(), "one")
    store.set(store.name(), "two")

    if store.diverges("version-and-stage-mismatch"):
        refusals: type[SecretsError] = InvalidAnswer  # AWSCURRENT is not among the labels of what it answers
    else:
        refusals = InvalidRequest
    refusal = failure(lambda: store.get(store.name(), version_id=first.version_id, stage=AWSCURRENT))
    assert type(refusal) is refusals


def test_a_version_or_stage_that_is_not_there_is_not_found(store: Store) -> None:
    store.set(store.name(), "one")

    with pytest.raises(SecretNotFound):
        store.get(store.name(), version_id=new_token())
    with pytest.raises(SecretNotFound):
        store.get(store.name(), stage=AWSPENDING)
    with pytest.raises(SecretNotFound):
        store.get(store.name(), stage="no-such-stage")


def test_any_character_may_be_in_a_label(store: Store) -> None:
    """AWS's service model: 1 to 256 characters, whatever they are."""
    stages = ["one\ntwo", "a b", "\N{SNOWMAN}", "x" * 256]
    store.set(store.name(), "one")

    labelled = Put(store.name(), "two", stages, new_token())
    if store.diverges("no-labels-of-ones-own"):
        assert type(failure(lambda: store.ask(labelled))) is InvalidRequest
        return
    put = store.ask(labelled).value

    assert sorted(put.stages) == sorted(stages)
    assert sorted(store.get(store.name(), version_id=put.version_id).stages) == sorted(stages)
    for stage in stages:
        assert store.get(store.name(), stage=stage).reveal() == "two"
