"""The local store as a backend: AWS Secrets Manager's semantics over our records.

Rule 1: files are opened by the first `perform`, under its deadline, so a key that is missing today is an error of
        today's call and not of the process. `connect` only loads the code.
Rule 2: each operation is one transaction. A repeated `Set` (same token) finds its version and changes nothing, so a
        crash between commit and answer cannot write twice; a repeated `Delete` finds the secret scheduled, and is done.
Rule 3: `close` sets the flag first, then interrupts; whoever holds the lock last gives the connection up.
Rule 4: no connection lives through a fork: SQLite takes the locks of an inherited one for its own, and data is lost. A
        fork waits for the operation under way; where it could not, its child keeps off the store.

What we read out of AWS's silence: a soft delete of a secret that is already scheduled for deletion is refused
(`SecretDeleted`); a forced one is not. A forced delete of a missing secret succeeds, as AWS documents. A restore of a
live secret changes nothing. A set by ARN updates and never creates.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import string
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from secrets_actor.backends.local import records
from secrets_actor.backends.local.reading import get, get_many, list_all, live, there
from secrets_actor.domain.errors import (
    InvalidRequest,
    SecretExists,
    SecretsError,
    StoreUnavailable,
    UnknownMessage,
)
from secrets_actor.domain.findings import Finding
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import Delete, Get, GetMany, List, Operation, Restore, Set
from secrets_actor.domain.ports import Answer, Backend, BackendKit, CallContext
from secrets_actor.domain.secret import DeleteReceipt, RestoreReceipt, SetReceipt
from secrets_actor.forks import loading, pauses

if TYPE_CHECKING:
    from secrets_actor.backends.local.master_key import MasterKeySource
    from secrets_actor.backends.local.opening import Opened
    from secrets_actor.backends.local.store import Rows

T = TypeVar("T")

NAME: Final = "local_encrypted"
# Seconds a read may spend on clearing away what is past its recovery window.
SWEEP: Final = 0.1
# Folders of stores whose connections a fork could not close; see rule 4.
_inherited: Final[set[Path]] = set()
_SUFFIX_ALPHABET: Final = string.ascii_letters + string.digits


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def kit(
    *,
    path: Path,
    recovery_window: int,
    key: MasterKeySource | None = None,
    wall_clock: Callable[[], datetime] = utc_now,
) -> BackendKit:
    """How runtime opens the local store: *path* is its folder (`~` goes), *recovery_window* the days a soft delete
    lasts unless it says otherwise, *key* where its master key comes from (None: the key file in the folder). Touches no
    file; the folder's place is fixed now, whatever becomes of the working directory."""
    folder = Path(os.path.abspath(os.path.expanduser(path)))

    def connect() -> Backend:
        return LocalBackend(folder, recovery_window=recovery_window, key=key, wall_clock=wall_clock)

    def examine(deadline: float, _prefix: str) -> Iterable[Finding]:
        with loading():
            from secrets_actor.backends.local import examination

        return examination.examine(folder, wall_clock(), deadline, key)

    return BackendKit(NAME, connect, examine=examine)


