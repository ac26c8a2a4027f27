"""Keys and passphrases as they are written: what is one is taken whole, what is none is never repeated."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.local.keys.key_formats import MAX_BYTES, key_of, passphrase_of

KEYS = st.binary(min_size=32, max_size=32)
WHITE = st.text(" \t\r\n", max_size=3).map(str.encode)


@given(KEYS, WHITE, WHITE, st.booleans())
def test_a_key_is_the_same_in_every_form(key: bytes, before: bytes, after: bytes, raw: bool) -> None:
    for text in (
        key.hex().encode(),
        key.hex().upper().encode(),
        base64.b64encode(key),
        base64.urlsafe_b64encode(key),
        base64.b64encode(key).rstrip(b"="),
    ):
        assert key_of(before + text + after, raw=raw) == key


@given(KEYS)
def test_a_byte_order_mark_is_no_part_of_a_key_or_a_passphrase(key: bytes) -> None:
    mark = b"\xef\xbb\xbf"

    assert key_of(mark + base64.b64encode(key) + b"\r\n", raw=True) == key
    assert key_of(mark + key[:29], raw=True) == mark + key[:29], "bytes are bytes"
    assert passphrase_of(mark + b"five words\n", from_file=True) == b"five words"
    assert passphrase_of(mark, from_file=True) == passphrase_of(b"")


def test_a_key_in_utf_16_is_named() -> None:
    assert "UTF-16" in str(key_of(base64.b64encode(b"k" * 32).decode().encode("utf-16"), raw=True))


@given(KEYS)
def test_raw_bytes_are_a_key_only_where_they_may_be(key: bytes) -> None:
    if not all(32 <= byte < 127 for byte in key):
        assert key_of(key, raw=True) == key
    assert isinstance(key_of(key), str)


@given(st.binary(max_size=100), st.booleans())
def test_what_is_no_key_is_told_without_a_word_of_it(content: bytes, raw: bool) -> None:
    found = key_of(content, raw=raw)
    if isinstance(found, bytes):
        assert len(found) == 32
    else:
        text = content.strip().decode(errors="ignore")
        assert len(text) < 5 or text not in found
        assert "openssl rand -base64 32" in found


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"=",
        b"====",
        b"a",
        b"0123456789abcdef0123456789abcdef",  # 32 characters: of a key of half the length, or a passphrase
        b"correct horse battery staple 123",
        base64.b64encode(b"k" * 31),
        base64.b64encode(b"k" * 33),
        base64.b64encode(b"k" * 32) + b"=",
        base64.b64encode(b"k" * 32) + b"=====",
        base64.b64encode(b"k" * 48),  # 64 characters, as hex has
        (b"k" * 31).hex().encode(),
        b"g" * 64,
        b"\xff" * 44,
    ],
)
def test_what_is_almost_a_key_is_none(content: bytes) -> None:
    for raw in (False, True):
        assert isinstance(key_of(content, raw=raw), str)


@given(st.text(min_size=1, max_size=50))
def test_a_passphrase_is_taken_as_it_is_and_means_the_same_in_each_composition(text: str) -> None:
    import unicodedata

    content = text.encode(errors="replace")
    composed, apart = (unicodedata.normalize(form, content.decode()).encode() for form in ("NFC", "NFD"))

    assert passphrase_of(content) == passphrase_of(apart) == composed


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a b\n", b"a b"),
        (b"a b\r\n", b"a b"),
        (b"\na b\n", b"a b"),
        (b"\r\na b", b"a b"),
        (b"\n\na b\n\n", b"\na b\n"),
        (b" a b ", b" a b "),
        (b"\xff\xfe\n", b"\xff\xfe"),
    ],
)
def test_of_a_file_one_line_end_before_and_after_does_not_count(content: bytes, expected: bytes) -> None:
    assert passphrase_of(content, from_file=True) == expected
    assert passphrase_of(content) == content


def test_an_empty_or_endless_passphrase_is_refused() -> None:
    assert "empty" in str(passphrase_of(b""))
    assert "empty" in str(passphrase_of(b"\n", from_file=True))
    assert passphrase_of(b"x" * MAX_BYTES) == b"x" * MAX_BYTES
    assert "more than" in str(passphrase_of(b"x" * (MAX_BYTES + 1)))
