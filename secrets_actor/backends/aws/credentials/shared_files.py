"""Reads AWS's shared config and credentials files: `~/.aws/config`, `~/.aws/credentials`, or where variables point."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from secrets_actor.backends.aws.sdk_settings import NO_SECTIONS, ProfileSettings
from secrets_actor.domain.errors import CredentialsError
from secrets_actor.forks import loading
from secrets_actor.paths import NoPlace, expanded
from secrets_actor.small_files import Problem, Unreadable, read_text

if TYPE_CHECKING:
    from secrets_actor.backends.aws.credentials.profile_parser import Profiles

CONFIG_VARIABLE: Final = "AWS_CONFIG_FILE"
CREDENTIALS_VARIABLE: Final = "AWS_SHARED_CREDENTIALS_FILE"
# The first of these that is set names the profile. The older name goes first, as in botocore.
PROFILE_VARIABLES: Final = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
DEFAULT_PROFILE: Final = "default"
_MAX_FILE: Final = 1_048_576  # bytes


def read_profiles(environ: Mapping[str, str], *, readable: bool = True) -> "Profiles":
    """Read both files as they are now.

    A file that does not exist counts as empty; so does one that this user cannot read, unless it must be *readable*.
    Raises `CredentialsError` for a file that is malformed, or not readable where it must be.
    """
    return _parsed(_texts(environ, readable))


def profile_name(environ: Mapping[str, str]) -> str | None:
    """Return the profile that *environ* names, or None."""
    variable = profile_variable(environ)
    return None if variable is None else environ[variable]


def profile_variable(environ: Mapping[str, str]) -> str | None:
    """Return the variable in *environ* that names a profile, or None."""
    return next((name for name in PROFILE_VARIABLES if environ.get(name)), None)


def profile_settings(environ: Mapping[str, str], profile: str | None = None) -> ProfileSettings:
    """Return the settings of *profile*, or of the profile that *environ* names, or of `default`.

    A file that this user cannot read counts as empty here, as in botocore; the search for credentials reports it.
    Raises `CredentialsError` for a malformed file.
    """
    name, texts = profile or profile_name(environ) or DEFAULT_PROFILE, _texts(environ, readable=False)
    if not any(texts.values()):  # as on most servers, whose start then does not load the parser
        return ProfileSettings(name, NO_SECTIONS, NO_SECTIONS)
    return _parsed(texts).settings(name)


def profile_region(environ: Mapping[str, str], profile: str | None = None) -> str | None:
    """Return the region of *profile*, or of the profile that *environ* names. None when there is none, or when a file
    is malformed."""
    try:
        return profile_settings(environ, profile).text("region") or None
    except CredentialsError:
        return None


def _texts(environ: Mapping[str, str], readable: bool) -> dict[str, str]:
    """Return the texts of both files, each by its name in errors, the config file first; empty where there is none."""
    places = (CONFIG_VARIABLE, "~/.aws/config"), (CREDENTIALS_VARIABLE, "~/.aws/credentials")
    return {_name(variable, usual): _text(environ, variable, usual, readable) for variable, usual in places}


def _parsed(texts: Mapping[str, str]) -> "Profiles":
    with loading():
        from secrets_actor.backends.aws.credentials.profile_parser import Unparsable, combine, parse

    both = []
    for name, text in texts.items():
        problem: object = None
        try:
            both.append(parse(text.replace("\r\n", "\n").replace("\r", "\n")))
        except Unparsable as exc:
            problem = f"is {exc}"
        if problem is not None:
            raise _unusable(name, problem)
    return combine(*both)


def _text(environ: Mapping[str, str], variable: str, usual: str, readable: bool) -> str:
    path = environ.get(variable)
    if not path and "HOME" not in environ and environ is not os.environ:
        return ""  # `~` would be the home of this process, and not of the environment that was passed in
    found: str | Problem | None = None
    try:
        place = expanded(os.path.expandvars(path or usual))
    except NoPlace as exc:
        found = Problem(f"is no path: it {exc}") if path else None
    else:
        if os.path.isfile(place):  # botocore passes over a folder, /dev/null or a pipe as well
            found = read_text(place, _MAX_FILE)
    if isinstance(found, str):
        return found
    if found is None or (isinstance(found, Unreadable) and not readable):
        return ""
    raise _unusable(_name(variable, usual), found)


def _name(variable: str, usual: str) -> str:
    return f"{usual} (or where {variable} points)"


def _unusable(name: str, problem: object) -> CredentialsError:
    return CredentialsError(f"AWS's shared file {name} {problem}; mend or move it")
