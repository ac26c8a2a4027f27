"""The base of errors that can be pickled, and the base of objects that cannot. PURE.

Rule 1: an error goes through a pickle by its text and its facts, and its class is not called for that. Python would
        call the class with the text alone, which fails if the class takes more. That failure comes where the error
        arrives: a process pool breaks over it, and the caller of a `multiprocessing.Pool` waits forever.
Rule 2: what belongs to one process, or may hold a value, is not in the pickle of an error. It has a stand-in.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, ClassVar, Final, NoReturn, Self, TypeVar

# What to do in place of sending a running thing to another process.
START_THERE: Final = (
    "start a system in the process that uses it, with the path of the configuration file, or with Settings, which "
    "can be pickled"
)
_PLAIN: Final = (str, int, float, bool, NoneType)


class PortableError(Exception):
    """The base of errors that come out of a pickle, or a copy, with the same text and the same attributes. Traceback,
    cause and context are left behind.

    _local has the names of the attributes that are in no pickle: there the class's own attribute takes their place.
    """

    _local: ClassVar[frozenset[str]] = frozenset()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in self._local}

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (type(self), self.args), self.__getstate__()

    def __copy__(self) -> Self:
        twin = _made(type(self), self.args)
        twin.__dict__.update(self.__dict__)
        return twin

    def __deepcopy__(self, _memo: object) -> Self:
        return self.__copy__()  # its facts do not change; some of them, such as a process, could not be copied


E = TypeVar("E", bound=PortableError)


def _made(kind: type[E], args: tuple[Any, ...]) -> E:
    error = kind.__new__(kind)  # without `__init__` (rule 1)
    error.args = args
    return error


def is_plain(value: object) -> bool:
    """Whether *value* is a text, a number, a bool or None, or a tuple of such. Others may be anybody's: they may hold a
    secret, or fail where they are unpickled."""
    return all(map(is_plain, value)) if type(value) is tuple else type(value) in _PLAIN


def plain_form(value: object) -> object:
    """Return *value* if it is plain, a tuple in the plain form of its members, and the name of any other's type."""
    if type(value) is tuple:
        return tuple([plain_form(one) for one in value])
    return value if is_plain(value) else type(value).__name__


class LivesHere:
    """The base of objects that belong to the threads of this process. A copy of one is the object itself. Pickling one
    is a `TypeError`, whose text ends in the class's _advice."""

    __slots__ = ()
    _advice: ClassVar[str] = "it belongs to the threads of this process: make one in the process that uses it"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled: {self._advice}")
