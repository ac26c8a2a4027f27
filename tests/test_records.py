"""Records beside the standard library's dataclasses: the same in all that this package uses."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from secrets_actor.records import dataclass, field, fields, is_dataclass, replace

T = TypeVar("T")
Maker = Callable[..., Any]


def classes(dataclass: Maker, field: Maker) -> dict[str, Any]:
    """The same classes by one maker or the other."""

    @dataclass(frozen=True, slots=True)
    class Point:
        kind: ClassVar[str] = "point"
        x: int
        y: int = 0
        tags: list[str] = field(default_factory=list, hash=False)
        secret: str = field(default="s", repr=False)
        note: str = field(default="", compare=False)

    @dataclass(frozen=True, slots=True)
    class Solid(Point):
        y: int = 7
        z: int = 5

        def __repr__(self) -> str:
            return f"<solid {self.z}>"

    @dataclass(slots=True)
    class Counter:
        n: int = 0

        def __post_init__(self) -> None:
            self.n += 1

    @dataclass(slots=True, eq=False)
    class Same:
        n: int = 0

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Options:
        a: int
        b: int = field(default=2, metadata={"ge": 1})

    @dataclass(frozen=True, slots=True)
    class Nothing:
        pass

    @dataclass(frozen=True, slots=True, init=False)
    class Own(Generic[T]):
        value: T

        def __init__(self, given: T) -> None:
            object.__setattr__(self, "value", given)

    @dataclass(frozen=True, slots=True, repr=False)
    class Equal:
        n: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal)

        def __hash__(self) -> int:
            return 7

    return {name: value for name, value in locals().items() if isinstance(value, type)}


OURS, THEIRS = classes(dataclass, field), classes(dataclasses.dataclass, dataclasses.field)

CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("Point", (1,), {}),
    ("Point", (1, 2, ["a"], "b", "c"), {}),
    ("Point", (1,), {"note": "n"}),
    ("Point", (), {"x": 1, "y": 3}),
    ("Solid", (1,), {}),
    ("Solid", (1, 2), {"z": 3}),
    ("Counter", (), {}),
    ("Counter", (4,), {}),
    ("Same", (), {}),
    ("Options", (), {"a": 1}),
    ("Options", (), {"a": 1, "b": 3}),
    ("Nothing", (), {}),
    ("Own", ("v",), {}),
    ("Equal", (1,), {}),
]
WRONG: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("Point", (), {}),
    ("Point", (1,), {"x": 1}),
    ("Point", (1,), {"nothing": 1}),
    ("Point", (1, 2, [], "", "", "more"), {}),
    ("Options", (1,), {}),
    ("Options", (1, 2), {}),
    ("Nothing", (1,), {}),
]


def outcome(action: Callable[[], Any]) -> Any:
    """What comes of it: the answer, or the type of the error."""
    try:
        return action()
    except Exception as error:
        return type(error)


def shown(one: Any) -> Any:
    """All that can be compared of an object across two classes."""
    text = repr(one).replace("test_records.", "").partition(" object at ")[0]
    return text, [getattr(one, name.name) for name in dataclasses.fields(one)], outcome(lambda: hash(one) * 0)


@pytest.mark.parametrize(("name", "args", "named"), CALLS)
def test_an_object_is_made_as_the_standard_library_makes_it(name: str, args: Any, named: Any) -> None:
    ours, theirs = OURS[name](*args, **named), THEIRS[name](*args, **named)

    assert shown(ours) == shown(theirs)
    assert (ours == OURS[name](*args, **named)) == (theirs == THEIRS[name](*args, **named))
    assert ours != theirs
    assert ours.__match_args__ == theirs.__match_args__
    assert inspect.signature(OURS[name]) == inspect.signature(THEIRS[name])
    assert not hasattr(ours, "__dict__")


@pytest.mark.parametrize(("name", "args", "named"), WRONG)
def test_arguments_that_do_not_fit_are_refused(name: str, args: Any, named: Any) -> None:
    assert outcome(lambda: THEIRS[name](*args, **named)) is TypeError

    with pytest.raises(TypeError, match=name):
        OURS[name](*args, **named)


@pytest.mark.parametrize("of", [OURS, THEIRS], ids=["ours", "theirs"])
def test_equality_and_hash_look_at_the_fields_that_count(of: dict[str, Any]) -> None:
    point = of["Point"]

    assert point(1, note="a") == point(1, note="b") != point(2)
    assert hash(point(1, note="a", tags=["a"])) == hash(point(1))
    assert hash(point(1)) != hash(point(2))
    assert point(1).__eq__(of["Solid"](1)) is NotImplemented
    assert of["Same"]() != of["Same"]()
    assert of["Equal"](1) == of["Equal"](2)
    assert of["Counter"].__hash__ is None


@pytest.mark.parametrize("of", [OURS, THEIRS], ids=["ours", "theirs"])
def test_what_is_frozen_cannot_be_changed(of: dict[str, Any]) -> None:
    point = of["Point"](1)

    for change in (lambda: setattr(point, "x", 2), lambda: delattr(point, "x")):
        with pytest.raises(FrozenInstanceError):
            change()
    assert point.x == 1


def test_a_plain_class_below_may_have_more() -> None:
    class Marked(OURS["Point"]):  # type: ignore[misc,name-defined]
        pass

    marked = Marked(1)
    marked.mark = 1
    del marked.mark

    assert not hasattr(marked, "mark")
    for change in (lambda: setattr(marked, "x", 2), lambda: delattr(marked, "x")):
        with pytest.raises(FrozenInstanceError):
            change()


@pytest.mark.parametrize("of", [OURS, THEIRS], ids=["ours", "theirs"])
def test_a_dataclass_may_have_one_for_its_base(of: dict[str, Any]) -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Line(of["Point"]):  # type: ignore[misc,name-defined]
        length: int = 3

    line = Line(1, length=4)

    assert [one.name for one in fields(line)] == ["x", "y", "tags", "secret", "note", "length"]
    assert (line.x, line.length, "length=4" in repr(line)) == (1, 4, True)
    assert replace(line, x=2) == Line(2, length=4)
    assert list(inspect.signature(Line).parameters)[-1] == "length"


def test_the_functions_of_the_standard_library_take_them() -> None:
    point = OURS["Point"](1)

    assert dataclasses.asdict(point) == {"x": 1, "y": 0, "tags": [], "secret": "s", "note": ""}
    assert dataclasses.replace(point, y=2) == replace(point, y=2) == OURS["Point"](1, 2)
    assert dataclasses.is_dataclass(point)
    assert is_dataclass(point)
    assert is_dataclass(OURS["Point"])
    assert is_dataclass(THEIRS["Point"](1))
    assert not is_dataclass(3)
    assert (
        [one.name for one in fields(THEIRS["Options"])] == [one.name for one in fields(OURS["Options"])] == ["a", "b"]
    )
    assert OURS["Options"].__dataclass_params__.frozen
    assert fields(OURS["Options"])[1].metadata == {"ge": 1}
    assert OURS["Point"].kind == "point"


def test_one_that_holds_itself_can_be_shown() -> None:
    same = OURS["Same"]()
    same.n = same

    assert repr(same).endswith("Same(n=...)")


def test_a_class_without_slots_is_refused() -> None:
    with pytest.raises(TypeError, match="slots"):
        dataclass(slots=False)(type("Loose", (), {}))
