"""Reads a secret's value from the user, and writes one out. No function here keeps a value longer than it must."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from secrets_actor.domain.errors import InvalidSecretValue
from secrets_actor.domain.secret import MAX_VALUE_BYTES, SecretValue
from secrets_actor.paths import NoPlace, expanded
from secrets_actor.telemetry.redaction import printable

# As the name of a file, it means standard input, as in most programs.
DASH: Final = Path("-")
# Bytes of a file with many values, such as a .env file.
MAX_FILE: Final = 2**22


class PlacePath(click.Path):
    """A click type for paths, which expands `~`: a shell does not in `--value-file=~/x`.

    With `allow_dash=True`, `-` is `DASH`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        problem = ""
        if value == str(DASH) and self.allow_dash:
            return DASH
        try:
            return super().convert(expanded(value), param, context)
        except NoPlace as error:
            problem = str(error)
        return self.fail(problem, param, context)


def value_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options by which a command is given a value: `value_file` and `binary`, for `read`."""
    for option in (
        click.option("--binary", is_flag=True, help="Keep the value as bytes even if it is text."),
        click.option(
            "--value-file",
            type=PlacePath(exists=True, dir_okay=False, allow_dash=True),
            metavar="FILE",
            help="Take the value from this file, byte for byte; - is standard input.",
        ),
    ):
        command = option(command)
    return command


def no_value_as_argument(context: click.Context) -> None:
    """Raise `UsageError` if more arguments were given than the command has. They are not quoted: one is a value, most
    likely. The command must allow extra arguments, or else click quotes them."""
    if context.args:
        raise click.UsageError(
            "A value is never an argument; type it, or give standard input or --value-file.", context
        )


def read(value_file: Path | None, binary: bool, name: str) -> SecretValue:
    """Read the value of the secret *name*: from *value_file*, from a prompt on a terminal, or from standard input.

    With *binary*, or when it is not UTF-8, it is kept as bytes. Raises `InvalidSecretValue`.
    """
    if value_file is not None and value_file != DASH:
        return masked(_read(lambda: value_file.open("rb"), f"the value file {value_file}"), binary)
    if sys.stdin is None:
        raise InvalidSecretValue("standard input is closed; give the value there, or with --value-file")
    if value_file == DASH:
        return masked(_read(lambda: sys.stdin.buffer, "standard input"), binary)
    if sys.stdin.isatty():
        return masked(_prompt(name), binary)
    return masked(without_line_end(_read(lambda: sys.stdin.buffer, "standard input")), binary)


def read_file(path: Path) -> str:
    """Return the text of the file *path*, or of standard input for `DASH`. Raises `InvalidSecretValue`."""
    what = "standard input" if path == DASH else f"the file {path}"
    if path == DASH and sys.stdin is None:
        raise InvalidSecretValue("standard input is closed; give the text there, or name a file")
    found = _read(lambda: sys.stdin.buffer if path == DASH else path.open("rb"), what, MAX_FILE)
    try:
        return found.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError:
        pass  # not the context of our own error: it has all that was read
    raise InvalidSecretValue(f"{what} is no text in UTF-8")


def write(value: str | bytes) -> None:
    """Write the bytes of *value* to standard output, and nothing else."""
    sys.stdout.buffer.write(value.encode() if isinstance(value, str) else value)
    sys.stdout.buffer.flush()


def _prompt(name: str) -> bytes:
    try:
        typed: str = click.prompt(f"Value of {printable(name)}", hide_input=True, confirmation_prompt=True, err=True)
        return typed.encode()
    except UnicodeError:
        pass  # not the context of our own error: its text and attributes quote what was typed
    raise InvalidSecretValue("what was typed is not valid text; give bytes with --value-file")


def _read(source: Callable[[], BinaryIO], what: str, most: int = MAX_VALUE_BYTES) -> bytes:
    try:
        with source() as file:
            # Room for a line end, and one byte to see that more comes: endless input must not fill the memory.
            value = file.read(most + 3)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}; give one that can"
    else:
        if len(value) <= most + 2:
            return value
        problem = f"is too long: {'a secret value' if most == MAX_VALUE_BYTES else 'it'} has {most} bytes at most"
    raise InvalidSecretValue(f"{what} {problem}")


def without_line_end(value: bytes) -> bytes:
    """Return *value* without one line end at its end."""
    return value.removesuffix(b"\r\n") if value.endswith(b"\r\n") else value.removesuffix(b"\n")


def masked(value: bytes, binary: bool = False) -> SecretValue:
    """Return *value* as text, or as bytes with *binary*, or when it is not UTF-8. Raises `InvalidSecretValue`."""
    try:
        return SecretValue(value if binary else value.decode())
    except UnicodeDecodeError:
        pass
    return SecretValue(value)
