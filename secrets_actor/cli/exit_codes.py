"""The ways in which the program ends: an exit code, and for a failure one line on standard error that says what to do.

Rule 1: no value is repeated; of an unforeseen error only its type and place are told, for its text may quote one.
Rule 2: Ctrl-C, and a reader that goes away, end the program as the shell expects; neither leaves a traceback.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Final, TextIO

import click
from msgspec import Struct

from secrets_actor.cli.output import as_json
from secrets_actor.domain.errors import (
    AccessDenied,
    ConfigurationError,
    CredentialsError,
    InvalidInput,
    KeyFileError,
    SecretNotFound,
    SecretsError,
)
from secrets_actor.telemetry.redaction import printable

PROGRAM: Final = "secrets-actor"

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
DENIED: Final = 4
UNREACHABLE: Final = 5
BAD_CONFIGURATION: Final = 6
# 128 and the number of the signal (SIGINT, SIGPIPE), as shells report it.
INTERRUPTED: Final = 130
READER_GONE: Final = 141

EXIT_CODES: Final = {
    OK: "done",
    FAILED: "anything else, such as a secret scheduled for deletion, or a certificate that is not accepted",
    USAGE: "wrong usage, or a name or value that no store would accept",
    NOT_FOUND: "no such secret, version or field",
    DENIED: "access denied, or wrong or missing credentials",
    UNREACHABLE: "the store or the service could not be reached in time; try again",
    BAD_CONFIGURATION: "the configuration or the key file cannot be used",
    INTERRUPTED: "interrupted (Ctrl-C); 141 if the program that read the output ended first",
}

EPILOG: Final = "\b\nExit codes:\n" + "\n".join(f"  {code:<3}  {meaning}" for code, meaning in EXIT_CODES.items())

# Narrow before wide: the first class that fits decides. An error that fits none ends with UNREACHABLE if trying again
# may help, for scripts try again after that code; else with FAILED.
_BY_CLASS: Final = (
    (InvalidInput, USAGE),
    (SecretNotFound, NOT_FOUND),
    (AccessDenied, DENIED),
    (CredentialsError, DENIED),
    (ConfigurationError, BAD_CONFIGURATION),
    (KeyFileError, BAD_CONFIGURATION),
)


# The errors of an output that takes nothing: disk full, quota, broken, closed, file too long, would block.
_NOT_WRITTEN: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF, errno.EFBIG, errno.EAGAIN)


class Interrupted(KeyboardInterrupt):
    """A Ctrl-C whose text, which is printed, says how far the command has come."""


class NotDone(Exception):
    """A command could not do what it was asked for, for a reason that lies in no store. Its text says what to do."""


class Complaint(Struct, frozen=True):
    """The report of an error.

    `code` is that of a `SecretsError`, or `usage`, `not_done`, `interrupted`, `output` or `internal`. Scripts may rely
    on all of them. `status` is the exit code.
    """

    code: str
    message: str
    status: int

    def line(self, *, json: bool) -> str:
        """Return the report as one line, as text or as *json*."""
        message = printable(" ".join(self.message.split()))
        return as_json({"error": self.code, "message": message}) if json else f"{PROGRAM}: {message}"


def exit_code(error: SecretsError) -> int:
    """Return the exit code for *error*."""
    found = next((code for kind, code in _BY_CLASS if isinstance(error, kind)), None)
    return found or (UNREACHABLE if error.retryable else FAILED)


def run(command: Callable[[], object], *, json: bool) -> int:
    """Run *command*, print an error as one line on standard error, and return the exit code."""
    try:
        command()
        return OK
    except click.exceptions.Exit as end:  # --help, --version
        return end.exit_code
    except BrokenPipeError:
        _stop_writing(sys.__stdout__)
        return READER_GONE
    except Interrupted as end:
        complaint = Complaint("interrupted", str(end), INTERRUPTED)
    except (KeyboardInterrupt, EOFError, click.Abort):  # EOFError, Abort: Ctrl-D and Ctrl-C at a prompt
        complaint = Complaint("interrupted", "interrupted; see with 'get' or 'list' what was done", INTERRUPTED)
    except Exception as error:  # noqa: BLE001  # rule 1: an unforeseen error may quote anything
        complaint = complaint_about(error)
    try:
        click.echo(complaint.line(json=json), err=True)
    except OSError:  # standard error takes nothing: only the exit code is left to tell
        _stop_writing(sys.__stderr__)
    return complaint.status


def written(status: int) -> int:
    """Flush the output, and return the exit code: *status*, unless flushing fails.

    The interpreter flushes at its end, too, but a failure there would bring a message and an exit code of its own.
    """
    for stream, failed in ((sys.__stdout__, status or FAILED), (sys.__stderr__, status)):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            _stop_writing(stream)
            status = status or (READER_GONE if stream is sys.__stdout__ else status)
        except (OSError, ValueError):  # OSError: no room; ValueError: closed
            _stop_writing(stream)
            status = failed
    return status


def complaint_about(error: Exception) -> Complaint:
    """Return the report of *error*."""
    match error:
        case SecretsError():
            return Complaint(error.code, str(error), exit_code(error))
        case NotDone():
            return Complaint("not_done", str(error), FAILED)
        case click.UsageError():
            path = PROGRAM if error.ctx is None else error.ctx.command_path
            told = error.format_message()
            stop = "" if told.endswith((".", "?", "!")) else "."  # click's own sentences have one, ours do not
            return Complaint("usage", f"{told}{stop} See '{path} --help'.", USAGE)
        case OSError() if error.errno in (
            errno.ENOSPC,
            errno.EIO,
            errno.EBADF,
            errno.EFBIG,
            errno.EDQUOT,
            errno.EAGAIN,
        ):
            _stop_writing(sys.__stdout__)
            return Complaint("output", f"the output cannot be written: {error.strerror}; send it elsewhere", FAILED)
    text = f"an error that should not be: {type(error).__name__}{_place(error)}; please report it"
    return Complaint("internal", text, FAILED)


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" at {os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"


def _stop_writing(stream: TextIO | None) -> None:
    """Send what is still buffered to /dev/null: else the interpreter would try again to write it, and complain."""
    if stream is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
