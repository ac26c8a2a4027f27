"""The local store as a backend: AWS Secrets Manager's semantics over our records.

Rule 1: files are opened by the first `perform`, under its deadline, so a key that is missing today is an error of
        today's call and not of the process. `connect` only loads the code. A store is made by the first operation that
        has something to keep, unless `makes` says otherwise; for all others a store that is not there is an empty one.
Rule 2: each operation is one transaction, in which `domain.semantics` decides. A repeated `Set` (same token) finds its
        version and changes nothing, so a crash between commit and answer cannot write twice; a repeated `Delete` finds
        the secret scheduled, and is done.
Rule 3: `close` sets the flag first, then interrupts; whoever holds the lock last gives the connection up.
Rule 4: no connection lives through a fork: SQLite takes the locks of an inherited one for its own, and data is lost. A
        fork waits for the operation under way; where it could not, its child keeps off the store. Where nobody heard of
        the fork, the child closes what it inherited. SQLite advises against that, for it would take back what another
        process has begun; these connections have begun nothing. In the log's mode the last to leave folds it in only
        if no process holds a lock, and locks are not inherited: the parent's are in its way.
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
    from secrets_actor.backends.local.master_key import MasterKeySource
    from secrets_actor.backends.local.open_store import OpenStore
    from secrets_actor.backends.local.sqlite_records import SqliteRecords
    from secrets_actor.domain.semantics.records_port import Records

T = TypeVar("T")
# Who makes a store where there is none: the first operation that has something to keep, the start of the system, or
# nobody but `store init`.
Makes = Literal["first_write", "start", "never"]
OnMade = Callable[[str, str], object]

NAME: Final = "local_encrypted"
# Seconds an operation may spend on clearing away what is past its recovery window.
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
) -> BackendFactory:
    """How runtime opens the local store: *path* is its folder (`~` goes), *recovery_window* the days a soft delete
    lasts unless it says otherwise, *key* where its master key comes from (None: the key file in the folder). Touches no
    file; the folder's place is fixed now, whatever becomes of the working directory. *wall_clock* dates what is
    written; *seconds*, which nobody sets, tells whether it can be believed when a recovery window ends. *makes*: who
    makes a store where there is none; *on_made* is told its folder and where its key is. Raises `NoPlace`."""
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
    """One connection to the store in *folder*."""

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
    ) -> None:
        # Here and not at the top: sqlite3 and cryptography are loaded with the first connection, not by the import.
        with loading():
            from secrets_actor.backends.local import open_store, sqlite_records
            from secrets_actor.backends.local.keys.key_file import KEY_NAME, KeyFile

        self._opening, self._records_module, self._key = open_store, sqlite_records, key or KeyFile(folder / KEY_NAME)
        self._makes, self._on_made = makes, on_made
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
                return Answer(cast(T, self._perform(operation, context)))
        finally:
            if self._closed.is_set():
                self.close()

    def with_records(self, work: Callable[[SqliteRecords], T], deadline: float, *, writes: bool) -> T:
        """What *work* returns, in one transaction: for the maintenance of a whole store. It may be run twice, should
        the keys change. Raises what `perform` raises."""
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
            )

        if opened is None:
            with contextlib.suppress(self._records_module.NothingToKeepIn):
                return work(self._records_module.NoRecords())
            opened = self._open(deadline, makes=True)
            assert opened is not None
        carry_out = opened.write if operation.writes else opened.read
        try:
            return carry_out(lambda records: work(records, records.over(look)), deadline)
        finally:
            # The operation has its answer already, so failing here is no error.
            with contextlib.suppress(SecretsError):
                opened.sweep(look, min(deadline, now() + SWEEP))

    def _open(self, deadline: float, *, makes: bool = False) -> OpenStore | None:
        """The store; None when there is none, and it is not to be made now."""
        opening, folder, key = self._opening, self._folder, self._key
        if self._opened is not None and self._opened.identity != opening.identity(self._database, key):
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
            self._opened = opening.open_store(folder, key, deadline=deadline, closed=self._closed, makes=makes)
            if self._opened.made:
                self._on_made(str(folder), str(key))
        return self._opened
