"""The client of STS, for temporary credentials: AWS's query protocol, with a form as request and XML as answer.

Rule 1: a request is signed with our own Signature V4, or not at all (a web identity is its own proof).
Rule 2: there are up to `ATTEMPTS` attempts, or as many as are configured, by the deadline, each signed anew. Only
        errors that may pass are retried.
Rule 3: errors tell STS's code and what to do. STS's own text is dropped.
Rule 4: when STS refuses the time of a signature, the request is signed once more by STS's clock.
Rule 5: the end of credentials is converted to this machine's clock, however wrong that is: the actor compares the end
        with that clock.

Source: AWS STS API reference; which codes may be tried again as in botocore's `retries/standard.py` and
`data/sts/2011-06-15/service-2.json`.
"""

import os
import random
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlencode
from xml.etree import ElementTree

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.backends.aws.clock_skew import may_be_skew, too_far
from secrets_actor.backends.aws.corrected_clock import CorrectedClock
from secrets_actor.backends.aws.credentials.connect import Connect, connect
from secrets_actor.backends.aws.credentials.json_credentials import moment
from secrets_actor.backends.aws.credentials.static import checked
from secrets_actor.backends.aws.endpoint import Endpoint, endpoint_for, parse_url
from secrets_actor.backends.aws.retry import THROTTLING_CODES, TRANSIENT_CODES
from secrets_actor.backends.aws.sdk_settings import (
    NO_PROFILE,
    STS,
    ProfileSettings,
    configured_url,
    dualstack_chosen,
    fips_chosen,
    stated,
)
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.backends.http.http_date import http_date
from secrets_actor.backends.sigv4 import HttpRequest, Scope, SigningKeys, sign_headers
from secrets_actor.clock import now, sleep
from secrets_actor.domain.errors import (
    AccessDenied,
    ConfigurationError,
    CredentialsError,
    ExpiredToken,
    InvalidAnswer,
    InvalidSignature,
    SecretsError,
    StoreError,
    StoreFailure,
    Throttled,
    UnrecognizedClient,
)
from secrets_actor.domain.secret import SecretValue

if TYPE_CHECKING:
    from httpx import Response

    from secrets_actor.backends.http.httpx_transport import HttpxTransport

SERVICE: Final = "sts"
VERSION: Final = "2011-06-15"
CONTENT_TYPE: Final = "application/x-www-form-urlencoded; charset=utf-8"
REQUEST_TIMEOUT: Final = 5.0  # seconds
_REGION_SETTINGS: Final = "aws.region, AWS_REGION or region of the profile"
ATTEMPTS: Final = 3
FIRST_PAUSE: Final = 0.1  # seconds; doubled for each attempt, and multiplied by a random share
# The regions that share one endpoint where `sts_regional_endpoints` is `legacy`. Source: botocore's args.py.
_GLOBAL_ENDPOINT: Final = Endpoint("https", "sts.amazonaws.com", 443, "us-east-1", SERVICE)
_GLOBAL_REGIONS: Final = frozenset(
    {
        *("ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1", "eu-central-1"),
        *("eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1", "us-east-2", "us-west-1"),
        *("us-west-2", "aws-global"),
    }
)
_DUAL_STACK: Final = {"amazonaws.com": "api.aws", "amazonaws.com.cn": "api.amazonwebservices.com.cn"}
_MAX_ANSWER: Final = 65_536  # bytes
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9.]{2,80}")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_RETRYABLE: Final = THROTTLING_CODES | TRANSIENT_CODES | {"IDPCommunicationError"}

T = TypeVar("T")


class CallerIdentity(Struct, frozen=True):
    """The user or role that credentials belong to (GetCallerIdentity)."""

    account: str
    arn: str
    user_id: str


