"""A shelf with a clock, asked as a store asks it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from secrets_actor.domain import operations as ops
from secrets_actor.domain.semantics import Entry
from secrets_actor.testing.shelf import Shelf

T = TypeVar("T")

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WINDOW = 12


def token(number: int) -> str:
    return f"{number:032}"


class Rig:
    """The shelf, and the moment that it is."""

    def __init__(self, choose: Callable[[int], int] = secrets.randbelow) -> None:
        self.shelf, self.now, self.made = Shelf(WINDOW, choose), NOW, 0

    def ask(self, operation: ops.Operation[T], *, repeated: bool = False) -> T:
        """The answer to *operation*. One that brings no token makes a version with an id by number."""
        self.made += 1
        return self.shelf.perform(operation, self.now, token(1000 + self.made), repeated=repeated)

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)

    def entry(self, name: str) -> Entry:
        found = self.shelf.find(name)
        assert found is not None
        return found

    def picture(self) -> dict[str, Any]:
        """All that is on the shelf."""
        return {
            one.name: (one, {version.id: self.shelf.value(one, version.id).reveal() for version in one.versions})
            for one in self.shelf.every()
        }

    def valued(self, entry: Entry) -> set[str]:
        """The versions that have a value."""
        return set(self.shelf._values[entry.name])
