"""What an operation is carried out with, and how a secret is found. PURE.

Rule 1: a secret whose recovery window has ended is not there, whether or not `purge` has been by. Which windows have
        ended says `over`, and not `now`: a wall clock may be wrong, and what is gone is gone (values.py).
Rule 2: a refusal comes before anything is changed: a store without transactions of its own is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from msgspec import Struct

from secrets_actor.domain.errors import InvalidRequest, SecretDeleted, SecretNotFound
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.semantics.entry import Entry
from secrets_actor.domain.semantics.records_port import Records


class Context(Struct, frozen=True):
    """One operation's circumstances; see `perform`."""

    records: Records
    now: datetime
    new_id: str
    recovery_window: int
    repeated: bool
    choose: Callable[[int], int]
    over: datetime

    def find(self, secret_id: str) -> Entry | None:
        """The secret of this name, ARN, or ARN without its suffix. As AWS, take one that ends in a hyphen and six
        characters for whole: a secret whose name ends so is not found by its ARN without suffix."""
        asked = SecretId(secret_id)
        if not asked.is_arn:
            return self._present(asked)
        if not asked.startswith(self.records.arn_prefix):
            return None  # a secret of another store
        tail = asked.removeprefix(self.records.arn_prefix)
        if not asked.looks_whole:
            return self._present(tail)
        found = self._present(asked.lanes[0])
        return found if found is not None and found.arn == asked else None

    def there(self, secret_id: str) -> Entry:
        """The secret, scheduled for deletion or not. Raises `SecretNotFound`."""
        entry = self.find(secret_id)
        if entry is None:
            raise self.missing(secret_id)
        return entry

    def live(self, secret_id: str) -> Entry:
        """The secret, if it is not scheduled for deletion. Raises `SecretNotFound` and `SecretDeleted`."""
        return self.alive(self.there(secret_id))

    def alive(self, entry: Entry) -> Entry:
        """*entry*, if it is not scheduled for deletion. Raises `SecretDeleted`."""
        if entry.deletion_date is not None:
            raise SecretDeleted(
                f"secret {entry.name} is scheduled for deletion on {entry.deletion_date:%Y-%m-%d %H:%M} UTC; "
                "restore it first"
            )
        return entry

    def every(self, *, include_deleted: bool) -> Iterator[Entry]:
        """All secrets, in no order."""
        for entry in self.records.every():
            if entry.deletion_date is None or (include_deleted and entry.deletion_date > self.over):
                yield entry

    def missing(self, secret_id: str) -> SecretNotFound:
        """The refusal of what is not there."""
        hint = "; an ARN that ends in a hyphen and six characters is taken for whole" * SecretId(secret_id).looks_whole
        return SecretNotFound(
            f"there is no secret {secret_id} in {self.records.store_name}; list shows those there are{hint}"
        )

    def misplaced(self) -> InvalidRequest:
        """The refusal of a token that no page of this list has brought."""
        return InvalidRequest(
            f"{self.records.store_name} gave out no such next_token for this list: list again without it"
        )

    def _present(self, name: str) -> Entry | None:
        entry = self.records.find(str(name))
        over = entry is not None and entry.deletion_date is not None and entry.deletion_date <= self.over
        return None if over else entry
