"""Base classes for records that do not show or compare all of their fields; msgspec has no option for that. PURE.

Rule 1: a hidden field is in no repr and in no tree that rich prints. msgspec's encoders still see all fields. So a
        class that holds a value in clear must not be a Struct, and a value that a Struct holds has a masked type, which
        no encoder accepts.
"""

from typing import Any, ClassVar

from msgspec import Struct


class SelectiveStruct(Struct, frozen=True):
    """The base class of Structs that leave fields out: the fields HIDDEN from the repr, the fields UNCOMPARED from `==`
    and the hash, and the fields UNHASHED from the hash only, because their values have no hash."""

    HIDDEN: ClassVar[frozenset[str]] = frozenset()
    UNCOMPARED: ClassVar[frozenset[str]] = frozenset()
    UNHASHED: ClassVar[frozenset[str]] = frozenset()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in self.HIDDEN]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join([f'{name}={value!r}' for name, value in self.__rich_repr__()])})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = [name for name in self.__struct_fields__ if name not in self.UNCOMPARED]
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def __hash__(self) -> int:
        left_out = self.UNCOMPARED | self.UNHASHED
        return hash(tuple([getattr(self, name) for name in self.__struct_fields__ if name not in left_out]))


class Opaque:
    """The base class of records that hold a value in clear and must therefore not be Structs. A subclass has
    `__slots__`, an `__init__` that sets them, and in SHOWN the names of the fields that its repr shows. Two objects of
    one class are equal if all their fields are."""

    __slots__ = ()
    SHOWN: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join([f'{name}={getattr(self, name)!r}' for name in self.SHOWN])})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names: tuple[str, ...] = type(self).__slots__
        return all(getattr(self, name) == getattr(other, name) for name in names)

    __hash__ = None  # type: ignore[assignment]  # the hash of a short value would give the value away
