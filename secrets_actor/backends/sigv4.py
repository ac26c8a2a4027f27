"""Signs requests by AWS Signature Version 4, in header and in query (presigned) form. PURE: the time and the
credentials are arguments.

Rule 1: the same request, credentials, scope and time give the same bytes.
Rule 2: the request is sent as it was signed: `Signed.headers` are added to it, and nothing in it is changed.
Rule 3: for signing, a path is encoded once more than for sending, as every AWS service but S3 wants it. A query is
        decoded and encoded anew, so that it does not matter how it was written.
Rule 4: no repr shows a key, a token or a signature. `SigningKeys` stores the SHA-256 of a secret key, not the key.

Source: AWS General Reference, "Create a signed AWS API request"; the vectors under `tests/backends/aws/data`.
"""

import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import ClassVar, Final
from urllib.parse import quote, unquote

from msgspec import Struct

from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.domain.secret import SecretValue
from secrets_actor.structs import Opaque

ALGORITHM: Final = "AWS4-HMAC-SHA256"
# Proxies and HTTP libraries add or change these headers on the way, which would break a signature over them.
# Precedents: botocore's and aws-c-auth's lists.
UNSIGNED_HEADERS: Final = frozenset(
    {"authorization", "connection", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"}
)
# Usually one secret key, day, region and service are in use; around midnight and a change of credentials, two or three.
MAX_SIGNING_KEYS: Final = 16


class Scope(Struct, frozen=True):
    """The region and the service that a signature is valid for."""

    region: str
    service: str


class HttpRequest(Opaque):
    """A request to be signed. `path` and `query` (without `?`) as sent, or unencoded; `headers` must hold Host."""

    __slots__ = ("body", "headers", "method", "path", "query")
    SHOWN: ClassVar = ("method", "path", "query", "headers")

    def __init__(
        self,
        method: str,
        path: str = "/",
        query: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body


class Signed(Opaque):
    """A signature and the intermediate results that the test vectors check.

    In header form, `headers` are to be added to the request; in query form, `query` replaces the request's query.
    """

    __slots__ = ("canonical_request", "headers", "query", "signature", "signed_headers", "string_to_sign")
    SHOWN: ClassVar = ("signed_headers",)

    def __init__(
        self,
        signed_headers: str,
        canonical_request: str,
        string_to_sign: str,
        signature: str,
        headers: tuple[tuple[str, str], ...] = (),
        query: str = "",
    ) -> None:
        self.signed_headers = signed_headers
        self.canonical_request = canonical_request
        self.string_to_sign = string_to_sign
        self.signature = signature
        self.headers = headers
        self.query = query


class SigningKeys:
    """A cache of signing keys by (secret key, day, region, service), *most* of them. The oldest leaves first.

    A signing key takes four HMACs to derive and is valid for a day. For any thread, without a lock: at worst two of
    them derive the same key at once.
    """

    __slots__ = ("_keys", "_most")

    def __init__(self, most: int = MAX_SIGNING_KEYS) -> None:
        self._keys: dict[tuple[bytes, str, str, str], bytes] = {}
        self._most = most

    def get(self, secret_key: SecretValue, day: str, scope: Scope) -> bytes:
        """Return the signing key for *day* (`YYYYMMDD`) and *scope*."""
        secret = as_bytes(secret_key)
        entry = (hashlib.sha256(secret).digest(), day, scope.region, scope.service)
        found = self._keys.get(entry)
        if found is None:
            found = b"AWS4" + secret
            for part in (day, scope.region, scope.service, "aws4_request"):
                found = hmac.digest(found, part.encode(), "sha256")
            for oldest in list(self._keys)[: max(0, len(self._keys) - self._most + 1)]:
                self._keys.pop(oldest, None)
            self._keys[entry] = found
        return found

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<SigningKeys [{len(self)} kept]>"


def sign_headers(
    request: HttpRequest,
    credentials: AwsCredentials,
    scope: Scope,
    at: datetime,
    keys: SigningKeys,
    *,
    normalize_path: bool = True,
    sign_token: bool = True,
    content_sha256: bool = False,
) -> Signed:
    """Sign *request* in header form.

    *normalize_path* resolves `.`, `..` and doubled slashes. With *sign_token* false, the session token is added but not
    signed. *content_sha256* adds and signs the body's hash as a header. An X-Amz-Date or X-Amz-Security-Token that the
    request has already is signed as it is. Raises `ValueError` when Host is missing or *at* has no time zone.
    """
    stamp = amz_date(at)
    digest = hashlib.sha256(request.body).hexdigest()
    given = {name.lower() for name, _ in request.headers}
    added = [] if "x-amz-date" in given else [("X-Amz-Date", stamp)]
    if content_sha256:
        added.append(("X-Amz-Content-SHA256", digest))
    token = [] if "x-amz-security-token" in given else _token_header(credentials)
    if sign_token:
        added += token
    names, canonical_headers = _canonical_headers((*request.headers, *added))
    canonical = _join(request, normalize_path, canonical_query(request.query), canonical_headers, names, digest)
    to_sign, signature = _finish(canonical, credentials, scope, stamp, keys)
    if not sign_token:
        added += token
    added.append(("Authorization", authorization_of(credentials, scope, stamp[:8], names, signature)))
    return Signed(names, canonical, to_sign, signature, headers=tuple(added))


def sign_query(
    request: HttpRequest,
    credentials: AwsCredentials,
    scope: Scope,
    at: datetime,
    keys: SigningKeys,
    *,
    expires: int = 3600,
    normalize_path: bool = True,
    sign_token: bool = True,
) -> Signed:
    """Sign *request* in query form (a presigned URL), valid for *expires* seconds.

    Options and errors are those of `sign_headers`.
    """
    stamp = amz_date(at)
    names, canonical_headers = _canonical_headers(request.headers)
    parameters = [
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", f"{credentials.reveal_id()}/{stamp[:8]}/{scope.region}/{scope.service}/aws4_request"),
        ("X-Amz-Date", stamp),
        ("X-Amz-Expires", str(expires)),
        ("X-Amz-SignedHeaders", names),
    ]
    token = _token_header(credentials)
    query = _with_parameters(request.query, [*parameters, *token] if sign_token else parameters)
    digest = hashlib.sha256(request.body).hexdigest()
    canonical = _join(request, normalize_path, canonical_query(query), canonical_headers, names, digest)
    to_sign, signature = _finish(canonical, credentials, scope, stamp, keys)
    if not sign_token:
        query = _with_parameters(query, token)
    return Signed(names, canonical, to_sign, signature, query=f"{query}&X-Amz-Signature={signature}")


def amz_date(at: datetime) -> str:
    """Return *at* in AWS's form: `20150830T123600Z`. Raises `ValueError` when *at* has no time zone."""
    if at.tzinfo is None:
        raise ValueError("the time of signing needs a time zone")
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return f"{at.year:04}{at.month:02}{at.day:02}T{at.hour:02}{at.minute:02}{at.second:02}Z"


def canonical_query(query: str) -> str:
    """Return *query* decoded, encoded anew, and sorted by name, then by value."""
    if not query:
        return ""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return "&".join(f"{name}={value}" for name, value in sorted((_encode(k), _encode(v)) for k, _, v in pairs))


def canonical_path(path: str, *, normalize: bool) -> str:
    """Return *path* encoded once more (rule 3), with `.`, `..` and doubled slashes resolved if *normalize*."""
    if normalize:
        kept: list[str] = []
        for segment in path.split("/"):
            if segment == "..":
                del kept[-1:]
            elif segment not in ("", "."):
                kept.append(segment)
        slash = "/" if kept and path.endswith("/") else ""
        path = f"/{'/'.join(kept)}{slash}"
    return quote(path or "/", safe="/-_.~")


def _encode(part: str) -> str:
    return quote(unquote(part), safe="-_.~")


def _with_parameters(query: str, parameters: Iterable[tuple[str, str]]) -> str:
    added = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in parameters)
    return "&".join(part for part in (query, added) if part)


def _canonical_headers(headers: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Return (the names joined by `;`, the lines `name:value`, each ended by a newline).

    Names are in lower case and sorted. Values are trimmed, with one blank at a time; the values of one name are joined
    by commas in the order given. Raises `ValueError` when Host is missing.
    """
    values: dict[str, list[str]] = {}
    for name, value in headers:
        if (lowered := name.lower()) not in UNSIGNED_HEADERS:
            values.setdefault(lowered, []).append(" ".join(value.split()))
    if "host" not in values:
        raise ValueError("a request cannot be signed without its Host header")
    names = sorted(values)
    return ";".join(names), "".join(f"{name}:{','.join(values[name])}\n" for name in names)


def _join(request: HttpRequest, normalize: bool, query: str, headers: str, names: str, digest: str) -> str:
    path = canonical_path(request.path, normalize=normalize)
    return f"{request.method}\n{path}\n{query}\n{headers}\n{names}\n{digest}"


def _finish(
    canonical: str, credentials: AwsCredentials, scope: Scope, stamp: str, keys: SigningKeys
) -> tuple[str, str]:
    day = stamp[:8]
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{stamp}\n{day}/{scope.region}/{scope.service}/aws4_request\n{digest}"
    return to_sign, hmac.digest(keys.get(credentials.secret_key, day, scope), to_sign.encode(), "sha256").hex()


def authorization_of(credentials: AwsCredentials, scope: Scope, day: str, names: str, signature: str) -> str:
    """Return the Authorization header for a *signature* over the signed headers *names*."""
    return (
        f"{ALGORITHM} Credential={credentials.reveal_id()}/{day}/{scope.region}/{scope.service}/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


def _token_header(credentials: AwsCredentials) -> list[tuple[str, str]]:
    token = credentials.session_token
    return [] if token is None else [("X-Amz-Security-Token", as_bytes(token).decode())]


def as_bytes(value: SecretValue) -> bytes:
    """Return a secret key or a token as bytes, to sign with or to send."""
    text = value.reveal()
    return text.encode() if isinstance(text, str) else text
