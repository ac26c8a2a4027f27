"""A local store with many secrets in it, made in a few transactions rather than one each."""

import secrets
import threading
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from secrets_actor.backends.local.keys.key_file import KEY_NAME, KeyFile
from secrets_actor.backends.local.open_store import open_store
from secrets_actor.backends.local.sqlite_records import SqliteRecords
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.operations import Set
from secrets_actor.domain.semantics import perform

AT_ONCE = 5_000


def fill(folder: Path, names: Sequence[str], value: str) -> None:
    """Set each of *names* to *value*."""
    deadline = clock_now() + 600
    opened = open_store(folder, KeyFile(folder / KEY_NAME), deadline=deadline, closed=threading.Event(), makes=True)
    for start in range(0, len(names), AT_ONCE):
        part = names[start : start + AT_ONCE]

        def put(records: SqliteRecords, part: Sequence[str] = part) -> None:
            for name in part:
                perform(
                    records,
                    Set(name, value),
                    datetime.now(UTC),
                    new_id=str(uuid.uuid4()),
                    recovery_window=30,
                    choose=secrets.randbelow,
                )

        opened.write(put, deadline)
    opened.store.close()
