"""Deleting, calling it off, and clearing away. PURE.

What we read out of AWS's silence: a soft delete of a secret that is already scheduled for deletion is refused
(`SecretDeleted`); a forced one is not. A forced delete of a missing secret succeeds, as AWS documents. A restore of a
live secret changes nothing.

What is gone cannot be brought back, and a wall clock may be a month ahead: for minutes, as on a machine that does not
keep the time while it is off, until somebody sets it. So a window ends when two looks at the clock have said so that
lie an hour apart, by a clock that cannot be set. Until then the secret is there, scheduled, and can be restored.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import Delete, Restore
from secrets_actor.domain.secret import DeleteReceipt, RestoreReceipt
from secrets_actor.domain.semantics.case import Case
from secrets_actor.domain.semantics.shelf import Shelf
from secrets_actor.records import dataclass, replace

# Seconds between the two looks. A clock that was wrong at the start is right long before.
APART: Final = 3600.0


def delete(case: Case, operation: Delete) -> DeleteReceipt:
    """Softly or by force. One that may have taken effect (`repeated`) and finds the secret scheduled, is done."""
    secret_id = SecretId(operation.secret_id)
    if operation.force:
        entry = case.find(secret_id)
        if entry is None:
            arn = secret_id if secret_id.is_arn else case.shelf.arn_prefix + secret_id
            return DeleteReceipt(secret_id, arn, case.now)
        case.shelf.remove(entry)
        return DeleteReceipt(entry.name, entry.arn, case.now)
    entry = case.there(secret_id)
    if case.repeated and entry.deletion_date is not None:
        return DeleteReceipt(entry.name, entry.arn, entry.deletion_date)
    case.alive(entry)
    window = case.recovery_window if operation.recovery_window is None else operation.recovery_window
    # A wall clock that is before the last change is behind: the window would be over when somebody sets it right.
    ends = max(case.now, entry.changed_at) + timedelta(days=window)
    case.shelf.keep(replace(entry, changed_at=case.now, deletion_date=ends))
    return DeleteReceipt(entry.name, entry.arn, ends)


def restore(case: Case, operation: Restore) -> RestoreReceipt:
    """Call a soft delete off."""
    entry = case.there(operation.secret_id)
    if entry.deletion_date is not None:
        case.shelf.keep(replace(entry, changed_at=case.now, deletion_date=None))
    return RestoreReceipt(entry.name, entry.arn)


def purge(shelf: Shelf, over: datetime) -> None:
    """Remove the secrets whose recovery window ends by then."""
    for entry in tuple(shelf.overdue(over)):
        shelf.remove(entry)


@dataclass(frozen=True, slots=True)
class Look:
    """A look at the clocks: the date by the wall clock, and *seconds* since the machine came up (`clock.now`)."""

    at: datetime
    seconds: float


def agreed(first: Look | None, now: Look) -> datetime | None:
    """Up to when recovery windows have ended, by the wall clock of *first*, the look that saw the first end, and of
    *now*: what both saw, if they lie APART. None: that is not sure yet, and nothing has ended."""
    if first is None or now.at < first.at:
        return None
    # A machine that was started anew since has been up for that long at least since the first look.
    passed = now.seconds - first.seconds if now.seconds >= first.seconds else now.seconds
    return first.at if passed >= APART else None


def next_first(first: Look | None, now: Look, overdue: bool) -> Look | None:
    """The look to remember. *overdue*: whether *now* sees the end of a window that is not cleared away. A look that a
    later one contradicts was at a wall clock that was wrong, and is forgotten."""
    if not overdue:
        return None
    return now if first is None or now.at < first.at or agreed(first, now) is not None else first
