"""A block holds all of a version, and gives each part back as it was."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.domain import packed_secret
from secrets_actor.domain.secret import Secret, SecretValue

AT = datetime(2026, 1, 1, tzinfo=UTC)
CURRENT = ("AWSCURRENT",)
VERSION = "11111111-1111-4111-8111-111111111111"
words = st.text(st.characters(codec="utf-8"), max_size=40)
names = st.from_regex(r"[A-Za-z0-9/_+=.@!-]{1,60}", fullmatch=True)
arns = st.one_of(
    words,
    names.map("arn:aws:secretsmanager:us-east-1:123456789012:secret:{}-AbCdEf".format),
    st.just("arn:aws:secretsmanager:us-east-1:123456789012:secret:the/name-AbCdEf"),
    st.just("no:secret:"),
)
versions = st.one_of(st.uuids().map(str), st.uuids().map(lambda one: str(one).upper()), words)


@given(
    name=st.one_of(names, st.just("the/name")),
    arn=arns,
    value=st.one_of(st.text(st.characters(codec="utf-8"), min_size=1), st.binary(min_size=1)),
    version_id=versions,
    stages=st.lists(words, max_size=3).map(tuple),
    created_at=st.datetimes(timezones=st.just(UTC)),
)
def test_each_part_comes_out_as_it_went_in(
    name: str, arn: str, value: str | bytes, version_id: str, stages: tuple[str, ...], created_at: datetime
) -> None:
    packed = packed_secret.pack(name, arn, SecretValue(value), version_id, stages, created_at)

    assert packed_secret.arn_of(packed, name) == arn
    assert packed_secret.value_of(packed) == value
    assert type(packed_secret.value_of(packed)) is type(value)
    assert packed_secret.is_text(packed) == isinstance(value, str)
    assert packed_secret.version_of(packed) == version_id
    assert packed_secret.stages_of(packed) == stages
    assert packed_secret.created_of(packed) == created_at
    assert packed_secret.TIMES.unpack_from(packed) == (0.0, 0.0, 0.0)
    assert (packed[packed_secret.USED], packed[packed_secret.ASKED]) == (0, 0)


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    there = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert packed_secret.created_of(packed_secret.pack("a", "arn", SecretValue("v"), VERSION, CURRENT, there)) == AT


def test_the_version_is_told_without_the_value() -> None:
    packed = packed_secret.pack("a", "arn", SecretValue("hunter2"), VERSION, CURRENT, AT)

    kept = packed_secret.version_bytes(packed_secret.with_origin(packed, "there:443"))

    assert packed_secret.version_text(kept) == VERSION
    assert packed_secret.origin_text(kept) == "there:443"
    assert packed_secret.origin_text(packed_secret.version_bytes(packed)) is None
    assert b"hunter2" not in kept
    assert len(kept) < len(packed)


def test_what_nearly_all_have_in_common_takes_no_room() -> None:
    """The head, 16 bytes of version, the 7 of the ARN's suffix, and the value."""
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db/password-AbCdEf"
    packed = packed_secret.pack("db/password", arn, SecretValue("v" * 1024), VERSION, CURRENT, AT)

    assert len(packed) <= 48 + 16 + 7 + 1024


@given(
    value=st.one_of(st.text(st.characters(codec="utf-8"), min_size=1), st.binary(min_size=1)),
    version_id=versions,
    stages=st.lists(words, max_size=3).map(tuple),
    origin=st.sampled_from(["[::1]:4566", "there:443", "/a/\udcff/folder"]),
)
def test_an_origin_changes_no_other_part(
    value: str | bytes, version_id: str, stages: tuple[str, ...], origin: str
) -> None:
    packed = packed_secret.pack("a", "arn", SecretValue(value), version_id, stages, AT)
    placed = packed_secret.with_origin(packed, origin)
    parts = (packed_secret.value_of, packed_secret.version_of, packed_secret.stages_of, packed_secret.created_of)

    assert (packed_secret.origin_of(packed), packed_secret.origin_of(placed)) == (None, origin)
    assert [part(placed) for part in parts] == [part(packed) for part in parts]
    assert packed_secret.arn_of(placed, "a") == "arn"
    assert len(placed) == len(packed)
    assert packed_secret.with_origin(placed, "elsewhere") is placed


