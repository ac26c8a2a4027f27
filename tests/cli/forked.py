"""A process that has imported the program's modules, and forks for each command that it is asked for.

To start an interpreter and import the program takes longer than most commands do, and the tests run a thousand of them.
What runs is a process of its own all the same: with its own environment, threads, standard streams and end. `Popen`
starts the program as users do: for tests that need the process or a terminal.

Rule 1: the process that forks has no thread, and nothing open but its end of the socket and what it knows of commands.
Rule 2: a command is carried out, and its interpreter ends, as under `python -m secrets_actor`.
Rule 3: it ends when the socket closes, so at the latest when the process of the tests does.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from tests.servers.process import ROOT

AVAILABLE: Final = sys.platform == "linux"  # there are pidfd_open and memfd_create
# Modules that the most common commands import late.
LATE: Final = ("client.background", "runtime.hosted_system", "backends.local.open_store", "backends.aws.backend")
STREAMS: Final = ("stdin", "stdout", "stderr")

_lock: Final = threading.Lock()
_server: "Final[list[tuple[subprocess.Popen[bytes], socket.socket]]]" = []  # one at most


def run(
    arguments: Sequence[str], environment: Mapping[str, str], stdin: bytes, seconds: float
) -> tuple[int, bytes, bytes]:
    """Run a command to its end: its exit code (negative: the signal that ended it), standard output, standard error.

    Raises `TimeoutError` after *seconds*; the command is killed.
    """
    request, *streams = (os.memfd_create(name) for name in ("request", *STREAMS))
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            for file, data in (
                (request, json.dumps([list(arguments), dict(environment)]).encode()),
                (streams[0], stdin),
            ):
                with open(file, "wb", closefd=False) as opened:
                    opened.write(data)
                os.lseek(file, 0, os.SEEK_SET)
            socket.send_fds(_start(), [b"."], [request, *streams, theirs.fileno()])
        ours.settimeout(seconds)
        status = int(ours.recv(16))
        out, err = (os.pread(one, os.fstat(one).st_size, 0) for one in streams[1:])
        return status, out, err
    finally:
        ours.close()
        for one in (request, *streams):
            os.close(one)


def stop() -> None:
    """End the process that forks, if there is one."""
    with _lock:
        while _server:
            process, channel = _server.pop()
            channel.close()
            process.wait()


def _start() -> socket.socket:
    """The socket of the process that forks, which is started when it is first needed."""
    with _lock:
        if not _server:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-m", "tests.cli.forked", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    cwd=ROOT,
                    env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
                )
            _server.append((process, ours))
        return _server[0][1]


def _serve(channel: socket.socket) -> None:
    """Fork for each request. Returns in the forked process; the one that forks ends here."""
    running: dict[int, tuple[int, socket.socket]] = {}  # by the descriptor that tells of the process's end
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready in running:
                pid, reply = running.pop(ready)
                for one in (ready, reply):
                    poll.unregister(one)
                os.close(ready)
                _report(pid, reply)
                break  # what is ready besides may have been closed by this
            if ready != channel.fileno():  # whoever asked has given up
                [pid] = [pid for pid, reply in running.values() if reply.fileno() == ready]
                os.kill(pid, signal.SIGKILL)
                break
            message, files, _, _ = socket.recv_fds(channel, 1, 8)
            if not message:
                for pid, _reply in running.values():
                    os.kill(pid, signal.SIGKILL)
                sys.exit()
            if not (pid := os.fork()):
                channel.close()
                for known, (_, reply) in running.items():
                    os.close(known)
                    reply.close()
                _become(files)
                return
            for one in files[:-1]:
                os.close(one)
            known = os.pidfd_open(pid)
            running[known] = pid, socket.socket(fileno=files[-1])
            poll.register(known, select.POLLIN)
            poll.register(files[-1], select.POLLHUP)


def _report(pid: int, reply: socket.socket) -> None:
    """Tell how a process ended."""
    with reply:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(BrokenPipeError):  # whoever asked has given up
            reply.send(b"%d" % status)


def _become(files: list[int]) -> None:
    """Take over the standard streams, the arguments and the environment of the request."""
    request, *streams, reply = files
    with open(request, "rb") as opened:
        arguments, environment = json.load(opened)
    for number, one in enumerate(streams):
        os.dup2(one, number)
        os.close(one)
    os.close(reply)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments


if __name__ == "__main__":
    main = importlib.import_module("secrets_actor.cli.main").main
    for late in LATE:
        importlib.import_module(f"secrets_actor.{late}")
    # Nothing that is imported is ever garbage. At the end of each command the collector would look through all of it,
    # and write to its pages, which the forked process would have to copy first: half of a command's processor time.
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    main()
