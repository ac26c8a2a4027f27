"""Parses AWS's shared files into sections, and merges the profiles of both files. PURE.

Rule 1: the files are read as botocore reads them: by the standard library's RawConfigParser, with section names split
        as a shell would split them, and indented blocks as tables of their own. A test compares this with botocore.
Rule 2: the two files are merged key by key; the credentials file goes before the config file.
Rule 3: the error for a file that cannot be parsed tells the line number and not the text, which may hold credentials.
"""

import configparser
import shlex
from collections.abc import Mapping
from typing import ClassVar

from secrets_actor.backends.aws.sdk_settings import NO_SECTIONS, ProfileSettings, Section, Value
from secrets_actor.structs import Opaque


class Unparsable(ValueError):
    """Raised for a text that is not an AWS configuration file. `line` counts from 1; None when it is not known."""

    def __init__(self, line: int | None) -> None:
        super().__init__("not an AWS configuration file" if line is None else f"not understood from line {line} on")
        self.line = line


class Profiles(Opaque):
    """The profiles of the shared files. The repr shows none of them, for they hold credentials.

    `config` and `credentials` are each file's own profiles, `merged` those of both together. `services` are the
    `services` sections of the config file, which profiles may name.
    """

    __slots__ = ("config", "credentials", "merged", "services")
    SHOWN: ClassVar = ()

    def __init__(
        self,
        config: Mapping[str, Section] = NO_SECTIONS,
        credentials: Mapping[str, Section] = NO_SECTIONS,
        merged: Mapping[str, Section] = NO_SECTIONS,
        services: Mapping[str, Section] = NO_SECTIONS,
    ) -> None:
        self.config = config
        self.credentials = credentials
        self.merged = merged
        self.services = services

    def text(self, profile: str, key: str) -> str | None:
        """Return the value of *key* in the merged *profile*, or None when it is absent or an indented table."""
        found = self.merged.get(profile, {}).get(key)
        return found if isinstance(found, str) else None

    def settings(self, profile: str) -> ProfileSettings:
        """Return the settings of *profile* for connections to AWS."""
        return ProfileSettings(profile, self.merged.get(profile, {}), self.services)


def parse(text: str) -> dict[str, dict[str, Value]]:
    """Return the sections of a file: {section: {key: value}}. Raises `Unparsable`."""
    parser = configparser.RawConfigParser()
    line: int | None = None
    try:
        parser.read_string(text)
        return {
            name: {key: _value(parser.get(name, key)) for key in parser.options(name)} for name in parser.sections()
        }
    except configparser.ParsingError as exc:  # also a MissingSectionHeaderError
        errors = getattr(exc, "errors", None)
        line = errors[0][0] if errors else getattr(exc, "lineno", None)
    except configparser.Error as exc:  # a section or key that comes twice
        line = getattr(exc, "lineno", None)
    except (ValueError, AttributeError):  # ValueError: a line of a table without `=`; RawConfigParser may raise both
        pass
    # Raised outside the handlers, so that it has no context: configparser's errors quote the text.
    raise Unparsable(line)


def combine(config: Mapping[str, Section], credentials: Mapping[str, Section]) -> Profiles:
    """Return the profiles of both files.

    In the config file, `[default]` and `[profile NAME]` are profiles, and `[services NAME]` is a section that a profile
    may name. In the credentials file every section is a profile.
    """
    own: dict[str, Section] = {}
    services: dict[str, Section] = {}
    for title, section in config.items():
        found = own if title.startswith("profile") else services if title.startswith("services") else None
        if found is not None:
            words = _words(title)
            if len(words) == 2:
                found[words[1]] = section
        elif title == "default":
            own[title] = section
    names = [*own, *(name for name in credentials if name not in own)]
    merged = {name: {**own.get(name, {}), **credentials.get(name, {})} for name in names}
    return Profiles(own, dict(credentials), merged, services)


def _value(raw: str | None) -> Value:
    if raw is None or not raw.startswith("\n"):
        return raw or ""
    lines = [line.strip() for line in raw.splitlines()]
    pairs = [line.split("=", 1) for line in lines if line]
    return {key.strip(): value.strip() for key, value in pairs}


def _words(title: str) -> list[str]:
    try:
        return shlex.split(title)
    except ValueError:
        return []
