"""moto behind cheroot (keep-alive, TLS) and a front door of ours that checks signatures, clocks and policies.

What moto gets wrong that matters to us is listed in tests/contract/divergences.py; the door is moto_door.py.
"""

import ssl
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.account import ROOT_KEYS, Account
from tests.servers.process import ServerProcess
from tests.servers.tls import Certificates


class MotoServer:
    """A moto server whose files all live in *directory*."""

    def __init__(self, directory: Path, *, certificates: Certificates | None = None) -> None:
        self._certificates = certificates
        context = ssl.create_default_context(cafile=str(certificates.ca)) if certificates else None
        self.process = ServerProcess(
            "tests.servers.moto_launcher",
            directory=directory,
            ready="/moto-api/data.json",
            arguments=self._arguments,
            environment=lambda _port: {
                "AWS_DEFAULT_REGION": "us-east-1",
                "DOOR_ROOT_ACCESS_KEY_ID": ROOT_KEYS.access_key_id,
                "DOOR_ROOT_SECRET_KEY": ROOT_KEYS.secret_key,
            },
            tls=context,
        )

    def _arguments(self, port: int) -> Sequence[str]:
        files = (self._certificates.chain, self._certificates.key) if self._certificates else ()
        return [str(port), *map(str, files)]

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return self.process.url

    @property
    def account(self) -> Account:
        """Its one account, as root sees it."""
        return Account(self.url, ca=self._certificates.ca if self._certificates else None)

    def client(self, service: str) -> Any:
        """A boto3 client with root's keys."""
        return self.account.client(service)

    def move_clock(self, seconds: float) -> None:
        """Move the door's clock by *seconds* against the real one: it decides what has expired, and stamps `Date`.
        moto's own clock (creation and deletion dates) stays."""
        self.process.fetch("/_door/clock", data=str(seconds).encode())

    def reset(self) -> None:
        """Forget everything (secrets, users, roles), and put the door's clock right."""
        self.process.fetch("/moto-api/reset", data=b"")
        self.move_clock(0)

    def __enter__(self) -> Self:
        self.process.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.process.stop()
