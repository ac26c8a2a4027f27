"""The records of the fake store, kept in dictionaries, with the semantics of all our own stores. PURE.

Rule 1: the meaning of an operation is decided in `domain/semantics`. Only the AWS codes of a refusal are decided here.
Rule 2: a refused operation changes nothing, because the semantics refuse before they change anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, TypeVar

from msgspec.structs import replace

from secrets_actor.domain.errors import (
    InvalidRequest,
    LimitExceeded,
    SecretDeleted,
    SecretExists,
    SecretNotFound,
    SecretsError,
    StoreError,
)
from secrets_actor.domain.operations import STORE_MESSAGES, Operation
from secrets_actor.domain.results import SecretBatch, VersionBatch
from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.semantics import Entry, perform, purge

T = TypeVar("T")

# The beginning of the ARNs of the fake store: the form of AWS, with a partition and region that AWS does not have.
ARN_PREFIX: Final = "arn:fake:secretsmanager:fake:000000000000:secret:"
KINDS: Final = frozenset(operation.kind for operation in STORE_MESSAGES)
_AWS_CODES: Final[dict[type[StoreError], str]] = {
    SecretNotFound: "ResourceNotFoundException",
    SecretExists: "ResourceExistsException",
    SecretDeleted: "InvalidRequestException",
    InvalidRequest: "InvalidRequestException",
    LimitExceeded: "LimitExceededException",
}


class MemoryRecords:
    """All secrets of one fake store.

    *recovery_window* is the number of days that a deleted secret can be restored, unless the deletion says otherwise.
    *choose* returns a random number below the one that it is given."""

    def __init__(self, recovery_window: int, choose: Callable[[int], int]) -> None:
        self.store_name = "the fake store"
        self.arn_prefix: str = ARN_PREFIX
        self._recovery_window, self._choose = recovery_window, choose
        self._entries: dict[str, Entry] = {}
        self._values: dict[str, dict[str, SecretValue]] = {}
        self._made = 0

    def __len__(self) -> int:
        return len(self._entries)

    def perform(self, operation: Operation[T], now: datetime, new_id: str, *, repeated: bool = False) -> T:
        """Carry *operation* out at the moment *now*; return its answer. Raises what `domain.semantics.perform`
        raises."""
        purge(self, now)
        try:
            answer = perform(
                self,
                operation,
                now,
                new_id=new_id,
                recovery_window=self._recovery_window,
                choose=self._choose,
                repeated=repeated,
            )
        except SecretsError as refusal:
            _say_as_aws(refusal)
            raise
        if isinstance(answer, SecretBatch | VersionBatch):
            for error in answer.errors.values():
                _say_as_aws(error)
        return answer

    def version_ids(self, secret_id: str) -> tuple[str, ...]:
        """Return the ids of all versions of a secret, the oldest first; an empty tuple when there is no such secret."""
        entries = self._entries.values()
        return next((tuple(v.id for v in one.versions) for one in entries if secret_id in (one.name, one.arn)), ())

    # --- the port -------------------------------------------------------------------------------------------------

    def find(self, name: str) -> Entry | None:
        """Return the entry of this name; None when there is none."""
        return self._entries.get(name)

    def every(self) -> Iterable[Entry]:
        """Return all entries."""
        return self._entries.values()

    def overdue(self, now: datetime) -> Iterable[Entry]:
        """Return the entries whose recovery window has ended."""
        return [one for one in self.every() if one.deletion_date is not None and one.deletion_date <= now]

    def new_suffix(self) -> str:
        """Return the end of a new ARN: a running number, where AWS has random characters, so that tests can repeat
        it."""
        self._made += 1
        return f"{self._made:06}"

    def keep(self, entry: Entry) -> None:
        """Keep *entry*, in the place of the one of the same name."""
        self._entries[entry.name] = entry

    def remove(self, entry: Entry) -> None:
        """Remove *entry* with all its values."""
        del self._entries[entry.name]
        self._values.pop(entry.name, None)  # a secret that was created without a value has none

    def value(self, entry: Entry, version_id: str) -> SecretValue:
        """Return the value of a version."""
        return self._values[entry.name][version_id]

    def put_value(self, entry: Entry, version_id: str, value: SecretValue) -> None:
        """Keep the value of a version."""
        self._values.setdefault(entry.name, {})[version_id] = value

    def drop_values(self, entry: Entry, version_ids: Iterable[str]) -> None:
        """Forget the values of these versions."""
        for version_id in version_ids:
            del self._values[entry.name][version_id]

    def accessed(self, entry: Entry, now: datetime) -> None:
        """Note the day on which a value was read."""
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        self._entries[entry.name] = replace(entry, accessed_at=day)


def _say_as_aws(refusal: SecretsError) -> None:
    if isinstance(refusal, StoreError):
        refusal.aws_code, refusal.status = _AWS_CODES[type(refusal)], 400
