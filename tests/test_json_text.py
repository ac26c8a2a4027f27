"""JSON of others: read as Python reads it, but for what is nested so deeply that the machine's stack would not do."""

import json
import subprocess
import sys
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secrets_actor import InvalidParameter
from secrets_actor.json_text import MAX_DEPTH, NestedTooDeeply, read_json, refuse_deep
from secrets_actor.messages import Request

LETTERS: Final = st.text(st.sampled_from('[]{}"\\:,a\u20ac'), max_size=8)
DOCUMENTS: Final = st.recursive(
    LETTERS | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(LETTERS, inner)
)


def nested(depth: int, opening: str = "[", closing: str = "]", inmost: str = "") -> str:
    return opening * depth + inmost + closing * depth


@settings(max_examples=40)
@given(DOCUMENTS, st.sampled_from(["utf-8", "utf-16", "utf-32", "utf-16-le", "utf-8-sig"]), st.booleans())
def test_what_is_json_is_read_as_python_reads_it(document: Any, encoding: str, ascii_only: bool) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only)

    assert read_json(text) == read_json(text.encode(encoding)) == document


@pytest.mark.parametrize("document", ["", "canary", "[1", '{"a": canary}', '"[', "\ufeff{}", b"\xff", b'"\xff"'])
def test_what_is_none_is_a_value_error(document: str | bytes) -> None:
    with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
        read_json(document)


@pytest.mark.parametrize(
    ("opening", "closing", "inmost"), [("[", "]", ""), ('{"a":', "}", "1"), ('{"[\\"":[', "]}", "")]
)
def test_it_may_be_nested_as_deep_as_anybody_needs_and_no_deeper(opening: str, closing: str, inmost: str) -> None:
    levels = MAX_DEPTH // opening.replace('"[', "").replace("[", "{").count("{")
    found = read_json(nested(levels, opening, closing, inmost))
    assert isinstance(found, list | dict)

    for text in (nested(levels + 1, opening, closing, inmost), opening * (levels + 1)):
        for document in (text, text.encode(), text.encode("utf-16")):
            with pytest.raises(NestedTooDeeply):
                read_json(document)


@pytest.mark.parametrize("part", ['"[', '"\\', '"\\"[', "\\[", "[", "]"])
def test_the_time_that_it_takes_grows_no_faster_than_the_document(part: str) -> None:
    for document in (part * 100_000, "[" * 999 + part * 100_000, '["' + part * 100_000):
        with pytest.raises((json.JSONDecodeError, NestedTooDeeply)):
            read_json(document)


def test_how_much_there_is_beside_each_other_makes_no_difference() -> None:
    wide = [[{}] * 300, "[" * 10_000, {"{[\\": "\\" * 999}, '"' + "[" * 999] * 9

    assert read_json(json.dumps(wide)) == wide


def test_a_caller_that_is_far_down_itself_hears_the_same() -> None:
    def down(levels: int) -> Any:
        return down(levels - 1) if levels else read_json(nested(MAX_DEPTH))

    if sys.version_info < (3, 12):  # from then on Python counts its own levels and the parser's apart
        with pytest.raises(NestedTooDeeply):
            down(sys.getrecursionlimit() - 200 - len_of_stack())
    else:
        assert isinstance(down(sys.getrecursionlimit() - 200 - len_of_stack()), list)


@pytest.mark.parametrize("within", [b"{}", b"[" * MAX_DEPTH, b"[]" * 2000, b'"' + b"[" * 2000 + b'"', b"\xff" * 2000])
def test_another_parser_is_given_what_is_not_too_deep(within: bytes) -> None:
    refuse_deep(within)


@pytest.mark.parametrize("deep", [b"[" * (MAX_DEPTH + 1), b'{"a":' * 2000, b"\xff" + b"[" * 2000])
def test_and_nothing_that_is(deep: bytes) -> None:
    with pytest.raises(NestedTooDeeply):
        refuse_deep(deep)


def len_of_stack() -> int:
    frame, length = sys._getframe(), 0
    while frame is not None:
        frame, length = frame.f_back, length + 1  # type: ignore[assignment]
    return length


SMALL_STACK: Final = """
import sys, threading
from secrets_actor import SecretValue
from secrets_actor.errors import InvalidSecretValue

def read():
    for text in ("[" * 30_000, '{"a":' * 10_000, "[" * 499 + "]" * 499):
        try:
            print(type(SecretValue(text).json()).__name__)
        except InvalidSecretValue:
            print("InvalidSecretValue")

threading.stack_size(128 * 1024)
thread = threading.Thread(target=read)
thread.start()
thread.join()
"""


def test_a_thread_with_a_small_stack_lives_through_what_is_nested_without_end() -> None:
    done = subprocess.run([sys.executable, "-c", SMALL_STACK], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout.split()) == (0, ["InvalidSecretValue", "InvalidSecretValue", "list"])


@pytest.mark.parametrize("levels", [MAX_DEPTH, 900, 970, 985, 2000])
def test_a_payload_that_is_nested_too_deeply_is_refused_where_it_is_given(levels: int) -> None:
    payload: list[Any] = []
    for _ in range(levels - 1):
        payload = [payload]

    with pytest.raises(InvalidParameter):
        Request("GetNewThing", {"a": payload})
