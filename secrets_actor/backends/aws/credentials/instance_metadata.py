"""Credentials of the role attached to an EC2 instance, from its metadata service, version 2.

Rule 1: version 2 is used. A fall-back to version 1 would undo the protection that version 2 gives. So there is one only
        with AWS_EC2_METADATA_V1_DISABLED=false, only where no token can be had, and never after a 400.
Rule 2: each request has a second, and all requests end by the caller's deadline. There is one attempt, or as many as
        AWS_METADATA_SERVICE_NUM_ATTEMPTS says. A token that does not come in time is not asked for again: in a
        container behind the hop limit it will never come.
Rule 3: every failure is a `MetadataServiceError`, which says what to do and quotes no answer. Its `status` is that of
        the answer, or None when there was no answer.
Rule 4: credentials that should have been replaced by now, and even expired ones, stay in use for a while (static
        stability): the service promises new ones five minutes before the old ones expire, and AWS goes on accepting the
        old ones while its own service is down.

Source: Amazon EC2 User Guide, "Use the Instance Metadata Service", "IAM roles for Amazon EC2"; variables, profile keys
and times as in botocore's `InstanceMetadataFetcher`, which allows version 1 unless it is told not to.
"""

import os
import random
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.backends.aws.credentials.connect import connect
from secrets_actor.backends.aws.credentials.json_credentials import credentials_in, parsed
from secrets_actor.backends.aws.endpoint import Endpoint, parse_url
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.clock import now, utc_now
from secrets_actor.domain.errors import BackendTimeout, ConfigurationError, MetadataServiceError, SecretsError

if TYPE_CHECKING:
    from httpx import Response

    from secrets_actor.backends.http.httpx_transport import HttpxTransport

DEFAULT_ENDPOINT: Final = "http://169.254.169.254"
IPV6_ENDPOINT: Final = "http://[fd00:ec2::254]"
ENDPOINT_VARIABLE: Final = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
TIMEOUT_VARIABLE: Final = "AWS_METADATA_SERVICE_TIMEOUT"
ATTEMPTS_VARIABLE: Final = "AWS_METADATA_SERVICE_NUM_ATTEMPTS"
LONGEST: Final = 300  # seconds, and attempts
TOKEN: Final = "a token"  # noqa: S105  the words for it in errors
TOKEN_PATH: Final = "/latest/api/token"  # noqa: S105  a path
ROLE_PATH: Final = "/latest/meta-data/iam/security-credentials/"
# Seconds: the longest time that a token may live. botocore asks for the same.
TOKEN_TTL: Final = 21_600
# Seconds a request, and attempts.
REQUEST_TIMEOUT: Final = 1.0
ATTEMPTS: Final = 1
# Credentials with less time left than OVERDUE should have been replaced. They get this much more time, and a random
# share of the jitter, so that not all instances ask again at once. botocore's numbers: 15 minutes, and 2 to 10 more.
OVERDUE: Final = timedelta(minutes=5)
EXTENSION: Final = timedelta(minutes=17)
EXTENSION_JITTER: Final = timedelta(minutes=8)
# IAM role names: IAM API reference, CreateRole `RoleName`.
_ROLE: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")
_TOKEN: Final = re.compile(r"[!-~]{1,4096}")
# The service answers a token request so when it knows version 1 only, or is switched to it.
_NO_TOKENS: Final = (403, 404, 405)
_VERSION_1: Final = "if the service knows version 1 only, allow that: AWS_EC2_METADATA_V1_DISABLED=false"
# The service's own codes. Any other text in that place is not repeated: it could be anything.
_KNOWN_CODES: Final = frozenset({"AssumeRoleUnauthorizedAccess", "Failed", "InstanceProfileNotFound"})


class Options(Struct, frozen=True):
    """How to ask: the endpoint, the seconds for each request, the attempts, and whether version 1 may be used."""

    endpoint: Endpoint
    timeout: float
    attempts: int
    version_1: bool


