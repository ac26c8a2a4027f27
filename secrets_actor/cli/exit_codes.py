"""Every end of the program: one line on standard error that says what to do, and an exit code.

Rule 1: nothing that was given for a value is repeated, and of an unforeseen error only its type and place are told.
Rule 2: Ctrl-C, and a reader that went away, end the program as the shell expects it; neither leaves a traceback.
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
# 128 and the signal's number, as shells have it.
INTERRUPTED: Final = 130
READER_GONE: Final = 141

EXIT_CODES: Final = {
    OK: "done",
    FAILED: "anything else, such as a secret scheduled for deletion, or a certificate that is not accepted",
    USAGE: "wrong usage, or a name or value that no store would accept",
    NOT_FOUND: "no such secret, or no such version",
    DENIED: "access denied, or wrong or missing credentials",
    UNREACHABLE: "the store or the service could not be reached in time; try again",
    BAD_CONFIGURATION: "the configuration or the key file does not hold",
    INTERRUPTED: "interrupted (Ctrl-C); 141 if whoever read the output went away",
}

EPILOG: Final = "\b\nExit codes:\n" + "\n".join(f"  {code:<3}  {meaning}" for code, meaning in EXIT_CODES.items())

# Narrow before wide: the first class that fits decides. An error that fits none ends with UNREACHABLE if trying again
# may help, for that is what scripts take the code for; else with FAILED.
_BY_CLASS: Final = (
    (InvalidInput, USAGE),
    (SecretNotFound, NOT_FOUND),
    (AccessDenied, DENIED),
    (CredentialsError, DENIED),
    (ConfigurationError, BAD_CONFIGURATION),
    (KeyFileError, BAD_CONFIGURATION),
)


# What a stream says that takes nothing: full, broken, closed, too long, or not to be waited for.
_NOT_WRITTEN: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF, errno.EFBIG, errno.EAGAIN)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C where more can be said of how things stand: its text is told."""


class Complaint(Struct, frozen=True):
    """What is told of an error. `code` is a SecretsError's own, or usage, interrupted, output, internal; stable too."""

    code: str
    message: str
    status: int

    def line(self, *, json: bool) -> str:
        """The one line."""
        message = printable(" ".join(self.message.split()))
        return as_json({"error": self.code, "message": message}) if json else f"{PROGRAM}: {message}"


def exit_code(error: SecretsError) -> int:
    """The exit code for *error*."""
    found = next((code for kind, code in _BY_CLASS if isinstance(error, kind)), None)
    return found or (UNREACHABLE if error.retryable else FAILED)


def run(command: Callable[[], object], *, json: bool) -> int:
    """Carry *command* out; tell what went wrong. The exit code."""
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
    except (KeyboardInterrupt, EOFError, click.Abort):  # the second and third: at the prompt
        complaint = Complaint("interrupted", "interrupted; see with 'get' or 'list' what was done", INTERRUPTED)
    except Exception as error:  # noqa: BLE001  # rule 1: an unforeseen one may quote anything
        complaint = complaint_about(error)
    try:
        click.echo(complaint.line(json=json), err=True)
    except OSError:  # nobody reads it: the exit code still says it
        _stop_writing(sys.__stderr__)
    return complaint.status


def written(status: int) -> int:
    """The exit code, when all that was printed has left this process: *status*, unless that fails only now. The
    interpreter would try once more at its end, and end with a code of its own."""
    for stream, failed in ((sys.__stdout__, status or FAILED), (sys.__stderr__, status)):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            _stop_writing(stream)
            status = status or (READER_GONE if stream is sys.__stdout__ else status)
        except (OSError, ValueError):  # full; or closed
            _stop_writing(stream)
            status = failed
    return status


def complaint_about(error: Exception) -> Complaint:
    """What to tell of *error*."""
    match error:
        case SecretsError():
            return Complaint(error.code, str(error), exit_code(error))
        case click.UsageError():
            path = PROGRAM if error.ctx is None else error.ctx.command_path
            return Complaint("usage", f"{error.format_message()} See '{path} --help'.", USAGE)
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
    told = f"an error that should not be: {type(error).__name__}{_place(error)}; please report it"
    return Complaint("internal", told, FAILED)


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" at {os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"


def _stop_writing(stream: TextIO | None) -> None:
    """Let what is still buffered go nowhere: the interpreter would try once more to write it, and complain."""
    if stream is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
