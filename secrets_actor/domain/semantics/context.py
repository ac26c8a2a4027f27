"""The context of one operation: its transaction, its clock and ids, and how it finds a secret. PURE.

Rule 1: a secret whose recovery window has ended does not exist, whether or not `purge` has removed it yet. `over` says
        which windows have ended, and not `now`: a wall clock may be wrong, and a purged secret cannot be brought back
        (values.py).
Rule 2: a refusal comes before anything is changed, so a store without transactions of its own stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.domain.errors import InvalidRequest, SecretDeleted, SecretNotFound
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.semantics.entry import Entry
from secrets_actor.domain.semantics.records_port import Records


class Context(Struct, frozen=True):
    """The circumstances of one operation. The fields are the arguments of `perform`; it explains them."""

    records: Records
    now: datetime
    new_id: str
    recovery_window: int
    repeated: bool
    choose: Callable[[int], int]
    over: datetime
    former_arn_prefix: str | None = None

    def find(self, secret_id: str) -> Entry | None:
        """Return the secret with this name, ARN, or ARN without its suffix; None if there is none.

        As in AWS, an ARN that ends in a hyphen and six characters is taken for a whole ARN. So a secret whose own name
        ends like this is not found by its ARN without the suffix.
        """
        asked = SecretId(secret_id)
        if not asked.is_arn:
            return self._present(asked)
        own, former = self.records.arn_prefix, self.former_arn_prefix
        prefix = own if asked.startswith(own) or former is None else former
        if not asked.startswith(prefix):
            return None  # the ARN of a secret in another store
        found = self._present(asked.lanes[0] if asked.looks_whole else asked.removeprefix(prefix))
        if found is not None and prefix != own:
            # The answer has the former ARN: the caller knows the secret by no other, and its client would take another
            # one for that of another secret.
            found = replace(found, arn=prefix + found.arn.removeprefix(own))
        return None if found is None or (asked.looks_whole and found.arn != asked) else found

    def there(self, secret_id: str) -> Entry:
        """Return the secret, scheduled for deletion or not. Raises `SecretNotFound`."""
        entry = self.find(secret_id)
        if entry is None:
            raise self.missing(secret_id)
        return entry

    def live(self, secret_id: str) -> Entry:
        """Return the secret, if it is not scheduled for deletion. Raises `SecretNotFound` and `SecretDeleted`."""
        return self.alive(self.there(secret_id))

    def alive(self, entry: Entry) -> Entry:
        """Return *entry*, if it is not scheduled for deletion. Raises `SecretDeleted`."""
        if entry.deletion_date is not None:
            raise SecretDeleted(
                f"secret {entry.name} is scheduled for deletion on {entry.deletion_date:%Y-%m-%d %H:%M} UTC; "
                "restore it first"
            )
        return entry

    def every(self, *, include_deleted: bool) -> Iterator[Entry]:
        """Iterate over all secrets, in no order; with *include_deleted* also those that are scheduled for deletion."""
        for entry in self.records.every():
            if entry.deletion_date is None or (include_deleted and entry.deletion_date > self.over):
                yield entry

    def missing(self, secret_id: str) -> SecretNotFound:
        """Return the error for a secret that does not exist."""
        hint = "; an ARN that ends in a hyphen and six characters is taken for whole" * SecretId(secret_id).looks_whole
        return SecretNotFound(
            f"there is no secret {secret_id} in {self.records.store_name}; list shows those there are{hint}"
        )

    def misplaced(self) -> InvalidRequest:
        """Return the error for a `next_token` that no page of this list has given out."""
        return InvalidRequest(
            f"{self.records.store_name} gave out no such next_token for this list: list again without it"
        )

    def _present(self, name: str) -> Entry | None:
        entry = self.records.find(str(name))
        over = entry is not None and entry.deletion_date is not None and entry.deletion_date <= self.over
        return None if over else entry
