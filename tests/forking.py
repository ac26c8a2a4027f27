"""Real forks: what a child says."""

import ctypes
import os
import select
from collections.abc import Callable
from typing import Any

from secrets_actor.clock import now as clock_now

PATIENCE = 30.0


def unheard_fork() -> int:
    """A fork that is made in C, as by uWSGI's master: Python runs no hook of anybody's, and goes on in the child."""
    child: int = ctypes.PyDLL(None).fork()  # with the interpreter's lock, else nobody would hold it there
    return child


def in_child(question: Callable[[], Any], fork: Callable[[], int] = os.fork) -> str:
    """What *question* says in a forked child, which must not hang."""
    reader, writer = os.pipe()
    child = fork()
    if child == 0:
        try:
            answer = str(question())
        except BaseException as error:
            answer = f"raised {type(error).__name__}: {error}"
        os.write(writer, answer.encode()[:4000])
        os._exit(0)
    os.close(writer)
    try:
        deadline = clock_now() + PATIENCE
        heard = b""
        while select.select([reader], [], [], max(0.0, deadline - clock_now()))[0]:
            part = os.read(reader, 4096)
            if not part:
                return heard.decode()
            heard += part
        os.kill(child, 9)
        raise AssertionError("the child hangs")
    finally:
        os.close(reader)
        os.waitpid(child, 0)
