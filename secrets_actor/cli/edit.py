"""`secrets-actor edit`: the value of a secret in an editor, on a file that is in memory only.

Rule 1: the file is in a folder of its own, open to this user alone, on a file system in memory: what is deleted from a
        disk can be read from it for long. The folder, with all that an editor puts beside the file, is removed at the
        end, also after Ctrl-C, SIGTERM and SIGHUP. Only a SIGKILL leaves it, until the machine's next start.
Rule 2: an editor that is known is told to keep no copies elsewhere: no swap, undo or history files. With another one,
        the user is told to look.
Rule 3: a value that was not changed is not written. What was typed is not lost with an editor that crashes, or a store
        that refuses it: a user on a terminal is asked what to do.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from secrets_actor.cli import value_io
from secrets_actor.cli.completion import secret_names
from secrets_actor.cli.exit_codes import EPILOG, PROGRAM, Interrupted, NotDone
from secrets_actor.cli.store.options import json_option, passphrase_option
from secrets_actor.client.secrets import Secrets
from secrets_actor.domain.errors import InvalidSecretValue, SecretNotFound, SecretsError
from secrets_actor.domain.secret import Secret, SecretValue
from secrets_actor.json_text import read_json
from secrets_actor.telemetry.redaction import printable

if TYPE_CHECKING:
    from secrets_actor.cli.options import Options

# File systems whose files are in memory. (What is in memory may be swapped out: config/README.md tells of that.)
_IN_MEMORY: Final = ("tmpfs", "ramfs")
_MOUNTS: Final = Path("/proc/self/mounts")
# `-n`: no swap file. `-i NONE`: no file of registers and searches, which has what was deleted or copied. The rest comes
# after the user's own configuration. `silent!`, because a small vim does not know each of these options.
_VIM: Final = ("-n", "-i", "NONE", "-c", "silent! set noundofile nobackup nowritebackup")
# By the beginning of the name of the program, once links have been followed: `vi` is a link to one of many editors.
_QUIET: Final[tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]] = (
    (re.compile(r"(vi|vim|nvim|view)(\..+)?"), _VIM),
    (re.compile(r"gvim"), ("-f", *_VIM)),  # -f: it would go into the background
    (re.compile(r"r?nano"), ("-I",)),  # -I: without the user's configuration, which may ask for backups elsewhere
)
# Bytes that are read of an edited file: much more than a value may have, so that its error tells how long it is.
_MAX_FILE: Final = 2**24
_EDITORS: Final = ("VISUAL", "EDITOR")


@click.command(epilog=EPILOG)
@click.argument("name", shell_complete=secret_names)
@passphrase_option
@json_option
@click.pass_obj
def edit(options: Options, name: str) -> None:
    """Change the value of NAME in the editor of $VISUAL or $EDITOR; NAME is created if there is none.

    The file that is edited is in memory, and gone afterwards. A value that was not changed is not written. An editor
    ends the last line; a value that had no line end gets none.
    """
    command = editor(os.environ)
    with options.secrets() as secrets:
        before = _current(secrets, name)
        with memory_file(name, b"" if before is None else before.bytes(), os.environ) as path:
            value = _edited(command, path, before, lambda value: _write(secrets, name, before, value))
    if value is None:
        options.show({"name": name, "changed": False})
    else:
        options.show({"name": name, "changed": True, "version_id": value})


def _current(secrets: Secrets, name: str) -> Secret | None:
    try:
        found = secrets.get(name, refresh=True)
    except SecretNotFound:
        return None
    if not found.value.is_text:
        raise InvalidSecretValue("this value is binary, and no text to edit: see 'get --raw' and 'set --value-file'")
    return found


def _write(secrets: Secrets, name: str, before: Secret | None, value: SecretValue) -> str:
    """Write *value*, and return its version's id. Raises `NotDone` if somebody else has written meanwhile."""
    if before is None:
        return secrets.create(name, value).version_id
    if secrets.get(name, refresh=True).version_id != before.version_id:
        raise NotDone(f"{name} got another version meanwhile, which is kept; nothing was written: edit it again")
    return secrets.put(name, value).version_id


# --- the editor -------------------------------------------------------------------------------------------------------


def editor(environ: Mapping[str, str]) -> list[str]:
    """Return the command of the user's editor, told to keep no copies elsewhere (rule 2). Raises `UsageError`."""
    variable = next((name for name in _EDITORS if environ.get(name)), None)
    try:
        command = shlex.split(environ[variable]) if variable else ["vi"]
    except ValueError:
        command = []
    found = shutil.which(command[0], path=environ.get("PATH")) if command else None
    if found is None:
        raise click.UsageError(
            f"There is no editor {f'as {variable} says' if variable else 'vi'}: set VISUAL or EDITOR."
        )
    program = os.path.basename(os.path.realpath(found))
    quiet = next((options for pattern, options in _QUIET if pattern.fullmatch(program)), None)
    if quiet is None:
        text = "see that the editor keeps no copy elsewhere: backups, swap and undo files, a clipboard"
        click.echo(f"{PROGRAM}: {text}", err=True)
    return [*command, *(quiet or ())]


