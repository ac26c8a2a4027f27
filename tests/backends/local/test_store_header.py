"""The header, the rows of keys, and SQLite's codes."""

from hashlib import sha256
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.local import schema
from secrets_actor.backends.local.master_key_source import Derivation
from secrets_actor.backends.local.schema import DamagedRow, NotOurs, objection
from secrets_actor.backends.local.sqlite_errors import INTERRUPTED, Meaning, meaning, remedy
from secrets_actor.backends.local.store_header import (
    WrappedKey,
    header,
    next_key_id,
    packed,
    store_id_in,
    unpacked,
    wrapped_key,
)

STORE: Final = bytes(range(16))
SALT: Final = b"salt" * 4
KEY: Final = WrappedKey(1 << 32, b"m" * 16, Derivation(SALT, 2**17, 8, 1), b"wrapped")


def summed(body: bytes) -> bytes:
    return body + sha256(body).digest()


def test_a_header_tells_the_store_s_id() -> None:
    assert store_id_in(header(STORE)) == STORE


@given(st.integers(0, 48), st.integers(1, 255))
def test_a_header_with_any_byte_changed_is_damage(position: int, flip: int) -> None:
    changed = bytearray(header(STORE))
    changed[position] ^= flip

    with pytest.raises(DamagedRow):
        store_id_in(bytes(changed))


@pytest.mark.parametrize("found", [None, "text", b"", sha256(b"").digest(), summed(b"\1" + STORE), summed(b"\2short")])
def test_what_is_no_header_is_damage(found: object) -> None:
    with pytest.raises(DamagedRow):
        store_id_in(found)


def test_a_header_of_a_later_format_is_refused_and_not_called_damage() -> None:
    with pytest.raises(NotOurs, match="newer release"):
        store_id_in(summed(b"\3 whatever"))


@pytest.mark.parametrize("key", [KEY, WrappedKey(-1, b"m" * 16, None, b"")])
def test_a_row_of_a_key_comes_back_as_it_was(key: WrappedKey) -> None:
    assert wrapped_key(key.row()) == key


@pytest.mark.parametrize("column", range(5))
def test_a_row_of_a_key_with_anything_changed_is_damage(column: int) -> None:
    for other in (b"other", "text", None, 7):
        row: list[object] = list(KEY.row())
        row[column] = other
        assert wrapped_key(tuple(row)) is None


def test_a_row_whose_sum_fits_to_what_we_never_write_is_damage() -> None:
    for key in (WrappedKey(1, b"short", None, b""), WrappedKey(1, b"m" * 16, Derivation(b"", 0, 0, 0), b"")):
        assert wrapped_key(key.row()) is None


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        packed(Derivation(SALT, 2**17, 8, 1))[:-1],
        packed(Derivation(b"salt", 2**17, 8, 1)),
        *(
            packed(Derivation(SALT, *costs))
            for costs in [(2**13, 8, 1), (2**17 + 1, 8, 1), (2**17, 0, 1), (2**17, 8, 0)]
        ),
        *(packed(Derivation(SALT, *costs)) for costs in [(2**21, 8, 1), (2**17, 8, 33)]),
    ],
)
def test_costs_that_nobody_should_bear_are_damage(wrong: bytes) -> None:
    with pytest.raises(DamagedRow):
        unpacked(wrong)


def test_key_ids_count_on_and_are_nobody_else_s() -> None:
    first = next_key_id(0, 2**32 - 1)
    second = next_key_id(first, 0)

    assert 0 < first < second < 2**63
    assert next_key_id(first, 1) != second
    assert next_key_id(0, 2**40 + 5) == (1 << 32) + 5


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ((schema.APPLICATION_ID, 2, 5), None),
        ((schema.APPLICATION_ID, 1, 4), "lost its version"),
        ((0, 0, 0), None),
        ((schema.APPLICATION_ID, 3, 9), "newer release"),
        ((schema.APPLICATION_ID, 0, 4), "lost its version"),
        ((0, 0, 1), "another program"),
        ((0, 1, 0), "another program"),
        ((7, 2, 5), "another program"),
    ],
)
def test_a_file_is_ours_or_empty_or_left_alone(file: tuple[int, int, int], says: str | None) -> None:
    found = objection(*file)

    assert found is None if says is None else found is not None and says in found


def test_a_failure_means_one_thing() -> None:
    by_code = {code: meaning(code) for code in (None, *range(27))}

    assert [code for code, found in by_code.items() if found is Meaning.BUSY] == [5, 6]
    assert [code for code, found in by_code.items() if found is Meaning.LATE] == [INTERRUPTED]
    assert [code for code, found in by_code.items() if found is Meaning.DAMAGED] == [None, 1, 11, 19, 20, 26]


def test_each_failure_says_what_to_do() -> None:
    assert "make room" in remedy(13, "SQLITE_FULL")
    assert "SQLITE_TOOBIG" in remedy(18, "SQLITE_TOOBIG")
