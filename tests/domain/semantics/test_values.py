"""What a read notes, and what ends with the recovery window."""

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import SecretNotFound
from secrets_actor.domain.semantics import Entry, perform, purge
from secrets_actor.testing.memory_records import MemoryRecords
from tests.domain.semantics.rig import NOW, WINDOW, Rig


class Noting(MemoryRecords):
    """Records that count how often they are told of an access."""

    noted = 0

    def accessed(self, entry: Entry, now: object) -> None:
        type(self).noted += 1
        super().accessed(entry, now)  # type: ignore[arg-type]


def test_an_access_is_noted_by_day_and_only_when_it_is_news() -> None:
    rig = Rig()
    rig.records = Noting(WINDOW, lambda below: 0)
    rig.ask(ops.Set("a", "v"))
    assert rig.ask(ops.Describe("a")).accessed_at is None

    rig.ask(ops.Get("a"))
    rig.ask(ops.GetMany(["a", "b"]))
    assert Noting.noted == 1
    midnight = NOW.replace(hour=0)
    assert rig.ask(ops.Describe("a")).accessed_at == midnight

    rig.later(days=1)
    rig.ask(ops.Get("a"))
    assert Noting.noted == 2


def test_a_secret_whose_recovery_window_has_ended_is_not_there_whether_or_not_it_was_cleared_away() -> None:
    rig = Rig()
    rig.ask(ops.Set("a", "v"))
    rig.ask(ops.Delete("a", 7))
    rig.later(days=7)

    def read(operation: ops.Operation[object]) -> object:
        return perform(rig.records, operation, rig.now, new_id="", recovery_window=7, choose=lambda below: 0)

    with pytest.raises(SecretNotFound):
        read(ops.Describe("a"))
    assert read(ops.List(include_deleted=True)) == ()
    assert len(rig.records) == 1

    purge(rig.records, rig.now)
    assert len(rig.records) == 0


def test_a_write_clears_away_what_is_over() -> None:
    rig = Rig()
    rig.ask(ops.Set("a", "v"))
    rig.ask(ops.Delete("a", 7))
    rig.later(days=7)

    perform(rig.records, ops.Set("b", "v"), rig.now, new_id="x", recovery_window=7, choose=lambda below: 0)

    assert [one.name for one in rig.records.every()] == ["b"]
