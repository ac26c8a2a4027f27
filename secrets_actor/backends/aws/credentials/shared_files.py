"""Reads AWS's shared config and credentials files: `~/.aws/config`, `~/.aws/credentials`, or where variables point."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from secrets_actor.backends.aws.credentials.profiles import Profiles, Unparsable, Value, combine, parse
from secrets_actor.domain.errors import CredentialsError

CONFIG_VARIABLE: Final = "AWS_CONFIG_FILE"
CREDENTIALS_VARIABLE: Final = "AWS_SHARED_CREDENTIALS_FILE"
# The first that is set. botocore looks at the older name first, too.
PROFILE_VARIABLES: Final = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
DEFAULT_PROFILE: Final = "default"
_MAX_FILE: Final = 1_048_576  # bytes


def read_profiles(environ: Mapping[str, str]) -> Profiles:
    """What both files say now. A file that is not there is empty. Raises `CredentialsError`."""
    config = _sections(environ, CONFIG_VARIABLE, "~/.aws/config")
    return combine(config, _sections(environ, CREDENTIALS_VARIABLE, "~/.aws/credentials"))


def profile_name(environ: Mapping[str, str]) -> str | None:
    """The profile that the environment names, if it names one."""
    return next((environ[name] for name in PROFILE_VARIABLES if environ.get(name)), None)


def profile_region(environ: Mapping[str, str], profile: str | None = None) -> str | None:
    """The region of *profile*, or of the one in force. None, too, when the files cannot be read: not the time to say
    so."""
    try:
        return read_profiles(environ).text(profile or profile_name(environ) or DEFAULT_PROFILE, "region") or None
    except CredentialsError:
        return None


def _sections(environ: Mapping[str, str], variable: str, usual: str) -> dict[str, dict[str, Value]]:
    path = environ.get(variable)
    if not path and "HOME" not in environ and environ is not os.environ:
        return {}  # an environment without a home has no usual place
    place = Path(os.path.expanduser(os.path.expandvars(path or usual)))
    problem = f"larger than {_MAX_FILE} bytes"
    try:
        if not place.is_file():
            return {}
        with place.open(encoding="utf-8") as file:
            text = file.read(_MAX_FILE + 1)
        if len(text) <= _MAX_FILE:
            return parse(text)
    except Unparsable as exc:
        problem = str(exc)
    except OSError:
        problem = "cannot be read"
    except ValueError:
        problem = "not UTF-8"
    raise CredentialsError(f"AWS's shared file {usual} (or where {variable} points): {problem}; mend or move it")
