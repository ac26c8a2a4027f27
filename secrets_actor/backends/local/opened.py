"""An open store: transactions on it, each with the keys that are the store's at that time.

Rule 1: each transaction looks first whether anybody else has written (`PRAGMA data_version`), and if so, whether the
        keys are still those: nothing is ever sealed under a key that the store has given up.
Rule 2: keys that have changed are unlocked anew outside of the transaction, and the work is run again. What is known
        of a key stays known: a change of the master key alone asks for no master key.
Rule 3: the store in a folder is known by its id as long as the process lives (also in the child of a fork): another
        one that is found there is none of ours, and neither read nor written.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from secrets_actor.backends.local import store_keys
from secrets_actor.backends.local.head import micros
from secrets_actor.backends.local.heads import Heads
from secrets_actor.backends.local.schema import DamagedRow
from secrets_actor.backends.local.shelf import LocalShelf
from secrets_actor.domain.errors import StoreUnavailable, WrongKey
from secrets_actor.domain.semantics import Look, next_first

if TYPE_CHECKING:
    from secrets_actor.backends.local.master_key import MasterKeySource
    from secrets_actor.backends.local.rows import Rows
    from secrets_actor.backends.local.store import Store
    from secrets_actor.backends.local.store_keys import Keys

T = TypeVar("T")

# The id of the store that this process has opened in each folder.
_known: Final[dict[Path, bytes]] = {}


def is_known(folder: Path) -> bool:
    """Whether this process has opened a store there."""
    return folder in _known


def forget_known(folder: Path) -> None:
    """Take what is in *folder* from now on: somebody has put another store there through this process."""
    _known.pop(folder, None)


class _KeysChanged(Exception):
    """The keys are others than those that were unlocked."""


class Opened:
    """A store, the keys that open it, and the files they came from. Its methods raise what `Store.read` raises, what
    `store_keys.unlock` raises when the keys have changed, and `StoreUnavailable` for another store.

    *place* is its folder, for a store that is to be known (rule 3); `made`: whether it was made for this.
    """

    def __init__(
        self,
        store: Store,
        source: MasterKeySource,
        identity: object,
        deadline: float,
        place: Path | None = None,
        *,
        made: bool = False,
    ) -> None:
        self.made = made
        self._removed = False  # whether values were deleted by the last write
        self.store, self.source, self.identity, self._place = store, source, identity, place
        self._heads = Heads()
        self.keys = self._unlock(None, deadline)

    def read(self, work: Callable[[LocalShelf], T], deadline: float) -> T:
        """What *work* returns, run on a snapshot. The days of access that it notes are written after it, where nothing
        is in the way."""
        answer, accesses = self.read_rows(lambda _rows, shelf: (work(shelf), shelf.accesses), deadline)
        if accesses:
            self._note(accesses, deadline)
        return answer

    def write(self, work: Callable[[LocalShelf], T], deadline: float) -> T:
        """What *work* returns, committed and on the disk."""
        return self.write_rows(lambda _rows, shelf: work(shelf), deadline)

    def read_rows(self, work: Callable[[Rows, LocalShelf], T], deadline: float) -> T:
        """As `read`, for work that wants the rows too."""
        return self._run(lambda inside: self.store.read(inside, deadline), work, deadline)

    def write_rows(self, work: Callable[[Rows, LocalShelf], T], deadline: float) -> T:
        """As `write`, for work that wants the rows too; see `forget`."""
        self._removed = False
        answer = self._run(lambda inside: self.store.write(inside, deadline), work, deadline)
        self._heads.dirty = False
        if self._removed:
            self.store.clear_log(deadline)
        return answer

    def sweep(self, now: Look, deadline: float) -> None:
        """Clear away what is past its recovery window for sure, and take note of what seems to be."""
        heads = self._heads
        if heads.due is not None and not self._wants_sweep(now, heads.due <= micros(now.at)):
            return
        if self.read(lambda shelf: self._wants_sweep(now, shelf.is_overdue(now)), deadline):
            self.write(lambda shelf: shelf.clear_away(now), deadline)

    def _wants_sweep(self, now: Look, overdue: bool) -> bool:
        first = self._heads.first_look
        return next_first(first, now, overdue) != first

    def forget(self) -> None:
        """Forget what was opened: rows were changed through this connection, and not by the shelf."""
        self._heads.forget()

    def reload(self, deadline: float) -> None:
        """Look at the keys again, and forget what was opened: they were changed through this connection."""
        self._heads = Heads()
        self.keys = self._unlock(self.keys, deadline)

    def _run(
        self, run: Callable[[Callable[[Rows], T]], T], work: Callable[[Rows, LocalShelf], T], deadline: float
    ) -> T:
        def inside(rows: Rows) -> T:
            data_version = rows.data_version()
            if not self._heads.are_at(data_version):
                # Only then is it taken note of: keys that could not be unlocked are looked for again, each time.
                if store_keys.read_epoch(rows) != self.keys.epoch:
                    raise _KeysChanged
                self._heads.look(data_version)
            shelf = LocalShelf(rows, self.keys, self._heads)
            shelf.due()
            answer = work(rows, shelf)
            self._removed = shelf.removed
            return answer

        while True:
            try:
                return run(inside)
            except _KeysChanged:
                pass
            self.reload(deadline)

    def _unlock(self, known: Keys | None, deadline: float) -> Keys:
        while True:
            before = self.source.identity()
            lock = self.store.read(store_keys.read_lock, deadline)
            if self._place is not None and _known.get(self._place, lock.store_id) != lock.store_id:
                raise StoreUnavailable(
                    f"another store has taken the place of {self._place}, which this process uses: bring that one "
                    "back. Nothing is read or written meanwhile; should the other one be used, start this program anew",
                    path=str(self._place),
                )
            keys = None if known is None else store_keys.still(known, lock)
            if keys is not None:
                return keys
            try:
                keys = store_keys.unlock(lock, self.source)
                if self._place is not None:
                    _known[self._place] = keys.store_id
                return keys
            except WrongKey:
                if self.source.identity() == before:  # else it was changed between the two looks
                    raise
            except DamagedRow:
                break
        raise self.store.damaged()

    def _note(self, accesses: dict[int, int], deadline: float) -> None:
        statement = "UPDATE secrets SET accessed_day = ? WHERE id = ? AND ifnull(accessed_day, -1) < ?"

        def put_down(rows: Rows) -> None:
            for secret, day in accesses.items():
                rows.do(statement, day, secret, day)

        if self.store.write_lightly(put_down, deadline):
            for secret, day in accesses.items():
                self._heads.noted(secret, day)
