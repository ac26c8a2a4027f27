"""Filters, order and pages."""

import base64
import itertools
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import InvalidRequest
from secrets_actor.domain.operations import Filter, FilterKey, ListPage, ListVersions, SortBy
from tests.domain.semantics.rig import Rig, token


@pytest.fixture
def rig() -> Rig:
    return Rig()


def names(rig: Rig, first: ListPage) -> list[str]:
    """The names on all pages from *first* on."""
    found, asked = list[str](), first
    while True:
        page = rig.ask(asked)
        assert len(page.secrets) <= first.page_size
        found += [one.name for one in page.secrets]
        if page.next_token is None:
            return found
        asked = after(first, page.next_token)


def after(first: ListPage, next_token: str) -> ListPage:
    return ListPage(first.filters, first.sort_by, first.descending, first.include_deleted, first.page_size, next_token)


FILTERED = [
    (FilterKey.NAME, "app/", ["app/Main-db", "app/other"]),
    (FilterKey.NAME, "App/", []),
    (FilterKey.NAME, "main", []),
    (FilterKey.NAME, "", ["app/Main-db", "app/other", "bare"]),
    (FilterKey.NAME, "!app/", ["bare"]),
    (FilterKey.DESCRIPTION, "the MAIN", ["app/Main-db"]),
    (FilterKey.DESCRIPTION, "data", ["app/Main-db"]),
    (FilterKey.DESCRIPTION, "base", ["app/Main-db"]),  # dataBase
    (FilterKey.DESCRIPTION, "ase", []),
    (FilterKey.DESCRIPTION, "!the", ["app/other", "bare"]),
    (FilterKey.DESCRIPTION, "", []),
    (FilterKey.TAG_KEY, "te", ["app/Main-db", "app/other"]),
    (FilterKey.TAG_KEY, "Te", []),
    (FilterKey.TAG_KEY, "!team", ["app/other", "bare"]),
    (FilterKey.TAG_VALUE, "blue", ["app/other"]),
    (FilterKey.TAG_VALUE, "!blue", ["app/Main-db", "bare"]),
    (FilterKey.ALL, "MAIN db", ["app/Main-db"]),
    (FilterKey.ALL, "blue", ["app/other"]),
    (FilterKey.ALL, "team red", ["app/Main-db"]),
    (FilterKey.ALL, "red blue", []),
    (FilterKey.ALL, "!red", ["app/other", "bare"]),
    (FilterKey.ALL, "/", []),
    (FilterKey.PRIMARY_REGION, "eu", []),
    (FilterKey.OWNING_SERVICE, "!rds", ["app/Main-db", "app/other", "bare"]),
    (FilterKey.NAME, ["bare", "app/o"], ["app/other", "bare"]),
]


# What moto's authors saw AWS do (its tests test_with_all_filter and test_with_all_filter_special_characters).
SPECIAL: Final = tuple(f"prod{mark}AppBeta{mark}0abcaf" for mark in "/_+=.@-")
SEEN_ON_AWS: Final = [
    ("SecretOne", ["SecretOne36"]),
    ("secret", ["SecretOne36", "SecretTwo36", "SecretFTag36"]),
    ("ret", []),
    ("sec", ["SecretOne36", "SecretTwo36", "SecretFTag36"]),
    ("SomeSecret", []),
    ("d", ["SecretTwo36"]),
    ("d t", ["SecretTwo36"]),
    ("t", ["SecretTwo36", "Thirdsecret36", "SecretFTag36"]),
    ("AppBeta", SPECIAL),
    ("Beta", SPECIAL),
    ("+", []),
    ("0abcaf", [*SPECIAL, "uat/COMPANY/0abcaf", "uat/COMPANYthings/0abcaf"]),
    ("company", ["uat/COMPANY/0abcaf"]),
    ("things", []),
    ("Ythings", ["uat/COMPANYthings/0abcaf"]),
]


