"""Values for what is rendered, given by the test."""

from collections.abc import Mapping

from secrets_actor.domain.references import Reference, parse_reference
from secrets_actor.domain.secret import SecretValue


class Given:
    """Values by the texts of their references, and by their names below a prefix."""

    def __init__(self, values: Mapping[str, str | bytes] | None = None) -> None:
        self._values = {parse_reference(name): value for name, value in (values or {}).items()}

    def bytes(self, reference: Reference, /) -> bytes | None:
        value = self._values.get(reference)
        return value.encode() if isinstance(value, str) else value

    def below(self, prefix: str, /) -> Mapping[str, SecretValue]:
        return {one.name: SecretValue(value) for one, value in self._values.items() if one.name.startswith(prefix)}
