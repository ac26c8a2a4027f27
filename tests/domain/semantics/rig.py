"""Records with a clock, asked as a store asks it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from secrets_actor.domain import operations as ops
from secrets_actor.domain.semantics import Entry
from secrets_actor.testing.memory_records import MemoryRecords

T = TypeVar("T")

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WINDOW = 12


def token(number: int) -> str:
    return f"{number:032}"


class Rig:
    """The records, and the moment that it is."""

    def __init__(self, choose: Callable[[int], int] = secrets.randbelow) -> None:
        self.records, self.now, self.made = MemoryRecords(WINDOW, choose), NOW, 0

    def ask(self, operation: ops.Operation[T], *, repeated: bool = False) -> T:
        """The answer to *operation*. One that brings no token makes a version with an id by number."""
        self.made += 1
        return self.records.perform(operation, self.now, token(1000 + self.made), repeated=repeated)

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)

    def entry(self, name: str) -> Entry:
        found = self.records.find(name)
        assert found is not None
        return found

    def picture(self) -> dict[str, Any]:
        """All that is into the records."""
        return {
            one.name: (one, {version.id: self.records.value(one, version.id).reveal() for version in one.versions})
            for one in self.records.every()
        }

    def valued(self, entry: Entry) -> set[str]:
        """The versions that have a value."""
        return set(self.records._values[entry.name])
