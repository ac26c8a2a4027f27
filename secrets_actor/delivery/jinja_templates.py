"""Templates of Jinja, for what the plain ones cannot say: loops and conditions. THE door to jinja2 (an extra).

    {% for host in ["a", "b"] %}{{ host }}: {{ secret("db/login#password") | json }}
    {% endfor %}

Rule 1: a secret is named by a text as it stands, `secret("db/login#user")`, so that all that a template needs is known
        before it is rendered, and is heard of when it changes.
Rule 2: templates are rendered in Jinja's sandbox; a name that is not defined is an error. Nothing is escaped by itself,
        for the files are no HTML: the filters `json`, `shell`, `url`, `base64` are those of the plain templates.
Rule 3: no error quotes anything: of one that is raised while a template is rendered, only its type is told.
"""

from __future__ import annotations

from typing import Any

from secrets_actor.delivery.templates import FILTERS, Values, text_of
from secrets_actor.domain.errors import ConfigurationError, InvalidInput, InvalidParameter, InvalidSecretValue
from secrets_actor.domain.references import Reference, parse_reference

try:
    from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
    from jinja2.sandbox import SandboxedEnvironment
except ModuleNotFoundError:
    raise ConfigurationError(
        ("engine jinja2 needs jinja2, which is not installed: pip install 'secrets-actor[templates]'",)
    ) from None


class JinjaTemplate:
    """A template of Jinja. Made by `parse`. Two of one text are equal."""

    def __init__(self, text: str, references: tuple[Reference, ...]) -> None:
        self._text, self._references = text, references

    @classmethod
    def parse(cls, text: str) -> JinjaTemplate:
        """Return the template that *text* is. Raises `InvalidParameter`, with the line."""
        try:
            environment = _environment()
            tree = environment.parse(text)
            environment.compile(text)  # it alone sees a filter or a test that there is not
        except TemplateSyntaxError as error:
            problem = f"line {error.lineno}: Jinja cannot read this"
        except RecursionError:
            problem = "brackets or operators stand too deep in one another for Jinja"
        else:
            return cls(text, tuple(dict.fromkeys(_reference(one) for one in _calls(tree))))
        raise InvalidParameter("template", problem)

    @property
    def references(self) -> tuple[Reference, ...]:
        """The references in it, each once."""
        return self._references

    @property
    def prefixes(self) -> tuple[str, ...]:
        """None: a template names each secret."""
        return ()

    def render(self, values: Values) -> bytes:
        """Return the text with *values* in it. Raises `InvalidSecretValue` and `InvalidParameter`."""

        def secret(name: str) -> str:
            reference = parse_reference(name)
            return text_of(reference, values.bytes(reference))

        problem: InvalidInput | str
        try:
            environment = _environment()
            environment.globals["secret"] = secret
            return environment.from_string(self._text).render().encode()
        except InvalidSecretValue as error:
            problem = error.clone()
        except Exception as error:  # noqa: BLE001  # a template can raise whatever Python can (rule 3)
            problem = f"it cannot be rendered: {type(error).__name__}"
        if isinstance(problem, str):
            raise InvalidParameter("template", problem)
        raise problem

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JinjaTemplate) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.filters.update(FILTERS)
    return environment


def _calls(tree: Any) -> list[Any]:
    """Return the calls of `secret`, each a node of Jinja. Raises `InvalidParameter` where it is used otherwise."""
    names = [one for one in tree.find_all(nodes.Name) if one.name == "secret"]
    calls = [one for one in tree.find_all(nodes.Call) if isinstance(one.node, nodes.Name) and one.node.name == "secret"]
    if len(names) != len(calls):
        line = names[-1].lineno
        raise InvalidParameter("template", f'line {line}: secret is for secret("NAME") only')
    return calls


def _reference(call: Any) -> Reference:
    """Return the reference that a call of `secret` names (rule 1)."""
    problem = 'secret("NAME") takes one reference, as a text that stands there'
    if len(call.args) == 1 and not call.kwargs and isinstance(call.args[0], nodes.Const):
        try:
            return parse_reference(str(call.args[0].value))
        except InvalidInput as error:
            problem = error.allowed if isinstance(error, InvalidParameter) else "no name of a secret"
    raise InvalidParameter("template", f"line {call.lineno}: {problem}")
