"""Hears from the daemon that a secret has changed, as soon as the daemon knows it.

A system with the backend `daemon` has a cache and a TTL of its own, so by itself it would hear of a rotation minutes
after the daemon. This is a source of change: it asks the agents' face with `wait`, which answers when the version is
another one, and then outdates the secret here. What the change is, the system finds out as always.

Rule 1: it is an addition. Where it cannot be had (no face for agents, a policy that says no, too many who wait, a
        daemon that is away) the subscriptions hear of the change at their own pace; it tries again after pauses that
        grow.
Rule 2: a question waits in a thread of its own, with a connection of its own, and costs nothing while it does; so there
        are no more than MOST. The process itself never blocks: it ends at once, and closes the connections.
Rule 3: no value is kept: an answer with a new version is dropped, and only its ETag is read.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
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
from secrets_actor.otp import Backoff, ChildSpec, ExitReason, GenServer, Handled, InitResult, Ok, begin

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
_NO_ANSWER: Final = 0


def watch_specs(secrets: Secrets, fetched: Fetched, socket: Path) -> list[ChildSpec]:
    """Return the child specs, one or none, of what watches the secrets of *fetched* at the daemon with this
    *socket*."""
    current = {name: version for name, stage, version in sorted(fetched.versions) if stage == "AWSCURRENT"}
    versions = dict(list(current.items())[:MOST])
    return [ChildSpec("daemon watch", lambda: DaemonWatch(secrets, versions, socket))] if versions else []


class _Question:
    """The question for the secret *name*, asked over and over. *etag*: of the version that is known."""

    def __init__(self, name: str, version_id: str, socket: Path, wait: float) -> None:
        self.name, self.etag = name, f'"{version_id}"'
        self.tries = 0
        self._wait = wait
        self._path = f"/secretsmanager/get?secretId={quote(name, safe='')}&missing=404&wait={wait:.0f}"
        self._transport = Transport(Origin(UNIX, str(socket), 0), Tls(), _NAMES)

    def ask(self) -> _Answered:
        """Ask, and wait for the answer."""
        asked = now()
        headers = [(b"Host", b"localhost"), (b"If-None-Match", self.etag.encode("latin-1", "replace"))]
        try:
            found = self._transport.request("GET", headers, b"", until=asked + self._wait + _MARGIN, path=self._path)
        except SecretsError:
            return _Answered(self, asked, _NO_ANSWER)
        return _Answered(self, asked, found.status, found.headers.get("etag", ""))

    def close(self) -> None:
        """End the question that is under way, and all others."""
        self._transport.close()


class _Ask(Struct, frozen=True):
    """It is time to ask again."""

    question: _Question


class _Answered(Struct, frozen=True):
    """The answer to a question that was *asked* at that time (clock seconds): its HTTP *status* and ETag."""

    question: _Question
    asked: float
    status: int
    etag: str = ""


class DaemonWatch(GenServer):
    """Watches secrets at the daemon with this *socket*: *versions* has their names, and the version of each that is
    known. It calls `secrets.invalidate` when there is another one."""

    trap_exit = True

    def __init__(
        self,
        secrets: Secrets,
        versions: Mapping[str, str],
        socket: Path,
        *,
        wait: float = WAIT,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._secrets, self._chance = secrets, chance
        self._questions = [_Question(name, version, socket, wait) for name, version in versions.items()]

    def init(self) -> InitResult:
        """Ask when the starter has its answer."""
        return Ok(then=None)

    def handle_continue(self, _message: Any) -> Handled:
        """Ask for the first time."""
        for one in self._questions:
            self._ask(one)
        return None

    def handle_info(self, message: Any) -> Handled:
        """Take an answer, or ask again."""
        if isinstance(message, _Ask):
            self._ask(message.question)
        elif isinstance(message, _Answered):
            pause = self._pause_after(message)
            self.send_after(max(pause, message.asked + _AT_LEAST - now()), _Ask(message.question))
        return None

    def terminate(self, _reason: ExitReason) -> None:
        """Close the connections."""
        self.abandon()

    def abandon(self) -> None:
        """Close the connections."""
        for one in self._questions:
            one.close()

    def status(self) -> str:
        """Say how many secrets are watched, and for how many the last question has failed."""
        failing = sum(bool(one.tries) for one in self._questions)
        return f"{len(self._questions)} secrets" + (f", {failing} asked again" if failing else "")

    def _ask(self, question: _Question) -> None:
        me = self.me
        thread = threading.Thread(
            target=lambda: me.post(question.ask()), name=f"daemon watch {question.name}", daemon=True
        )
        if not begin(thread):
            me.post(_Answered(question, now(), _NO_ANSWER))

    def _pause_after(self, answer: _Answered) -> float:
        """Do what *answer* asks for, and return the seconds until the next question."""
        question = answer.question
        if answer.status == 404:
            question.etag, question.tries = '""', 0
            return _MISSING
        if answer.status not in (200, 304) or not self._is_told(answer):
            question.tries += 1
            return _AGAIN.delay(question.tries, self._chance())
        question.tries = 0
        return 0.0

    def _is_told(self, answer: _Answered) -> bool:
        question = answer.question
        if answer.status == 200 and answer.etag != question.etag:
            try:
                self._secrets.invalidate(question.name)
            except SecretsError:
                return False
            question.etag = answer.etag
        return True
