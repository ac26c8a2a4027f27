"""Deleting and restoring mean what they mean at AWS."""

from datetime import timedelta
from pathlib import Path

import pytest

from secrets_actor.backends.local.backend import LocalBackend
from secrets_actor.domain.errors import (
    SecretDeleted,
    SecretNotFound,
)
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import Delete, Get, List, Restore, Set
from tests.backends.local.helpers import START, WallClock, do


def token(number: int) -> str:
    return f"{number:032d}"


def names(backend: LocalBackend, *, include_deleted: bool = False) -> list[str]:
    return [info.name for info in do(backend, List(include_deleted=include_deleted))]


@pytest.mark.parametrize(("asked", "days"), [(None, 30), (7, 7), (30, 30)])
def test_a_soft_delete_names_the_day_and_hides_the_secret(backend: LocalBackend, asked: int | None, days: int) -> None:
    arn = do(backend, Set("a", "one")).arn

    receipt = do(backend, Delete("a", recovery_window=asked))

    assert (receipt.name, receipt.arn, receipt.deletion_date) == ("a", arn, START + timedelta(days=days))
    assert names(backend) == []
    assert names(backend, include_deleted=True) == ["a"]
    for operation in (Get("a"), Get(arn), Set("a", "two"), Set(arn, "two"), Delete("a")):
        with pytest.raises(SecretDeleted, match="restore it first"):
            do(backend, operation)


def test_a_restored_secret_is_as_it_was(backend: LocalBackend) -> None:
    receipt = do(backend, Set("a", "one", token=token(1)))
    do(backend, Set("a", "two", token=token(2)))
    do(backend, Delete("a"))

    restored = do(backend, Restore("a"))

    assert (restored.name, restored.arn) == ("a", receipt.arn)
    assert do(backend, Get("a")).reveal() == "two"
    assert do(backend, Get("a", stage="AWSPREVIOUS")).reveal() == "one"


def test_a_restore_of_a_live_secret_changes_nothing(backend: LocalBackend, clock: WallClock) -> None:
    do(backend, Set("a", "one"))
    before = do(backend, List())
    clock.advance(hours=1)

    do(backend, Restore("a"))

    assert do(backend, List()) == before


def test_a_forced_delete_is_at_once_and_for_good(backend: LocalBackend) -> None:
    first = do(backend, Set("a", "one"))

    receipt = do(backend, Delete("a", force=True))

    assert (receipt.name, receipt.arn, receipt.deletion_date) == ("a", first.arn, START)
    for operation in (Get("a"), Restore("a")):
        with pytest.raises(SecretNotFound):
            do(backend, operation)
    assert names(backend, include_deleted=True) == []
    anew = do(backend, Set("a", "two"))
    assert anew.created
    assert anew.arn != first.arn


def test_a_forced_delete_takes_a_scheduled_secret_too(backend: LocalBackend) -> None:
    do(backend, Set("a", "one"))
    do(backend, Delete("a"))

    do(backend, Delete("a", force=True))

    assert names(backend, include_deleted=True) == []


def test_a_forced_delete_of_a_missing_secret_succeeds(backend: LocalBackend) -> None:
    receipt = do(backend, Delete("a", force=True))

    assert (receipt.name, receipt.deletion_date) == ("a", START)
    assert SecretId(receipt.arn).lanes[0] == "a"
    assert do(backend, Delete(receipt.arn, force=True)).arn == receipt.arn


def test_past_the_recovery_window_the_secret_is_gone(backend: LocalBackend, clock: WallClock, folder: Path) -> None:
    do(backend, Set("a", "one"))
    do(backend, Delete("a", recovery_window=7))

    clock.advance(days=7, microseconds=-1)
    with pytest.raises(SecretDeleted):
        do(backend, Get("a"))
    clock.advance(microseconds=1)

    for operation in (Get("a"), Restore("a"), Delete("a")):
        with pytest.raises(SecretNotFound):
            do(backend, operation)
    assert names(backend, include_deleted=True) == []
    clock.advance(days=-1)  # it is purged, not only hidden: an earlier clock does not bring it back
    assert names(backend, include_deleted=True) == []
    assert do(backend, Set("a", "two")).created
