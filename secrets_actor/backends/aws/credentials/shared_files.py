"""Reads AWS's shared config and credentials files: `~/.aws/config`, `~/.aws/credentials`, or where variables point."""

import os
from collections.abc import Mapping
from typing import Final

from secrets_actor.backends.aws.credentials.profile_parser import Profiles, Unparsable, combine, parse
from secrets_actor.backends.aws.sdk_settings import ProfileSettings, Value
from secrets_actor.domain.errors import CredentialsError
from secrets_actor.paths import NoPlace, expanded
from secrets_actor.small_files import Problem, Unreadable, read_text

CONFIG_VARIABLE: Final = "AWS_CONFIG_FILE"
CREDENTIALS_VARIABLE: Final = "AWS_SHARED_CREDENTIALS_FILE"
# The first of these that is set names the profile. The older name goes first, as in botocore.
PROFILE_VARIABLES: Final = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
DEFAULT_PROFILE: Final = "default"
_MAX_FILE: Final = 1_048_576  # bytes


def read_profiles(environ: Mapping[str, str], *, readable: bool = True) -> Profiles:
    """Read both files as they are now.

    A file that does not exist counts as empty; so does one that this user cannot read, unless it must be *readable*.
    Raises `CredentialsError` for a file that is malformed, or not readable where it must be.
    """
    config = _sections(environ, CONFIG_VARIABLE, "~/.aws/config", readable)
    return combine(config, _sections(environ, CREDENTIALS_VARIABLE, "~/.aws/credentials", readable))


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
    return read_profiles(environ, readable=False).settings(profile or profile_name(environ) or DEFAULT_PROFILE)


def profile_region(environ: Mapping[str, str], profile: str | None = None) -> str | None:
    """Return the region of *profile*, or of the profile that *environ* names. None when there is none, or when a file
    is malformed."""
    try:
        return profile_settings(environ, profile).text("region") or None
    except CredentialsError:
        return None


def _sections(environ: Mapping[str, str], variable: str, usual: str, readable: bool) -> dict[str, dict[str, Value]]:
    path = environ.get(variable)
    if not path and "HOME" not in environ and environ is not os.environ:
        return {}  # `~` would be the home of this process, and not of the environment that was passed in
    found: str | Problem | None = None
    try:
        place = expanded(os.path.expandvars(path or usual))
    except NoPlace as exc:
        found = Problem(f"is no path: it {exc}") if path else None
    else:
        if os.path.isfile(place):  # botocore passes over a folder, /dev/null or a pipe as well
            found = read_text(place, _MAX_FILE)
    if isinstance(found, str):
        try:
            return parse(found.replace("\r\n", "\n").replace("\r", "\n"))
        except Unparsable as exc:
            found = Problem(f"is {exc}")
    if found is None or (isinstance(found, Unreadable) and not readable):
        return {}
    raise CredentialsError(f"AWS's shared file {usual} (or where {variable} points) {found}; mend or move it")
