"""One connection to a cluster, and what is asked over it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from secrets_actor import SecretValue
from secrets_actor.backends.http.origin import parse_origin
from secrets_actor.backends.http.transport import Tls
from secrets_actor.backends.vault.call_runner import CallRunner, Connection
from secrets_actor.backends.vault.cluster import Cluster
from secrets_actor.backends.vault.protocol import VaultAnswer, VaultCall
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors

LONG = 20.0  # seconds that no test is meant to use up
SLACK = 5.0  # seconds within which `at once` has to come on a busy machine
TOKEN = SecretValue("s.never-show-this")
GET = VaultCall("GET", "kv/data/a")
FRESH = VaultCall("GET", "kv/data/a", fresh=True)
SET = VaultCall("POST", "kv/data/a", b'{"data":{"value":"never-show-this"}}', writes=True)


def cluster_at(*urls: str) -> Cluster:
    return Cluster([parse_origin(url, "vault.addresses") for url in urls])


def name_of(url: str) -> str:
    """The name of the node at *url*, as errors, attempts and breakers have it."""
    return url.partition("://")[2]


@contextmanager
def connected(
    *urls: str, cluster: Cluster | None = None, timeout: float = 2.0, tls: Tls | None = None, **more: Any
) -> Iterator[Connection]:
    made = Connection(cluster or cluster_at(*urls), tls or Tls(), timeout=timeout, **more)
    try:
        yield made
    finally:
        made.close()


def runner(connection: Connection, within: float = LONG, token: SecretValue | None = TOKEN, **more: Any) -> CallRunner:
    more.setdefault("attempts", [])
    return CallRunner(connection, clock_now() + within, token, **more)


def ask(connection: Connection, call: VaultCall = GET, within: float = LONG, **more: Any) -> VaultAnswer:
    return runner(connection, within, **more).run(call)


def failing(connection: Connection, call: VaultCall = GET, within: float = LONG, **more: Any) -> errors.SecretsError:
    with pytest.raises(errors.SecretsError) as caught:
        ask(connection, call, within, **more)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert "never-show-this" not in f"{caught.value} {caught.value!r} {connection!r} {call!r}"
    return caught.value
