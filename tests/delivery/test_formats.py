"""Formats: each file is read again by its reader; of systemd and Java by their rules, here, and by a real systemd in
test_real_readers.py."""

import io
import json
import re
import subprocess
from collections.abc import Mapping

import dotenv
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from secrets_actor.delivery.formats import FORMATS, Formatted
from secrets_actor.domain.references import Reference
from secrets_actor.errors import InvalidParameter, InvalidSecretName, InvalidSecretValue
from tests.delivery.given_values import Given

NO_CHARACTERS = [chr(at | end) for at in range(0, 0x110000, 0x10000) for end in (0xFFFE, 0xFFFF)] + ["\ufdd0", "\ufdef"]
TEXTS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=20)
VARIABLES = st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,6}", fullmatch=True), TEXTS, max_size=4)
NAMES = st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=4)
HARD = {
    "PLAIN": "abc/1.2",
    "EMPTY": "",
    "BLANKS": "  a  b ",
    "HASH": "#a # b",
    "QUOTES": 'it\'s "x"',
    "LINES": "a\nb\r\n\tc\f\n",
    "DOLLAR": "$HOME ${HOME} `id` $(id) %h",
    "BACK": "a\\b\\\\c\\n\\",
    "UNICODE": "Grüße ☃ 🦉",
    "SIGNS": "a=b:c!d",
}


def written(form: str, values: Mapping[str, str]) -> str:
    names = {name: f"s{number}" for number, name in enumerate(values)}
    given_ = Given({names[name]: value for name, value in values.items()})
    return Formatted.of(form, names, ()).render(given_).decode()


# --- readers ----------------------------------------------------------------------------------------------------------


def read_properties(text: str) -> dict[str, str]:
    """What java.util.Properties.load reads, by its documentation, of a file in Latin-1 (or ASCII)."""
    found: dict[str, str] = {}
    for natural in re.split("\r\n|\r|\n", text):
        line = natural.lstrip(" \t\f")
        if not line or line[0] in "#!":
            continue
        assert not re.search(r"(?<!\\)(\\\\)*\\$", line), "no logical line goes over several"
        name = re.match(r"(?:\\.|[^\\=: \t\f])*", line)
        assert name is not None
        rest = re.sub(r"^[ \t\f]*[=:]?[ \t\f]*", "", line[name.end() :])
        found[_unescaped(name[0])] = _unescaped(rest)
    return found


def _unescaped(text: str) -> str:
    letters = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}

    def one(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else letters.get(code, code)

    units = re.sub(r"\\(u[0-9a-f]{4}|.)", one, text)
    return units.encode("utf-16-be", "surrogatepass").decode("utf-16-be")


def read_environment_file(text: str) -> dict[str, str]:
    """What systemd's parse_env_file reads of lines NAME="value" (its states; systemd.exec(5))."""
    found: dict[str, str] = {}
    place = 0
    while place < len(text):
        beginning = re.compile(r'(\w+)="').match(text, place)
        assert beginning is not None
        place, value = beginning.end(), ""
        while text[place] != '"':
            if text[place] == "\\":
                place += 1
                value += text[place] if text[place] in '"\\`$' else f"\\{text[place]}".replace("\\\n", "")
            else:
                value += text[place]
            place += 1
        assert text[place : place + 2] == '"\n'
        place += 2
        found[beginning[1]] = value
    return found


def read_by_shell(text: str, names: list[str]) -> dict[str, str]:
    script = f'{text}\nfor name in {" ".join(names)}; do eval "printf \'%s\\0\' \\"\\${{$name}}\\""; done'
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, timeout=30)
    return dict(zip(names, done.stdout.decode().split("\0"), strict=False))


# --- what is read -----------------------------------------------------------------------------------------------------


