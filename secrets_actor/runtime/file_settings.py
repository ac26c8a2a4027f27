"""The settings of rendered files, `[[file]]`: the mistakes in them, and what the daemon and `render` make of them.

Rule 1: a program that embeds a system pays nothing for this: delivery is loaded only where there are rows.
Rule 2: rows are named by their number, from 0, as in `file[2].mode`.
Rule 3: what a row says is checked with the other settings. The file of a template is read when it is to be rendered:
        no other command must fail because it is not there.
"""

# Without `from __future__ import annotations`, which makes texts of the types: the validator reads the types.
import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta

from secrets_actor.domain.errors import ConfigurationError, InvalidInput, InvalidParameter
from secrets_actor.paths import NoPlace, expanded
from secrets_actor.runtime.section import Section, Text
from secrets_actor.small_files import read_text

if TYPE_CHECKING:
    from secrets_actor.delivery.rendered_file import FileSpec
    from secrets_actor.delivery.templates import Source

# Its owner can read it: nobody else can be sure to, not even this process, which compares it with what it should be.
_MODE: Final = re.compile(r"0?[4-7][0-7]{2}")
_MODE_IN_WORDS: Final = 'an octal mode as text, such as "0440", in which the owner may read'
# The number behind the last user and group: chown(2) takes it for "as it is".
_NO_ID: Final = (1 << 32) - 1
# Bytes of a template.
_MOST_OF_TEMPLATE: Final = 1_048_576


class FileSettings(Section, frozen=True, kw_only=True):
    """A `[[file]]`: a file that is made of secrets, by the daemon and by `secrets-actor render`.

    - `path`: where it is.
    - `template`: the path of its template, or `text`: the template itself. `engine`: `plain`, or `jinja2` (an extra).
    - `format`, instead of a template: `dotenv`, `json`, `properties` or `systemd`; with `secrets`, a table of names and
      references, and `prefixes`: all secrets below each.
    - `owner`, `group`: names or numbers; without them, those of the daemon. `mode`, such as `"0440"`.
    - `check`: a command that must end with 0, or the file stays as it was. `{}` in it is the new file, which is then
      under another name; without that, the file is checked in its place.
    - `on_change`: a command that is run when the content has changed; or `signal`, such as `HUP`, is sent to the
      process whose number is in `pid_file`. `command_seconds`: how long each command may take.
    - `debounce_seconds`, `splay_seconds`, `floor_seconds`: how changes are gathered, spread and held apart.
    """

    path: Path | None = None
    template: Path | None = None
    text: str | None = None
    engine: Literal["plain", "jinja2"] = "plain"
    format: Literal["dotenv", "json", "properties", "systemd"] | None = None
    secrets: Mapping[str, str] | None = None
    prefixes: tuple[str, ...] = ()
    owner: Text | None = None
    group: Text | None = None
    mode: Annotated[str, Meta(description=_MODE_IN_WORDS)] = "0400"
    check: tuple[str, ...] = ()
    on_change: tuple[str, ...] = ()
    signal: Text | None = None
    pid_file: Path | None = None
    command_seconds: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    debounce_seconds: Annotated[float, Meta(ge=0, le=3600)] = 2.0
    splay_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 0.0
    floor_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 10.0


