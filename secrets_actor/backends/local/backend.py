"""The local store as a backend: it gives the semantics of AWS Secrets Manager to the records of a local store.

Rule 1: the first `perform` opens the files, under its own deadline, so a missing master key fails that call and not
        the whole process. `connect` only loads the code. The first operation that has something to keep makes the
        store, unless `makes` says otherwise; until then every operation sees an empty store.
Rule 2: each operation is one transaction, in which `domain.semantics` decides. A repeated `Set` (same token) finds its
        version and changes nothing, so a crash between commit and answer cannot write twice; a repeated `Delete` finds
        the secret scheduled, and is done.
Rule 3: `close` sets the flag first and interrupts then. The last thread that holds the lock gives the connection up.
Rule 4: no connection lives through a fork: SQLite would take the locks of an inherited connection for its own, and data
        would be lost. So a fork waits until the operation under way has ended. If it could not wait that long, its
        child never uses the store. If the fork was made without our knowledge, the child closes the connection that
        it inherited. SQLite advises against that, because the close would roll back a transaction of the parent; our
        connections have no transaction open at that time. The close does not fold the log in either: in WAL mode the
        last connection does that only if no process holds a lock. The parent's locks prevent it, because locks are not
        inherited.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast

from secrets_actor.clock import now, utc_now
from secrets_actor.domain.diagnosis import Finding
from secrets_actor.domain.errors import SecretsError, StoreUnavailable
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.ports import Answer, BackendFactory, CallContext
from secrets_actor.domain.semantics import Look, perform
from secrets_actor.forks import loading, pauses
from secrets_actor.paths import absolute
from secrets_actor.uuids import new_uuid

if TYPE_CHECKING:
    from secrets_actor.backends.local.master_key_source import MasterKeySource
    from secrets_actor.backends.local.open_store import OpenStore
    from secrets_actor.backends.local.sqlite_records import SqliteRecords
    from secrets_actor.domain.semantics.records_port import Records

T = TypeVar("T")
# When a missing store is made: by the first operation that has something to keep, at the start of the system, or
# only by the command `store init`.
Makes = Literal["first_write", "start", "never"]
OnMade = Callable[[str, str], object]

NAME: Final = "local_encrypted"
# Seconds that an operation may spend on removing secrets whose recovery window has ended. The caller waits for it.
SWEEP: Final = 0.1
# Folders of stores whose connections a fork could not close; see rule 4.
_inherited: Final[set[Path]] = set()


def local_backend_factory(
    *,
    path: Path,
    recovery_window: int,
    key: MasterKeySource | None = None,
    wall_clock: Callable[[], datetime] = utc_now,
    seconds: Callable[[], float] = now,
    makes: Makes = "first_write",
    on_made: OnMade = lambda _folder, _key: None,
    arn_prefix: str | None = None,
) -> BackendFactory:
    """Return the factory that opens connections to the local store. Touches no file.

    *path* is the store's folder (a leading `~` is allowed). It is made absolute now, so a later change of the working
    directory does not move the store. *recovery_window* is the number of days that a deleted secret can be restored,
    unless the deletion says otherwise. *key* is the source of the master key (None: the key file in the folder).
    *wall_clock* dates what is written. *seconds* is a clock that nobody can set; it tells whether the wall clock can be
    believed when a recovery window ends. *makes* tells when a missing store is made, and *on_made* is then called with
    its folder and the place of its master key. *arn_prefix* is how the ARNs of its secrets begin
    (None: as the default settings say). Raises `NoPlace`."""
    folder = absolute(path)

    def connect() -> LocalBackend:
        return LocalBackend(
            folder,
            recovery_window=recovery_window,
            key=key,
            wall_clock=wall_clock,
            seconds=seconds,
            makes=makes,
            on_made=on_made,
            arn_prefix=arn_prefix,
        )

    def prepare(deadline: float) -> None:
        with contextlib.closing(connect()) as backend:
            backend.make(deadline)

    def findings(deadline: float, _prefix: str) -> Iterable[Finding]:
        with loading():
            from secrets_actor.backends.local import diagnose

        return diagnose.diagnose(folder, wall_clock(), deadline, key, makes=makes != "never")

    return BackendFactory(NAME, connect, diagnose=findings, prepare=prepare if makes == "start" else None)


class LocalBackend:
    """One connection to the store in *folder*, which is the origin of all its answers and refusals."""

    def __init__(
        self,
        folder: Path,
        *,
        recovery_window: int,
        key: MasterKeySource | None = None,
        wall_clock: Callable[[], datetime] = utc_now,
        seconds: Callable[[], float] = now,
        makes: Makes = "first_write",
        on_made: OnMade = lambda _folder, _key: None,
        arn_prefix: str | None = None,
    ) -> None:
        # Here and not at the top: sqlite3 and cryptography are loaded with the first connection, not by the import.
        with loading():
            from secrets_actor.backends.local import entry_codec, open_store, sqlite_records
            from secrets_actor.backends.local.keys.key_file import KEY_NAME, KeyFile

        self._opening, self._records_module, self._key = open_store, sqlite_records, key or KeyFile(folder / KEY_NAME)
        self._makes, self._on_made = makes, on_made
        self._arn_prefix, self._former = arn_prefix or entry_codec.ARN_PREFIX, entry_codec.FORMER_ARN_PREFIX
        self._folder, self._recovery_window = folder, recovery_window
        self._wall_clock, self._seconds = wall_clock, seconds
        self._database = folder / open_store.DATABASE_NAME
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._opened: OpenStore | None = None
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
                return Answer(cast(T, self._perform(operation, context)), origin=str(self._folder))
        except SecretsError as error:
            error.origin = str(self._folder)
            raise
        finally:
            # A `close` during the operation did not get the lock, so it left the connection to this thread.
            if self._closed.is_set():
                self.close()

    def with_records(self, work: Callable[[SqliteRecords], T], deadline: float, *, writes: bool) -> T:
        """Run *work* in one transaction and return its result: for the maintenance of a whole store. *work* may run
        twice if the store's keys change meanwhile. Raises what `perform` raises."""
        with self._lock:
            opened = self._open(deadline, makes=writes)
            if opened is None:
                raise self._opening.no_store(self._folder)
            return opened.write(work, deadline) if writes else opened.read(work, deadline)

    def make(self, deadline: float) -> None:
        """Make the store if there is none. Raises what `perform` raises."""
        with self._lock:
            self._open(deadline, makes=True)

    def close(self) -> None:
        """Give up the connection. A `perform` under way fails soon. Any thread may call this."""
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
        """Before a fork: wait *patience* seconds at most for the operation under way, then give the connection up.
        Return whether that succeeded; the lock then stays taken until `resume`."""
        if not self._lock.acquire(timeout=patience):
            return False
        self._give_up()
        return True

    def resume(self, child: bool, paused: bool) -> None:
        """After a fork: the next operation opens the files anew. If `pause` failed, the *child* may not use the
        store."""
        if paused:
            self._lock.release()
        elif child:
            _inherited.add(self._folder)

    @property
    def busy(self) -> bool:
        """Whether an operation is under way."""
        return self._lock.locked()

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
                retryable=False,
            )
        deadline, look = context.deadline, Look(self._wall_clock(), self._seconds())
        opened = self._open(deadline)
        # Made once, outside of `work`: a second run of `work` writes the same version.
        new_id = new_uuid() if operation.writes else ""  # a read makes no version

        def work(records: Records, over: datetime | None = None) -> object:
            return perform(
                records,
                operation,
                look.at,
                new_id=new_id,
                recovery_window=self._recovery_window,
                choose=secrets.randbelow,
                repeated=context.repeated,
                over=over,
                former_arn_prefix=self._former,
            )

        if opened is None:
            with contextlib.suppress(self._records_module.NothingToKeepIn):
                return work(self._records_module.NoRecords(self._arn_prefix))
            opened = self._open(deadline, makes=True)
            assert opened is not None
        carry_out = opened.write if operation.writes else opened.read
        try:
            return carry_out(lambda records: work(records, records.over(look)), deadline)
        finally:
            # The operation has its answer already, so a sweep that fails is not the caller's concern. A later one
            # removes what is left.
            with contextlib.suppress(SecretsError):
                opened.sweep(look, min(deadline, now() + SWEEP))

    def _open(self, deadline: float, *, makes: bool = False) -> OpenStore | None:
        """Return the open store; None when there is no store and it is not to be made now."""
        opening, folder, key = self._opening, self._folder, self._key
        if self._opened is not None and self._opened.identity != opening.identity(self._database, key):
            # Somebody removed the log, which we still hold open: what was committed to it must go into the database
            # before the last connection closes, or it is lost.
            if opening.has_lost_its_log(self._database):
                self._opened.store.fold_log()
            self._give_up()
        if self._opened is None:
            is_new = not opening.is_there(folder, key)
            if is_new and self._makes == "never":
                raise StoreUnavailable(
                    f'there is no store in {folder}, and local.make is "never": mount its disk, or make one: '
                    "secrets-actor store init",
                    path=str(folder),
                    retryable=False,
                )
            if is_new and not makes:
                return None
            self._opened = opening.open_store(
                folder, key, deadline=deadline, closed=self._closed, makes=makes, arn_prefix=self._arn_prefix
            )
            if self._opened.made:
                self._on_made(str(folder), str(key))
        return self._opened