@pytest.mark.parametrize(("value", "expected"), SEEN_ON_AWS)
def test_words_begin_and_end_where_they_do_on_aws(rig: Rig, value: str, expected: list[str]) -> None:
    for name in ("SecretOne36", "SecretTwo36", "Thirdsecret36", "SecretFTag36", "none36", *SPECIAL):
        rig.ask(ops.Create(name, "v", description="DescTwo" if name == "SecretTwo36" else None))
    for name in ("uat/COMPANY/0abcaf", "uat/COMPANYthings/0abcaf"):
        rig.ask(ops.Create(name, "v"))

    assert sorted(names(rig, ListPage((Filter(FilterKey.ALL, value),)))) == sorted(expected)


@pytest.mark.parametrize(("key", "values", "expected"), FILTERED)
def test_a_filter_leaves_what_fits(rig: Rig, key: FilterKey, values: str | list[str], expected: list[str]) -> None:
    rig.ask(ops.Create("app/Main-db", "v", description="the Main dataBase", tags={"team": "red", "x": "y"}))
    rig.ask(ops.Create("app/other", "v", tags={"tea": "blue"}))
    rig.ask(ops.Create("bare", "v"))

    assert names(rig, ListPage((Filter(key, values),))) == expected
    assert names(rig, ListPage((Filter(key, values), Filter("name", "!app/o")))) == [
        name for name in expected if name != "app/other"
    ]


@pytest.mark.parametrize("page_size", [1, 2, 100])
@pytest.mark.parametrize("descending", [None, False, True])
@pytest.mark.parametrize(
    ("by", "expected"),
    [(None, "cab"), (SortBy.CREATED, "cab"), (SortBy.NAME, "abc"), (SortBy.CHANGED, "abc"), (SortBy.ACCESSED, "cba")],
)
def test_a_list_is_sorted(rig: Rig, by: SortBy | None, expected: str, descending: bool | None, page_size: int) -> None:
    for name in "cab":
        rig.later(minutes=1)
        rig.ask(ops.Create(name, "v"))
    for name in "bc":
        rig.later(minutes=1)
        rig.ask(ops.Tag(name, {"k": "v"}))
    for name in "ba":
        rig.later(days=1)
        rig.ask(ops.Get(name))

    found = names(rig, ListPage(sort_by=by, descending=descending, page_size=page_size))

    assert "".join(found) == (expected[::-1] if descending else expected)


@given(
    before=st.sets(st.integers(0, 30), max_size=12),
    changes=st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=12),
    descending=st.booleans(),
    by=st.sampled_from((None, SortBy.NAME)),
    page_size=st.integers(1, 4),
)
def test_what_is_there_all_the_time_is_listed_once_while_others_come_and_go(
    before: set[int], changes: list[tuple[bool, int]], descending: bool, by: SortBy | None, page_size: int
) -> None:
    rig = Rig()
    for number in sorted(before):
        rig.ask(ops.Create(f"s{number:02}", "v"))
    stayed = {f"s{number:02}" for number in before}
    first, coming = ListPage(sort_by=by, descending=descending, page_size=page_size), iter(changes)
    asked, found = first, list[str]()
    while True:
        page = rig.ask(asked)
        found += [one.name for one in page.secrets]
        if page.next_token is None:
            break
        for made, number in itertools.islice(coming, 2):
            rig.later(seconds=1)
            name = f"s{number:02}"
            rig.ask(ops.Set(name, "v") if made else ops.Delete(name, force=True))
            stayed -= set() if made else {name}
        asked = after(first, page.next_token)

    assert stayed <= set(found)
    assert all(found.count(name) == 1 for name in stayed)


