"""`.env` files: what is written is read alike by us, by a shell and by a dotenv library; what is unclear is refused."""

import io
import subprocess

import dotenv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secrets_actor.delivery.env_files import read_env, variable_of, without_double, write_env
from secrets_actor.errors import InvalidParameter

TEXTS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=30)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
HARD = {
    "PLAIN": "abc/1.2",
    "EMPTY": "",
    "BLANKS": "  a  b ",
    "HASH": "a # b",
    "QUOTE": "it's",
    "DOUBLE": 'say "x"',
    "LINES": "a\nb\r\n\tc\n",
    "DOLLAR": "$HOME ${HOME} `id` $(id)",
    "BACK": "a\\b\\\\c\\n",
    "UNICODE": "Grüße ☃",
    "EQUALS": "a=b=c",
    "ALL": "'\"\\\\$x`y`",
}


@given(st.dictionaries(NAMES, TEXTS, max_size=5))
def test_what_is_written_is_read_again(variables: dict[str, str]) -> None:
    assert read_env(write_env(variables)) == variables


def test_a_shell_reads_what_is_written() -> None:
    names = " ".join(HARD)
    script = f'{write_env(HARD)}\nfor name in {names}; do eval "printf \'%s\\0\' \\"\\${{$name}}\\""; done'
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, timeout=30)

    assert done.stdout.decode().split("\0")[:-1] == list(HARD.values())


def test_a_dotenv_library_reads_what_is_written_but_for_a_quote_and_a_dollar_in_one() -> None:
    written = {name: value for name, value in HARD.items() if name != "ALL"}

    assert dotenv.dotenv_values(stream=io.StringIO(write_env(written)), interpolate=False) == written


@settings(max_examples=50)
@given(st.dictionaries(NAMES, st.text("ab '\"#=\n\\", max_size=12).map(lambda text: text.rstrip("\\")), max_size=3))
def test_what_has_no_dollar_is_read_by_a_dotenv_library_as_by_us(variables: dict[str, str]) -> None:
    """Not with a backslash at the end of a value: python-dotenv up to 1.2.1 takes the quote behind it for escaped."""
    assert dotenv.dotenv_values(stream=io.StringIO(write_env(variables)), interpolate=False) == variables


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("\n # only a comment", {}),
        ("A=1\nB=2", {"A": "1", "B": "2"}),
        ("A=1\r\nB=two words \r\n", {"A": "1", "B": "two words"}),
        ("  export A = 1 # what it is\n", {"A": "1"}),
        ("A=a#b\nB=\nC= # nothing", {"A": "a#b", "B": "", "C": ""}),
        ("A='x $y `z` \\n'", {"A": "x $y `z` \\n"}),
        ("A='two\nlines' # and a comment\nB=2", {"A": "two\nlines", "B": "2"}),
        ('A="\\n\\r\\t\\\\\\"\\$\\`\\q"', {"A": '\n\r\t\\"$`\\q'}),
        ('A="one\\\nline"', {"A": "oneline"}),
        ("A=1\nA=2", {"A": "2"}),
    ],
)
def test_the_usual_forms_are_read(text: str, found: dict[str, str]) -> None:
    assert read_env(text) == found


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("kanarie", 1, "NAME=value"),
        ("A=1\n\n2B=kanarie", 3, "NAME=value"),
        ("A=1\nexport B", 2, "NAME=value"),
        ("A='kanarie", 1, "a quote that is not closed"),
        ('A="kanarie\nB=2', 1, "a quote that is not closed"),
        ("A='x' kanarie", 1, "a quote that is not closed, or text behind one"),
        ("A=it's", 1, "a quote that is not closed, or text behind one"),
        ("A=kanarie$x", 1, "put the value in single quotes"),
        ('A="kanarie \\\\$x"', 1, "put the value in single quotes"),
        ('# a\nA="`kanarie`"', 2, "put the value in single quotes"),
    ],
)
def test_what_is_unclear_is_refused_by_its_line_and_not_quoted(text: str, line: int, told: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        read_env(text)

    assert f"line {line}" in str(refused.value)
    assert told in str(refused.value)
    assert "kanarie" not in f"{refused.value} {refused.value.__dict__}"


@pytest.mark.parametrize(
    ("name", "variable"),
    [("db-password", "DB_PASSWORD"), ("db/user", "DB_USER"), ("API_KEY", "API_KEY"), ("2nd", "_2ND"), ("", "_")],
)
def test_a_name_becomes_a_variable(name: str, variable: str) -> None:
    assert variable_of(name) == variable


def test_two_names_of_one_variable_are_refused() -> None:
    assert without_double(["a-b", "c"]) == {"a-b": "A_B", "c": "C"}
    with pytest.raises(InvalidParameter, match=r"a-b and a_b would be the same variable, A_B"):
        without_double(["a-b", "a_b"])
