"""The rendered files of the daemon: their processes, and what outlives them.

Rule 1: each file has two processes: `changes PATH` says what it is made of, and `file PATH` makes it. Either may be
        started again: what was told, and the state, are in the file's record, here.
Rule 2: files are read as the daemon itself: no policy stands between, for it is the configuration that names them.
Rule 3: a file is left where it is when the daemon ends, and when the configuration no longer names it: what reads it
        goes on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from secrets_actor.client.secrets import Secrets
from secrets_actor.delivery.changes import Changes
from secrets_actor.delivery.rendered_file import FileRecord, FileSpec, FileState, New, RenderedFile, Unfetched
from secrets_actor.otp import (
    Backoff,
    ChildSpec,
    DeleteChild,
    Flags,
    Kind,
    Node,
    OtpError,
    StartChild,
    Strategy,
    Supervisor,
    TerminateChild,
    call,
    cast,
)

FILES: Final = "files"
# Both processes have a backoff, so that even several files that cannot live make no more than this.
FILES_FLAGS: Final = Flags(Strategy.ONE_FOR_ONE, intensity=100, period=10.0)
BACKOFF: Final = Backoff(initial=0.1, factor=2.0, maximum=30.0, jitter=0.5, stable=60.0, at_once=1)
# Seconds that a check which is under way has when the daemon ends. A content that was not checked to the end is taken
# back by the next daemon.
_SHUTDOWN: Final = 5.0
# Seconds that their supervisor may take to end a process, or to start one.
_PATIENCE: Final = _SHUTDOWN + 5.0


class DaemonFiles:
    """The files of *specs*, by their paths. *node* returns where their processes are."""

    def __init__(self, node: Callable[[], Node], specs: Mapping[str, FileSpec]) -> None:
        self._node = node
        self._records = {path: FileRecord(spec) for path, spec in specs.items()}
        self._secrets: Secrets | None = None

    def spec(self, secrets: Secrets) -> ChildSpec:
        """Return the spec of their supervisor. *secrets* is the client that they read by."""
        self._secrets = secrets
        return ChildSpec(
            FILES, lambda: Supervisor(FILES_FLAGS, tuple(self._children())), kind=Kind.SUPERVISOR, name=FILES
        )

    def states(self) -> tuple[FileState, ...]:
        """Return how each file is."""
        return tuple(record.state for record in self._records.values())

    def take(self, specs: Mapping[str, FileSpec]) -> None:
        """Have the files be those of *specs* from now on. A file whose spec is the same goes on as it was."""
        before = self._records
        self._records = {path: _renewed(spec, before.get(path)) for path, spec in specs.items()}
        ended = [record for path, record in before.items() if self._records.get(path) is not record]
        begun = [record for path, record in self._records.items() if before.get(path) is not record]
        try:
            for record in ended:
                for child in self._of(record):
                    call(self._node().name(FILES), TerminateChild(child.id), _PATIENCE)
                    call(self._node().name(FILES), DeleteChild(child.id), _PATIENCE)
            for record in begun:
                for child in self._of(record):
                    call(self._node().name(FILES), StartChild(child), _PATIENCE)
        except OtpError:  # it is just being restarted, or a process hangs: started once more, it has the new files
            supervisor = self._node().name(FILES).resolve()
            if supervisor is not None:
                supervisor.kill()
        for path, record in before.items():
            if path not in self._records:
                while record.told.subscriptions:  # of a process that was killed
                    record.told.subscriptions.popitem()[1].cancel()

    def _children(self) -> Iterator[ChildSpec]:
        for record in self._records.values():
            yield from self._of(record)

    def _of(self, record: FileRecord) -> tuple[ChildSpec, ChildSpec]:
        """Return the specs of a file's two processes."""
        path = str(record.spec.path)
        file = f"file {path}"

        def changes() -> Changes:
            if self._secrets is None:
                raise RuntimeError("the supervisor has a client")
            address = self._node().name(file)
            return Changes(
                self._secrets.for_caller(file),
                record.spec.wanted,
                record.spec.pace,
                lambda fetched: cast(address, New(fetched)),
                last=record.told,
                on_failure=lambda error: cast(address, Unfetched(error)),
            )

        return (
            ChildSpec(
                file, lambda: RenderedFile(record, random.random), name=file, shutdown=_SHUTDOWN, backoff=BACKOFF
            ),
            ChildSpec(f"changes {path}", changes, backoff=BACKOFF),
        )


def _renewed(spec: FileSpec, before: FileRecord | None) -> FileRecord:
    """Return the record of *spec*; *before* is what its path had, or None."""
    if before is not None and before.spec == spec:
        return before
    record = FileRecord(spec)
    if before is not None:
        # What was rendered is still there, so the daemon stays ready.
        record.state = replace(before.state, problem="")
        record.told.subscriptions = before.told.subscriptions
        if before.spec.wanted == spec.wanted:
            record.told.fetched = before.told.fetched
    return record
