"""Errors become one line on standard error and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from secrets_actor.domain.errors import (
    AccessDenied,
    ConfigurationError,
    CredentialsError,
    InvalidInput,
    KeyFileError,
    SecretNotFound,
    SecretsError,
    ServiceError,
    StoreError,
    StoreUnavailable,
    Unreachable,
)

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
DENIED: Final = 4
UNREACHABLE: Final = 5
BAD_CONFIGURATION: Final = 6

EXIT_CODES: Final = {
    OK: "done",
    FAILED: "the store refused for another reason, such as a secret scheduled for deletion",
    USAGE: "wrong usage, or a name or value that no store would accept",
    NOT_FOUND: "no such secret, or no such version",
    DENIED: "access denied, or wrong or missing credentials",
    UNREACHABLE: "the store or the service could not be reached in time; try again",
    BAD_CONFIGURATION: "the configuration or the key file does not hold",
}

# Narrow before wide: the first class that fits decides.
_BY_CLASS: Final = (
    (InvalidInput, USAGE),
    (SecretNotFound, NOT_FOUND),
    (AccessDenied, DENIED),
    (CredentialsError, DENIED),
    (ConfigurationError, BAD_CONFIGURATION),
    (KeyFileError, BAD_CONFIGURATION),
    (Unreachable, UNREACHABLE),
    (StoreUnavailable, UNREACHABLE),
    (ServiceError, UNREACHABLE),
)


def exit_code(error: SecretsError) -> int:
    """The exit code for *error*."""
    if isinstance(error, StoreError) and error.retryable:
        return UNREACHABLE
    return next((code for kind, code in _BY_CLASS if isinstance(error, kind)), FAILED)


class _Failure(click.ClickException):
    """A SecretsError on its way out."""

    def __init__(self, error: SecretsError, as_json: bool) -> None:
        super().__init__(str(error))
        self.__dict__["exit_code"] = exit_code(error)  # click types it as a class's; it is read from the instance
        self._error, self._as_json = error, as_json

    def show(self, file: object = None) -> None:  # noqa: ARG002
        """One line on standard error."""
        if self._as_json:
            from secrets_actor.cli.output import as_json

            click.echo(as_json({"error": self._error.code, "message": self.message}), err=True)
        else:
            click.echo(f"secrets-actor: {' '.join(self.message.split())}", err=True)


@contextmanager
def reported(as_json: bool) -> Iterator[None]:
    """Turn a SecretsError into its line and exit code."""
    failure = None
    try:
        yield
    except SecretsError as error:
        failure = _Failure(error, as_json)
    if failure is not None:
        raise failure
