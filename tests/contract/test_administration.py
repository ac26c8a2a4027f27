"""Lists, tags, passwords, rotation."""

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import InvalidRequest
from secrets_actor.domain.operations import AWSPREVIOUS, Filter, SortBy
from secrets_actor.domain.results import SecretDescription
from tests.contract.store import Store, failure, new_token, outcome


def describe(store: Store, name: str | None = None) -> SecretDescription:
    return store.ask(ops.Describe(name or store.name())).value


# --- many ------------------------------------------------------------------------------------------------------------


def test_many_are_listed_page_by_page(store: Store) -> None:
    expected = [store.name(f"{number}") for number in range(7)]
    for name in expected:
        store.set(name, "hunter2")

    store.sees(lambda: sorted(one.name for one in store.pages(ops.ListPage((store.ours(),), page_size=3))), expected)


def test_a_list_is_filtered_by_name_and_by_tag(store: Store) -> None:
    key, one, two = f"team-{new_token()}", store.name("one"), store.name("two")
    store.ask(ops.Create(one, "v", new_token(), tags={key: "db"}))
    store.ask(ops.Create(two, "v", new_token(), tags={key: "web"}))
    of_this_test = Filter("tag-key", key)

    def finds(names: list[str], *filters: Filter) -> None:
        store.sees(lambda: sorted(found.name for found in store.pages(ops.ListPage(filters))), names)

    finds([one, two], of_this_test)
    finds([one], Filter("name", store.name("o")))
    finds([two], of_this_test, Filter("tag-value", ["web"]))
    finds([one], of_this_test, Filter("name", store.name("o")))
    not_one = Filter("name", f"!{store.name('o')}")
    finds([] if store.diverges("negated-filter") else [two], of_this_test, not_one)


def test_a_list_is_sorted_by_name_when_asked_for(store: Store) -> None:
    for suffix in ("b", "c", "a"):
        store.set(store.name(suffix), "hunter2")
    asked = ops.ListPage((store.ours(),), SortBy.NAME, descending=True)
    expected = [store.name(suffix) for suffix in "cba"]

    if store.diverges("sort-by-name"):
        found = [one.name for one in store.pages(asked)]
        assert found != expected
        assert sorted(found, reverse=True) == expected
    else:
        store.sees(lambda: [one.name for one in store.pages(asked)], expected)


def test_a_list_is_sorted_by_creation(store: Store) -> None:
    names = [store.name(suffix) for suffix in "bca"]
    for name in names:
        store.set(name, "hunter2")
    by_name = sorted(names)
    expected = by_name if store.diverges("sort-by-creation") else names

    asked = ops.ListPage((store.ours(),), SortBy.CREATED, descending=False)
    store.sees(lambda: [one.name for one in store.pages(asked)], expected)


def test_a_list_is_searched_by_words_and_by_case(store: Store) -> None:
    one, two = store.name("One"), store.name("two")
    word = "".join("ghijklmnopqrstuv"[int(digit, 16)] for digit in new_token()[:8])
    store.ask(ops.Create(one, "v", new_token(), f"{word} of the Main database"))
    store.ask(ops.Create(two, "v", new_token(), "no", {"key": word}))

    def finds(names: list[str], *filters: Filter) -> None:
        store.sees(lambda: sorted(found.name for found in store.pages(ops.ListPage(filters))), names)

    finds([one], Filter("description", word.upper()))
    finds([one], store.ours(), Filter("name", store.name("One")))
    wrong_case = store.diverges("name-in-any-case")
    finds([one] if wrong_case else [], store.ours(), Filter("name", store.name("oNE")))
    anything = store.diverges("all-is-ignored")
    finds([one, two], store.ours(), Filter("all", word.upper()))
    finds([one, two] if anything else [one], store.ours(), Filter("all", f"{word} main"))
    finds([one, two] if anything else [], store.ours(), Filter("all", "nobody-has-this-word"))