class InstanceMetadataCredentials:
    """Fetches the credentials of the instance's role. Reads the environment at each fetch.

    *profile* holds the settings of a profile of the shared files, for options that the environment does not set.
    """

    def __init__(self, profile: Mapping[str, str] | None = None) -> None:
        self._profile = profile or {}

    def fetch(self, deadline: float) -> AwsCredentials:
        """Fetch the credentials, by *deadline* (clock seconds). Raises `MetadataServiceError`."""
        if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            raise MetadataServiceError(
                "the instance metadata service is switched off: unset AWS_EC2_METADATA_DISABLED, or use access keys"
            )
        options = options_from(os.environ, self._profile)
        transport = connect(options.endpoint)
        try:
            return _Exchange(transport, options, deadline).credentials()
        finally:
            transport.close()

    def __repr__(self) -> str:
        return "<InstanceMetadataCredentials>"


class _Exchange:
    """One conversation with the service: it gets a token, then the role's name, then the role's credentials."""

    def __init__(self, transport: "HttpxTransport", options: Options, deadline: float) -> None:
        self._transport, self._options, self._deadline = transport, options, deadline
        self._endpoint, self._name = options.endpoint, options.endpoint.name

    def credentials(self) -> AwsCredentials:
        token = self._token()
        role = self._role(token)
        credentials = _parse(self._get(ROLE_PATH + role, token, "the role's credentials").content)
        return extended(credentials, utc_now(), random.random())  # noqa: S311  jitter

    def _token(self) -> bytes | None:
        """Return the token, or None to go on with version 1."""
        headers = [(b"x-aws-ec2-metadata-token-ttl-seconds", b"%d" % TOKEN_TTL)]
        try:
            answer = self._request("PUT", TOKEN_PATH, headers, TOKEN)
        except _NoToken as exc:
            if self._options.version_1:
                return None
            failure = exc.error
        else:
            token = answer.content.decode("latin-1").strip()
            if _TOKEN.fullmatch(token) is not None:
                return token.encode()
            text = f"{self._name}: the metadata service gave no usable token; what answers there?"
            failure = MetadataServiceError(text, status=answer.status_code)
        raise failure

    def _role(self, token: bytes | None) -> str:
        lines = self._get(ROLE_PATH, token, "the role's name").content.decode("latin-1").split()
        if not lines or _ROLE.fullmatch(lines[0]) is None:
            text = f"{self._name}: no role's name; attach an IAM role to this instance"
            raise MetadataServiceError(text, status=404)
        return lines[0]

    def _get(self, path: str, token: bytes | None, what: str) -> "Response":
        return self._request("GET", path, [] if token is None else [(b"x-aws-ec2-metadata-token", token)], what)

    def _request(self, method: str, path: str, headers: list[tuple[bytes, bytes]], what: str) -> "Response":
        attempt = 1
        while True:
            until = min(self._deadline, now() + self._options.timeout)
            try:
                answer = self._transport.ask(method, self._endpoint, path, headers, until=until)
                if answer.status_code == 200:
                    return answer
                error, again = self._refused(what, answer.status_code), answer.status_code >= 500
                no_token = answer.status_code in _NO_TOKENS
            except SecretsError as exc:
                late = isinstance(exc, BackendTimeout)
                # A late token is not asked for again (rule 2).
                error, again = self._unreachable(method, what, late), not (late and method == "PUT")
                no_token = late
            if not again or attempt == self._options.attempts or now() >= self._deadline:
                break
            attempt += 1
        raise _NoToken(error) if no_token and method == "PUT" else error

    def _refused(self, what: str, status: int) -> MetadataServiceError:
        remedy = {
            400: "see what answers there",
            401: "ask again, the token ran out",
            403: "switch the metadata service of this instance on",
            404: "attach an IAM role to this instance",
        }.get(status, "ask again")
        if what == TOKEN and status in _NO_TOKENS:
            remedy = f"{remedy}, or, {_VERSION_1}" if status == 403 else _VERSION_1
        text = f"{self._name}: the metadata service refuses {what} (HTTP {status}); {remedy}"
        return MetadataServiceError(text, status=status)

    def _unreachable(self, method: str, what: str, timed_out: bool) -> MetadataServiceError:
        if timed_out and method == "PUT":
            remedy = (
                "in a container, raise the instance's metadata hop limit to 2 (http-put-response-hop-limit); elsewhere "
                f"see that this is an EC2 instance; {_VERSION_1}"
            )
        elif timed_out:
            remedy = "ask again"
        else:
            remedy = f"see that this is an EC2 instance, and what {ENDPOINT_VARIABLE} says"
        fact = "gave no answer in time" if timed_out else "cannot be reached"
        return MetadataServiceError(f"{self._name}: the metadata service {fact}, asked for {what}; {remedy}")


