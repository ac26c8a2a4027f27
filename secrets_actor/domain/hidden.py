"""Slots that no name leads to. PURE.

What walks over an object (an inspector, a serialiser, a debugger, `vars`, `asdict`, `inspect.getmembers`) finds its
attributes by their names: those in `dir`, in `__slots__`, in the class. A value must not be among them. Out of reach
are only those who ask the interpreter itself, such as `gc.get_referents`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def hide(cls: type, name: str) -> tuple[Callable[[Any], Any], Callable[[Any, Any], None]]:
    """Take the slot *name* from *cls*. What reads it in an object, and what sets it, for the module that keeps them.
    One that was never set raises `AttributeError`."""
    slot = cls.__dict__[name]
    delattr(cls, name)
    slots: Any = cls.__dict__["__slots__"]
    cls.__slots__ = tuple(one for one in slots if one != name)  # type: ignore[attr-defined]
    return slot.__get__, slot.__set__
