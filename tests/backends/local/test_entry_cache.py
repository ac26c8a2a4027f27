"""What was opened lately is used again only where it is sure to be as it is in the database."""

from datetime import UTC, datetime

import pytest

from secrets_actor.backends.local import entry_cache as module
from secrets_actor.backends.local.entry_cache import EntryCache, HeadRow
from secrets_actor.domain.semantics.entry import Entry

AT = datetime(2026, 1, 1, tzinfo=UTC)


def entry(name: str) -> Entry:
    return Entry(name, name, AT, AT)


def row(secret: int, head: bytes = b"head") -> HeadRow:
    return secret, b"locator", 1, head, None, None


@pytest.fixture
def heads() -> EntryCache:
    heads = EntryCache()
    assert not heads.is_current(1)
    heads.note_other_writer(1)
    assert heads.is_current(1)
    for number, name in enumerate("ab"):
        heads.put(row(number), entry(name))
    heads.note_all_ids({0, 1})
    return heads


def names(heads: EntryCache) -> list[str] | None:
    found = heads.every()
    return None if found is None else sorted(kept.entry.name for kept in found)


def name_of(heads: EntryCache, name: str) -> int | None:
    kept = heads.of_name(name)
    return None if kept is None else kept.row[0]


def test_what_is_sure_is_given_without_a_look_at_the_rows(heads: EntryCache) -> None:
    assert names(heads) == ["a", "b"]
    assert name_of(heads, "a") == 0
    assert name_of(heads, "c") is None


def test_after_another_s_write_only_a_row_that_is_the_same_counts(heads: EntryCache) -> None:
    assert not heads.is_current(2)
    heads.note_other_writer(2)

    assert names(heads) is None
    assert name_of(heads, "a") is None
    same = heads.of_row(row(0))
    assert same is not None
    assert same.entry.name == "a"
    assert name_of(heads, "a") == 0
    assert heads.of_row(row(1, b"another head")) is None
    assert heads.of_row(row(7)) is None


def test_what_a_write_puts_takes_the_place_of_what_was(heads: EntryCache) -> None:
    heads.put(row(0, b"new"), entry("renamed"))
    heads.drop(1)
    heads.drop(1)

    assert names(heads) == ["renamed"]
    assert [name_of(heads, name) for name in ("a", "b", "renamed")] == [None, None, 0]


def test_a_name_that_a_later_secret_has_stays_its_own(heads: EntryCache) -> None:
    heads.note_other_writer(2)
    heads.put(row(7), entry("a"))
    heads.note_all_ids({1, 7})

    assert name_of(heads, "a") == 7


def test_rows_that_are_not_here_leave_the_list_unsure(heads: EntryCache) -> None:
    heads.note_other_writer(2)
    heads.note_all_ids({0, 1, 2})

    assert names(heads) is None


def test_a_transaction_that_failed_leaves_nothing(heads: EntryCache) -> None:
    heads.dirty = True
    heads.put(row(2), entry("c"))

    assert heads.is_current(1)
    assert len(heads) == 0
    assert names(heads) is None
    assert not heads.dirty


def test_no_more_than_most_are_kept(heads: EntryCache) -> None:
    heads.dirty = True
    heads.put(row(0, b"new"), entry("a"))
    for number in range(2, module.MOST):
        heads.put(row(number), entry(f"{number}"))
    assert len(heads) == module.MOST

    heads.put(row(module.MOST), entry("one too many"))

    assert len(heads) == 1
    assert heads.dirty
    assert names(heads) is None


def test_a_day_of_access_is_part_of_the_row(heads: EntryCache) -> None:
    heads.note_access(0, 20_000)
    heads.note_access(7, 20_000)

    kept = heads.of_name("a")
    assert kept is not None
    assert kept.row[-1] == 20_000
    assert kept.entry.accessed_at == datetime(2024, 10, 4, tzinfo=UTC)
