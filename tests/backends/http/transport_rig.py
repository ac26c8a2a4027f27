"""One transport, and what is asked of it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from secrets_actor.backends.aws.endpoint import SETTING_NAMES, Endpoint
from secrets_actor.backends.http.origin import UNIX, Origin, SettingNames
from secrets_actor.backends.http.transport import HttpAnswer, Tls, Transport
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors

SOON = 0.3  # seconds that a test gives a server that will not answer
LONG = 20.0  # seconds that no test is meant to use up
SLACK = 5.0  # seconds within which `at once` has to come on a busy machine


def endpoint(port: int, scheme: str = "http", host: str = "127.0.0.1") -> Endpoint:
    return Endpoint(scheme, host, port, "us-east-1")


UNIX_NAMES = SettingNames("the address", "the address", "no bundle", "no proxy", not_there="start it")


@contextmanager
def transport_to(
    port: int, scheme: str = "http", host: str = "127.0.0.1", tls: Tls | None = None
) -> Iterator[Transport]:
    transport = Transport(endpoint(port, scheme, host), tls or Tls(setting="aws.ca_bundle"), SETTING_NAMES)
    try:
        yield transport
    finally:
        transport.close()


@contextmanager
def unix_transport_to(path: Path) -> Iterator[Transport]:
    transport = Transport(Origin(UNIX, str(path), 0), Tls(), UNIX_NAMES)
    try:
        yield transport
    finally:
        transport.close()


def ask(transport: Transport, within: float = LONG, body: bytes = b"{}", token: bytes = b"t") -> HttpAnswer:
    headers = [(b"Host", b"h"), (b"Content-Length", b"%d" % len(body)), (b"X-Amz-Security-Token", token)]
    return transport.request("POST", headers, body, until=clock_now() + within)


def failing(transport: Transport, within: float = LONG) -> errors.SecretsError:
    with pytest.raises(errors.SecretsError) as caught:
        ask(transport, within)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert "\n" not in str(caught.value)
    return caught.value


class Raw:
    """Sends fixed bytes to whoever connects (with *read_first*, to whoever has asked), and waits for the end."""

    def __init__(self, sent: bytes, drip: float = 0.0, read_first: bool = False) -> None:
        self.sent, self.drip, self.read_first = sent, drip, read_first

    def serve(self, connection: object) -> None:
        client, ended = connection.client, connection.ended  # type: ignore[attr-defined]
        if self.read_first:
            connection.next_request()  # type: ignore[attr-defined]
        for at in range(len(self.sent)) if self.drip else ():
            client.sendall(self.sent[at : at + 1])
            if ended.wait(self.drip):
                return
        if not self.drip:
            client.sendall(self.sent)
        ended.wait()


@contextmanager
def nobody_accepts() -> Iterator[int]:
    """The port of a listener whose queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        filling = [socket.socket() for _ in range(4)]
        try:
            for one in filling:
                one.setblocking(False)
                one.connect_ex(listener.getsockname())
            yield listener.getsockname()[1]
        finally:
            for one in filling:
                one.close()


@contextmanager
def full_unix_socket(path: Path) -> Iterator[socket.socket]:
    """The listener of a Unix socket whose queue of connections is full."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as filling:
        listener.bind(str(path))
        listener.listen(0)
        filling.connect(str(path))
        yield listener
