"""THE door to signals: their numbers come through a pipe.

Rule 1: a handler does nothing. The number of the signal is written to the pipe by Python itself, whatever the main
        thread does, and the main thread reads it when it comes to it.
Rule 2: a signal that was ignored when we were started stays ignored, for us and for the programs that we start: nohup
        and the background jobs of a shell want it so, and a handler of ours would undo it for these programs. Not so a
        signal that has a meaning of its own for us, such as SIGHUP for the daemon, which ends nothing there.
Rule 3: the end of children is watched for where orphans come to us, such as in process 1 of a container.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def signals(watched: Iterable[int], *, meant: Iterable[int] = (), children: bool = False) -> Iterator[tuple[int, int]]:
    """Have the numbers of the signals *watched* come through a pipe, whose two ends are given. *meant*: these, too,
    though they were ignored (rule 2). *children*: SIGCHLD, too (rule 3). Only the main thread may call it."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    # Where SIGCHLD is ignored, the kernel drops the exit codes of our children.
    always = (*meant, *([signal.SIGCHLD] if children or os.getpid() == 1 else []))
    heard = [number for number in watched if signal.getsignal(number) != signal.SIG_IGN]
    before: dict[int, Any] = {number: signal.signal(number, _nothing) for number in (*heard, *always)}
    fd_before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield read, write
    finally:
        signal.set_wakeup_fd(fd_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(read)
        os.close(write)


def _nothing(_number: int, _frame: object) -> None:
    """Handle a signal: its number is in the pipe already."""


def next_signals(read: int, timeout: float | None) -> bytes:
    """Wait for signals, at most *timeout* seconds (None: no limit), and return their numbers."""
    ready, _, _ = select.select([read], [], [], timeout)
    return os.read(read, 64) if ready else b""