def test_texts_have_numbers_as_long_as_there_are_some_left() -> None:
    numbered = packed_secret.Numbered(2, "")

    assert [numbered.number(text) for text in ("", "a", "b", "a", "b")] == [0, 1, 2, 1, 2]
    assert numbered.texts == ["", "a"]


def test_a_version_id_of_another_shape_is_kept_as_it_is() -> None:
    for version_id in (f"{{{VERSION}}}", f"urn:uuid:{VERSION}", VERSION.replace("-", ""), "x" * 255):
        packed = packed_secret.pack("a", "arn", SecretValue("v"), version_id, CURRENT, AT)
        assert packed_secret.version_of(packed) == version_id


def test_more_beginnings_of_arns_than_there_are_numbers_are_kept_whole() -> None:
    known = list(packed_secret.beginnings.texts)
    try:
        for number in range(300):
            arn = f"arn:aws:secretsmanager:us-east-1:{number:012}:secret:a-AbCdEf"
            assert (
                packed_secret.arn_of(packed_secret.pack("a", arn, SecretValue("v"), VERSION, CURRENT, AT), "a") == arn
            )
        assert len(packed_secret.beginnings.texts) == 255
    finally:
        packed_secret.beginnings.texts[:] = known


def test_a_wrong_fact_is_refused_before_the_value_is_in_clear() -> None:
    """A backend that gives no time zone ends its worker; the traceback of that shows no value."""
    with pytest.raises(TypeError) as caught:
        Secret("a", "arn", SecretValue("hunter2"), str(uuid.uuid4()), CURRENT, datetime(2026, 1, 1))  # noqa: DTZ001

    trace, shown = caught.value.__traceback__, []
    while trace is not None:
        shown.append({name: repr(value) for name, value in trace.tb_frame.f_locals.items() if name != "caught"})
        trace = trace.tb_next
    assert len(shown) >= 3
    assert all("hunter2" not in value for frame in shown[1:] for value in frame.values())


@pytest.mark.parametrize(
    "version_id",
    ["z" * 36, "0" * 36, "0-" * 18, "A1B2C3D4-0000-4000-8000-00000000000F", "a1b2c3d4-0000-4000-8000-00000000000f"],
)
def test_a_version_id_that_is_as_long_as_a_uuid_comes_back_as_it_was(version_id: str) -> None:
    made = Secret("a", "arn", SecretValue("v"), version_id, ("AWSCURRENT",), datetime(2026, 1, 1, tzinfo=UTC))

    assert (made.version_id, made.reveal()) == (version_id, "v")


@given(
    name=names,
    arn=arns,
    value=st.one_of(st.text(st.characters(codec="utf-8"), min_size=1), st.binary(min_size=1)),
    version_id=versions,
    stages=st.lists(words, max_size=3).map(tuple),
)
def test_the_head_has_all_but_the_value(
    name: str, arn: str, value: str | bytes, version_id: str, stages: tuple[str, ...]
) -> None:
    packed = packed_secret.pack(name, arn, SecretValue(value), version_id, stages, AT)
    clear = value.encode() if isinstance(value, str) else value

    head = packed_secret.head_of(bytearray(packed))

    assert head + clear == packed
    assert packed_secret.version_of(head) == version_id
    assert packed_secret.stages_of(head) == stages
    assert packed_secret.arn_of(head, name) == arn


def test_the_stages_that_nearly_all_have_are_in_the_head_too() -> None:
    head = packed_secret.head_of(packed_secret.pack("a", "arn", SecretValue("hunter2"), VERSION, CURRENT, AT))

    assert packed_secret.stages_of(head) == CURRENT
    assert packed_secret.is_text(head)
