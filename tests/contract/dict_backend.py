"""A backend of one's own, as a stranger would write it: secrets in dictionaries, by public names only.

What each operation means is in `secrets_actor.semantics`: a store that keeps entries and values needs no more. A store
that has operations of its own, such as a server, answers the messages itself instead: it matches on `Get`, `Set` and
the others in `perform`, and raises `UnknownMessage` for those that it does not have.
"""

import secrets
import threading
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

from msgspec.structs import replace

from secrets_actor import Answer, BackendFactory, CallContext, SecretValue, semantics
from secrets_actor.errors import BackendTimeout, RequestFailed
from secrets_actor.messages import Operation
from secrets_actor.otp import SystemClock
from secrets_actor.semantics import Entry

T = TypeVar("T")


class DictRecords:
    """The records: an entry for each secret, and the values of its versions. It is a `semantics.Records`."""

    store_name = "the dictionary"  # in the texts of errors
    # The client takes ARNs apart: they have AWS's form.
    arn_prefix = "arn:dict:secretsmanager:here:000000000000:secret:"

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.values: dict[str, dict[str, SecretValue]] = {}
        # Workers ask at the same time, each over its own connection. An operation is one transaction: under this lock.
        self.lock = threading.Lock()

    def find(self, name: str) -> Entry | None:
        return self.entries.get(name)

    def every(self) -> Iterable[Entry]:
        return self.entries.values()

    def overdue(self, now: datetime) -> Iterable[Entry]:
        return [one for one in self.every() if one.deletion_date is not None and one.deletion_date <= now]

    def new_suffix(self) -> str:
        return secrets.token_hex(3)

    def keep(self, entry: Entry) -> None:
        self.entries[entry.name] = entry

    def remove(self, entry: Entry) -> None:
        del self.entries[entry.name]
        self.values.pop(entry.name, None)  # a secret that was created without a value has none

    def value(self, entry: Entry, version_id: str) -> SecretValue:
        return self.values[entry.name][version_id]

    def put_value(self, entry: Entry, version_id: str, value: SecretValue) -> None:
        self.values.setdefault(entry.name, {})[version_id] = value

    def drop_values(self, entry: Entry, version_ids: Iterable[str]) -> None:
        for version_id in version_ids:
            del self.values[entry.name][version_id]

    def accessed(self, entry: Entry, now: datetime) -> None:
        self.keep(replace(entry, accessed_at=now.replace(hour=0, minute=0, second=0, microsecond=0)))


class DictBackend:
    """One connection to the records. A worker has one for itself, and `close` is called from any thread."""

    name = "dict"

    def __init__(self, records: DictRecords, recovery_window: int) -> None:
        self.records, self.recovery_window = records, recovery_window
        self.closed = False

    def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
        """Carry *operation* out. Every failure is a `SecretsError`."""
        if self.closed:
            raise RequestFailed("this connection to the dictionary is closed: ask again")
        if SystemClock().now() >= context.deadline:
            raise BackendTimeout("no time is left to look into the dictionary: ask again with more")
        with self.records.lock:
            answer = semantics.perform(
                self.records,
                operation,
                datetime.now(UTC),
                new_id=str(uuid.uuid4()),
                recovery_window=self.recovery_window,
                choose=secrets.randbelow,
                repeated=context.repeated,
            )
        return Answer(answer)  # a store that gives its exchanges an id says it here

    def close(self) -> None:
        """Nothing to close, but a closed connection stays closed."""
        self.closed = True


def dict_backend_factory(recovery_window: int = 30) -> BackendFactory:
    """For `start(backend=...)`: a new store, with a connection for each worker. *recovery_window*: the days in which a
    deleted secret can be restored."""
    records = DictRecords()
    return BackendFactory("dict", lambda: DictBackend(records, recovery_window))
