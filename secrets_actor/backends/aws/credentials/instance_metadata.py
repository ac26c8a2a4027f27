"""Keys of the role attached to an EC2 instance, from its metadata service, version 2.

Rule 1: version 2 only. A fall-back to version 1 would undo what version 2 protects from.
Rule 2: each request has a second, and all of them end by the caller's deadline; one attempt, the actor asks again.
Rule 3: whatever goes wrong is `MetadataServiceError`, says what to do, and quotes no answer.

Source: Amazon EC2 User Guide, "Use the Instance Metadata Service"; variables and time-out as in botocore's
`InstanceMetadataFetcher`.
"""

import json
import os
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from secrets_actor.backends.aws.credentials.static import checked
from secrets_actor.backends.aws.endpoint import Endpoint, parse_url
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import BackendTimeout, ConfigurationError, MetadataServiceError, SecretsError
from secrets_actor.domain.secret import SecretValue

if TYPE_CHECKING:
    from secrets_actor.backends.aws.transport import HttpAnswer, Transport

DEFAULT_ENDPOINT: Final = "http://169.254.169.254"
IPV6_ENDPOINT: Final = "http://[fd00:ec2::254]"
ENDPOINT_VARIABLE: Final = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
TOKEN_PATH: Final = "/latest/api/token"  # noqa: S105  a path
ROLE_PATH: Final = "/latest/meta-data/iam/security-credentials/"
# Seconds: the longest a token may live.
TOKEN_TTL: Final = 21_600
# Seconds a request.
REQUEST_TIMEOUT: Final = 1.0
# IAM role names: IAM API reference, CreateRole `RoleName`.
_ROLE: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")
_TOKEN: Final = re.compile(r"[!-~]{1,4096}")
# The service's own codes that may be told; what else stands there is not ours to repeat.
_KNOWN_CODES: Final = frozenset({"AssumeRoleUnauthorizedAccess", "Failed", "InstanceProfileNotFound"})


class InstanceMetadataCredentials:
    """The role's keys, with their end. Reads the environment at each fetch."""

    def fetch(self, deadline: float) -> Credentials:
        """The keys, by *deadline* (`time.monotonic()` seconds). Raises `MetadataServiceError`."""
        if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            raise MetadataServiceError(
                "the instance metadata service is switched off: unset AWS_EC2_METADATA_DISABLED, or use access keys"
            )
        # Not at the top: httpx is loaded by who needs it.
        from secrets_actor.backends.aws.transport import Tls, Transport

        endpoint = _endpoint()
        transport = Transport(endpoint, Tls())
        try:
            return _Exchange(transport, endpoint, deadline).credentials()
        finally:
            transport.close()

    def __repr__(self) -> str:
        return "<InstanceMetadataCredentials>"


class _Exchange:
    """Three requests: a token, the role's name, its keys."""

    def __init__(self, transport: "Transport", endpoint: Endpoint, deadline: float) -> None:
        self._transport, self._endpoint, self._deadline = transport, endpoint, deadline
        self._name = endpoint.name

    def credentials(self) -> Credentials:
        token = self._token()
        role = self._role(token)
        return _parse(self._get(ROLE_PATH + role, token, "the role's keys").body)

    def _token(self) -> bytes:
        headers = [(b"x-aws-ec2-metadata-token-ttl-seconds", b"%d" % TOKEN_TTL), (b"Content-Length", b"0")]
        answer = self._request("PUT", TOKEN_PATH, headers, "a token")
        token = answer.body.decode("latin-1").strip()
        if _TOKEN.fullmatch(token) is None:
            raise MetadataServiceError(f"{self._name}: the metadata service gave no usable token; what answers there?")
        return token.encode()

    def _role(self, token: bytes) -> str:
        lines = self._get(ROLE_PATH, token, "the role's name").body.decode("latin-1").split()
        if not lines or _ROLE.fullmatch(lines[0]) is None:
            raise MetadataServiceError(f"{self._name}: no role's name; attach an IAM role to this instance")
        return lines[0]

    def _get(self, path: str, token: bytes, what: str) -> "HttpAnswer":
        return self._request("GET", path, [(b"x-aws-ec2-metadata-token", token)], what)

    def _request(self, method: str, path: str, headers: list[tuple[bytes, bytes]], what: str) -> "HttpAnswer":
        until = min(self._deadline, time.monotonic() + REQUEST_TIMEOUT)
        headers = [(b"Host", self._endpoint.authority.encode()), *headers]
        failure = None
        try:
            answer = self._transport.request(method, headers, b"", until=until, path=path)
        except SecretsError as exc:
            failure = exc
        if failure is not None:
            raise self._unreachable(method, what, isinstance(failure, BackendTimeout))
        if answer.status == 200:
            return answer
        remedy = {
            400: "see what answers there",
            401: "ask again, the token ran out",
            403: "switch the metadata service of this instance on",
            404: "attach an IAM role to this instance",
        }.get(answer.status, "ask again")
        raise MetadataServiceError(
            f"{self._name}: the metadata service refuses {what} (HTTP {answer.status}); {remedy}", status=answer.status
        )

    def _unreachable(self, method: str, what: str, timed_out: bool) -> MetadataServiceError:
        if timed_out and method == "PUT":
            remedy = (
                "in a container, raise the instance's metadata hop limit to 2 (http-put-response-hop-limit); elsewhere "
                "see that this is an EC2 instance"
            )
        elif timed_out:
            remedy = "ask again"
        else:
            remedy = f"see that this is an EC2 instance, and what {ENDPOINT_VARIABLE} says"
        fact = "gave no answer in time" if timed_out else "cannot be reached"
        return MetadataServiceError(f"{self._name}: the metadata service {fact}, asked for {what}; {remedy}")


def _endpoint() -> Endpoint:
    url = os.environ.get(ENDPOINT_VARIABLE, "").strip()
    if not url:
        ipv6 = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "").lower() == "ipv6"
        url = IPV6_ENDPOINT if ipv6 else DEFAULT_ENDPOINT
    try:
        return parse_url(url, "", ENDPOINT_VARIABLE)
    except ConfigurationError as exc:
        text = str(exc)
    raise MetadataServiceError(text)


def _parse(body: bytes) -> Credentials:
    answer, expires_at, keys = None, None, None
    try:
        answer = json.loads(body)
        code = answer.get("Code", "Success")
        if code == "Success":
            expires_at = datetime.fromisoformat(answer["Expiration"])
            secret_key, token = SecretValue(answer["SecretAccessKey"]), SecretValue(answer["Token"])
            keys = checked(Credentials(answer["AccessKeyId"], secret_key, token))
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError, SecretsError):
        code = "Success"
    if code != "Success":
        told = code if isinstance(code, str) and code in _KNOWN_CODES else "a code unknown to us"
        raise MetadataServiceError(
            f"the metadata service has no keys for the role ({told}): see its trust policy and instance profile"
        )
    if keys is None or expires_at is None or expires_at.tzinfo is None:
        raise MetadataServiceError("the metadata service's answer holds no keys: ask again, and see what answers there")
    return Credentials(keys.access_key_id, keys.secret_key, keys.session_token, expires_at.astimezone(UTC))
