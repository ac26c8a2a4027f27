"""Deleting, calling it off, and clearing away. PURE.

What we read out of AWS's silence: a soft delete of a secret that is already scheduled for deletion is refused
(`SecretDeleted`); a forced one is not. A forced delete of a missing secret succeeds, as AWS documents. A restore of a
live secret changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import Delete, Restore
from secrets_actor.domain.secret import DeleteReceipt, RestoreReceipt
from secrets_actor.domain.semantics.case import Case
from secrets_actor.domain.semantics.shelf import Shelf
from secrets_actor.records import replace


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
    ends = case.now + timedelta(days=window)
    case.shelf.keep(replace(entry, changed_at=case.now, deletion_date=ends))
    return DeleteReceipt(entry.name, entry.arn, ends)


def restore(case: Case, operation: Restore) -> RestoreReceipt:
    """Call a soft delete off."""
    entry = case.there(operation.secret_id)
    if entry.deletion_date is not None:
        case.shelf.keep(replace(entry, changed_at=case.now, deletion_date=None))
    return RestoreReceipt(entry.name, entry.arn)


def purge(shelf: Shelf, now: datetime) -> None:
    """Remove the secrets whose recovery window has ended."""
    for entry in tuple(shelf.overdue(now)):
        shelf.remove(entry)
