"""`dataclass` for a program that starts quickly. The standard library's writes and compiles some six functions for each
class, which takes a millisecond, and this package has some two hundred: here all classes share the same few. PURE.

Rule 1: type checkers see the standard library's. What is here behaves alike, as far as this package uses it: slots
        always; frozen or not, init, repr, eq, kw_only; fields with default, default_factory, repr, compare, hash and
        metadata; `__post_init__`. What a class has itself stays.
Rule 2: `dataclasses.fields`, `asdict` and `replace`, `inspect.signature`, and a dataclass with one of these for its
        base take them for dataclasses: what they look for is made when they look (`_Foreign`).
Rule 3: quickest made with all fields in order. What is made for every call has an `__init__` of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, ClassVar, Final

from msgspec import Struct
from msgspec.structs import replace as replace_struct

_NONE: Final[Any] = object()  # no default


class _Field:
    __slots__ = ("compare", "default", "default_factory", "hash", "metadata", "name", "repr", "type")

    def __init__(
        self,
        *,
        default: Any = _NONE,
        default_factory: Any = _NONE,
        repr: bool = True,
        compare: bool = True,
        hash: bool | None = None,
        metadata: Any = None,
    ) -> None:
        self.default, self.default_factory, self.metadata = default, default_factory, metadata or {}
        self.repr, self.compare, self.hash = repr, compare, hash
        self.name, self.type = "", None

    def options(self) -> dict[str, Any]:
        """What `dataclasses.field` takes."""
        names = ("default", "default_factory", "repr", "compare", "hash", "metadata")
        return {name: found for name in names if (found := getattr(self, name)) is not _NONE}


class _Shape:
    """What the shared functions know of a class."""

    __slots__ = ("_twin", "compared", "fields", "hashed", "names", "options", "shown")

    def __init__(self, fields: tuple[_Field, ...], options: dict[str, Any]) -> None:
        self.fields, self.options = fields, options
        self.names = tuple([one.name for one in fields])
        self.shown = tuple([one.name for one in fields if one.repr])
        self.compared = tuple([one.name for one in fields if one.compare])
        self.hashed = tuple([one.name for one in fields if (one.compare if one.hash is None else one.hash)])
        self._twin: Any = None

    def twin(self) -> Any:
        """The standard library's class with these fields."""
        if self._twin is None:
            import dataclasses

            given = [(one.name, one.type, dataclasses.field(**one.options())) for one in self.fields]
            self._twin = dataclasses.make_dataclass("Twin", given, slots=True, **self.options)
        return self._twin


def _record(
    *, slots: bool, frozen: bool = False, init: bool = True, repr: bool = True, eq: bool = True, kw_only: bool = False
) -> Callable[[type], Any]:
    if not slots:
        raise TypeError("a class without slots is none for this module")
    options = {"frozen": frozen, "init": init, "repr": repr, "eq": eq, "kw_only": kw_only}
    # One with a Struct for its base is one already, frozen as that is.
    return lambda cls: cls if issubclass(cls, Struct) else _made(cls, options)


def _made(cls: type, options: dict[str, Any]) -> Any:
    body, kw_only = dict(cls.__dict__), options["kw_only"]
    above: _Shape | None = getattr(cls, "__record__", None)
    found = {} if above is None else {one.name: one for one in above.fields}
    body["__slots__"] = _own(cls, body, found)
    shape = body["__record__"] = _Shape(tuple(found.values()), options)
    for name in ("__dict__", "__weakref__"):
        body.pop(name, None)
    body.setdefault("__match_args__", () if kw_only else shape.names)
    if options["repr"]:
        body.setdefault("__repr__", _repr)
    if options["eq"]:
        if body.get("__hash__") is None:
            body["__hash__"] = _hash if options["frozen"] else None
        body.setdefault("__eq__", _eq)
    if options["frozen"]:
        body |= _FROZEN
    body |= _FOREIGN
    makes = options["init"] and "__init__" not in body
    if makes:
        body["__signature__"] = _SIGNATURE
    made: Any = type(cls)(cls.__name__, cls.__bases__, body)
    made.__qualname__ = cls.__qualname__
    if makes:
        made.__init__ = _initialiser(made, shape, kw_only)
    return made


def _own(cls: type, body: dict[str, Any], found: dict[str, _Field]) -> tuple[str, ...]:
    """Enter the fields that the class itself has, and give the names of those that want a slot. Their defaults leave
    its body, for slots take their places."""
    slots = []
    for name, hint in cls.__annotations__.items():
        if not _is_of_class(hint):
            default = body.pop(name, _NONE)
            one = default if isinstance(default, _Field) else _Field(default=default)
            one.name, one.type = name, hint
            if name not in found:
                slots.append(name)
            found[name] = one
    return tuple(slots)


def _is_of_class(hint: Any) -> bool:
    if isinstance(hint, str):
        return hint.startswith("ClassVar")
    return getattr(hint, "__origin__", hint) is ClassVar


# --- the shared functions ---------------------------------------------------------------------------------------------


