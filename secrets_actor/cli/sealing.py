"""What exports are sealed with: a passphrase or a key, from a file or a prompt, and never from an argument.

Rule: no frame that raises has a key or a passphrase among its locals.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
import sys
import unicodedata
from pathlib import Path
from typing import Final

import click

from secrets_actor.backends.local.master_key import KEY_BYTES
from secrets_actor.backends.local.sealed_lock import KEY, PASSPHRASE, Lock
from secrets_actor.domain.errors import KeyFileError

# Bytes at most of a file that holds a key or a passphrase.
MAX_BYTES: Final = 1024
_OTHERS: Final = 0o077
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{64}")


def lock(passphrase_file: Path | None, key_file: Path | None, *, new: bool) -> Lock:
    """What is given; without a file a prompt asks for a passphrase, twice for a *new* one.

    Raises `click.UsageError` for two files, or none where nobody can be asked; `KeyFileError` for one that will not do.
    """
    if passphrase_file is not None and key_file is not None:
        raise click.UsageError("Give --passphrase-file or --key-file, not both.")
    path = passphrase_file or key_file
    if path is None and not (sys.stdin and sys.stdin.isatty()):
        raise click.UsageError("Give --passphrase-file or --key-file: there is no terminal to ask for a passphrase.")
    if path is None:
        return Lock(PASSPHRASE, _asked_for(new))
    problem, found = _read(path)
    if problem is None:
        made = _lock(PASSPHRASE, _passphrase(found)) if path is passphrase_file else _lock(KEY, _key(found))
        if made is not None:
            return made
        wanted = (
            "no passphrase: a line of text" if path is passphrase_file else f"no key: {KEY_BYTES} bytes, hex or base64"
        )
        problem = f"holds {wanted}, {MAX_BYTES} bytes at most"
    del found
    raise KeyFileError(f"the file {path} {problem}", path=str(path))


def _lock(kind: int, secret: bytes) -> Lock | None:
    return Lock(kind, secret) if secret else None


def _asked_for(new: bool) -> bytes:
    return _composed(click.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True))


def _read(path: Path) -> tuple[str | None, bytes]:
    """What is wrong with the file, and what is in it."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                return "is not a plain file", b""
            if mode & _OTHERS:
                return f"is open to group or others (mode {stat.S_IMODE(mode):04o}); run: chmod 600 {path}", b""
            return None, file.read(MAX_BYTES + 1)
    except OSError as error:
        return f"cannot be read ({error.strerror}); give one that can", b""


def _key(content: bytes) -> bytes:
    """The key; empty for what is none."""
    text = content.strip()
    if len(content) == KEY_BYTES:
        return content
    if _HEX.fullmatch(text):
        return bytes.fromhex(text.decode())
    try:
        found = base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
    return found if len(found) == KEY_BYTES else b""


def _passphrase(content: bytes) -> bytes:
    """The passphrase, without its line's end; empty for what is none."""
    line = content.removesuffix(b"\n").removesuffix(b"\r")
    if len(content) > MAX_BYTES:
        return b""
    try:
        return _composed(line.decode())
    except UnicodeDecodeError:
        return line


def _composed(text: str) -> bytes:
    """In the composed form (NFC; RFC 8265, 4.2.2), so that an accent counts the same from each keyboard."""
    return unicodedata.normalize("NFC", text).encode()
