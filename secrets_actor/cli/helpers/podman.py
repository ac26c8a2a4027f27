"""`secrets-actor helper podman`: podman's driver `shell`, with secrets that are references to ours.

Rule 1: podman tells a driver its own id of a secret, and never the name. So what a user gives podman as the secret is
        the text of a reference, such as secret://db/password. It is kept here under podman's id, and looked up when
        podman makes a container: the container gets the value of that moment.
Rule 2: no value is kept here. A text that is no reference is refused.
Rule 3: the references are small files of this user in $XDG_STATE_HOME: podman's own table of names and ids is of this
        user and this machine as well. So a reader needs no right to write to the store.

Source: containers/common, `pkg/secrets/shelldriver`: a shell command for each operation, SECRET_ID in its environment,
the secret on standard input or output, exit code 0 for success. podman takes less than 512,000 bytes; our values have
65,536 at most.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from secrets_actor import small_files
from secrets_actor.cli import value_io
from secrets_actor.cli.exit_codes import EPILOG, NotDone
from secrets_actor.delivery.references import SCHEME, parse_reference
from secrets_actor.paths import NoPlace, absolute

if TYPE_CHECKING:
    from secrets_actor.cli.options import Options

# More than any reference has: a name or an ARN, members and a stage.
_LONGEST: Final = 8192
_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")


@click.command(epilog=EPILOG)
@click.argument("operation", type=click.Choice(["list", "lookup", "store", "delete"]))
@click.pass_obj
def podman(options: Options, operation: str) -> None:
    """Be podman's driver for secrets.

    \b
      # ~/.config/containers/containers.conf; for root /etc/containers/containers.conf
      [secrets]
      driver = "shell"
      [secrets.opts]
      list = "secrets-actor helper podman list"
      lookup = "secrets-actor helper podman lookup"
      store = "secrets-actor helper podman store"
      delete = "secrets-actor helper podman delete"

    'printf secret://db/password | podman secret create db-password -' names a secret of ours, and
    'podman run --secret db-password ...' gives the container its value.
    """
    folder = _folder()
    if operation == "list":
        for path in sorted(folder.glob("*")):
            click.echo(path.name)
        return
    place = folder / _secret_id()
    match operation:
        case "store":
            _keep(place, value_io.read_file(value_io.DASH).strip())
        case "lookup":
            value_io.write(_value(options, _kept(place)))
        case _:
            _kept(place)
            _changed(place, place.unlink)


def _folder() -> Path:
    """Return the folder of the references. Raises `NotDone`."""
    given = os.environ.get("XDG_STATE_HOME", "")
    try:
        # A relative path counts as none, by the XDG Base Directory Specification: podman may run us anywhere.
        return absolute(given if os.path.isabs(given) else "~/.local/state") / "secrets-actor" / "podman"
    except NoPlace as error:
        problem = str(error)
    raise NotDone(f"there is no folder for the references: ~/.local/state {problem}; or set XDG_STATE_HOME")


def _secret_id() -> str:
    found = os.environ.get("SECRET_ID", "")
    if _ID.fullmatch(found) is None:
        raise click.UsageError("podman runs this command, and says in SECRET_ID which of its secrets it means.")
    return found


def _keep(place: Path, text: str) -> None:
    """Keep the reference *text* in the file *place*, which must be new. Raises `NotDone`, `InvalidInput`."""
    if not text.startswith(SCHEME):
        del text
        raise NotDone(
            f"podman is to be given a reference, and no value: printf {SCHEME}db/password | podman secret ..."
        )
    parse_reference(text.removeprefix(SCHEME))

    def write() -> None:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(place, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            try:
                file.write(f"{text}\n")
                file.flush()
            except OSError:  # the disk is full: a part of a reference must not pass for one
                place.unlink()
                raise

    _changed(place, write)


def _changed(place: Path, change: Callable[[], object]) -> None:
    """Call *change*, which makes or removes the file *place*. Raises `NotDone`."""
    try:
        change()
    except OSError as error:
        problem = error.strerror or "no space"
    else:
        return
    raise NotDone(f"the reference {place} cannot be changed: {problem}")


def _kept(place: Path) -> str:
    """Return the reference in the file *place*. Raises `NotDone`."""
    found = small_files.read_text(place, _LONGEST)
    if isinstance(found, str):
        return found.strip().removeprefix(SCHEME)
    raise NotDone(f"there is no reference {place}" if found is None else f"the reference {place} {found}")


def _value(options: Options, text: str) -> bytes:
    from secrets_actor.delivery.fetching import Wanted, fetch

    wanted = parse_reference(text)
    with options.secrets() as secrets:
        return fetch(secrets, Wanted((wanted,))).bytes(wanted) or b""