def _initialiser(cls: Any, shape: _Shape, kw_only: bool) -> Callable[..., None]:
    puts = tuple([getattr(cls, name).__set__ for name in shape.names])
    count = -1 if kw_only else len(puts)
    most = max(count, 0)
    settles = hasattr(cls, "__post_init__")
    defaults = tuple([one.default for one in shape.fields])
    makers = tuple([None if one.default_factory is _NONE else one.default_factory for one in shape.fields])
    required = [default is _NONE and make is None for default, make in zip(defaults, makers, strict=True)]
    least = len(required) - required[::-1].index(True) if True in required else 0
    makes = any(makers)

    def __init__(self: Any, *args: Any, **named: Any) -> None:
        given = len(args)
        if named or given != count:
            if named or not least <= given <= most:
                args = _completed(self, args, named, most)
            elif makes:
                rest = zip(defaults[given:], makers[given:], strict=True)
                args += tuple([make() if make else default for default, make in rest])
            else:
                args += defaults[given:]
        for put, value in zip(puts, args):  # noqa: B905  as many of the one as of the other, by now
            put(self, value)
        if settles:
            self.__post_init__()

    return __init__


def _completed(record: Any, args: tuple[Any, ...], named: dict[str, Any], most: int) -> tuple[Any, ...]:
    """All arguments in the order of the fields; *most* go by their places."""
    kind, shape = type(record).__qualname__, record.__record__
    if len(args) > most:
        raise TypeError(f"{kind}: {most} arguments by their places at most, not {len(args)}")
    found = list(args)
    for one in shape.fields[len(args) :]:
        if one.name in named:
            found.append(named.pop(one.name))
        elif one.default_factory is not _NONE:
            found.append(one.default_factory())
        elif one.default is not _NONE:
            found.append(one.default)
        else:
            raise TypeError(f"{kind}: {one.name} is missing")
    if named:
        raise TypeError(f"{kind}: {next(iter(named))} is none of its arguments, or is given twice")
    return tuple(found)


@recursive_repr()
def _repr(self: Any) -> str:
    shown = ", ".join([f"{name}={getattr(self, name)!r}" for name in self.__record__.shown])
    return f"{type(self).__qualname__}({shown})"


def _eq(self: Any, other: Any) -> bool:
    if other.__class__ is not self.__class__:
        return NotImplemented  # type: ignore[no-any-return]
    names = self.__record__.compared
    same: bool = [getattr(self, name) for name in names] == [getattr(other, name) for name in names]
    return same


def _hash(self: Any) -> int:
    return hash(tuple([getattr(self, name) for name in self.__record__.hashed]))


def _refuse_set(self: Any, name: str, value: Any) -> None:
    _check_free(self, name, "assign to")
    object.__setattr__(self, name, value)


def _refuse_delete(self: Any, name: str) -> None:
    _check_free(self, name, "delete")
    object.__delattr__(self, name)


def _check_free(self: Any, name: str, verb: str) -> None:
    """Only what a class further down has beside the fields can be changed."""
    if "__record__" in type(self).__dict__ or name in self.__record__.names:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot {verb} field {name!r}")


def _get_state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in self.__record__.names]


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(self.__record__.names, state, strict=True):
        object.__setattr__(self, name, value)


_FROZEN: Final = {
    "__setattr__": _refuse_set,
    "__delattr__": _refuse_delete,
    "__getstate__": _get_state,
    "__setstate__": _set_state,
}


# --- what the standard library looks for ------------------------------------------------------------------------------


class _Foreign:
    """An attribute that a class has from its twin."""

    def __init__(self, find: Callable[[Any], Any], own: bool = False) -> None:
        self._find, self._own = find, own

    def __get__(self, record: Any, cls: type | None = None) -> Any:
        cls = cls or type(record)
        if self._own and "__record__" not in cls.__dict__:  # it may make itself otherwise
            raise AttributeError(cls.__name__)
        return self._find(cls.__record__.twin())  # type: ignore[attr-defined]


def _signature_of(twin: Any) -> Any:
    import inspect

    return inspect.signature(twin)


_FOREIGN: Final = {
    "__dataclass_fields__": _Foreign(lambda twin: twin.__dataclass_fields__),
    "__dataclass_params__": _Foreign(lambda twin: twin.__dataclass_params__),
}
_SIGNATURE: Final = _Foreign(_signature_of, own=True)


# --- the functions of `dataclasses` -----------------------------------------------------------------------------------


def _fields(record: Any) -> tuple[Any, ...]:
    """The fields of a record or of its class; of a dataclass, too."""
    cls = record if isinstance(record, type) else type(record)
    if "__record__" in cls.__dict__:
        found: tuple[Any, ...] = cls.__dict__["__record__"].fields
        return found
    import dataclasses

    return dataclasses.fields(record)


def _is_record(record: Any) -> bool:
    cls = record if isinstance(record, type) else type(record)
    return "__record__" in cls.__dict__ or hasattr(cls, "__dataclass_fields__")


def _replace(record: Any, /, **changes: Any) -> Any:
    if isinstance(record, Struct):
        return replace_struct(record, **changes)
    for one in _fields(record):
        changes.setdefault(one.name, getattr(record, one.name))
    return type(record)(**changes)


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import fields as fields
    from dataclasses import is_dataclass as is_dataclass
    from dataclasses import replace as replace
else:
    dataclass, field, fields, is_dataclass, replace = _record, _Field, _fields, _is_record, _replace
