"""Reads the export key: a passphrase or a key, from a file or a prompt, and never from an argument.

Rule: no frame that raises has a key or a passphrase among its variables: a traceback may show them. So the functions
that read return a text for a problem, and do not raise. The file stands alone for this rule, and because only `export`
and `import` load it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from secrets_actor.backends.local.export_key import KEY, PASSPHRASE, ExportKey
from secrets_actor.backends.local.keys import key_formats, private_file
from secrets_actor.domain.errors import KeyFileError


def export_key(passphrase_file: Path | None, key_file: Path | None, *, new: bool) -> ExportKey:
    """Return the export key from the given file; without a file, ask for a passphrase, twice for a *new* export.

    Raises `click.UsageError` for two files, or for none where there is no terminal; `KeyFileError` for a key or a
    passphrase that cannot be used.
    """
    if passphrase_file is not None and key_file is not None:
        raise click.UsageError("Give --passphrase-file or --key-file, not both.")
    path = passphrase_file or key_file
    if path is None and not (sys.stdin and sys.stdin.isatty()):
        raise click.UsageError("Give --passphrase-file or --key-file: there is no terminal to ask for a passphrase.")
    if path is None:
        found, what = _asked_for(new), "what was typed"
    else:
        found, what = _in_file(path.absolute(), KEY if path is key_file else PASSPHRASE), f"the file {path}"
    if isinstance(found, ExportKey):
        return found
    raise KeyFileError(f"{what} {found}", path=str(path or "prompt"))


def _asked_for(new: bool) -> ExportKey | str:
    typed: str = click.prompt("Passphrase of the export", hide_input=True, confirmation_prompt=new, err=True)
    return _lock(PASSPHRASE, key_formats.passphrase_of(typed.encode(errors="surrogateescape")))


def _in_file(path: Path, kind: int) -> ExportKey | str:
    """Return the key in the file, or a text that says what is wrong with it."""
    content = private_file.read(path, key_formats.MAX_BYTES, given=True)
    if content is None:
        return "is not there; give the path of one"
    if isinstance(content, str):
        return content
    if kind == KEY:
        return _lock(KEY, key_formats.key_of(content, raw=True))
    return _lock(PASSPHRASE, key_formats.passphrase_of(content, from_file=True))


def _lock(kind: int, found: bytes | str) -> ExportKey | str:
    return found if isinstance(found, str) else ExportKey(kind, found)
