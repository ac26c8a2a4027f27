"""Signs requests to AWS's JSON services, faster than `sigv4.py` does. PURE: the time and the credentials are arguments.

Each uncached get is signed here. All requests to a JSON service have the same method, path and headers, so most of the
text to sign is prepared once for a day. The tests compare the signatures with botocore's.
"""

import hashlib
import hmac
from datetime import datetime
from typing import ClassVar, Final

from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.backends.sigv4 import ALGORITHM, Scope, SigningKeys, amz_date, as_bytes, authorization_of
from secrets_actor.structs import Opaque

JSON_CONTENT_TYPE: Final = "application/x-amz-json-1.1"


class JsonPost:
    """Signs requests to one JSON service: POST `/` with four or five signed headers, always the same.

    The signature is that of `sign_headers`, without the general canonical form. For any thread. It keeps the
    credentials that it signed with last, masked.
    """

    __slots__ = ("_fixed", "_head", "_keys", "_ready", "_scope")

    def __init__(self, authority: str, scope: Scope, keys: SigningKeys) -> None:
        """Sign for *scope*, with the signing keys in *keys*.

        *authority* is the Host header: the host, and the port unless it is the scheme's default.
        """
        self._scope, self._keys = scope, keys
        self._fixed = ((b"Host", authority.encode()), (b"Content-Type", JSON_CONTENT_TYPE.encode()))
        self._head = f"POST\n/\n\ncontent-type:{JSON_CONTENT_TYPE}\nhost:{authority}\nx-amz-date:"
        self._ready: _Ready | None = None

    def headers(self, target: str, body: bytes, credentials: AwsCredentials, at: datetime) -> list[tuple[bytes, bytes]]:
        """Return all headers of the request with X-Amz-Target *target*, ready to be sent."""
        stamp = amz_date(at)
        # Read once: another thread may replace it meanwhile. A set of its own is complete, so no lock is needed.
        ready = self._ready
        if ready is None or ready.credentials is not credentials or ready.day != stamp[:8]:
            self._ready = ready = self._prepare(credentials, stamp[:8])
        digest = hashlib.sha256(body).hexdigest()
        canonical = f"{self._head}{stamp}\n{ready.token_line}x-amz-target:{target}\n\n{ready.names}\n{digest}"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"{ALGORITHM}\n{stamp}\n{ready.scope}\n{hashed}"
        signature = hmac.digest(ready.key, to_sign.encode(), "sha256").hex()
        return [
            *ready.headers,
            (b"Content-Length", b"%d" % len(body)),
            (b"X-Amz-Date", stamp.encode()),
            (b"X-Amz-Target", target.encode()),
            (b"Authorization", f"{ready.authorization}{signature}".encode()),
        ]

    def _prepare(self, credentials: AwsCredentials, day: str) -> "_Ready":
        headers: tuple[tuple[bytes, bytes], ...] = self._fixed
        token_line, names = "", "content-type;host;x-amz-date;x-amz-target"
        if credentials.session_token is not None:
            token = as_bytes(credentials.session_token)
            headers = (*headers, (b"X-Amz-Security-Token", token))
            token_line = f"x-amz-security-token:{token.decode()}\n"
            names = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
        key = self._keys.get(credentials.secret_key, day, self._scope)
        scope = f"{day}/{self._scope.region}/{self._scope.service}/aws4_request"
        authorization = authorization_of(credentials, self._scope, day, names, "")
        return _Ready(credentials, day, key, scope, headers, token_line, names, authorization)


class _Ready(Opaque):
    """The parts that all signatures of one day with the same credentials share."""

    __slots__ = ("authorization", "credentials", "day", "headers", "key", "names", "scope", "token_line")
    SHOWN: ClassVar = ("day",)

    def __init__(
        self,
        credentials: AwsCredentials,
        day: str,
        key: bytes,
        scope: str,
        headers: tuple[tuple[bytes, bytes], ...],
        token_line: str,
        names: str,
        authorization: str,
    ) -> None:
        self.credentials = credentials
        self.day = day
        self.key = key
        self.scope = scope
        self.headers = headers
        self.token_line = token_line
        self.names = names
        self.authorization = authorization
