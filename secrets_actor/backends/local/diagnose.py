"""The diagnosis of a local store, for an operator whose store does not work. It changes nothing and makes nothing."""

from __future__ import annotations

import shutil
import stat
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from secrets_actor.backends.local import open_store, store_keys
from secrets_actor.backends.local.keys.key_file import KEY_NAME, KeyFile
from secrets_actor.backends.local.keys.private_file import check_folder
from secrets_actor.backends.local.master_key_source import MasterKeySource
from secrets_actor.backends.local.ownership import cannot_write, folder_doubts, folder_objection
from secrets_actor.backends.local.transaction import foreign
from secrets_actor.domain.diagnosis import Finding, Verdict
from secrets_actor.domain.errors import KeyFileError, SecretsError, StoreDamaged, StoreUnavailable, WrongKey

# Bytes of free space below which the next writes may fail: SQLite's log grows to 4 MB before it is folded in.
LITTLE_ROOM: Final = 16 * 1024 * 1024
_INIT: Final = "secrets-actor store init"
_RIGHT: Final = "give this user the right to it, or name another folder in local.path"
_VERIFY: Final = "to open every value, too, run: secrets-actor store verify"


def diagnose(
    folder: Path, now: datetime, deadline: float, key: MasterKeySource | None = None, *, makes: bool = True
) -> Iterator[Finding]:
    """Return the findings on the store in *folder*, before *deadline* (clock seconds). *key* is the source of its
    master key (None: the key file in the folder). *makes* tells whether a missing store would be made."""
    source = key or KeyFile(folder / KEY_NAME)
    there, lost = _is_there(folder, source)
    if not (there or makes):
        lost = f'there is no store in {folder}, and local.make is "never": mount its disk, or run: {_INIT}'
    try:
        mode = stat.S_IMODE(folder.stat().st_mode)
    except FileNotFoundError:
        if lost is not None:
            yield Finding("folder", Verdict.FAULT, lost)
            return
        yield from _openness(folder, None, there=False)
        if key is not None:
            yield key_finding(key, has_data=False)[0]
        return
    except OSError:
        mode = 0
    try:
        check_folder(folder)
    except StoreUnavailable as error:
        yield Finding("folder", Verdict.FAULT, str(error))
        return
    except KeyFileError:  # every command refuses such a folder, so the rest of it need not be looked at
        yield from _openness(folder, mode, there=there)
        return
    yield from _openness(folder, mode, there=there)
    yield _room(folder)
    found, go_on = key_finding(source, has_data=there)
    yield found
    if isinstance(source, KeyFile) and source.names > 1:
        text = f"{source} has {source.names} names (hard links): whoever has one has the key"
        yield Finding("key", Verdict.WARNING, text, "find the others by `find / -xdev -samefile` and remove them")
    if lost is not None:
        yield Finding("data", Verdict.FAULT, lost)
    elif go_on:
        yield from _data(folder, now, deadline, source, there=there)
    elif there:
        # The key may not be missing at all: the store may be sealed with another kind of key, such as a passphrase.
        # Only opening the store tells.
        try:
            open_store.open_store(folder, source, deadline=deadline, closed=threading.Event()).store.close()
        except WrongKey as error:
            yield Finding("data", Verdict.FAULT, str(error))
        except SecretsError:
            pass  # the finding on the key has told it


def _openness(folder: Path, mode: int | None, *, there: bool) -> Iterator[Finding]:
    """What others can do to the folder, of this *mode* (None: it is not there), and whether we can do what is needed.
    *there*: whether there is a store."""
    objection = folder_objection(folder)
    if objection is not None:
        what, _, remedy = objection.rpartition("; ")
        yield Finding("folder", Verdict.FAULT, f"{folder} {what}", remedy.removeprefix("run: "))
    elif not there and (closed := cannot_write(folder)) is not None:
        text = f"no store yet, and none can be made: this user may not write to {closed}"
        yield Finding("folder", Verdict.FAULT, text, _RIGHT)
    elif mode is None:
        yield Finding(
            "folder", Verdict.OK, f"no store yet: {folder} is not there yet; the first set makes it, or {_INIT}"
        )
    elif mode & 0o077:
        yield Finding("folder", Verdict.WARNING, f"{folder} is open to others (mode {mode:04o})", f"chmod 700 {folder}")
    else:
        yield Finding("folder", Verdict.OK, f"{folder}, mode {mode:04o}")
    for what, remedy in folder_doubts(folder):
        yield Finding("owner", Verdict.WARNING, what, remedy)


def _is_there(folder: Path, source: MasterKeySource) -> tuple[bool, str | None]:
    """Whether there is a store or a part of one, and a text that says which part is lost (None: no part)."""
    try:
        return open_store.is_there(folder, source), None
    except (StoreDamaged, StoreUnavailable) as error:
        return True, str(error)
    except SecretsError:  # a fault of the folder or the key: each of them has a finding of its own
        return True, None


def _room(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free // 1024 // 1024:,} MiB free"
    if free < LITTLE_ROOM:
        return Finding("disk", Verdict.WARNING, text, "make room: writes fail on a full disk")
    return Finding("disk", Verdict.OK, text)


def _data(folder: Path, now: datetime, deadline: float, source: MasterKeySource, *, there: bool) -> Iterator[Finding]:
    if not there:
        yield Finding(
            "data", Verdict.OK, f"no store yet: there is a key, and no data; the first set makes it, or {_INIT}"
        )
        return
    try:
        opened = open_store.open_store(folder, source, deadline=deadline, closed=threading.Event())
        try:
            dates = opened.read(lambda records: [one.deletion_date for one in records.every()], deadline)
            strange = opened.read_transaction(lambda transaction, _records: foreign(transaction), deadline)
        finally:
            opened.store.close()
    except SecretsError as error:
        yield Finding("data", Verdict.FAULT, str(error))
        return
    deleted = sum(date is not None and date > now for date in dates)
    fact = f"the key fits; {dates.count(None)} live secrets, {deleted} scheduled for deletion"
    yield Finding("data", Verdict.OK, fact, _VERIFY)
    if strange:
        text = f"{len(strange)} tables, indexes, views or triggers in it are not of this program's making"
        yield Finding("schema", Verdict.FAULT, text, "secrets-actor store verify names them")
    what, _, remedy = (store_keys.unfinished(opened.keys.wrapped_keys) or "").partition(": ")
    if what:
        yield Finding("rekey", Verdict.WARNING, f"{what} is under way, or broke off", f"if it broke off, {remedy}")


def key_finding(source: MasterKeySource, *, has_data: bool) -> tuple[Finding, bool]:
    """Return the finding on the master key from *source*, and whether it makes sense to open the store with it.
    *has_data*: whether there is a store, so that a missing key is a fault."""
    try:
        there = source.present()
    except SecretsError as error:
        return Finding("key", Verdict.FAULT, str(error)), False
    if there:
        return Finding("key", Verdict.OK, str(source)), True
    if not has_data and source.makes:
        return Finding(
            "key",
            Verdict.OK,
            f"no store yet: neither data nor a key in {source}; the first set makes both, or secrets-actor store init",
        ), False
    return Finding("key", Verdict.FAULT, str(source.missing())), False