class _NoToken(Exception):
    """Raised when no token can be had; version 1 needs none. Never leaves this file."""

    def __init__(self, error: MetadataServiceError) -> None:
        super().__init__()
        self.error = error


def options_from(environ: Mapping[str, str], profile: Mapping[str, str]) -> Options:
    """Return the options that *environ* and *profile* set; a variable goes before the profile.

    Raises `MetadataServiceError` for a value that is not allowed.
    """

    def stated(variable: str, key: str) -> tuple[str, str]:
        """Return (the value, its source for errors)."""
        own = (environ.get(variable) or "").strip()
        return (own, variable) if own else (profile.get(key, "").strip(), f"{key} of the profile")

    url, source = stated(ENDPOINT_VARIABLE, "ec2_metadata_service_endpoint")
    try:
        url = url or _usual_url(*stated("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode"))
        endpoint = parse_url(url, "", source)
        timeout = _number(*stated(TIMEOUT_VARIABLE, "metadata_service_timeout"), REQUEST_TIMEOUT)
        attempts = _number(*stated(ATTEMPTS_VARIABLE, "metadata_service_num_attempts"), ATTEMPTS)
        disabled, _ = stated("AWS_EC2_METADATA_V1_DISABLED", "ec2_metadata_v1_disabled")
        return Options(endpoint, timeout, max(1, int(attempts)), disabled.lower() == "false")
    except ConfigurationError as exc:
        text = str(exc)
    raise MetadataServiceError(text)


def _usual_url(mode: str, source: str) -> str:
    found = {"": DEFAULT_ENDPOINT, "ipv4": DEFAULT_ENDPOINT, "ipv6": IPV6_ENDPOINT}.get(mode.lower())
    if found is None:
        raise ConfigurationError((f"{source}: IPv4 or IPv6",))
    return found


def _number(text: str, source: str, default: float) -> float:
    try:
        found = float(text or default)
    except ValueError:
        found = 0.0
    if not 0 < found <= LONGEST:
        raise ConfigurationError((f"{source}: a number, more than 0 and {LONGEST} at most",))
    return found


def extended(credentials: AwsCredentials, now: datetime, dice: float) -> AwsCredentials:
    """Return *credentials*, with a later end if they should have been replaced by *now* (rule 4). *dice*: 0 to 1."""
    if credentials.expires_at is None or credentials.expires_at - now > OVERDUE:
        return credentials
    return replace(credentials, expires_at=now + EXTENSION + EXTENSION_JITTER * dice)


def _parse(body: bytes) -> AwsCredentials:
    answer = parsed(body)
    code = "Success" if answer is None else answer.get("Code", "Success")
    if code != "Success":
        shown_code = code if isinstance(code, str) and code in _KNOWN_CODES else "a code unknown to us"
        raise MetadataServiceError(
            f"the metadata service has no credentials for the role ({shown_code}): see its trust policy and instance "
            "profile",
            status=200,
        )
    credentials = credentials_in(answer)
    if isinstance(credentials, AwsCredentials):
        return credentials
    text = f"the metadata service's answer holds no credentials ({credentials}): ask again, and see what answers there"
    raise MetadataServiceError(text, status=200)