@given(VARIABLES)
@example({"A": "\ufdcf\ufdf0\ufffd\U0001fffd"})
@example(HARD)
def test_systemd_reads_what_was_given(values: dict[str, str]) -> None:
    assume(not any(letter in text for text in values.values() for letter in NO_CHARACTERS))
    assert read_environment_file(written("systemd", values)) == values


@given(NAMES)
@example(HARD)
@example({" a b": " x", "#=:!\\": "y", "ü": "z"})
def test_java_reads_what_was_given(values: dict[str, str]) -> None:
    found = written("properties", values)

    assert found.isascii()
    assert read_properties(found) == values


@given(NAMES)
@example(HARD)
def test_json_is_one_object_of_texts(values: dict[str, str]) -> None:
    assert json.loads(written("json", values)) == values


def test_a_shell_reads_dotenv_and_a_library_does_where_it_can() -> None:
    readable = {name: text for name, text in HARD.items() if name not in ("BACK", "QUOTES")}

    assert read_by_shell(written("dotenv", HARD), list(HARD)) == HARD
    stream = io.StringIO(written("dotenv", readable), newline="")
    found = dotenv.dotenv_values(stream=stream, interpolate=False)
    assert {**found, "LINES": ""} == {**readable, "LINES": ""}


# --- names ------------------------------------------------------------------------------------------------------------


def test_all_below_a_prefix_has_names_by_the_rest_of_its_name() -> None:
    values = Given({"app/db-password": "p", "app/x/y": "q", "other": "r"})

    assert Formatted.of("json", {}, ("app/",)).render(values) == b'{\n  "db-password": "p",\n  "x/y": "q"\n}\n'
    file = Formatted.of("systemd", {"OTHER": "other"}, ("app/",))
    assert file.render(values) == b'OTHER="r"\nDB_PASSWORD="p"\nX_Y="q"\n'
    assert file.references == (Reference("other"),)
    assert file.prefixes == ("app/",)


@pytest.mark.parametrize("form", FORMATS)
def test_two_values_of_one_name_are_an_error(form: str) -> None:
    values = Given({"app/X": "CANARY-1", "web/X": "CANARY-2"})

    with pytest.raises(InvalidParameter, match="two secrets would be X") as caught:
        Formatted.of(form, {}, ("app/", "web/")).render(values)

    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("form", ["dotenv", "systemd"])
def test_a_variable_has_a_name_that_it_can_have_and_no_nul(form: str) -> None:
    for name in ("a-b", "1A", "", "A B", "A\n"):
        with pytest.raises(InvalidParameter, match="letters, digits"):
            Formatted.of(form, {name: "x"}, ())
    with pytest.raises(InvalidSecretValue, match="the value of A has a NUL"):
        Formatted.of(form, {"A": "x"}, ()).render(Given({"x": "a\0b"}))


def test_what_systemd_would_refuse_is_told_before() -> None:
    for letter in NO_CHARACTERS:
        with pytest.raises(InvalidSecretValue, match=r"^the value of A has a noncharacter"):
            written("systemd", {"A": f"x{letter}"})
        assert json.loads(written("json", {"A": letter})) == {"A": letter}


def test_a_variable_is_no_longer_than_linux_takes() -> None:
    assert len(written("systemd", {"A": "x" * 131_069})) == len('A=""\n') + 131_069
    with pytest.raises(InvalidSecretValue, match=r"^the value of A is too long for a variable"):
        written("systemd", {"A": "x" * 131_068 + "ü"})


def test_a_binary_value_is_an_error_and_a_wrong_name_is_one_at_once() -> None:
    with pytest.raises(InvalidSecretValue, match="x is binary"):
        Formatted.of("json", {"A": "x"}, ()).render(Given({"x": b"\xff"}))
    with pytest.raises(InvalidSecretValue, match="app/x is binary"):
        Formatted.of("json", {}, ("app/",)).render(Given({"app/x": b"\xff"}))
    with pytest.raises(InvalidSecretName):
        Formatted.of("json", {"A": ""}, ())
