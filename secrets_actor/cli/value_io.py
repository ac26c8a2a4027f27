"""Reads a secret's value from the user, and writes one out. No function here keeps a value longer than it must."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import click

from secrets_actor.domain.errors import InvalidSecretValue
from secrets_actor.domain.secret import MAX_VALUE_BYTES, SecretValue
from secrets_actor.paths import NoPlace, expanded


class PlacePath(click.Path):
    """A click type for paths, which expands `~`: a shell does not in `--value-file=~/x`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        problem = ""
        try:
            return super().convert(expanded(value), param, context)
        except NoPlace as error:
            problem = str(error)
        return self.fail(problem, param, context)


def read(value_file: Path | None, binary: bool) -> SecretValue:
    """Read the value: from *value_file*, from a prompt on a terminal, or from standard input.

    With *binary*, or when it is not UTF-8, it is kept as bytes. Raises `InvalidSecretValue`.
    """
    if value_file is not None:
        return _masked(_read(lambda: value_file.open("rb"), f"the value file {value_file}"), binary)
    if sys.stdin is None:
        raise InvalidSecretValue("standard input is closed; give the value there, or with --value-file")
    if sys.stdin.isatty():
        return _masked(_prompt(), binary)
    return _masked(_without_line_end(_read(lambda: sys.stdin.buffer, "standard input")), binary)


def write(value: SecretValue) -> None:
    """Write the value's bytes to standard output, and nothing else."""
    revealed = value.reveal()
    sys.stdout.buffer.write(revealed.encode() if isinstance(revealed, str) else revealed)
    sys.stdout.buffer.flush()


def _prompt() -> bytes:
    try:
        typed: str = click.prompt("Value", hide_input=True, confirmation_prompt=True, err=True)
        return typed.encode()
    except UnicodeError:
        pass  # not the context of our own error: its text and attributes quote what was typed
    raise InvalidSecretValue("what was typed is not valid text; give bytes with --value-file")


def _read(source: Callable[[], BinaryIO], what: str) -> bytes:
    try:
        with source() as file:
            value = file.read(
                MAX_VALUE_BYTES + 3
            )  # room for a line end, and one byte to see that more comes: endless input must not fill the memory
    except OSError as error:
        problem = f"cannot be read: {error.strerror}; give one that can"
    else:
        if len(value) <= MAX_VALUE_BYTES + 2:
            return value
        problem = f"is too long: a secret value has {MAX_VALUE_BYTES} bytes at most"
    raise InvalidSecretValue(f"{what} {problem}")


def _without_line_end(value: bytes) -> bytes:
    return value.removesuffix(b"\r\n") if value.endswith(b"\r\n") else value.removesuffix(b"\n")


def _masked(value: bytes, binary: bool) -> SecretValue:
    try:
        return SecretValue(value if binary else value.decode())
    except UnicodeDecodeError:
        pass
    return SecretValue(value)