def test_a_page_of_deleted_secrets_is_listed_only_when_asked_for(store: Store) -> None:
    for suffix in ("kept", "deleted"):
        store.set(store.name(suffix), "hunter2")
    store.delete(store.name("deleted"))

    def found(include_deleted: bool) -> list[str]:
        asked = ops.ListPage((store.ours(),), include_deleted=include_deleted)
        return sorted(one.name for one in store.pages(asked) if one.deleted_at is None or include_deleted)

    store.sees(lambda: found(False), [store.name("kept")])
    store.sees(lambda: found(True), [store.name("deleted"), store.name("kept")])


def test_a_token_that_no_page_brought_is_refused(store: Store) -> None:
    store.set(store.name(), "hunter2")

    for asked in (
        ops.ListPage((store.ours(),), next_token="no token"),
        ops.ListVersions(store.name(), next_token="no token"),
    ):
        if store.diverges("any-token-goes"):
            assert type(outcome(lambda asked=asked: store.ask(asked))) is not InvalidRequest
        else:
            assert type(failure(lambda asked=asked: store.ask(asked))) is InvalidRequest


# --- tags ------------------------------------------------------------------------------------------------------------


def test_tags_are_set_changed_and_taken_off(store: Store) -> None:
    store.set(store.name(), "one")
    store.ask(ops.Tag(store.name(), {"a": "1", "b": "2"}))
    store.ask(ops.Tag(store.name(), {"b": "3", "c": ""}))
    assert dict(describe(store).tags) == {"a": "1", "b": "3", "c": ""}

    store.ask(ops.Untag(store.name(), ["a", "c", "never-there"]))

    assert dict(describe(store).tags) == {"b": "3"}


# --- passwords, rotation ---------------------------------------------------------------------------------------------


def test_a_password_is_as_it_was_asked_for(store: Store) -> None:
    asked = ops.RandomPassword(length=60, exclude="abc", numbers=False, punctuation=False, uppercase=False)

    one, two = store.ask(asked).value, store.ask(asked).value

    password = str(one.reveal())
    assert len(password) == 60
    assert password.isalpha()
    assert password.islower()
    assert not set(password) & set("abc")
    assert one != two


@pytest.mark.parametrize("generate", list(ops.Generated))
def test_a_new_value_is_generated_and_is_current(store: Store, generate: ops.Generated) -> None:
    first = store.set(store.name(), "one")
    asked = ops.Regenerate(store.name(), generate, ops.RandomPassword(40), new_token())

    made = store.ask(asked).value

    current = store.get(store.name())
    assert (made.version_id, current.version_id) == (asked.token, asked.token)
    assert len(current.reveal()) == (40 if generate == "password" else 44)
    assert store.get(store.name(), stage=AWSPREVIOUS).version_id == first.version_id


def test_a_generated_value_asked_for_twice_with_one_token_is_made_once(store: Store) -> None:
    store.set(store.name(), "one")
    asked = ops.Regenerate(store.name(), "bytes", token=new_token())
    store.ask(asked)
    value = store.get(store.name()).reveal()

    again = store.ask(asked).value

    assert again.version_id == asked.token
    if store.diverges("put-same-token-other-value"):
        assert store.get(store.name()).reveal() != value
    else:
        assert store.get(store.name()).reveal() == value


def test_a_rotation_without_a_function_is_refused(store: Store) -> None:
    store.set(store.name(), "one")
    asked = ops.Rotate(store.name(), token=new_token())

    if store.diverges("rotation-without-function"):
        store.ask(asked)
    else:
        assert type(failure(lambda: store.ask(asked))) is InvalidRequest


def test_a_rotation_that_there_is_not_is_not_cancelled(store: Store) -> None:
    store.set(store.name(), "one")

    assert type(failure(lambda: store.ask(ops.CancelRotation(store.name())))) is InvalidRequest
