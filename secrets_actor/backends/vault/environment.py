"""Reads the variables that OpenBao's and Vault's own tools take, as those tools read them. PURE.

Rule 1: a variable is looked for under `BAO_`, and under `VAULT_` only if there is none of that name, not even an empty
        one. An empty value means that nothing is chosen.
Rule 2: a value comes with the name of its variable, which errors name instead of the value: it may hold a password.
Rule 3: what these variables can say and we do not do is told: `not_honoured`.

Source: api/client.go and api/env.go of OpenBao; the tests compare with its command line.
"""

import re
from collections.abc import Mapping
from typing import ClassVar, Final

from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.structs import Opaque

DEFAULT_ADDRESS: Final = "https://127.0.0.1:8200"
# Where the command line keeps the token of a login.
LOGIN_FILE: Final = "~/.vault-token"
# Rule 3. The number of attempts: ours has no limit but the deadline of whoever asks.
_NOT_HONOURED: Final = ("MAX_RETRIES", "RATE_LIMIT", "SRV_LOOKUP", "WRAP_TTL", "MFA", "DISABLE_REDIRECTS")
# The texts that Go's strconv.ParseBool takes.
_BOOLS: Final = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
# Go's time.ParseDuration, and days, which the tools add. Numbers without a unit are seconds.
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h|d)")
_DURATION: Final = re.compile(rf"(?:{_PART.pattern})+|[0-9]+")
# Seconds: the longest time that `vault.timeout` may have, too.
_LONGEST: Final = 300.0


class Variable(Opaque):
    """A variable that is set, and is not empty. Its repr shows the name only."""

    __slots__ = ("name", "value")
    SHOWN: ClassVar = ("name",)

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self.value = value


def variable(environ: Mapping[str, str], word: str) -> Variable | None:
    """Return the variable of OpenBao or Vault that ends in *word*, such as `ADDR` (rule 1)."""
    name = f"BAO_{word}" if f"BAO_{word}" in environ else f"VAULT_{word}"
    value = environ.get(name)
    return Variable(name, value) if value else None


def address(environ: Mapping[str, str]) -> Variable | None:
    """Return the variable that names the server: an agent on this machine goes before the server itself."""
    return variable(environ, "AGENT_ADDR") or variable(environ, "ADDR")


def proxy(environ: Mapping[str, str]) -> Variable | None:
    """Return the variable that names a proxy."""
    return variable(environ, "PROXY_ADDR") or variable(environ, "HTTP_PROXY")


def skip_verify(environ: Mapping[str, str]) -> Variable | None:
    """Return the variable that says to trust any server, if it does. Raises `ConfigurationError`."""
    found = variable(environ, "SKIP_VERIFY")
    if found is not None and found.value not in _BOOLS:
        raise ConfigurationError((f"{found.name}: true or false",))
    return found if found is not None and _BOOLS[found.value] else None


def client_timeout(environ: Mapping[str, str]) -> float | None:
    """Return the seconds for one attempt, 300 at most; None if no variable says it. Raises `ConfigurationError`.

    The tools' variable is for a whole request, and theirs may take longer than any of ours.
    """
    found = variable(environ, "CLIENT_TIMEOUT")
    if found is None:
        return None
    if _DURATION.fullmatch(found.value) is None:
        raise ConfigurationError((f"{found.name}: seconds, or a number with a unit, such as 1500ms or 1m",))
    parts = _PART.findall(found.value)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else float(found.value)
    return min(seconds, _LONGEST) or None  # to the tools, 0 means that nothing is chosen


def not_honoured(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the variables that are set and have no effect here (rule 3)."""
    found = (variable(environ, word) for word in _NOT_HONOURED)
    return tuple(one.name for one in found if one is not None)
