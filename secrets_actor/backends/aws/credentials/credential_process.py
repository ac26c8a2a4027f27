"""Credentials from a program of the user's: `credential_process`.

Rule 1: no shell runs: the command line is split as a shell would split it, and nothing in it is expanded.
Rule 2: the program runs in a session of its own. It is killed, with all processes that it has started, at the deadline
        or when its answer has been read.
Rule 3: its output is read up to `MAX_OUTPUT` bytes. Its standard error is dropped: it may hold a key.
Rule 4: the answer is complete when the program has ended and its output is a whole JSON object, or is closed. The end
        of the output alone does not tell: a process that the program leaves behind, such as an agent, may keep it open
        for ever, or may print the answer a moment later.

Source: AWS SDKs and Tools Reference Guide, "Process credential provider".
"""

import contextlib
import os
import select
import shlex
import signal
import subprocess
from typing import Final

from secrets_actor.backends.aws.credentials.json_credentials import credentials_in, parsed
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.clock import now, sleep
from secrets_actor.domain.errors import CredentialsError

MAX_OUTPUT: Final = 65_536
# Seconds between two looks at whether the program has ended.
_LOOK: Final = 0.01


class ProcessCredentials:
    """Runs *command* at each fetch. Errors call it *place*, such as `credential_process of profile dev`.

    Credentials without an `Expiration` are fetched again as often as any credentials that do not expire.
    """

    def __init__(self, command: str, place: str = "credential_process") -> None:
        self._command, self._place = command, place

    def fetch(self, deadline: float) -> AwsCredentials:
        """Run the program and return its credentials, by *deadline* (clock seconds). Raises `CredentialsError`."""
        output, problem = self._run(deadline)
        answer = None if problem else parsed(output)
        if answer is None:
            problem = problem or "its output is no JSON object; run it by hand and see"
        elif answer.get("Version") != 1:
            problem = "its output is not of Version 1; run it by hand and see"
        else:
            credentials = credentials_in(answer, from_process=True)
            if isinstance(credentials, AwsCredentials):
                return credentials
            problem = f"its output holds no whole set of credentials: {credentials}; run it by hand and see"
        raise CredentialsError(f"{self._place}: {problem}")

    def _run(self, deadline: float) -> tuple[bytes, str | None]:
        """Run the program. Returns (its output, what went wrong or None)."""
        try:
            words = shlex.split(self._command)
        except ValueError:
            words = []
        if not words:
            return b"", "no command line; mend its quotes"
        try:
            process = subprocess.Popen(  # noqa: S603  it is what the user asks for
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError):  # ValueError: a zero byte in the command line
            return b"", "the program cannot be started; see that it is there, and may be run"
        try:
            return _output(process, deadline)
        finally:
            # Before `wait`: until then the number of the process, which is that of its group, cannot be given to
            # another one. PermissionError: macOS says so of a group whose processes have all ended.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def __repr__(self) -> str:
        return f"<ProcessCredentials [{self._place}]>"


def _output(process: "subprocess.Popen[bytes]", deadline: float) -> tuple[bytes, str | None]:
    """Read the output until it is complete (rule 4). Returns (the output, what went wrong or None)."""
    assert process.stdout is not None
    source, output, is_open = process.stdout.fileno(), b"", True
    poll = select.poll()
    poll.register(source, select.POLLIN)
    while True:
        # The status goes first: of a program that has ended, all output is there to be read below.
        status = process.poll()
        while is_open and poll.poll(0):
            part = os.read(source, MAX_OUTPUT)
            is_open, output = bool(part), output + part
            if len(output) > MAX_OUTPUT:
                return b"", f"the program prints more than {MAX_OUTPUT} bytes; is it the right one?"
        if status:
            how = f"status {status}" if status > 0 else f"by signal {-status}"
            return b"", f"the program failed ({how}); run it by hand and see"
        if status == 0 and (not is_open or parsed(output) is not None):
            return output, None
        left = deadline - now()
        if left <= 0 and status == 0:
            return b"", "the program ended without a whole answer, and what it has started gave none in time either"
        if left <= 0:
            return b"", "the program did not end in time; allow more, or see what it waits for"
        if is_open:
            poll.poll(min(left, _LOOK) * 1000)
        else:
            sleep(min(left, _LOOK))
