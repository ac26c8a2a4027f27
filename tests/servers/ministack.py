"""ministack with AUTH=true: Signature V4 and IAM policies checked by code that nobody here wrote.

Rule 1: it never checks a signature made with root's keys (nor with the key `test`, nor with an account number as key).
        A test that leans on signatures uses the keys of `account.user(...)` or `account.role_session(...)`.
Rule 2: what it gets wrong that matters to us is listed in tests/contract/divergences.py.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.account import ROOT_KEYS, Account
from tests.servers.process import ServerProcess
from tests.servers.tls import Certificates


class Ministack:
    """A ministack server whose files all live in *directory*. *imds_v2_only* makes its metadata service refuse
    requests without a token."""

    def __init__(
        self, directory: Path, *, imds_v2_only: bool = False, certificates: Certificates | None = None
    ) -> None:
        self._directory, self._imds_v2_only, self._certificates = directory, imds_v2_only, certificates
        context = ssl.create_default_context(cafile=str(certificates.ca)) if certificates else None
        self.process = ServerProcess(
            "ministack", directory=directory, ready="/_ministack/ready", environment=self._environment, tls=context
        )

    def _environment(self, port: int) -> Mapping[str, str]:
        environment = {
            "BIND_HOST": "127.0.0.1",  # its default is every interface
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": ROOT_KEYS.access_key_id,
            "AWS_SECRET_ACCESS_KEY": ROOT_KEYS.secret_key,
            "STATE_DIR": str(self._directory / "state"),
            "S3_DATA_DIR": str(self._directory / "s3"),
        }
        if self._imds_v2_only:
            environment["MINISTACK_IMDS_V2_REQUIRED"] = "1"
        if self._certificates:
            environment |= {
                "USE_SSL": "1",
                "MINISTACK_SSL_CERT": str(self._certificates.chain),
                "MINISTACK_SSL_KEY": str(self._certificates.key),
            }
        return environment

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

    def reset(self) -> None:
        """Forget everything: secrets, users, roles."""
        self.process.fetch("/_ministack/reset", data=b"")

    def __enter__(self) -> Self:
        self.process.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.process.stop()
