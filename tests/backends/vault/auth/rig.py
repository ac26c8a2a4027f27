"""A source of tokens over a server under test, with a clock that a test moves, and a count of the logins."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from secrets_actor.backends.http.origin import Origin
from secrets_actor.backends.http.transport import Tls
from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.vault.auth.login import LoginClient, LoginMethod
from secrets_actor.backends.vault.auth.token_life import Granted
from secrets_actor.backends.vault.auth.token_source import TokenSource
from secrets_actor.backends.vault.call_runner import Connection
from secrets_actor.backends.vault.cluster import Cluster
from secrets_actor.backends.vault.vault_credentials import VaultCredentials
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.secret import SecretValue
from tests.servers.openbao import Administrator, Refused

START: Final = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
HOUR: Final = 3600.0


class Clock:
    """Seconds, and the date, both of which a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> datetime:
        """The date."""
        return START + timedelta(seconds=self.now)


class Counting:
    """A method that counts its logins."""

    def __init__(self, method: LoginMethod) -> None:
        self.method, self.logins = method, 0
        self.makes_tokens, self.locks_out = method.makes_tokens, method.locks_out

    def material(self, deadline: float) -> SecretValue:
        """As of the method."""
        return self.method.material(deadline)

    def log_in(self, material: SecretValue, client: LoginClient) -> Granted:
        """As of the method."""
        self.logins += 1
        return self.method.log_in(material, client)


def connector(
    *urls: str, tls: Tls | None = None, timeout: float = 2.0, namespace: str | None = None
) -> Callable[[], Connection]:
    """What opens connections to the nodes at *urls*."""
    parts = [urlsplit(url) for url in urls]
    origins = [Origin(one.scheme, str(one.hostname), one.port or 0) for one in parts]
    cluster, settings = Cluster(origins), tls or Tls()
    return lambda: Connection(cluster, settings, timeout=timeout, namespace=namespace)


class Rig:
    """`source` gives tokens by *method*; `clock` is its clock."""

    def __init__(self, method: LoginMethod, *urls: str, tls: Tls | None = None, **more: Any) -> None:
        self.clock, self.method = Clock(), Counting(method)
        self.source = TokenSource(
            self.method,
            connector(*urls, tls=tls, namespace=more.pop("namespace", None)),
            clock=self.clock,
            wall_clock=self.clock.wall,
            dice=lambda: 0.0,
            **more,
        )

    def fetch(self, seconds: float = 5.0) -> VaultCredentials:
        """A token, within so many *seconds*."""
        return self.source.fetch(clock_now() + seconds)

    def release(self) -> None:
        """Give all back."""
        self.source.release(clock_now() + 5.0)


def text(token: VaultCredentials) -> str:
    """The token in clear."""
    return token.token.text()


def in_text(found: str) -> KeySource:
    """A setting that is the text itself."""
    return KeySource("text", found)


def enabled(root: Administrator, kind: str) -> str:
    """Mount the auth method *kind* at a path of its own. Returns the path."""
    path = f"{kind}-{uuid.uuid4().hex[:12]}"
    root.write(f"sys/auth/{path}", type=kind)
    return path


def is_alive(root: Administrator, token: str) -> bool:
    """Whether the server knows *token*."""
    try:
        root.write("auth/token/lookup", token=token)
    except Refused:
        return False
    return True