def file_mistakes(rows: tuple[FileSettings, ...]) -> Iterator[str]:
    """Yield the mistakes in *rows* that no field shows by itself, each as `KEY: what is allowed`."""
    paths: list[Path] = []
    for number, row in enumerate(rows):
        where = f"file[{number}]"
        for name in ("path", "template", "pid_file"):
            given = getattr(row, name)
            try:
                place = None if given is None else expanded(given)
            except NoPlace as error:
                yield f"{where}.{name}: {error}"
                continue
            if "\0" in str(given):
                yield f"{where}.{name}: no path holds a NUL"
            if name == "path":
                if place is None or not place.is_absolute() or not place.name:
                    yield f"{where}.path: missing; the whole path of the file, from / on"
                elif ".." in place.parts:  # two rows could be the same file, and nobody sees it
                    yield f"{where}.path: without .., which may lead elsewhere where there are links"
                elif place in paths:
                    yield f"{where}.path: the same as that of file[{paths.index(place)}]"
                paths.append(place or Path())
        given = [name for name in ("template", "text", "format") if getattr(row, name) is not None]
        if len(given) != 1:
            yield f"{where}: one of template, text and format, which says what is in the file"
        elif given == ["format"]:
            yield from _format_mistakes(where, row)
        elif row.secrets is not None or row.prefixes:
            yield f"{where}.secrets, {where}.prefixes: only with a format; a template names its secrets itself"
        elif row.text is not None and row.engine == "plain":
            yield from _source_mistakes(f"{where}.text", row)
        if not _MODE.fullmatch(row.mode):
            yield f"{where}.mode: {_MODE_IN_WORDS}"
        for name in ("check", "on_change"):
            command = getattr(row, name)
            if len(command) == 1 and " " in command[0]:
                yield f'{where}.{name}: a list with a text for each word, such as ["nginx", "-t"]; no shell reads it'
        for name in ("owner", "group"):
            given = getattr(row, name)
            if given is not None and ("\0" in given or (given.isdecimal() and int(given) >= _NO_ID)):
                yield f"{where}.{name}: a name, or a number below {_NO_ID}"
        if row.signal is not None and not isinstance(getattr(signal, f"SIG{row.signal}", None), signal.Signals):
            yield f"{where}.signal: the name of a signal without SIG, such as HUP"
        if (row.signal is None) != (row.pid_file is None):
            yield f"{where}.signal, {where}.pid_file: both or none"
        if row.signal is not None and row.on_change:
            yield f"{where}.on_change: without a signal; a command can send one"


def _format_mistakes(where: str, row: FileSettings) -> Iterator[str]:
    if not row.secrets and not row.prefixes:
        yield f"{where}.secrets: missing; a table of names and references, or prefixes"
    elif any(not prefix.endswith("/") for prefix in row.prefixes):
        yield f"{where}.prefixes: each ends with /, such as app/"
    else:
        yield from _source_mistakes(f"{where}.secrets", row)


def _source_mistakes(where: str, row: FileSettings) -> Iterator[str]:
    try:
        _source(row)
    except InvalidInput as error:
        yield f"{where}: {_allowed(error)}"


def _allowed(error: InvalidInput) -> str:
    return error.allowed if isinstance(error, InvalidParameter) else str(error)


def _source(row: FileSettings) -> "Source":
    """Return what the file is made of. Raises `InvalidInput`, and `ConfigurationError` for what cannot be read."""
    from secrets_actor.delivery.formats import Formatted  # here, by rule 1
    from secrets_actor.delivery.templates import Template

    if row.format is not None:
        return Formatted.of(row.format, row.secrets or {}, row.prefixes)
    text = row.text
    if text is None:
        found = read_text(row.template or "", _MOST_OF_TEMPLATE)
        if not isinstance(found, str):
            raise ConfigurationError((f"the template {row.template} {found or 'is not there'}",))
        text = found
    if row.engine == "plain":
        return Template.parse(text)
    from secrets_actor.delivery.jinja_templates import JinjaTemplate

    return JinjaTemplate.parse(text)


def specs_of(rows: tuple[FileSettings, ...]) -> "dict[str, FileSpec]":
    """Return what *rows*, which were checked, describe, by the paths of the files. Templates are read here.

    Raises `ConfigurationError` with all mistakes in templates.
    """
    if not rows:
        return {}
    from secrets_actor.delivery.pace import Pace  # here, by rule 1
    from secrets_actor.delivery.rendered_file import FileSpec

    found: dict[str, FileSpec] = {}
    mistakes: list[str] = []
    for number, row in enumerate(rows):
        key = f"file[{number}].{'template' if row.template else 'text'}"
        try:
            source = _source(row)
        except ConfigurationError as error:
            mistakes += [f"{key}: {mistake}" for mistake in error.mistakes]
            continue
        except InvalidInput as error:
            mistakes.append(f"{key}: {_allowed(error)}")
            continue
        path = expanded(row.path or "")
        found[str(path)] = FileSpec(
            path,
            source,
            mode=int(row.mode, 8),
            owner=row.owner,
            group=row.group,
            check=row.check,
            on_change=row.on_change,
            signal=row.signal,
            pid_file=None if row.pid_file is None else expanded(row.pid_file),
            command_seconds=row.command_seconds,
            pace=Pace(row.debounce_seconds, row.splay_seconds, row.floor_seconds),
        )
    if mistakes:
        raise ConfigurationError(tuple(mistakes))
    return found