def test_a_token_of_another_list_is_refused(rig: Rig) -> None:
    for name in ("a", "b"):
        rig.ask(ops.Create(name, "v"))
        rig.ask(ops.Put(name, "w", ["mine"]))
    lists = [
        ListPage(page_size=1),
        ListPage(page_size=1, descending=True),
        ListPage(page_size=1, sort_by=SortBy.NAME),
        ListPage((Filter("name", ["a", "b"]),), page_size=1),
        ListPage(page_size=1, include_deleted=True),
    ]
    versions = [ListVersions("a", page_size=1), ListVersions("b", page_size=1), ListVersions("a", True, page_size=1)]
    tokens = [rig.ask(one).next_token for one in (*lists, *versions)]

    assert None not in tokens
    assert len(set(tokens)) == len(tokens)
    for position, next_token in enumerate(tokens):
        for other, asked in enumerate((*lists, *versions)):
            again = (
                ListVersions(asked.secret_id, asked.include_deprecated, 1, next_token)
                if isinstance(asked, ListVersions)
                else after(asked, next_token or "")
            )
            if position == other:
                rig.ask(again)
                continue
            with pytest.raises(InvalidRequest, match="list again"):
                rig.ask(again)


def damaged(token: str) -> list[str]:
    changed = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(len(token))]
    return [*changed, token[:-1], token[4:], token + "A", f"{token[:4]} {token[4:]}", "x", "\u20ac", "=", "A" * 40]


def test_a_damaged_token_is_refused(rig: Rig) -> None:
    for name in ("a", "b"):
        rig.ask(ops.Create(name, "v"))
    next_token = rig.ask(ListPage(page_size=1)).next_token
    assert next_token is not None
    assert "a" in base64.urlsafe_b64decode(next_token)[12:].decode()

    for wrong in damaged(next_token):
        with pytest.raises(InvalidRequest):
            rig.ask(ListPage(page_size=1, next_token=wrong))


def test_versions_are_listed_the_oldest_first_from_where_the_page_before_ended(rig: Rig) -> None:
    for number in range(5):
        rig.later(minutes=1)
        rig.ask(ops.Set("a", "v", token(number)))
    page = rig.ask(ListVersions("a", True, page_size=2))
    assert [one.version_id for one in page.versions] == [token(0), token(1)]
    assert page.next_token is not None

    rig.ask(ops.Set("a", "v", token(5)))
    rest = rig.ask(ListVersions("a", True, page_size=4, next_token=page.next_token))

    assert [one.version_id for one in rest.versions] == list(map(token, range(2, 6)))
    assert rest.next_token is None


def test_a_page_of_versions_goes_on_behind_one_that_is_gone(rig: Rig) -> None:
    for number in range(100):
        rig.later(minutes=1)
        rig.ask(ops.Set("a", "v", token(number)))
    page = rig.ask(ListVersions("a", True, page_size=3))
    for number in range(100, 104):
        rig.later(minutes=1)
        rig.ask(ops.Set("a", "v", token(number)))
    assert rig.records.version_ids("a")[0] == token(4)

    rest = rig.ask(ListVersions("a", True, page_size=1, next_token=page.next_token))

    assert [one.version_id for one in rest.versions] == [token(4)]


def test_versions_of_a_deleted_secret_are_listed(rig: Rig) -> None:
    rig.ask(ops.Set("a", "v", token(0)))
    rig.ask(ops.Delete("a"))

    (only,) = rig.ask(ListVersions("a")).versions

    assert (only.version_id, only.stages) == (token(0), ("AWSCURRENT",))


def test_a_list_follows_each_change_of_a_secret_and_tells_the_rest_as_the_same_objects(rig: Rig) -> None:
    for name in ("a", "b"):
        rig.ask(ops.Set(name, "v", token(0), "first"))
    before = rig.ask(ops.List())

    rig.ask(ops.Update("a", description="second"))
    rig.ask(ops.Tag("a", {"team": "x"}))
    after = rig.ask(ops.List())

    assert [(one.description, one.tags) for one in before] == [("first", {}), ("first", {})]
    assert [(one.description, one.tags) for one in after] == [("second", {"team": "x"}), ("first", {})]
    assert rig.ask(ops.Describe("a")) == after[0]
    assert after[1] is before[1]  # made once: ten thousand take as long as all the rest of a list