class LocalBackend:
    """One connection to the store in *folder*."""

    def __init__(
        self,
        folder: Path,
        *,
        recovery_window: int,
        key: MasterKeySource | None = None,
        wall_clock: Callable[[], datetime] = utc_now,
    ) -> None:
        # Here and not at the top: sqlite3 and cryptography are loaded by who connects, not by who imports.
        with loading():
            from secrets_actor.backends.local import opening

        self._opening = opening
        self._folder, self._recovery_window, self._wall_clock = folder, recovery_window, wall_clock
        self._key = key
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._opened: Opened | None = None
        pauses(self)

    @property
    def name(self) -> str:
        """The backend's name in the configuration."""
        return NAME

    def __repr__(self) -> str:
        state = "closed" if self._closed.is_set() else "open" if self._opened else "not opened yet"
        return f"<LocalBackend {self._folder} [{state}]>"

    def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
        """Carry *operation* out. Raises only `SecretsError`s; see the port."""
        try:
            with self._lock:
                return Answer(cast(T, self._perform(operation, context)))
        finally:
            if self._closed.is_set():
                self.close()

    def close(self) -> None:
        """Give up the connection; a `perform` under way fails soon."""
        self._closed.set()
        if self._lock.acquire(blocking=False):
            try:
                self._give_up()
            finally:
                self._lock.release()
            return
        opened = self._opened
        if opened is not None:
            opened.store.interrupt()

    def pause(self, patience: float) -> bool:
        """Before a fork: finish what is under way, and give the connection up."""
        if not self._lock.acquire(timeout=patience):
            return False
        self._give_up()
        return True

    def resume(self, child: bool, paused: bool) -> None:
        """After a fork: open anew when asked."""
        if paused:
            self._lock.release()
        elif child:
            _inherited.add(self._folder)

    def _give_up(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.store.close()

    def _perform(self, operation: Operation[Any], context: CallContext) -> object:
        if self._closed.is_set():
            raise StoreUnavailable(
                f"the connection to the local store {self._folder} was closed; ask again", path=str(self._folder)
            )
        if self._folder in _inherited:
            raise StoreUnavailable(
                f"this process was forked while the store {self._folder} was at work: use it from another process",
                path=str(self._folder),
            )
        deadline = context.deadline
        opened, now = self._open(deadline), self._wall_clock()
        match operation:
            case Get():
                return self._read(opened, lambda rows: get(rows, opened, operation, now), now, deadline)
            case List():
                return self._read(opened, lambda rows: list_all(rows, operation, now), now, deadline)
            case Set():
                version_id, suffix = operation.token or str(uuid.uuid4()), _random_suffix()
                return opened.store.write(lambda rows: _set(rows, opened, operation, version_id, suffix, now), deadline)
            case Delete():
                ends = now + timedelta(
                    days=self._recovery_window if operation.recovery_window is None else operation.recovery_window
                )
                repeated = context.repeated
                return opened.store.write(lambda rows: _delete(rows, operation, ends, now, repeated), deadline)
            case Restore():
                return opened.store.write(lambda rows: _restore(rows, operation, now), deadline)
            case GetMany():
                return self._read(opened, lambda rows: get_many(rows, opened, operation, now), now, deadline)
        name = type(operation).__name__
        raise UnknownMessage(f"the local store does not know the operation {name}: ask for it where there is AWS")

    def _open(self, deadline: float) -> Opened:
        if self._opened is not None and self._opened.identity != self._opening.identity(self._folder, self._key):
            self._give_up()
        if self._opened is None:
            self._opened = self._opening.open_store(self._folder, key=self._key, deadline=deadline, closed=self._closed)
        return self._opened

    def _read(self, opened: Opened, work: Callable[[Rows], T], now: datetime, deadline: float) -> T:
        try:
            return opened.store.read(work, deadline)
        finally:
            self._sweep(opened, now, deadline)

    def _sweep(self, opened: Opened, now: datetime, deadline: float) -> None:
        """Clear away what is past its recovery window. The read has its answer already, so failing here is no error."""
        until = min(deadline, time.monotonic() + SWEEP)
        with contextlib.suppress(SecretsError):
            if opened.store.read(lambda rows: records.overdue(rows, now), until):
                opened.store.write(lambda rows: records.purge(rows, now), until)


def _set(rows: Rows, opened: Opened, operation: Set, version_id: str, suffix: str, now: datetime) -> SetReceipt:
    if operation.tags or operation.kms_key_id is not None:
        raise InvalidRequest("the local store keeps no tags and has no KMS keys; set the secret without them")
    records.purge(rows, now)
    secret_id = SecretId(operation.secret_id)
    exists = records.find(rows, secret_id, now) is not None
    if exists or secret_id.is_arn or secret_id.is_managed:
        if operation.restore_on_set:
            _restore(rows, Restore(secret_id), now)
        secret = live(rows, secret_id, now)
    else:
        secret = records.create(rows, secret_id, suffix, operation.description, now)
    earlier = records.version_by_id(rows, secret, version_id)
    if earlier is not None:
        value = opened.envelope.open(earlier.sealed, name=secret.name, version_id=version_id, kind=earlier.kind)
        if value != operation.value:
            raise SecretExists(
                f"token {version_id} was used before to set another value of secret {secret.name}; take a new token"
            )
        return SetReceipt(secret.name, secret.arn, version_id, created=earlier.made_secret)
    kind, sealed = opened.envelope.seal(operation.value, name=secret.name, version_id=version_id)
    records.add_current(rows, secret, version_id, kind, sealed, now, made_secret=not exists)
    records.prune(rows, secret)
    records.touch(rows, secret, operation.description, now)
    return SetReceipt(secret.name, secret.arn, version_id, created=not exists)


def _delete(rows: Rows, operation: Delete, ends: datetime, now: datetime, repeated: bool) -> DeleteReceipt:
    records.purge(rows, now)
    secret_id = SecretId(operation.secret_id)
    if operation.force:
        secret = records.find(rows, secret_id, now)
        if secret is None:
            return DeleteReceipt(secret_id, secret_id if secret_id.is_arn else records.arn(secret_id, ""), now)
        records.remove(rows, secret)
        return DeleteReceipt(secret.name, secret.arn, now)
    if repeated:
        secret = there(rows, secret_id, now)
        if secret.deletion_date is not None:
            return DeleteReceipt(secret.name, secret.arn, secret.deletion_date)
    secret = live(rows, secret_id, now)
    records.schedule(rows, secret, ends, now)
    return DeleteReceipt(secret.name, secret.arn, ends)


def _restore(rows: Rows, operation: Restore, now: datetime) -> RestoreReceipt:
    records.purge(rows, now)
    secret = there(rows, operation.secret_id, now)
    if secret.deletion_date is not None:
        records.schedule(rows, secret, None, now)
    return RestoreReceipt(secret.name, secret.arn)


def _random_suffix() -> str:
    return "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(records.SUFFIX_LENGTH))
