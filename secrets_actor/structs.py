"""A `msgspec.Struct` of which not all fields are shown or compared; msgspec has no option for that. PURE.

Rule 1: what is hidden is in no repr and no tree that rich prints. msgspec's encoders see all fields: so what holds a
        value in clear is no Struct, and a value that a Struct holds has a masked type, which no encoder takes.
"""

from typing import Any, ClassVar

from msgspec import Struct


class SelectiveStruct(Struct, frozen=True):
    """Base of Structs that leave fields out: of their repr what is HIDDEN, of `==` and the hash what is UNCOMPARED, and
    of the hash alone what is UNHASHED, for it has none."""

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
    """Base of what holds a value in clear and is therefore no Struct. A subclass has `__slots__`, an `__init__` that
    sets them, and the names that its repr shows. It is equal to one of its class with the same fields."""

    __slots__ = ()
    SHOWN: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join([f'{name}={getattr(self, name)!r}' for name in self.SHOWN])})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names: tuple[str, ...] = type(self).__slots__
        return all(getattr(self, name) == getattr(other, name) for name in names)

    __hash__ = None  # type: ignore[assignment]  # a hash of little gives it away
