"""Masked things that are no secret values: JSON objects for AWS whose content we do not know, and settings. PURE."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Self

from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.secret import MASK, hide
from secrets_actor.json_text import read_json


class MaskedObject:
    """The members of a JSON object, masked in every printable form. It cannot be changed.

    Raises `InvalidParameter` for members that JSON cannot hold.
    """

    __slots__ = ("_text",)

    def __init__(self, members: "Mapping[str, Any] | MaskedObject") -> None:
        _put_members(self, _members(members) if isinstance(members, MaskedObject) else _encoded(members))
        del members
        if not _members(self):
            raise InvalidParameter("payload", "a mapping that JSON can hold; bytes go as base64 text")

    def reveal(self) -> dict[str, Any]:
        """Return the members as a new dictionary, which is the caller's own."""
        members: dict[str, Any] = json.loads(_members(self))
        return members

    def __eq__(self, other: object) -> bool:
        return self.reveal() == other.reveal() if isinstance(other, MaskedObject) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # the hash of a short text could be guessed back

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


class MaskedText:
    """A text that prints as a mask: a key in the settings, or a text that may be a key in the wrong place.

    It is equal to the same text, masked or plain.
    """

    __slots__ = ("_text",)

    def __init__(self, text: "str | MaskedText") -> None:
        _put_text(self, _text(text) if isinstance(text, MaskedText) else text)

    def reveal(self) -> str:
        """Return the text in clear."""
        return _text(self)

    def __eq__(self, other: object) -> bool:
        other = _text(other) if isinstance(other, MaskedText) else other
        return _text(self) == other if isinstance(other, str) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as above

    def __repr__(self) -> str:
        return f"<MaskedText {MASK}>"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError(
            "a MaskedText cannot be pickled: it may hold a key; name the variable or the file that holds it"
        )


_members: Callable[[MaskedObject], str]
_put_members: Callable[[MaskedObject, str], None]
_members, _put_members = hide(MaskedObject, "_text")
_text: Callable[[MaskedText], str]
_put_text: Callable[[MaskedText, str], None]
_text, _put_text = hide(MaskedText, "_text")


def _encoded(members: Mapping[str, Any]) -> str:
    if not isinstance(members, Mapping):
        return ""
    try:
        text = json.dumps(dict(members), allow_nan=False)
        read_json(text)  # here, in the caller's thread: else a worker could be the first to find that it cannot be read
    except (TypeError, ValueError, RecursionError):
        return ""
    return text
