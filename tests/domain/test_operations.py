"""Messages are checked when they are made: nothing malformed enters the tree."""

from typing import Any

import pytest

from secrets_actor.domain.errors import InvalidParameter, InvalidSecretName, InvalidSecretValue
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import (
    AWSCURRENT,
    Delete,
    Get,
    List,
    Operation,
    Restore,
    Set,
    refreshed,
    takes_stale,
    version_key,
)
from secrets_actor.domain.secret import SecretValue

TOKEN = "0123456789abcdef0123456789ABCDEF"


@pytest.mark.parametrize("make", [Get, lambda name: Set(name, "v"), Delete, Restore])
def test_every_operation_on_a_secret_checks_its_name(make: Any) -> None:
    assert type(make("db/password").secret_id) is SecretId
    with pytest.raises(InvalidSecretName):
        make("no spaces")


@pytest.mark.parametrize(
    ("operation", "kind", "writes"),
    [
        (Get("a"), "get", False),
        (Set("a", "v"), "set", True),
        (Delete("a"), "delete", True),
        (Restore("a"), "restore", True),
        (List(), "list", False),
    ],
)
def test_an_operation_tells_its_kind_and_whether_it_writes(operation: Operation[Any], kind: str, writes: bool) -> None:
    assert (operation.kind, operation.writes) == (kind, writes)


def test_an_operation_is_frozen() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        Get("a").secret_id = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("get", "version"),
    [
        (Get("a"), (None, AWSCURRENT)),
        (Get("a", stage="AWSCURRENT", refresh=True), (None, AWSCURRENT)),
        (Get("a", stage="AWSPREVIOUS"), (None, "AWSPREVIOUS")),
        (Get("a", version_id=TOKEN), (TOKEN, None)),
        (Get("a", version_id=TOKEN, stage="AWSPREVIOUS"), (TOKEN, "AWSPREVIOUS")),
    ],
)
def test_a_get_names_one_version(get: Get, version: tuple[str | None, str | None]) -> None:
    assert version_key(get) == version


@pytest.mark.parametrize("bad", ["", "short", "x" * 65, TOKEN + "_", TOKEN + "\n", "ü" * 32])
def test_tokens_and_version_ids_are_as_aws_wants_them(bad: str) -> None:
    with pytest.raises(InvalidParameter, match="32 to 64 characters") as caught:
        Set("a", "v", token=bad)
    assert caught.value.parameter == "token"
    with pytest.raises(InvalidParameter) as caught:
        Get("a", version_id=bad)
    assert caught.value.parameter == "version_id"


def test_tokens_of_the_shortest_and_longest_length_pass() -> None:
    assert Set("a", "v", token=TOKEN).token == TOKEN
    assert Get("a", version_id="-" * 64).version_id == "-" * 64


@pytest.mark.parametrize(("stage", "fits"), [("", False), ("s", True), ("s" * 256, True), ("s" * 257, False)])
def test_a_stage_has_1_to_256_characters(stage: str, fits: bool) -> None:
    if fits:
        assert Get("a", stage=stage).stage == stage
        return
    with pytest.raises(InvalidParameter, match="stage: 1 to 256"):
        Get("a", stage=stage)


def test_a_set_masks_its_value_and_keeps_it_out_of_its_repr() -> None:
    plain, held = Set("a", "hunter2"), Set("a", SecretValue("hunter2"))

    assert isinstance(plain.value, SecretValue)
    assert plain == held
    assert "hunter2" not in repr(plain)
    with pytest.raises(InvalidSecretValue):
        Set("a", "")


@pytest.mark.parametrize(("length", "fits"), [(0, True), (2048, True), (2049, False)])
def test_a_description_has_2048_characters_at_most(length: int, fits: bool) -> None:
    if fits:
        assert Set("a", "v", description="d" * length).description == "d" * length
        return
    with pytest.raises(InvalidParameter, match="description"):
        Set("a", "v", description="d" * length)


@pytest.mark.parametrize(("days", "fits"), [(6, False), (7, True), (30, True), (31, False), (0, False), (-7, False)])
def test_a_recovery_window_has_7_to_30_days(days: int, fits: bool) -> None:
    if fits:
        assert Delete("a", recovery_window=days).recovery_window == days
        return
    with pytest.raises(InvalidParameter, match="7 to 30 days"):
        Delete("a", recovery_window=days)


def test_force_and_a_recovery_window_exclude_each_other() -> None:
    assert Delete("a", force=True).recovery_window is None
    with pytest.raises(InvalidParameter, match="no recovery window together with force"):
        Delete("a", recovery_window=7, force=True)


@pytest.mark.parametrize(("size", "fits"), [(0, False), (1, True), (100, True), (101, False)])
def test_a_page_has_1_to_100_secrets(size: int, fits: bool) -> None:
    if fits:
        assert List(page_size=size).page_size == size
        return
    with pytest.raises(InvalidParameter, match="page_size: 1 to 100"):
        List(page_size=size)


def test_a_description_or_stage_that_is_no_unicode_is_refused_where_it_is_made() -> None:
    with pytest.raises(InvalidParameter, match="description"):
        Set("a", "v", description="\ud800")
    with pytest.raises(InvalidParameter, match="stage"):
        Get("a", stage="\ud800")


@pytest.mark.parametrize("max_age", [-0.1, float("inf"), float("nan"), True, "5"])
def test_the_oldest_age_that_will_do_is_a_number_of_seconds(max_age: Any) -> None:
    assert Get("a", max_age=0).max_age == 0
    with pytest.raises(InvalidParameter, match="max_age: seconds"):
        Get("a", max_age=max_age)


def test_who_insists_on_the_store_takes_nothing_stale_unless_he_says_so() -> None:
    takes = [takes_stale(Get("a", refresh=refresh, allow_stale=allow)) for refresh, allow in _ASKED]

    assert takes == [True, False, True, True, False]
    assert refreshed(Get("a", stage="x", max_age=5)) == Get("a", stage="x", refresh=True)


_ASKED = [(False, None), (True, None), (True, True), (False, True), (False, False)]
