"""The base of the tables of a configuration. It has a file of its own because settings.py and daemon_settings.py both
need it, and the first imports the second."""

from functools import partial
from typing import Annotated, Any, Self

from msgspec import Meta, Struct

Text = Annotated[str, Meta(min_length=1)]


class Section(Struct, frozen=True):
    """Base of the tables of a configuration. The fields of a section are the keys of its table.

    Settings can be pickled and copied. With a key in clear in them, pickling raises `TypeError`.
    """

    def __deepcopy__(self, _memo: object) -> Self:
        return self  # it is frozen

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **{name: getattr(self, name) for name in self.__struct_fields__}), ()