def _edited(command: list[str], path: Path, before: Secret | None, write: Callable[[SecretValue], str]) -> str | None:
    """Have *path* edited until its value is written, or given up. Returns the id of the version; None: unchanged.

    Raises `NotDone`, and what *write* raises.
    """
    old = b"" if before is None else before.bytes()
    status, wanted = _run(command, path), False
    while True:
        new = _kept(old, _read_back(path))
        problem: SecretsError | NotDone | None = None if wanted else _problem(status, old, new)
        if new == old:
            if problem is None:
                return None
            raise problem
        if problem is None:
            try:
                return write(value_io.masked(new))
            except (SecretsError, NotDone) as error:
                problem = error
        if not sys.stdin.isatty():
            raise problem
        click.echo(f"{PROGRAM}: {printable(str(problem))}", err=True)
        wish = click.prompt("edit again, write it as it is, or drop it", type=_WISHES, default="edit", err=True)
        if wish == "drop":
            raise problem
        wanted = wish == "write"
        status = 0 if wanted else _run(command, path)


_WISHES: Final = click.Choice(["edit", "write", "drop"])


def _problem(status: int, old: bytes, new: bytes) -> NotDone | None:
    """Return why *new* may not be what the user means, or None."""
    if status:
        return NotDone(f"the editor ended with {status}; nothing was written")
    if _is_json(old) and not _is_json(new):
        return NotDone("the value was JSON, and is none any more; nothing was written")
    return None


def _run(command: list[str], path: Path) -> int:
    """Run the editor on *path*, and return how it ended. Raises `NotDone` if it cannot be run."""
    # Ctrl-C is for the editor, which has the terminal. With a function as handler, the editor starts with its default.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        # Without a shell: the path is no text of the user's, but its folder may be.
        with subprocess.Popen([*command, str(path)]) as process:  # noqa: S603
            try:
                return process.wait()
            except BaseException:  # a signal that ends us: the editor would go on without its file
                process.terminate()
                raise
    except OSError as error:
        problem = error.strerror
    finally:
        signal.signal(signal.SIGINT, before)
    raise NotDone(f"the editor cannot be run: {problem}; nothing was changed")


def _read_back(path: Path) -> bytes:
    """Return what is in the file, up to `_MAX_FILE`. Raises `NotDone` if it is gone."""
    try:
        with path.open("rb") as file:
            found = file.read(_MAX_FILE)
    except OSError:
        found = None
    if found is None:
        raise NotDone("the editor has left no file; nothing was changed")
    return found


def _kept(old: bytes, new: bytes) -> bytes:
    """Return *new* without the line end that editors put at the end, unless *old* had one."""
    return new if old.endswith(b"\n") else value_io.without_line_end(new)


def _is_json(value: bytes) -> bool:
    try:
        return isinstance(read_json(value), dict)
    except ValueError:
        return False


# --- the file ---------------------------------------------------------------------------------------------------------


@contextmanager
def memory_file(name: str, value: bytes, environ: Mapping[str, str]) -> Iterator[Path]:
    """Give the path of a file with *value*, in memory, and remove it and all beside it at the end (rule 1).

    Its name is like the last part of *name*, with an ending by which an editor knows JSON. Raises `NotDone` if this
    machine has no file system in memory, and `Interrupted` when a signal is to end this process.
    """
    base = next(filter(_is_in_memory, _places(environ)), None)
    if base is None:
        raise NotDone(
            "there is no file system in memory for the file to edit: mount a tmpfs at /dev/shm, or set "
            "XDG_RUNTIME_DIR; or use 'get --raw' and 'set'"
        )
    with _signals_told():
        folder = Path(tempfile.mkdtemp(prefix="secrets-actor-", dir=base))  # open to this user alone
        try:
            stem = re.sub(r"[^A-Za-z0-9_-]", "_", name.rpartition("/")[2])[:60] or "value"
            path = folder / f"{stem}.{'json' if _is_json(value) else 'txt'}"
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(value)
            yield path
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _places(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the folders that may be in memory: first that of the user, which no one else may enter."""
    own = environ.get("XDG_RUNTIME_DIR", "")
    if own.startswith("/"):
        yield Path(own)
    yield Path("/dev/shm")  # noqa: S108  made by the system for such files; ours is in a folder of its own


def _is_in_memory(folder: Path) -> bool:
    """Whether *folder* is there, may be written, and is on a file system in memory."""
    try:
        lines = _MOUNTS.read_text().splitlines()
    except OSError:
        return False
    place = os.path.realpath(folder)
    found = ("", "")
    for line in lines:  # the last of two mounts at one place is the one that is seen
        _device, point, kind, *_ = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point)  # proc_mounts(5): \040 is a space
        if (place == point or place.startswith(point.rstrip("/") + "/")) and len(point) >= len(found[0]):
            found = point, kind
    return found[1] in _IN_MEMORY and os.access(folder, os.W_OK | os.X_OK)


@contextmanager
def _signals_told() -> Iterator[None]:
    """Have signals that would end this process raise `Interrupted`, so that the file is removed."""

    def told(number: int, _frame: Any) -> None:
        raise Interrupted(f"ended by {signal.Signals(number).name}; nothing was written")

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
