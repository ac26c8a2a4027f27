"""Templates: where values stand, what filters make of them, and what is no template."""

import base64
import json
import shlex
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.delivery.templates import Template
from secrets_actor.domain.references import Reference, parse_reference
from secrets_actor.domain.secret import SecretValue
from secrets_actor.errors import InvalidParameter, InvalidSecretValue
from tests.delivery.given_values import Given

CANARY = "xK9#canary}${db/x}$$'\"\n\\"
TEXTS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=20)


def rendered(template: str, **values: str | bytes) -> str:
    return Template.parse(template).render(Given({f"db/{name}": value for name, value in values.items()})).decode()


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("no reference\n", "no reference\n"),
        ("a=${db/x}", "a=v w"),
        ("${db/x}${db/x}", "v wv w"),
        ("${ db/x | url }", "v%20w"),
        ("${db/x|shell}", "'v w'"),
        ("${db/x|json|json}", '"\\"v w\\""'),
        ("${db/x|base64}", "diB3"),
        ("${db/x|url|base64}", base64.b64encode(b"v%20w").decode()),
        ("$${db/x} costs $$5, $1 and $host$", "${db/x} costs $5, $1 and $host$"),
        ("${db/x}${{", None),
        ("$$${db/x}", "$v w"),
    ],
)
def test_values_stand_where_their_references_stood(template: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(InvalidParameter):
            rendered(template, x="v w")
    else:
        assert rendered(template, x="v w") == text


def test_a_value_is_not_looked_at_again() -> None:
    assert rendered("${db/x}/${db/y}", x=CANARY, y="y") == f"{CANARY}/y"


def test_a_member_may_have_dollars_in_its_name() -> None:
    assert Template.parse("${db/x#a$$b}").references == (Reference("db/x", ("a$$b",)),)


def test_lines_behind_the_first_are_indented() -> None:
    assert rendered("key: |\n  ${db/x|indent(2)}\n", x="a\nb\nc") == "key: |\n  a\n  b\n  c\n"


def test_the_references_are_told_each_once_in_their_order() -> None:
    template = Template.parse("${db/x#user}${db/y@AWSPREVIOUS|json}${db/x#user|url}$${db/z}")

    assert template.references == (Reference("db/x", ("user",)), Reference("db/y", (), "AWSPREVIOUS"))
    assert template.prefixes == ()


def test_what_is_optional_and_missing_is_empty() -> None:
    assert rendered("[${db/gone}][${db/gone|base64}]") == "[][]"


def test_bytes_that_are_no_text_go_through_base64_only() -> None:
    assert base64.b64decode(rendered("${db/x|base64}", x=b"\xff\0")) == b"\xff\0"
    with pytest.raises(InvalidSecretValue, match=r"db/x is binary.*base64"):
        rendered("${db/x}", x=b"\xff\0")
    with pytest.raises(InvalidSecretValue):
        rendered("${db/x|json|base64}", x=b"\xff\0")


def test_no_word_of_a_shell_holds_a_nul() -> None:
    with pytest.raises(InvalidSecretValue, match="NUL"):
        rendered("${db/x|shell}", x="a\0b")


@pytest.mark.parametrize(
    ("template", "place"),
    [
        ("${", "line 1, column 1: a \\$\\{ without its \\}"),
        ("a\nbc ${db/x\n", "line 2, column 4: a \\$\\{ without its \\}"),
        ("${}", "line 1, column 3: no name"),
        ("a\n${db/x#}", "line 2, column 3: NAME, NAME#MEMBER"),
        ("${db/x|hunter2}", "line 1, column 8: no filter of ours; there are json, shell, url, base64, indent"),
        ("\n\n  ${db/x|json|indent}", "line 3, column 15: no filter"),
        ("${db/x|json(2)}", "line 1, column 8: no filter"),
        ("${db/x|indent(1000)}", "no filter"),
        ("${db/x|}", "column 8: no filter"),
    ],
)
def test_a_mistake_is_told_by_its_place_and_quotes_nothing(template: str, place: str) -> None:
    with pytest.raises(InvalidParameter, match=place) as caught:
        Template.parse(template)

    assert "hunter2" not in str(caught.value)


@given(TEXTS)
def test_each_filter_can_be_undone_by_the_reader_that_it_is_for(text: str) -> None:
    found = rendered("${db/x|json}\0${db/x|shell}\0${db/x|url}\0${db/x|base64}", x=text)
    as_json, as_word, as_url, as_base64 = found.split("\0")

    assert json.loads(as_json) == text
    assert shlex.split(as_word) == [text]
    assert urllib.parse.unquote(as_url, errors="strict") == text
    assert not set(as_url) & set("/?#&=+@: ")
    assert base64.b64decode(as_base64).decode() == text


@given(st.lists(st.sampled_from(["${db/x}", "$${", "$$", "$", "{", "}", "a|b", "\n"]), max_size=8))
def test_what_is_no_reference_is_kept_as_it_is(pieces: list[str]) -> None:
    try:
        found = rendered("".join(pieces), x="VALUE")
    except InvalidParameter:
        assert "${" in "".join(pieces)
        return
    assert found.count("VALUE") <= pieces.count("${db/x}")
    assert set(found) <= set("VALUE${}a|b\ndb/x")


def test_a_template_shows_no_value() -> None:
    template, values = Template.parse("${db/x}"), Given({"db/x": CANARY})
    template.render(values)

    assert "canary" not in repr(template)
    assert parse_reference("db/x") in template.references
    assert isinstance(values.below("db/")["db/x"], SecretValue)
