"""What was asked and what came of it, and what one secret is to whoever looks from outside.

A secret is a register that can be away: it holds a value, or one that is scheduled for deletion, or nothing. Times are
any integers that grow; UNKNOWN outcomes have no end.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FOREVER: Final = 2**63
# What a read, or a refusal, may say in place of a value. No write writes these.
DELETED: Final = "<deleted>"
MISSING: Final = "<missing>"


class Kind(StrEnum):
    """READ saw `value` (or DELETED, MISSING). WRITE puts `value`. DELETE schedules a deletion, RESTORE calls it off,
    PURGE deletes for good."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    RESTORE = "restore"
    PURGE = "purge"


class Outcome(StrEnum):
    """DONE took effect between `begun` and `ended`; FAILED never does; UNKNOWN does at most once, at any time after
    `begun`. Of a FAILED change `saw` may say what the store refused it for: DELETED or MISSING. That is a look, too. Of
    a READ only DONE tells anything."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Act:
    """One operation on one secret, by one caller."""

    key: str
    kind: Kind
    value: str
    begun: int
    ended: int
    outcome: Outcome = Outcome.DONE
    by: str = ""
    saw: str = ""

    def __str__(self) -> str:
        span = f"[{self.begun}, {'...' if self.ended >= FOREVER else self.ended}]"
        return f"{span} {self.by or 'somebody'}: {self.kind} {self.value} {self.outcome} {self.saw}".rstrip()


@dataclass(frozen=True, slots=True)
class State:
    """What a secret is: `value` None when there is none."""

    value: str | None
    deleted: bool = False

    def __str__(self) -> str:
        return MISSING if self.value is None else f"{self.value}{' (deleted)' if self.deleted else ''}"


ABSENT: Final = State(None)


def after(state: State, kind: Kind, value: str) -> State | None:
    """*state* once this has taken effect; None where it cannot have.

    A delete of what is deleted already, and a restore of what is there, are told to be done: a client that lost its
    first answer asks the store how things stand.
    """
    match kind:
        case Kind.READ:
            seen = MISSING if state.value is None else DELETED if state.deleted else state.value
            return state if seen == value else None
        case Kind.WRITE:
            return None if state.deleted else State(value)
        case Kind.DELETE:
            return None if state.value is None else State(state.value, deleted=True)
        case Kind.RESTORE:
            return None if state.value is None else State(state.value)
        case Kind.PURGE:
            return ABSENT
