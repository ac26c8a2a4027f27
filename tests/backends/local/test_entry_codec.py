"""An entry's bytes give the same entry again, and no other bytes give one."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from secrets_actor.backends.local import entry_codec
from secrets_actor.backends.local.schema import DamagedRow
from secrets_actor.domain.semantics.entry import Entry, Version

AT: Final = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
IDS: Final = ("0" * 32, "3f0b8c54-7d0a-4f0e-9a53-0d6d0ad8c1b2", "3F0B8C54-7D0A-4F0E-9A53-0D6D0AD8C1B2", "t" * 36)
SMALL: Final = Entry("a", entry_codec.arn(entry_codec.ARN_PREFIX, "a", "AbCdEf"), AT, AT)
FULL: Final = Entry(
    "db/password",
    entry_codec.arn(entry_codec.ARN_PREFIX, "db/password", "AbCdEf"),
    AT,
    AT + timedelta(days=1),
    "für alle",
    {"team": "blue", "": ""},
    AT + timedelta(days=7),
    datetime(2026, 1, 2, tzinfo=UTC),
    tuple(Version(version, AT, position == 0) for position, version in enumerate(IDS)),
    {"AWSCURRENT": IDS[1], "AWSPREVIOUS": IDS[0], "blue/green": IDS[1]},
)
DAY: Final = 20_455

EARLIEST, LATEST = AT.replace(year=1, tzinfo=None), AT.replace(year=5000, tzinfo=None)
moments = st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ids = st.uuids().map(str) | st.text("0123456789abcdef-", min_size=32, max_size=64)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    names = draw(st.lists(ids, max_size=6, unique=True))
    stages = draw(st.dictionaries(texts, st.sampled_from(names), max_size=4)) if names else {}
    name = draw(st.text("ab/-", min_size=1, max_size=20))
    return Entry(
        name,
        entry_codec.arn(entry_codec.ARN_PREFIX, name, draw(st.text("abAB01", max_size=6))),
        draw(moments),
        draw(moments),
        draw(st.none() | texts),
        draw(st.dictionaries(texts, texts, max_size=4)),
        draw(st.none() | moments),
        None,
        tuple(Version(version, draw(moments), draw(st.booleans())) for version in names),
        stages,
    )


@given(entries())
def test_every_entry_comes_back_as_it_was(entry: Entry) -> None:
    assert entry_codec.decode(entry_codec.encode(entry)) == entry


def test_a_day_of_access_comes_from_beside_the_head() -> None:
    assert entry_codec.decode(entry_codec.encode(FULL), DAY) == FULL
    assert entry_codec.decode(entry_codec.encode(FULL)) == replace(FULL, accessed_at=None)
    assert entry_codec.day_number(AT) == DAY


def test_a_head_is_small() -> None:
    versions = tuple(Version(str(uuid.UUID(int=number)), AT) for number in range(100))

    assert len(entry_codec.encode(replace(SMALL, versions=versions[:2]))) < 100
    assert len(entry_codec.encode(replace(SMALL, versions=versions))) < 2600


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_changed_byte_is_another_entry_or_damage(position: int, flip: int) -> None:
    changed = bytearray(entry_codec.encode(FULL))
    changed[position % len(changed)] ^= flip
    try:
        found = entry_codec.decode(bytes(changed), DAY)
    except DamagedRow:
        return
    assert found != FULL


@given(st.integers(0, 400))
def test_a_cut_or_lengthened_head_is_damage(length: int) -> None:
    whole = entry_codec.encode(FULL)

    for wrong in (whole[: length % len(whole)], whole + b"\0", whole + whole):
        with pytest.raises(DamagedRow):
            entry_codec.decode(wrong)


@given(st.binary(max_size=200))
def test_other_bytes_are_damage(noise: bytes) -> None:
    with pytest.raises(DamagedRow):
        entry_codec.decode(b"\1" + noise)


def change(position: int, to: int, entry: Entry = FULL) -> bytes:
    found = bytearray(entry_codec.encode(entry))
    found[position] = to
    return bytes(found)


VERSIONED: Final = replace(SMALL, versions=FULL.versions[:1], stages={"AWSCURRENT": IDS[0]})
TWINS: Final = replace(SMALL, versions=(Version(IDS[1], AT), Version(IDS[1][:-1] + "3", AT)))
TWICE: Final = entry_codec.encode(TWINS)
STAGED: Final = replace(VERSIONED, stages={"A": IDS[0], "B": IDS[0]})
RECORD: Final = len(entry_codec.encode(VERSIONED)) - 2 - 25


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(change(0, 2), id="another format"),
        pytest.param(change(1, 4), id="flags we do not have"),
        pytest.param(change(2, 0x7F), id="a time that never comes"),
        pytest.param(change(27, 9), id="more tags than texts"),
        pytest.param(change(RECORD, 4, VERSIONED), id="a version of a kind we do not have"),
        pytest.param(change(RECORD, 1, VERSIONED), id="an id for no version"),
        pytest.param(change(len(entry_codec.encode(VERSIONED)) - 1, 1, VERSIONED), id="a stage on a version not there"),
        pytest.param(TWICE[:-25] + b"\0" + TWICE[-24:-16] + bytes(16), id="no id for a version"),
        pytest.param(change(RECORD + 9, 7, VERSIONED), id="two ids for a version"),
        pytest.param(change(25, 7, SMALL), id="a date for what is not scheduled"),
        pytest.param(
            entry_codec.encode(replace(SMALL, description="?")).replace(b"\1\1", b"\1\0", 1), id="a text for none"
        ),
        pytest.param(TWICE[:-1] + b"\xb2", id="a version twice"),
        pytest.param(entry_codec.encode(STAGED).replace(b"AB0", b"AA0"), id="a stage twice"),
        pytest.param(
            entry_codec.encode(replace(SMALL, tags={"k": "", "l": ""})).replace(b"kl", b"kk"), id="a tag twice"
        ),
        pytest.param(entry_codec.encode(replace(SMALL, description="?")).replace(b"?", b"\xff"), id="no text"),
    ],
)
def test_what_we_never_write_is_damage(found: bytes) -> None:
    with pytest.raises(DamagedRow):
        entry_codec.decode(found)


@pytest.mark.parametrize("day", [10**9, -(10**9), "today"])
def test_a_day_that_is_none_is_damage(day: object) -> None:
    with pytest.raises(DamagedRow):
        entry_codec.decode(entry_codec.encode(SMALL), day)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "entry",
    [
        replace(SMALL, arn="arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"),
        replace(SMALL, stages={"AWSCURRENT": IDS[0]}),
        replace(SMALL, versions=(Version(IDS[0], AT), Version(IDS[0], AT))),
    ],
)
def test_what_is_no_entry_of_ours_is_refused(entry: Entry) -> None:
    with pytest.raises(ValueError, match=r"another store|a stage on"):
        entry_codec.encode(entry)
