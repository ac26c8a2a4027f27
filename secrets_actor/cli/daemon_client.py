"""Asks a running daemon, over its Unix socket: its tree, its status, its metrics, credentials.

Rule 1: the kernel tells the daemon who asks, so nothing is sent but the path: no token, no signature.
Rule 2: an answer is JSON. One that is not 2xx becomes a `SecretsError` with the daemon's own text, which shows no
        value.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from secrets_actor.backends.http.origin import UNIX, Origin, SettingNames
from secrets_actor.backends.http.transport import HttpAnswer, Tls, Transport
from secrets_actor.clock import now
from secrets_actor.domain.errors import AccessDenied, ConfigurationError, InvalidAnswer, ServerDown
from secrets_actor.json_text import read_json
from secrets_actor.paths import absolute
from secrets_actor.runtime.daemon_settings import SYSTEMD, default_socket
from secrets_actor.runtime.settings import Settings

# Seconds that an answer of the daemon itself may take: it asks no store for it.
ASK_TIMEOUT: Final = 10.0
_PREFIX, _OF_SYSTEMD = "unix:", "systemd:"
_NAMES: Final = SettingNames(
    endpoint="--socket", endpoint_url="--socket", ca_bundle="", proxy="", not_there="start it: secrets-actor run"
)


def sockets_of(settings: Settings, environ: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """Yield the paths at which a daemon with these *settings* may listen, the likeliest first.

    Without a configured one, and for a socket of systemd's, whose place stands in its own unit: the socket of this
    user's own daemon, and then that of the machine's.
    """
    rows = () if settings.daemon is None else settings.daemon.listen
    addresses = [row.address for row in rows if row.faces != (SYSTEMD,)]  # no HTTP there
    for address in addresses:
        if address.startswith(_PREFIX):
            yield absolute(address.removeprefix(_PREFIX))
    if not rows or any(address.startswith(_OF_SYSTEMD) for address in addresses):
        with suppress(ConfigurationError):  # this user has no folder for a socket, so there is no such daemon
            yield default_socket(environ)
        if os.geteuid() != 0:
            yield default_socket(environ, 0)


def find_socket(settings: Settings, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the first of `sockets_of` where there is a socket; None if there is none. Nothing is asked.

    One that is configured, in a folder that is closed to this user, counts: it may be there.
    """
    configured = settings.daemon is not None and bool(settings.daemon.listen)
    return next((path for path in sockets_of(settings, environ) if _is_socket(path, or_hidden=configured)), None)


def _is_socket(path: Path, *, or_hidden: bool) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except PermissionError:
        return or_hidden
    except OSError:
        return False


class DaemonClient:
    """Asks the daemon whose socket is at *path*. For one thread at a time. Close it, or use it in a `with`."""

    def __init__(self, path: Path) -> None:
        self._origin = Origin(UNIX, str(path), 0)
        self._transport = Transport(self._origin, Tls(), _NAMES)

    def ask(self, path: str, *, method: str = "GET", timeout: float = ASK_TIMEOUT) -> Any:
        """Return the JSON that the daemon answers to *method* and *path*, such as `/control/tree`.

        Raises `ConnectionFailed` where nobody listens, `AccessDenied`, and other `SecretsError`s.
        """
        answer = self.get(path, method=method, timeout=timeout)
        found = _json(answer)
        if 200 <= answer.status < 300:
            if found is None:
                raise InvalidAnswer(
                    f"{self._origin.name}: the answer is no JSON; is it a secrets-actor that listens there?"
                )
            return found
        text = found.get("message") if isinstance(found, dict) else None
        message = f"{self._origin.name}: {text or f'HTTP {answer.status}; is it a secrets-actor that listens there?'}"
        if answer.status == 403:
            raise AccessDenied(message, status=403)
        if answer.status in (502, 503, 504):
            raise ServerDown(message)
        raise InvalidAnswer(message, status=answer.status)

    def get(self, path: str, *, method: str = "GET", timeout: float = ASK_TIMEOUT) -> HttpAnswer:
        """Return the answer to *method* and *path*, of any status. Raises `Unreachable` errors."""
        return self._transport.request(method, ((b"Host", b"localhost"),), b"", until=now() + timeout, path=path)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def __enter__(self) -> DaemonClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _json(answer: HttpAnswer) -> Any:
    try:
        return read_json(answer.body)
    except ValueError:
        return None
