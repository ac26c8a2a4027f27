"""Hears from the daemon that a secret has changed, as soon as the daemon knows it.

A system with the backend `daemon` has a cache and a TTL of its own, so by itself it would hear of a rotation minutes
after the daemon. This is a source of change: it asks the agents' face with `wait`, which answers when the version is
another one, and then outdates the secret here. What the change is, the system finds out as always.

Rule 1: it is an addition. Where it cannot be had (no face for agents, a policy that says no, too many who wait, a
        daemon that is away) the subscriptions hear of the change at their own pace; it tries again after pauses that
        grow.
Rule 2: one thread and one connection for each secret, which cost nothing while they wait; so no more than MOST.
Rule 3: no value is kept: an answer with a new version is dropped, and only its ETag is read.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from msgspec import Struct

from secrets_actor.backends.http.origin import UNIX, Origin, SettingNames
from secrets_actor.backends.http.transport import Tls, Transport
from secrets_actor.client.secrets import Secrets
from secrets_actor.clock import now
from secrets_actor.delivery.fetching import Fetched
from secrets_actor.domain.errors import SecretsError
from secrets_actor.otp import BRUTAL_KILL, Backoff, ChildSpec, GenServer, Handled, InitResult, Ok

# The daemon lets 100 wait for one user; a program with more secrets than this hears of the others at the next TTL.
MOST: Final = 20
# Seconds that the daemon is asked to wait; it allows 60, and ends a connection that is idle for 75.
WAIT: Final = 50.0
# Seconds more, in which its answer must have come.
_MARGIN: Final = 10.0
# The fewest seconds between two questions, whatever the other side answers.
_AT_LEAST: Final = 0.2
# Seconds between two questions for a secret that is not there.
_MISSING: Final = 5.0
_AGAIN: Final = Backoff(initial=0.2, maximum=30.0, jitter=0.5)
_NAMES: Final = SettingNames(
    endpoint="daemon_client.address", endpoint_url="daemon_client.address", ca_bundle="", proxy="", not_there=""
)


def watch_specs(secrets: Secrets, fetched: Fetched, socket: Path) -> list[ChildSpec]:
    """Return the child specs that watch the secrets of *fetched* at the daemon with this *socket*."""
    current = sorted((name, version) for name, stage, version in fetched.versions if stage == "AWSCURRENT")
    return [
        ChildSpec(
            f"daemon watch {name}",
            lambda name=name, version=version: DaemonWatch(secrets, name, socket, version),  # type: ignore[misc]
            # It waits for the daemon nearly all of the time, and has nothing to clean up.
            shutdown=BRUTAL_KILL,
        )
        for name, version in current[:MOST]
    ]


class _Ask(Struct, frozen=True):
    """It is time to ask again."""


class DaemonWatch(GenServer):
    """Watches the secret *name*, of which *version_id* is known, at the daemon with this *socket*. It calls
    `secrets.invalidate`."""

    def __init__(
        self,
        secrets: Secrets,
        name: str,
        socket: Path,
        version_id: str | None = None,
        *,
        wait: float = WAIT,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._secrets, self._name, self._chance, self._wait = secrets, name, chance, wait
        self._path = f"/secretsmanager/get?secretId={quote(name, safe='')}&missing=404&wait={wait:.0f}"
        self._transport = Transport(Origin(UNIX, str(socket), 0), Tls(), _NAMES)
        self._etag = None if version_id is None else f'"{version_id}"'
        self._tries, self._heard = 0, "asks"

    def init(self) -> InitResult:
        """Ask when the starter has its answer."""
        return Ok(then=_Ask())

    def handle_continue(self, message: Any) -> Handled:
        """Ask for the first time."""
        return self.handle_info(message)

    def handle_info(self, _message: Any) -> Handled:
        """Ask, and wait for the answer."""
        asked = now()
        pause = self._ask(asked)
        self.send_after(max(pause, asked + _AT_LEAST - now()), _Ask())
        return None

    def abandon(self) -> None:
        """Close the connection: the process ends, and may wait for the daemon."""
        self._transport.close()

    def status(self) -> str:
        """Say how it went."""
        return self._heard

    def _ask(self, asked: float) -> float:
        """Ask once, and return the seconds until the next question."""
        headers = [(b"Host", b"localhost")]
        if self._etag is not None:
            headers.append((b"If-None-Match", self._etag.encode("latin-1", "replace")))
        try:
            answer = self._transport.request("GET", headers, b"", until=asked + self._wait + _MARGIN, path=self._path)
        except SecretsError as error:
            return self._failed(error.code)
        if answer.status == 404:
            self._etag, self._heard = None, "not there"
            return _MISSING
        if answer.status not in (200, 304):
            return self._failed(f"HTTP {answer.status}")
        self._tries, self._heard = 0, "waits"
        etag = answer.headers.get("etag")
        if answer.status == 200 and etag != self._etag:
            try:
                self._secrets.invalidate(self._name)
            except SecretsError as error:
                return self._failed(error.code)
            self._etag = etag
        return 0.0

    def _failed(self, code: str) -> float:
        self._tries, self._heard = self._tries + 1, code
        return _AGAIN.delay(self._tries, self._chance())
