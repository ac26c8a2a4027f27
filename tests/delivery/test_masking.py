"""Values are taken out of a stream of output, however it is cut, and in all the forms that programs print."""

import base64
import binascii
import html
import json
import os
import shlex
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secrets_actor.delivery.masking import KEPT, PIECE, SHORTEST, SHOWN, Masker, forms, too_short

VALUE: Final = b"p&ss'w\"rd <\xc3\xa9/+\\ $HOME`"
KEY: Final = b"-----BEGIN KEY-----\n" + b"\n".join([b"MIIEvQIBADAN" + bytes([65 + i]) * 52 for i in range(5)]) + b"\n"


def masked(values: list[bytes], *chunks: bytes) -> bytes:
    masker = Masker(values)
    return b"".join([*map(masker.feed, chunks), masker.end()])


def text(change: Callable[[str], str]) -> Callable[[bytes], bytes]:
    return lambda value: change(value.decode()).encode()


FORMS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "raw": bytes,
    "base64": base64.b64encode,
    "base64 without padding": lambda value: base64.b64encode(value).rstrip(b"="),
    "base64 of what ends with a line end": lambda value: base64.b64encode(value + b"\n"),
    "base64url": base64.urlsafe_b64encode,
    "hex": binascii.hexlify,
    "HEX": lambda value: binascii.hexlify(value).upper(),
    "URL": text(lambda value: quote(value, "")),
    "URL, small letters": text(lambda value: quote(value, "").replace("%C3%A9", "%c3%a9").replace("%2F", "%2f")
                               .replace("%3C", "%3c").replace("%2B", "%2b").replace("%5C", "%5c")),
    "URL, a form": text(quote_plus),
    "URL, a path": text(quote),
    "JSON": text(json.dumps),
    "JSON, not ASCII": text(lambda value: json.dumps(value, ensure_ascii=False)),
    "JSON in JSON": text(lambda value: json.dumps(json.dumps([value]))),
    "JSON of Go": text(lambda value: json.dumps(value).replace("&", "\\u0026").replace("<", "\\u003c")),
    "JSON of PHP": text(lambda value: json.dumps(value).replace("/", "\\/")),
    "shell": text(shlex.quote),
    "bash -x": text(lambda value: "'" + value.replace("'", "'\\''") + "'"),
    "repr": text(repr),
    "ascii": text(ascii),
    "repr of bytes": lambda value: repr(value).encode(),
    "XML": text(html.escape),
    "XML, inside a tag": text(lambda value: html.escape(value, quote=False)),
    "XML of Go": text(lambda value: html.escape(value).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_value_is_masked_in_each_form_that_programs_print(form: Callable[[bytes], bytes]) -> None:
    printed = form(VALUE)
    shown = masked([VALUE], b"before ", printed, b" after")

    assert shown.startswith(b"before ")
    assert shown.endswith(b" after")
    assert shown.count(b"****") == 1
    assert len(shown) <= len(b"before **** after") + 10  # quotes, and the last letter of a base64 that goes on


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("behind", range(4))
def test_base64_of_a_text_with_a_value_in_it_shows_no_more_than_the_letters_at_its_borders(
    before: int, behind: int
) -> None:
    value = bytes(range(100, 130))
    shown = masked([value], base64.b64encode(b"u" * before + value + b"x" * behind))
    left = shown.replace(b"****", b"")

    assert b"****" in shown
    assert len(left) <= before * 4 / 3 + behind * 4 / 3 + 6


def test_long_base64_and_hex_are_masked_in_lines() -> None:
    value = bytes(range(200))
    for printed in (
        base64.encodebytes(value),
        b"\n".join(binascii.hexlify(value)[at : at + 60] for at in range(0, 400, 60)),
    ):
        assert masked([value], printed).replace(b"\n", b"").strip(b"*") == b""


def test_each_line_of_a_value_is_masked_whatever_ends_it() -> None:
    for printed in (KEY, KEY.replace(b"\n", b"\r\n"), KEY.replace(b"\n", b"\n    "), KEY.replace(b"\n", b" ")):
        shown = masked([KEY], printed)
        assert b"MIIE" not in shown
        assert b"BEGIN" not in shown


def test_a_value_that_ends_its_line_is_masked_without_the_end_too() -> None:
    assert masked([b"hunter2hunter2\n"], b"is hunter2hunter2.") == b"is ****."


def test_texts_in_a_value_that_is_json_are_masked_too() -> None:
    value = json.dumps({"user": "app", "password": "correct horse", "more": [{"token": "battery staple"}, 123456789]})

    assert masked([value.encode()], b"correct horse battery staple app 123456789") == b"**** **** app 123456789"


@pytest.mark.parametrize("value", [b"{no json at all", b"[" * 5000, b'["\xff\xff\xff\xff\xff"', b"\xff" * 20])
def test_what_looks_like_json_and_is_none_or_is_no_text_is_masked_as_it_is(value: bytes) -> None:
    assert masked([value], b"a", value, b"b") == b"a****b"


def test_a_half_of_a_pair_in_json_is_no_problem() -> None:
    assert masked([rb'{"a": "\ud800 and the rest"}'], b"x") == b"x"


def test_a_large_value_is_not_looked_for_in_urls() -> None:
    large = b" /" * 5000

    assert masked([large], quote(large, "").encode()).endswith(b"%2F")
    assert masked([large], large) == b"****"


def test_a_part_of_a_long_value_is_masked() -> None:
    value = os.urandom(300).hex().encode()

    assert masked([value], value[:200]) == b"****" + value[192:200]
    assert masked([value], value) == b"****"


def test_short_values_are_left_as_they_are() -> None:
    assert too_short(b"1234567")
    assert not too_short(b"12345678")
    assert not forms(b"1234567")
    assert all(len(form) >= SHORTEST for form in forms(b'{"a": "on", "b": "12345678"}\nshort'))
    assert masked([b"on", b""], b"on and on") == b"on and on"


def test_where_values_overlap_nothing_is_left_of_either() -> None:
    assert masked([b"abcdefgh", b"efghijkl"], b"-abcdefghijkl-") == b"-****-"
    assert masked([b"abcdefgh", b"ijklmnop"], b"-abcdefghijklmnop-") == b"-****-"
    assert masked([b"abcdefgh", b"cdefghijXX"], b"-abcdefgh", b"ij-") == b"-****ij-"
    assert masked([b"aaaaaaaa"], b"a" * 30) == b"****"


def test_what_cannot_be_the_beginning_of_a_value_is_shown_at_once() -> None:
    masker = Masker([b"zebra stripes", b"Zebra stripes"])

    assert masker.feed(b"Password: ") == b"Password: "
    assert not masker.waits
    assert masker.feed(b"a zeb") == b"a "
    assert masker.waits
    assert masker.feed(b"u") == b"zebu"
    assert masker.feed(b"z") == b""
    assert masker.end() == b"z"


def test_when_it_is_quiet_the_first_letters_are_shown_and_the_rest_is_masked_when_it_comes() -> None:
    masker = Masker([b"zebra stripes"])

    assert (masker.feed(b"z"), masker.idle(), masker.idle()) == (b"", b"z", b"")
    assert (masker.feed(b"eb"), masker.idle(), masker.waits) == (b"", b"eb", False)
    assert (masker.feed(b"ra str"), masker.idle()) == (b"", b"")
    assert masker.feed(b"ipes.") == b"****."
    assert (masker.feed(b"zeb"), masker.idle(), masker.feed(b"u")) == (b"", b"zeb", b"u")
    assert (masker.feed(b"zebra"), masker.idle(), masker.end()) == (b"", b"zeb", b"ra")
    assert SHOWN == 3


def test_what_is_masked_already_is_not_shown_when_it_is_quiet() -> None:
    masker = Masker([b"abcdefgh", b"efghijkl"])

    assert (masker.feed(b"abcdefgh"), masker.waits, masker.idle()) == (b"****", False, b"")
    assert masker.feed(b"!") == b"!"
    assert (masker.feed(b"abcdefgh!efg"), masker.idle(), masker.feed(b"hijkl")) == (b"****!", b"efg", b"****")
    assert (masker.feed(b"efg"), masker.idle(), masker.feed(b"hijkl")) == (b"", b"efg", b"****")


def test_all_but_the_last_byte_of_a_piece_is_held_back() -> None:
    value = bytes(range(0x21, 0x21 + PIECE))

    assert [masked([value], value[:at], value[at:]) for at in range(PIECE)] == [b"****"] * PIECE


def test_after_a_rotation_both_values_are_masked() -> None:
    masker = Masker([b"old password"])
    masker.add([b"new password", b"old password"])

    assert masker.feed(b"old password, new password.") == b"****, ****."


def test_neither_values_nor_pieces_are_in_its_repr() -> None:
    masker = Masker([b"old password"])

    assert repr(masker).startswith("<Masker of ")
    assert "password" not in repr(masker)


LETTERS: Final = st.lists(st.sampled_from(b"ab"), max_size=80).map(bytes)
VALUES: Final = st.lists(st.lists(st.sampled_from(b"ab"), min_size=8, max_size=90).map(bytes), min_size=1, max_size=4)


@settings(max_examples=60)
@given(VALUES, st.data())
def test_it_does_not_matter_where_output_is_cut(values: list[bytes], data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from(values) | LETTERS, max_size=6))
    printed = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(printed)), max_size=8)))
    chunks = [printed[start:end] for start, end in zip([0, *cuts], [*cuts, len(printed)], strict=True)]
    shown = masked(values, *chunks)

    assert shown == masked(values, printed) == masked_slowly(values, printed)
    assert not any(value in shown for value in values)


