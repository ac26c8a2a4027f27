"""What a prefetch asks for, and in which order: decisions only."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from secrets_actor.actor.prefetch_plan import Plan, Wanted
from secrets_actor.domain.errors import (
    AccessDenied,
    InvalidParameter,
    InvalidSecretName,
    SecretNotFound,
    UnknownMessage,
)
from secrets_actor.domain.operations import BATCH_SIZE, Filter, GetMany, List, ListPage
from secrets_actor.domain.results import SecretBatch, SecretDescription, SecretPage
from secrets_actor.domain.secret import Secret, SecretValue

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"


def secret(name: str) -> Secret:
    return Secret(name, "", SecretValue("v"), "v1", (), datetime(2026, 1, 1, tzinfo=UTC))


def batch(asked: Any, *missing: str) -> SecretBatch:
    found = {name: secret(name) for name in asked.secret_ids if name not in missing}
    return SecretBatch(found, {name: SecretNotFound("no such secret") for name in missing})


def page(*names: str, token: str | None = None, **tags: str) -> SecretPage:
    return SecretPage(tuple(SecretDescription(name, "", tags=tags) for name in names), token)


def plan(wanted: Wanted, room: int = 1000, kept: Callable[[str], bool] = lambda _: False) -> Plan:
    return Plan(wanted, room, kept)


def names(count: int) -> list[str]:
    return [f"n{number:02}" for number in range(count)]


def test_names_go_twenty_a_call_and_what_is_missing_is_told() -> None:
    ours = plan(Wanted.of(names(BATCH_SIZE + 1)))

    first = ours.next()
    assert first == GetMany(names(BATCH_SIZE))
    assert ours.answered(first, batch(first, "n03")) == [("n03", "not_found")]
    second = ours.next()
    assert second == GetMany(["n20"])
    assert ours.answered(second, batch(second)) == []
    assert ours.next() is None
    assert (ours.found, ours.missed, ours.left_out) == (BATCH_SIZE, 1, 0)


def test_what_the_cache_has_is_not_asked_for() -> None:
    assert plan(Wanted.of(["a", "b"]), kept=lambda name: name == "a").next() == GetMany(["b"])
    assert plan(Wanted.of(["a"]), kept=lambda _: True).next() is None


def test_a_prefix_is_followed_page_by_page_and_only_what_fits_is_taken() -> None:
    ours = plan(Wanted.of(["z"], prefixes=["db/"]))

    first = ours.next()
    assert first == ListPage((Filter("name", "db/"),))
    assert ours.answered(first, page("db/a", "DB/b", token="t1")) == []
    second = ours.next()
    assert second == ListPage((Filter("name", "db/"),), next_token="t1")
    assert ours.answered(second, page("db/c", "db/a")) == []
    assert ours.next() == GetMany(["z", "db/a", "db/c"])


def test_full_chunks_go_before_the_next_page() -> None:
    ours = plan(Wanted.of(prefixes=["n"]))

    asked = ours.next()
    ours.answered(asked, page(*names(BATCH_SIZE), token="t1"))

    assert ours.next() == GetMany(names(BATCH_SIZE))


@pytest.mark.parametrize(
    ("tag", "filters", "fitting"),
    [
        ("team=red", (Filter("tag-key", "team"), Filter("tag-value", "red")), {"team": "red"}),
        ("team", (Filter("tag-key", "team"),), {"team": "blue"}),
        ("team=", (Filter("tag-key", "team"),), {"team": ""}),
        ("team=!", (Filter("tag-key", "team"),), {"team": "!"}),
    ],
)
def test_a_tag_is_a_key_with_its_value_or_any(tag: str, filters: tuple[Filter, ...], fitting: dict[str, str]) -> None:
    ours = plan(Wanted.of(tags=[tag]))

    asked = ours.next()
    assert asked == ListPage(filters)
    ours.answered(asked, page("a", token="t", **fitting))
    ours.answered(ours.next(), page("b", token="u", teams="red"))  # type: ignore[arg-type]
    ours.answered(ours.next(), page("c"))  # type: ignore[arg-type]

    assert ours.next() == GetMany(["a"])


def test_no_more_is_asked_for_than_the_cache_has_room_for() -> None:
    ours = plan(Wanted.of(["a", "b", "c"], prefixes=["p"]), room=4)

    asked = ours.next()
    assert isinstance(asked, ListPage)
    ours.answered(asked, page("p1", "p2", "p1", token="more"))

    assert ours.next() == GetMany(["a", "b", "c", "p1"])
    assert ours.left_out == 1


def test_a_store_without_filters_is_asked_for_its_whole_list() -> None:
    ours = plan(Wanted.of(prefixes=["p"], tags=["t"]))
    unknown = UnknownMessage("no ListPage here")

    assert ours.failed(ours.next(), unknown) == []  # type: ignore[arg-type]
    asked = ours.next()
    assert asked == List()
    ours.answered(asked, (SecretDescription("p1", ""), SecretDescription("q1", "")))
    assert ours.failed(ours.next(), unknown) == [("tag t", "unknown_message")]  # type: ignore[arg-type]
    assert ours.next() == GetMany(["p1"])


def test_what_fails_for_good_is_told_and_the_rest_goes_on() -> None:
    ours = plan(Wanted.of(["a", "b"], prefixes=["p"], tags=["k=v"]))
    denied = AccessDenied("no")

    assert ours.failed(ours.next(), denied) == [("names that begin with p", "access_denied")]  # type: ignore[arg-type]
    assert ours.failed(ours.next(), denied) == [("tag k=v", "access_denied")]  # type: ignore[arg-type]
    assert ours.failed(ours.next(), denied) == [("a and 1 more", "access_denied")]  # type: ignore[arg-type]
    assert (ours.next(), ours.missed) == (None, 2)
    alone = plan(Wanted.of(["a"]))
    assert alone.failed(GetMany(["a"]), denied) == [("a", "access_denied")]


def test_a_list_that_goes_round_in_circles_ends() -> None:
    ours = plan(Wanted.of(prefixes=["p"]))

    told: list[tuple[str, str]] = []
    while isinstance(asked := ours.next(), ListPage):
        told += ours.answered(asked, page("p1", token="again"))

    assert told == [("names that begin with p", "invalid_answer")]
    assert asked == GetMany(["p1"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"names": "a"},
        {"prefixes": "a"},
        {"tags": "a"},
        {"prefixes": [ARN]},
        {"prefixes": ["!x"]},
        {"prefixes": [7]},
        {"tags": [""]},
        {"tags": ["!x"]},
        {"tags": ["=x"]},
        {"tags": [7]},
        {"tags": ["k" * 600]},
    ],
)
def test_what_cannot_be_searched_for_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        Wanted.of(**wrong)


def test_a_bad_name_is_refused_and_nothing_is_nothing() -> None:
    with pytest.raises(InvalidSecretName):
        Wanted.of(["no such name!?"])
    with pytest.raises(InvalidSecretName):
        Wanted.of(prefixes=[""])
    assert not Wanted.of()
    assert Wanted.of(["a", "a"]).names == ("a",)
    assert Wanted.of([ARN])
