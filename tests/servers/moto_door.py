"""The front door of moto: who calls, is the signature theirs, may they do that. moto behind it checks nothing.

moto has a check of its own, which answers JSON clients in XML, knows no single secret, no clock and no expiry. So this
one stands before it, with AWS's codes and status (400 for all of these) in the JSON 1.1 shape. The arithmetic of the
signature is botocore's, not ours: it judges what this project signs.

Rule 1: identity first (key, token, expiry), then the clock, then the signature, then the policy: AWS's order.
Rule 2: every `x-amz-*` header and `host` must be signed. Stricter than moto; AWS demands the same.
Rule 3: the root pair may do everything; anyone else may call Secrets Manager only, and what their policies allow.
Rule 4: `/moto-api/...` and `/_door/clock` are for tests and need no signature.
"""

import hashlib
import hmac
import io
import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.access_control import create_access_key
from moto.iam.models import iam_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sts.models import sts_backends

SKEW: Final = timedelta(minutes=5)
PARTITION: Final = "aws"
TARGET_PREFIX: Final = "secretsmanager."
UNSIGNED_CALLS: Final = ("Action=AssumeRoleWithWebIdentity", "Action=AssumeRoleWithSAML")
_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=(?P<key>[^/,\s]+)/(?P<day>\d{8})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)"
    r"/aws4_request, *SignedHeaders=(?P<signed>[^,\s]+), *Signature=(?P<signature>[0-9a-f]{64})"
)

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Refused(Exception):
    """The door says no, with AWS's code and a text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an access key id stands for, and what must be true of a request of theirs."""

    secret_key: str
    root: bool = False
    token: str | None = None
    active: bool = True
    expires: datetime | None = None


class MotoDirectory:
    """The keys and policies that moto holds in this process, and one root pair besides."""

    def __init__(self, root_key_id: str, root_secret: str) -> None:
        self._root_key_id, self._root = root_key_id, Identity(root_secret, root=True)

    def find(self, key_id: str) -> Identity | None:
        """Who *key_id* is, if anybody."""
        if key_id == self._root_key_id:
            return self._root
        for user in list(iam_backends[DEFAULT_ACCOUNT_ID][PARTITION].users.values()):
            for key in user.access_keys:
                if key.access_key_id == key_id:
                    return Identity(key.secret_access_key, active=key.status == "Active")
        role = sts_backends[DEFAULT_ACCOUNT_ID][PARTITION].get_assumed_role_from_access_key(key_id)
        if role is None:
            return None
        return Identity(role.secret_access_key, token=role.session_token, expires=role.expiration.replace(tzinfo=UTC))

    def policies(self, key_id: str, headers: Mapping[str, str]) -> list[dict[str, Any]]:
        """The policy documents that hold for *key_id*."""
        token = headers.get("x-amz-security-token")
        holder = create_access_key(
            account_id=DEFAULT_ACCOUNT_ID,
            partition=PARTITION,
            access_key_id=key_id,
            headers={"X-Amz-Security-Token": token} if token else {},
        )
        return [_document(one) for one in holder.collect_policies()]

    def resource(self, region: str, asked: Mapping[str, Any]) -> str:
        """The ARN that a request is about; `*` when it is about no single secret."""
        secret_id = asked.get("SecretId") or asked.get("Name")
        if not isinstance(secret_id, str):
            return "*"
        secret = secretsmanager_backends[DEFAULT_ACCOUNT_ID][region].secrets.get(secret_id)
        if secret is not None:
            return str(secret.arn)
        if secret_id.startswith("arn:"):
            return secret_id
        return f"arn:{PARTITION}:secretsmanager:{region}:{DEFAULT_ACCOUNT_ID}:secret:{secret_id}-??????"


