"""A JSON object that prints as a mask: what goes to AWS and comes from it when we do not know what is in it. PURE."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn, Self

from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.secret import MASK


class MaskedObject:
    """The members of a JSON object, masked in every printable form, and not to be changed.

    Raises `InvalidParameter` for what is no JSON object.
    """

    __slots__ = ("_text",)
    _text: str

    def __init__(self, members: "Mapping[str, Any] | MaskedObject") -> None:
        self._text = members._text if isinstance(members, MaskedObject) else _encoded(members)
        del members
        if not self._text:
            raise InvalidParameter("payload", "a mapping that JSON can hold; bytes go as base64 text")

    def reveal(self) -> dict[str, Any]:
        """The members, as a dictionary of your own."""
        members: dict[str, Any] = json.loads(self._text)
        return members

    def __eq__(self, other: object) -> bool:
        return self.reveal() == other.reveal() if isinstance(other, MaskedObject) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # a hash of little gives it away

    def __repr__(self) -> str:
        return f"<MaskedObject {MASK}>"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a MaskedObject cannot be pickled: it may hold a secret")


def _encoded(members: Mapping[str, Any]) -> str:
    if not isinstance(members, Mapping):
        return ""
    try:
        return json.dumps(dict(members), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return ""