class Sts:
    """A client of STS in one *region*.

    *connect* makes a connection to an endpoint. *clock* gives the time of signatures, and is corrected when STS says
    that it is wrong. *profile* may choose the endpoint, as the environment may. *use_fips* and *use_dualstack* of None
    are as these two say. *attempts* counts all attempts of a call, with the first.
    """

    def __init__(
        self,
        region: str | None,
        connect: Connect = connect,
        clock: CorrectedClock | None = None,
        *,
        use_fips: bool | None = None,
        use_dualstack: bool | None = None,
        profile: ProfileSettings = NO_PROFILE,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._region, self._connect, self._clock = region, connect, clock or CorrectedClock()
        self._fips, self._dualstack, self._profile, self._attempts = use_fips, use_dualstack, profile, attempts
        self._keys = SigningKeys()

    def assume_role(
        self, parameters: Sequence[tuple[str, str]], signer: AwsCredentials, deadline: float
    ) -> AwsCredentials:
        """Call AssumeRole with *parameters*, by *deadline* (clock seconds). Raises `SecretsError`s."""
        return self._call("AssumeRole", parameters, signer, deadline, self._keys_in)

    def assume_role_with_web_identity(self, parameters: Sequence[tuple[str, str]], deadline: float) -> AwsCredentials:
        """Call AssumeRoleWithWebIdentity, unsigned, by *deadline* (clock seconds). Raises `SecretsError`s."""
        return self._call("AssumeRoleWithWebIdentity", parameters, None, deadline, self._keys_in)

    def caller_identity(self, signer: AwsCredentials, deadline: float) -> CallerIdentity:
        """Return the identity that *signer* belongs to, by *deadline* (clock seconds). AWS asks no permission for it.

        Raises `SecretsError`s.
        """
        return self._call("GetCallerIdentity", (), signer, deadline, _caller_in)

    def _call(
        self,
        action: str,
        parameters: Sequence[tuple[str, str]],
        signer: AwsCredentials | None,
        deadline: float,
        read: Callable[[ElementTree.Element, datetime | None], T],
    ) -> T:
        endpoint = sts_endpoint(
            self._region, os.environ, use_fips=self._fips, use_dualstack=self._dualstack, profile=self._profile
        )
        body = urlencode([("Action", action), ("Version", VERSION), *parameters]).encode()
        transport = self._connect(endpoint)
        try:
            attempt, clock_tried = 1, False
            while True:
                try:
                    return read(*self._attempt(transport, endpoint, action, body, signer, deadline))
                except _Skewed as exc:
                    error: SecretsError = exc.error
                    if not clock_tried:  # rule 4; a second refusal is not the clock's fault
                        clock_tried = True
                        self._clock.learn(exc.server)
                        continue
                except SecretsError as exc:
                    error = exc.clone()
                pause = random.random() * FIRST_PAUSE * 2**attempt  # noqa: S311  jitter
                if not error.retryable or attempt >= self._attempts or now() + pause >= deadline:
                    raise error
                sleep(pause)
                attempt += 1
        finally:
            transport.close()

    def _attempt(
        self,
        transport: "HttpxTransport",
        endpoint: Endpoint,
        action: str,
        body: bytes,
        signer: AwsCredentials | None,
        deadline: float,
    ) -> tuple[ElementTree.Element, datetime | None]:
        headers: tuple[tuple[str, str], ...] = (("Host", endpoint.authority), ("Content-Type", CONTENT_TYPE))
        at = self._clock.now()
        if signer is not None:
            request = HttpRequest("POST", "/", "", headers, body)
            scope = Scope(endpoint.region, SERVICE)
            headers += sign_headers(request, checked(signer), scope, at, self._keys).headers
        raw = [(name.encode(), value.encode()) for name, value in headers]
        until = min(deadline, now() + REQUEST_TIMEOUT)
        answer = transport.ask("POST", endpoint, "/", raw, body, until=until)
        found, server = _tree(answer.content), http_date(answer.headers.get("date"))
        if answer.status_code == 200 and found is not None:
            return found, server
        error = _refusal(endpoint, action, answer, found)
        if server is not None and may_be_skew(error) and too_far(at, server):
            raise _Skewed(error, server)
        raise error

    def _keys_in(self, tree: ElementTree.Element, server: datetime | None) -> AwsCredentials:
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        access_key, secret_key, token, end = (_text(tree, name) for name in names)
        expires_at = moment(end)
        if access_key and secret_key and token and expires_at is not None:
            if server is not None:  # rule 5
                expires_at = self._clock.as_here(expires_at, server)
            return checked(AwsCredentials(access_key, SecretValue(secret_key), SecretValue(token), expires_at))
        text = "STS's answer holds no credentials: see what answers there, and AWS_ENDPOINT_URL"
        raise InvalidAnswer(text, status=200)


class _Skewed(Exception):
    """Raised when STS refuses the time of a signature and tells its own time. Never leaves this file."""

    def __init__(self, error: StoreError, server: datetime) -> None:
        super().__init__()
        self.error, self.server = error, server


def sts_endpoint(
    region: str | None,
    environ: Mapping[str, str],
    *,
    use_fips: bool | None = None,
    use_dualstack: bool | None = None,
    profile: ProfileSettings = NO_PROFILE,
) -> Endpoint:
    """Return the endpoint of STS for *region*: a URL that *environ* or *profile* configures, or else AWS's own.

    *use_fips* and *use_dualstack* of None are as *environ* and *profile* say. Raises `CredentialsError` without a
    region, and for a setting that is not allowed.
    """
    if not region:
        raise CredentialsError("STS is asked in a region: set aws.region, AWS_REGION, or region in the profile")
    try:
        url = configured_url(STS, environ, profile)
        if url is not None:
            return replace(parse_url(url.value, region, url.source), service=SERVICE)
        fips = fips_chosen(environ, profile) is not None if use_fips is None else use_fips
        dualstack = dualstack_chosen(environ, profile) is not None if use_dualstack is None else use_dualstack
        if not (fips or dualstack) and _is_global(region, environ, profile):
            return _GLOBAL_ENDPOINT
        like = endpoint_for(region, use_dualstack=dualstack, region_setting=_REGION_SETTINGS)
    except ConfigurationError as exc:
        text = str(exc)
    else:
        # In each partition AWS names the endpoints of all services in the same way, so Secrets Manager's endpoint gives
        # the suffix. The exception: Secrets Manager's dual-stack names have the plain suffix in the oldest partitions.
        suffix = like.host.removeprefix(f"{like.service}.{region}.")
        if dualstack:
            suffix = _DUAL_STACK.get(suffix, suffix)
        # In GovCloud the plain endpoint of STS is the FIPS one; there is no `sts-fips`.
        fips = fips and (dualstack or not region.startswith("us-gov-"))
        return replace(like, host=f"{SERVICE}{'-fips' if fips else ''}.{region}.{suffix}", service=SERVICE)
    raise CredentialsError(text)


def _is_global(region: str, environ: Mapping[str, str], profile: ProfileSettings) -> bool:
    """Whether *region* uses the global endpoint, sts.amazonaws.com, because the settings ask for the legacy way."""
    found = stated(environ, "AWS_STS_REGIONAL_ENDPOINTS", profile, "sts_regional_endpoints")
    if found is None or found.value in ("", "regional"):
        return False
    if found.value != "legacy":
        raise ConfigurationError((f"{found.source}: regional or legacy",))
    return region in _GLOBAL_REGIONS


def _tree(body: bytes) -> ElementTree.Element | None:
    """Return the XML in *body*, or None when it is malformed or too long.

    XML with a document type is refused: STS sends none, and its entities can expand to any size (billion laughs).
    """
    if len(body) > _MAX_ANSWER or b"<!" in body:
        return None
    try:
        return ElementTree.fromstring(body)  # noqa: S314  see above
    except (ElementTree.ParseError, ValueError, LookupError):
        return None


def _text(tree: ElementTree.Element, name: str) -> str | None:
    """Return the text of the first element called *name*, in any namespace, or None."""
    found = next((one for one in tree.iter() if one.tag.rpartition("}")[2] == name), None)
    return None if found is None or found.text is None else found.text.strip()


def _caller_in(tree: ElementTree.Element, _server: datetime | None) -> CallerIdentity:
    return CallerIdentity(*(_text(tree, name) or "" for name in ("Account", "Arn", "UserId")))


def _refusal(endpoint: Endpoint, action: str, answer: "Response", tree: ElementTree.Element | None) -> StoreError:
    code = None if tree is None else _text(tree, "Code")
    if code is not None and _CODE.fullmatch(code) is None:
        code = None
    kind, what = _MEANINGS.get(code or "", _UNKNOWN)
    if code in THROTTLING_CODES:
        kind, what = Throttled, "too many requests: ask less often"
    elif answer.status_code >= 500 or code in _RETRYABLE:
        kind, what = StoreFailure, f"it failed on its side (HTTP {answer.status_code}): try again"
    elif code is None:
        kind, what = InvalidAnswer, f"its answer (HTTP {answer.status_code}) is none of STS's: see what answers there"
    stated = answer.headers.get("x-amzn-requestid", "")
    return kind(
        f"STS at {endpoint.name}, asked for {action}: {what}",
        aws_code=code,
        status=answer.status_code,
        request_id=stated if _REQUEST_ID.fullmatch(stated) else None,
    )


_UNKNOWN: Final[tuple[type[StoreError], str]] = (CredentialsError, "it refuses: see the role and its parameters")
_MEANINGS: Final[Mapping[str, tuple[type[StoreError], str]]] = {
    "AccessDenied": (
        AccessDenied,
        "these credentials may not assume this role: see their policy and the role's trust policy",
    ),
    "ExpiredToken": (ExpiredToken, "the session token has expired: get new temporary credentials"),
    "ExpiredTokenException": (ExpiredToken, "the web identity token has expired: see what writes the token file"),
    "IDPRejectedClaim": (CredentialsError, "the identity provider rejects the web identity token: get a new one"),
    "InvalidIdentityToken": (CredentialsError, "the web identity token is not accepted: see the identity provider"),
    "InvalidClientTokenId": (UnrecognizedClient, "AWS does not know these credentials: check that they are active"),
    "SignatureDoesNotMatch": (InvalidSignature, "the signature is not accepted: check secret key and clock"),
    **dict.fromkeys(
        ("RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"),
        (InvalidSignature, "the time of the signature is not accepted: check this machine's clock"),
    ),
    "RegionDisabledException": (CredentialsError, "this region is not switched on for the account: use another one"),
    "ValidationError": (CredentialsError, "a parameter is not allowed: see role ARN, session name and duration"),
    "MalformedPolicyDocument": (CredentialsError, "the session policy is malformed: mend it"),
}