class FrontDoor:
    """WSGI before WSGI: lets good requests through to *inner*, answers the others itself."""

    def __init__(self, inner: Application, directory: MotoDirectory) -> None:
        self._inner, self._directory = inner, directory
        self._offset = timedelta()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path = environ.get("PATH_INFO", "/")
        now = datetime.now(UTC) + self._offset
        date = ("Date", format_datetime(now, usegmt=True))
        if path == "/_door/clock":
            self._offset = timedelta(seconds=float(body or b"0"))
            start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
            return [b""]
        if not path.startswith("/moto-api/"):
            try:
                self._check(environ, _headers(environ), body, now)
            except Refused as refusal:
                return _refuse(refusal, date, start_response)
        environ["wsgi.input"] = io.BytesIO(body)

        def start_dated(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            kept = [(name, value) for name, value in headers if name.lower() != "date"]
            return start_response(status, [*kept, date], *rest)

        return self._inner(environ, start_dated)

    def _check(self, environ: Mapping[str, Any], headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        stated = headers.get("authorization")
        if not stated:
            if any(call in body.decode(errors="replace") for call in UNSIGNED_CALLS):
                return
            raise Refused("MissingAuthenticationTokenException", "Missing Authentication Token")
        scope = _AUTHORIZATION.fullmatch(stated)
        if scope is None:
            raise Refused("IncompleteSignatureException", "Authorization header does not have the required parts.")
        identity = self._identify(scope["key"], headers, now)
        _check_clock(headers.get("x-amz-date"), scope["day"], now)
        _check_signed_headers(headers, scope["signed"].split(";"))
        _check_signature(environ, headers, body, scope, identity)
        target = headers.get("x-amz-target", "")
        if target.startswith(TARGET_PREFIX) and scope["service"] != "secretsmanager":
            raise Refused("InvalidSignatureException", "Credential should be scoped to correct service.")
        if not identity.root:
            self._authorize(scope, target, headers, body)

    def _identify(self, key_id: str, headers: Mapping[str, str], now: datetime) -> Identity:
        identity = self._directory.find(key_id)
        token = headers.get("x-amz-security-token")
        if identity is None or not identity.active or identity.token != token:
            raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
        if identity.expires is not None and identity.expires <= now:
            raise Refused("ExpiredTokenException", "The security token included in the request is expired")
        return identity

    def _authorize(self, scope: re.Match[str], target: str, headers: Mapping[str, str], body: bytes) -> None:
        action = f"secretsmanager:{target.removeprefix(TARGET_PREFIX)}"
        resource = "*"
        allowed = False
        if target.startswith(TARGET_PREFIX):
            resource = self._directory.resource(scope["region"], _parsed(body))
            verdicts = {
                one["Effect"]
                for document in self._directory.policies(scope["key"], headers)
                for one in _listed(document["Statement"])
                if _covers(one["Action"], action, fold=True) and _covers(one["Resource"], resource)
            }
            allowed = verdicts == {"Allow"}
        if not allowed:
            raise Refused("AccessDeniedException", f"User is not authorized to perform: {action} on: {resource}")


def _check_clock(stated: str | None, day: str, now: datetime) -> None:
    try:
        at = datetime.strptime(stated or "", "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Refused("IncompleteSignatureException", "A valid X-Amz-Date header is required.") from None
    if at.strftime("%Y%m%d") != day:
        raise Refused("InvalidSignatureException", "Date in Credential scope does not match the date of the request.")
    if at < now - SKEW:
        raise Refused("InvalidSignatureException", f"Signature expired: {stated} is too early ({now:%Y%m%dT%H%M%SZ}).")
    if at > now + SKEW:
        raise Refused("InvalidSignatureException", f"Signature not yet current: {stated} ({now:%Y%m%dT%H%M%SZ}).")


def _check_signed_headers(headers: Mapping[str, str], signed: list[str]) -> None:
    needed = {"host", "x-amz-date"} | {name for name in headers if name.startswith("x-amz-")}
    if not needed <= set(signed):
        raise Refused("InvalidSignatureException", "'Host' and every 'x-amz-' header must be signed.")


def _check_signature(
    environ: Mapping[str, Any], headers: Mapping[str, str], body: bytes, scope: re.Match[str], identity: Identity
) -> None:
    if headers.get("x-amz-content-sha256", digest := hashlib.sha256(body).hexdigest()) != digest:
        raise Refused("InvalidSignatureException", "The x-amz-content-sha256 header does not match the body.")
    query = environ.get("QUERY_STRING", "")
    request = AWSRequest(
        method=environ["REQUEST_METHOD"],
        url=f"http://{headers.get('host', '')}{environ.get('PATH_INFO', '/')}{'?' + query if query else ''}",
        data=body,
        headers={name: headers[name] for name in scope["signed"].split(";") if name in headers},
    )
    request.context["timestamp"] = headers["x-amz-date"]
    judge = SigV4Auth(Credentials(scope["key"], identity.secret_key), scope["service"], scope["region"])
    expected = judge.signature(judge.string_to_sign(request, judge.canonical_request(request)), request)
    if not hmac.compare_digest(expected, scope["signature"]):
        raise Refused("InvalidSignatureException", "The signature of the request is not the one that was calculated.")


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    found = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            found[name.replace("_", "-").lower()] = environ[name]
    return found


def _refuse(refusal: Refused, date: tuple[str, str], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = json.dumps({"__type": refusal.code, "message": refusal.text}).encode()
    headers = [
        ("Content-Type", "application/x-amz-json-1.1"),
        ("Content-Length", str(len(body))),
        ("x-amzn-RequestId", str(uuid.uuid4())),
        date,
    ]
    start_response("400 Bad Request", headers)
    return [body]


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        asked = json.loads(body)
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) else {}


def _document(held: Any) -> dict[str, Any]:
    """A policy document, from any of the forms in which moto hands policies out."""
    if isinstance(held, dict):
        held = held["policy_document"]
    text = getattr(held, "document", held)
    found: dict[str, Any] = json.loads(text)
    return found


def _listed(one_or_many: Any) -> list[Any]:
    return one_or_many if isinstance(one_or_many, list) else [one_or_many]


def _covers(patterns: Any, text: str, *, fold: bool = False) -> bool:
    """Whether one of IAM's patterns (`*` any run, `?` any one character) covers *text*."""
    flags = re.IGNORECASE if fold else 0
    quoted = (re.escape(one).replace(r"\*", ".*").replace(r"\?", ".") for one in _listed(patterns))
    return any(re.fullmatch(pattern, text, flags) for pattern in quoted)
