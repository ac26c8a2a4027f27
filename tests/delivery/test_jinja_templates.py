"""Templates of Jinja: what they need is known before, they are rendered in a sandbox, and no error quotes a value."""

import pytest

from secrets_actor.delivery.jinja_templates import JinjaTemplate
from secrets_actor.domain.references import Reference
from secrets_actor.errors import InvalidParameter, InvalidSecretValue
from tests.delivery.given_values import Given

CANARY = "xK9-canary"
VALUES = Given({"db/x#user": 'a"b', "db/y": "p q", "bytes": b"\xff"})


def rendered(text: str) -> str:
    return JinjaTemplate.parse(text).render(VALUES).decode()


def test_values_and_filters_stand_in_loops_and_conditions() -> None:
    text = '{% for n in [1, 2] %}{{ n }}={{ secret("db/x#user") | json }}\n{% endfor %}{{ secret("db/y") | shell }}\n'

    assert rendered(text) == '1="a\\"b"\n2="a\\"b"\n\'p q\'\n'
    assert rendered("<{{ secret('db/x#user') }}>") == '<a"b>', "no HTML, so nothing is escaped"


def test_the_references_are_known_before_it_is_rendered() -> None:
    template = JinjaTemplate.parse('{% if false %}{{ secret("db/x#user") }}{% endif %}{{ secret("db/y@OLD") }}')

    assert template.references == (Reference("db/x", ("user",)), Reference("db/y", (), "OLD"))
    assert template.prefixes == ()
    assert template == JinjaTemplate.parse('{% if false %}{{ secret("db/x#user") }}{% endif %}{{ secret("db/y@OLD") }}')
    assert len({template, JinjaTemplate.parse("x")}) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\n{{ secret(name) }}", "line 2: .* as a text that stands there"),
        ('{{ secret("a" ~ "b") }}', "line 1"),
        ('{{ secret("a", "b") }}', "takes one reference"),
        ('{{ secret("a#") }}', "NAME#MEMBER"),
        ('{{ secret("") }}', "no name of a secret"),
        ("{% set f = secret %}{{ f('db/x') }}", "secret is for"),
        ("\n\n{% hunter2 %}", "line 3: Jinja cannot read this"),
        ('\n{{ secret("db/x") | hunter2 }}', "line 2: Jinja cannot read this"),
        ("{{ " + "(" * 3000 + ")" * 3000 + " }}", "too deep in one another"),
    ],
)
def test_a_mistake_is_told_by_its_line(text: str, told: str) -> None:
    with pytest.raises(InvalidParameter, match=told) as caught:
        JinjaTemplate.parse(text)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("{{ unknown }}", "UndefinedError"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
        (f"{{{{ {{'a': 1}}['{CANARY}'] }}}}", "UndefinedError"),
        ("{% include 'other' %}", "TypeError"),
        ("{{ secret('db/y') + 1 }}", "TypeError"),
    ],
)
def test_what_is_raised_while_it_is_rendered_is_told_by_its_type(text: str, kind: str) -> None:
    with pytest.raises(InvalidParameter, match=f"it cannot be rendered: {kind}") as caught:
        rendered(text)

    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


def test_bytes_are_no_text() -> None:
    with pytest.raises(InvalidSecretValue, match="bytes is binary"):
        rendered("{{ secret('bytes') }}")
