"""Lists are whole, whatever the page size, and tell no value."""

from datetime import UTC, datetime, timedelta

import pytest

from secrets_actor.domain.operations import List, ListPage, Set
from secrets_actor.domain.results import SecretDescription
from secrets_actor.domain.secret import SecretValue
from tests.contract.backends import LIVE
from tests.contract.store import RECOVERY_WINDOW, Store, new_token


def test_an_empty_store_lists_nothing(store: Store) -> None:
    if store.where == LIVE:  # others may keep secrets there
        assert store.all() == ()
    else:
        assert store.ask(List()).value == ()


def test_a_list_tells_name_arn_description_and_times(store: Store) -> None:
    receipt = store.set(store.name(), "hunter2", description="what it is for")
    store.sees(lambda: [info.name for info in store.all()], [store.name()])

    (info,) = store.all()

    assert (info.name, info.arn, info.description) == (store.name(), receipt.arn, "what it is for")
    assert info.deleted_at is None
    for moment in (info.created_at, info.changed_at):
        assert moment is not None
        assert moment.tzinfo is UTC
        assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


def test_a_list_tells_of_each_secret_what_its_pages_tell(store: Store) -> None:
    for suffix in ("a", "b"):
        name = store.name(suffix)
        store.ask(Set(name, SecretValue("hunter2"), new_token(), f"of {suffix}", {"team": suffix}))
    second = store.set(store.name("a"), "hunter3")

    def both() -> "list[tuple[SecretDescription, ...]]":
        pages = store.pages(ListPage((store.ours(),), page_size=1))
        return [tuple(sorted(found, key=lambda one: one.name)) for found in (store.all(), pages)]

    store.sees(lambda: [len(found) for found in both()], [2, 2])
    listed, paged = both()

    assert listed == paged
    assert [one.tags for one in listed] == [{"team": "a"}, {"team": "b"}]
    assert listed[0].versions[second.version_id] == ("AWSCURRENT",)


def test_a_secret_without_a_description_lists_none(store: Store) -> None:
    store.set(store.name(), "hunter2")

    store.sees(lambda: [info.description for info in store.list()], [None])


def test_a_set_without_a_description_keeps_the_one_there_is(store: Store) -> None:
    store.set(store.name(), "one", description="first")
    store.set(store.name(), "two")
    store.sees(lambda: [info.description for info in store.list()], ["first"])

    store.set(store.name(), "three", description="second")

    store.sees(lambda: [info.description for info in store.list()], ["second"])


def test_several_versions_are_listed_as_one_secret(store: Store) -> None:
    for value in ("one", "two", "three"):
        store.set(store.name(), value)

    store.sees(store.names, [store.name()])


def test_deleted_secrets_are_listed_only_when_asked_for(store: Store) -> None:
    for suffix in ("kept", "deleted", "gone"):
        store.set(store.name(suffix), "hunter2")
    store.delete(store.name("deleted"))
    store.delete(store.name("gone"), force=True)

    store.sees(store.names, [store.name("kept")])
    store.sees(lambda: store.names(include_deleted=True), [store.name("deleted"), store.name("kept")])


def test_a_deleted_secret_lists_when_its_delete_was_asked_for(store: Store) -> None:
    store.set(store.name(), "hunter2")
    store.delete(store.name())
    store.sees(lambda: [info.deleted_at is not None for info in store.list(include_deleted=True)], [True])

    (info,) = store.list(include_deleted=True)

    assert info.deleted_at is not None
    days = RECOVERY_WINDOW if store.diverges("deleted-date-is-the-end") else 0
    assert abs(info.deleted_at - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=1)


def test_a_restored_secret_is_listed_as_before(store: Store) -> None:
    store.set(store.name(), "hunter2")
    store.delete(store.name())
    store.restore(store.name())

    store.sees(lambda: [(info.name, info.deleted_at) for info in store.list()], [(store.name(), None)])


@pytest.mark.parametrize("page_size", [1, 2, 3, 100])
def test_a_list_is_whole_whatever_the_page_size(store: Store, page_size: int) -> None:
    expected = [store.name(f"{number}") for number in range(5)]
    for name in expected:
        store.set(name, "hunter2")
    store.delete(expected[2])

    store.sees(lambda: store.names(page_size=page_size), [*expected[:2], *expected[3:]])
    store.sees(lambda: store.names(page_size=page_size, include_deleted=True), expected)


def test_250_secrets_are_listed_through_pages_of_100(store: Store) -> None:
    expected = [store.name(f"{number:03}") for number in range(250)]
    for name in expected:
        store.ask(Set(name, SecretValue(f"the value of {name}"), new_token()))

    store.sees(store.names, expected)
    assert len({info.arn for info in store.list()}) == 250
