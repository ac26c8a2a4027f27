"""The local store's records keep what the port says, within one transaction and after it."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from secrets_actor.backends.local import entry_codec, open_store
from secrets_actor.backends.local.open_store import OpenStore
from secrets_actor.backends.local.sqlite_records import SqliteRecords
from secrets_actor.domain.errors import DecryptionFailed, StoreDamaged
from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.semantics.entry import Entry, Version
from tests.backends.local.helpers import START, ask, key_of, tamper, within


class Stop(Exception):
    """What a test's work ends with."""


@pytest.fixture
def opened(folder: Path) -> Iterator[OpenStore]:
    one = open_store.open_store(
        folder, key_of(folder), deadline=within().deadline, closed=threading.Event(), makes=True
    )
    yield one
    one.store.close()


def entry(name: str, *versions: str) -> Entry:
    found = tuple(Version(version, START) for version in versions)
    stages = {"AWSCURRENT": versions[-1]} if versions else {}
    return Entry(
        name, entry_codec.arn(entry_codec.ARN_PREFIX, name, "AbCdEf"), START, START, versions=found, stages=stages
    )


def names(records: SqliteRecords) -> list[str]:
    return sorted(one.name for one in records.every())


def test_a_value_may_come_before_the_entry_it_is_of(opened: OpenStore) -> None:
    def work(records: SqliteRecords) -> None:
        for name in "ab":
            records.put_value(entry(name), "1", SecretValue(f"value of {name}"))
        for name in "ab":
            records.keep(entry(name, "1"))

    opened.write(work, within().deadline)

    for name in "ab":
        value = opened.read(lambda records, name=name: records.value(entry(name, "1"), "1"), within().deadline)
        assert value.reveal() == f"value of {name}"


def test_a_transaction_sees_its_own_changes_and_its_failure_takes_them_back(opened: OpenStore) -> None:
    opened.write(lambda records: records.keep(entry("a", "1")), within().deadline)
    ends = START + timedelta(days=7)

    def work(records: SqliteRecords) -> None:
        assert names(records) == ["a"]
        records.keep(entry("b"))
        records.keep(replace(entry("a", "1"), description="changed", deletion_date=ends))
        assert names(records) == ["a", "b"]
        assert [one.name for one in records.overdue(ends)] == ["a"]
        assert [one.name for one in records.overdue(ends - timedelta(microseconds=1))] == []
        records.remove(entry("a", "1"))
        assert names(records) == ["b"]
        assert not list(records.overdue(ends))
        raise Stop

    with pytest.raises(Stop):
        opened.write(work, within().deadline)

    assert opened.read(lambda records: records.find("a"), within().deadline) == entry("a", "1")
    assert opened.read(names, within().deadline) == ["a"]


def test_values_are_dropped_one_by_one(opened: OpenStore) -> None:
    def work(records: SqliteRecords) -> None:
        records.keep(entry("a", "1", "2"))
        for version in "123":
            records.put_value(entry("a"), version, SecretValue(version))
        records.drop_values(entry("a"), ("1", "3"))

    opened.write(work, within().deadline)

    assert opened.read(lambda records: records.value(entry("a"), "2"), within().deadline).reveal() == "2"
    for version in "13":
        with pytest.raises(DecryptionFailed, match="is missing"):
            opened.read(lambda records, version=version: records.value(entry("a"), version), within().deadline)


def test_an_entry_that_was_accessed_before_keeps_its_day(opened: OpenStore, folder: Path) -> None:
    day = START.replace(hour=0)
    opened.write(lambda records: records.keep(replace(entry("a"), accessed_at=day)), within().deadline)

    opened.forget()
    found = opened.read(lambda records: records.find("a"), within().deadline)
    assert found is not None
    assert found.accessed_at == day


def test_suffixes_are_as_aws_has_them(opened: OpenStore) -> None:
    suffixes = opened.read(lambda records: {records.new_suffix() for _ in range(20)}, within().deadline)

    assert len(suffixes) == 20
    assert all(len(one) == 6 and one.isalnum() for one in suffixes)


def test_an_access_to_what_is_gone_is_not_noted(opened: OpenStore) -> None:
    opened.read(lambda records: records.accessed(entry("never"), START), within().deadline)


def test_a_damaged_index_makes_no_secret_missing_and_none_twice(opened: OpenStore, folder: Path) -> None:
    for name in "ab":
        opened.write(lambda records, name=name: records.keep(entry(name)), within().deadline)
    assert opened.read(lambda records: records.find("c"), within().deadline) is None
    tamper(folder, "PRAGMA wal_checkpoint(TRUNCATE)")
    locator = opened.keys.newest.locator("a")
    opened.store.close()
    whole = (folder / "secrets.db").read_bytes()
    ((index,),) = ask(folder, "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_secrets_1'")
    page = whole[(index - 1) * 4096 : index * 4096]
    assert locator in page
    changed = page.replace(locator, locator[:-1] + bytes((locator[-1] ^ 1,)))
    (folder / "secrets.db").write_bytes(whole.replace(page, changed))

    anew = open_store.open_store(folder, key_of(folder), deadline=within().deadline, closed=threading.Event())
    try:
        with pytest.raises(DecryptionFailed, match="secret a cannot be opened: its record is missing"):
            anew.read(lambda records: records.find("a"), within().deadline)
        with pytest.raises(StoreDamaged):
            anew.write(lambda records: records.keep(entry("c")), within().deadline)
        found = anew.read(lambda records: records.find("b"), within().deadline)
        assert found == entry("b")
    finally:
        anew.store.close()


def test_a_table_that_hides_a_row_gives_no_list(opened: OpenStore, folder: Path) -> None:
    """As a damaged page may: the index on the locators still knows it."""
    for name in "ab":
        opened.write(lambda records, name=name: records.keep(entry(name)), within().deadline)
    (root,) = ask(folder, "SELECT rootpage FROM sqlite_master WHERE name = 'secrets'")[0]
    tamper(folder, "PRAGMA wal_checkpoint(TRUNCATE)")
    opened.store.close()
    whole = bytearray((folder / "secrets.db").read_bytes())
    cells = (root - 1) * 4096 + 3  # of a leaf's header: how many cells it has (sqlite.org/fileformat2.html, 1.6)
    assert whole[cells : cells + 2] == b"\0\2"
    whole[cells + 1] = 1
    (folder / "secrets.db").write_bytes(whole)

    anew = open_store.open_store(folder, key_of(folder), deadline=within().deadline, closed=threading.Event())
    try:
        with pytest.raises(StoreDamaged):
            anew.read(names, within().deadline)
    finally:
        anew.store.close()
