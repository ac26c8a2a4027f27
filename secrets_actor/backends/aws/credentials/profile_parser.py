"""What AWS's shared files say: sections of keys and values, and the profiles that both files make together. PURE.

Rule 1: what botocore reads, this reads: the standard library's RawConfigParser, section names split as a shell would,
        indented blocks as tables of their own. A differential test holds one against the other.
Rule 2: the two files are merged key by key; the credentials file stands over the config file.
Rule 3: a file that cannot be parsed is told with its line and without its text: it may hold keys.
"""

import configparser
import shlex
from collections.abc import Mapping
from typing import ClassVar

from secrets_actor.backends.aws.sdk_settings import NO_SECTIONS, ProfileSettings, Section, Value
from secrets_actor.structs import Opaque


class Unparsable(ValueError):
    """The text is not of the form. `line` is where, counted from 1, if that is known."""

    def __init__(self, line: int | None) -> None:
        super().__init__("not an AWS configuration file" if line is None else f"not understood from line {line} on")
        self.line = line


class Profiles(Opaque):
    """`config` and `credentials` are each file's own profiles, `merged` those of both; `services` are sections of the
    config file that profiles may name."""

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
        """The value of *key* in the merged *profile*, if it is there and a plain one."""
        found = self.merged.get(profile, {}).get(key)
        return found if isinstance(found, str) else None

    def settings(self, profile: str) -> ProfileSettings:
        """What *profile* says of the way to AWS."""
        return ProfileSettings(profile, self.merged.get(profile, {}), self.services)


def parse(text: str) -> dict[str, dict[str, Value]]:
    """The sections of a file. Raises `Unparsable`."""
    parser = configparser.RawConfigParser()
    line: int | None = None
    try:
        parser.read_string(text)
        return {
            name: {key: _value(parser.get(name, key)) for key in parser.options(name)} for name in parser.sections()
        }
    except configparser.ParsingError as exc:  # a missing header is one, too
        errors = getattr(exc, "errors", None)
        line = errors[0][0] if errors else getattr(exc, "lineno", None)
    except configparser.Error as exc:  # a section or key that comes twice
        line = getattr(exc, "lineno", None)
    except (ValueError, AttributeError):
        pass
    raise Unparsable(line)


def combine(config: Mapping[str, Section], credentials: Mapping[str, Section]) -> Profiles:
    """The profiles of both files' sections. In the config file `[default]` and `[profile NAME]` are profiles, and
    `[services NAME]` is what a profile may name."""
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
