"""Connects to a listener as systemd does it for a credential of a unit: by the name of its own end."""

import itertools
import os
import socket
from typing import Final, Self

from tests.faces.served import PATIENCE

# What systemd takes at most. A credential that is longer fails the unit.
MIB: Final = 1 << 20
_NUMBERS: Final = itertools.count(os.getpid() << 24)


class Manager:
    """A connection for the credential *credential* of *unit*. With *name*, its end has that name; with an empty one,
    it has none. The process of the test is its own manager."""

    def __init__(self, place: str, unit: str = "web.service", credential: str = "x", name: bytes | None = None) -> None:
        if name is None:
            name = f"\0{next(_NUMBERS):x}/unit/{unit}/{credential}".encode()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        if name:
            self._socket.bind(name)
        self._socket.connect(place.removeprefix("unix:"))
        self._socket.shutdown(socket.SHUT_WR)

    def read(self) -> bytes:
        """All that is sent, up to its end."""
        found = b""
        with self:
            while part := self._socket.recv(65_536):
                found += part
        return found

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def asked_by(unit: str) -> str:
    """How a rule calls *unit* when this process is its manager."""
    return f"unit:{unit}" if os.getuid() == 0 else f"user_unit:{os.getuid()}/{unit}"
