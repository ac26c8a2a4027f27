"""A metadata service of ours on loopback: EC2's (version 2, and 1 if allowed), ECS's and EKS Pod Identity's.

It enforces what AWS documents: the token by PUT with a TTL of 1 to 21600 s, none for forwarded requests, 401 without a
good one; the container's authorization token as it stands in the file at that moment. Its judges are botocore's own
providers, in the same tests.
"""

import json
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from secrets_actor.clock import now as clock_now

ROLE: Final = "instance-role"
ROLES: Final = "/latest/meta-data/iam/security-credentials/"
Issue = Callable[[], dict[str, Any]]


def keys_until(end: datetime, number: int = 1) -> dict[str, Any]:
    """Keys in the form of metadata services, good for nothing."""
    return {
        "AccessKeyId": f"ASIAMETADATA{number:08}",
        "SecretAccessKey": f"secret/canary+{number}",
        "Token": f"session-canary-{number}",
        "Expiration": end.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def an_hour() -> dict[str, Any]:
    """Keys for an hour."""
    return keys_until(datetime.now(UTC) + timedelta(hours=1))


@dataclass
class Switches:
    """How it behaves; a test may turn them at any time.

    *token_status*: what a good token request gets (403, 404, 405: no tokens here); None: never an answer, as behind a
    hop limit. *version_1*: requests without a token are served. *role* None: none is attached. *authorization*: the
    file whose content EKS's requests must bring. *failures*: so many requests get a 500 first.
    """

    token_status: int | None = 200
    version_1: bool = False
    role: str | None = ROLE
    authorization: Path | None = None
    failures: int = 0
    issue: Issue = an_hour


class MetadataServer:
    """Context manager; `url` is where it listens. `seen` holds (method, path, status) of every request, `hosts` whom
    each was meant for."""

    def __init__(self, issue: Issue = an_hour, *, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.switches = Switches(issue=issue)
        self.seen: list[tuple[str, str, int]] = []
        self.ended = threading.Event()
        self.tokens: dict[str, float] = {}
        self.lock = threading.Lock()
        self.hosts: list[str] = []
        server = _DualStackServer if ":" in address[0] else ThreadingHTTPServer
        self._http = server(address, type("Handler", (_Handler,), {"service": self}))
        self._http.daemon_threads = True

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def paths(self) -> list[str]:
        """Which paths were asked, in order."""
        return [path for _, path, _ in self.seen]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="metadata", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.ended.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)


class _DualStackServer(ThreadingHTTPServer):
    """For IPv4 and IPv6, as `::` means on Linux."""

    address_family = socket.AF_INET6


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes = b""
    kind: str = "text/plain"
    headers: dict[str, str] = field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    service: MetadataServer
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_PUT(self) -> None:
        """A token, and nothing else."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(self._token() if self.path == "/latest/api/token" else _Reply(404))

    def do_GET(self) -> None:
        """Everything else."""
        self._answer(self._found())

    def _answer(self, reply: _Reply | None) -> None:
        if reply is None:
            self.service.ended.wait(30)
            self.close_connection = True
            return
        self.service.hosts.append(self.headers.get("Host", ""))
        self.service.seen.append((self.command, self.path, reply.status))
        self.send_response(reply.status)
        for name, value in {
            "Content-Type": reply.kind,
            "Content-Length": str(len(reply.body)),
            **reply.headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def _fails(self) -> bool:
        with self.service.lock:
            self.service.switches.failures -= 1
            return self.service.switches.failures >= 0

    def _token(self) -> _Reply | None:
        switches = self.service.switches
        if switches.token_status is None:
            return None
        if self._fails():
            return _Reply(500)
        if self.headers.get("X-Forwarded-For"):
            return _Reply(403)
        if switches.token_status != 200:
            return _Reply(switches.token_status)
        stated = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if not stated.isdigit() or not 1 <= int(stated) <= 21_600:
            return _Reply(400)
        token = secrets.token_urlsafe(32)
        self.service.tokens[token] = clock_now() + int(stated)
        return _Reply(200, token.encode(), headers={"X-aws-ec2-metadata-token-ttl-seconds": stated})

    def _found(self) -> _Reply:
        if self.path == "/latest/api/token":
            return _Reply(405)
        if self._fails():
            return _Reply(500)
        if self.path.startswith("/latest/"):
            return self._metadata()
        if self.path.startswith("/v2/credentials/") and len(self.path) > len("/v2/credentials/"):
            return self._keys()
        return self._pod_identity() if self.path == "/v1/credentials" else _Reply(404)

    def _metadata(self) -> _Reply:
        switches, token = self.service.switches, self.headers.get("X-aws-ec2-metadata-token")
        if token is None and not switches.version_1:
            return _Reply(401)
        if token is not None and self.service.tokens.get(token, 0.0) < clock_now():
            return _Reply(401)
        if switches.role is not None and self.path == ROLES:
            return _Reply(200, switches.role.encode())
        if switches.role is not None and self.path == ROLES + switches.role:
            return self._keys(Code="Success", Type="AWS-HMAC", LastUpdated="2026-01-01T00:00:00Z")
        return _Reply(404)

    def _pod_identity(self) -> _Reply:
        file = self.service.switches.authorization
        if file is not None and self.headers.get("Authorization") != file.read_text():
            return _Reply(401)
        return self._keys(AccountId="000000000000")

    def _keys(self, **more: str) -> _Reply:
        return _Reply(200, json.dumps({**more, **self.service.switches.issue()}).encode(), "application/json")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