@settings(max_examples=60)
@given(VALUES, st.data())
def test_quiet_moments_never_show_a_value(values: list[bytes], data: st.DataObject) -> None:
    masker = Masker(values)
    shown = b""
    for part in data.draw(st.lists(st.sampled_from(values) | LETTERS, max_size=6)):
        for at in range(0, len(part), step := data.draw(st.integers(1, 9))):
            shown += masker.feed(part[at : at + step])
            shown += masker.idle()
    shown += masker.end()

    assert not any(value in shown for value in values)


def masked_slowly(values: list[bytes], printed: bytes) -> bytes:
    """The same by the definition: all that is covered by a piece of a form of any value is masked."""
    looked_for = set[bytes]()
    for form in {form for value in values for form in forms(value)}:
        looked_for |= {form[at : at + PIECE] for at in range(0, max(len(form) - PIECE, 0), PIECE)} | {form[-PIECE:]}
    covered = [False] * len(printed)
    for piece in looked_for:
        for at in range(len(printed)):
            if printed.startswith(piece, at):
                covered[at : at + len(piece)] = [True] * len(piece)
    out = b""
    for at, byte in enumerate(printed):
        if not covered[at]:
            out += bytes([byte])
        elif not at or not covered[at - 1]:
            out += b"****"
    return out


def test_the_time_that_it_takes_grows_no_faster_than_the_output() -> None:
    """A value of 64 KiB of one letter, and a megabyte of it, which a naive search takes minutes for."""
    masker = Masker([b"a" * 65535 + b"b"])

    assert sum(len(masker.feed(b"a" * 65536)) for _ in range(4)) == len("****")


def test_old_values_are_forgotten_but_not_what_a_running_command_has() -> None:
    masker = Masker([b"at-the-start"])
    values = [b"rotation-%03d" % number for number in range(2 * KEPT)]
    for value in values:
        masker.add([value])
    assert _masked_words(masker, b"at-the-start", *values) == [True] + [False] * KEPT + [True] * KEPT
    masker.started()
    assert _masked_words(masker, b"at-the-start", *values[-3:]) == [False, False, True, True]
    masker.add([b"rotation-new"])
    masker.started()
    assert _masked_words(masker, b"rotation-new", *values[-2:]) == [True, True, True]


def _masked_words(masker: Masker, *words: bytes) -> list[bool]:
    return [masker.feed(word + b"\n") == b"****\n" for word in words]
