"""Credentials that a host gives to its containers: ECS tasks, EKS Pod Identity, Greengrass.

Rule 1: only `https` leaves the host. Plain `http` goes to loopback and to the link-local addresses of ECS and EKS, and
        nowhere else: a variable that somebody else has set must not send the authorization token to a server of theirs.
Rule 2: a token with a line break is refused: it would add headers of its own. The token file is read at each fetch,
        because EKS renews it.
Rule 3: each request has 2 s; there are up to 3 requests, a second apart, all by the caller's deadline. A refusal is
        final.
Rule 4: errors quote no answer, no token and no URL.

Source: AWS SDKs and Tools Reference Guide, "Container credential provider"; times and hosts as in botocore's
`ContainerMetadataFetcher`, which asks again after refusals, too.
"""

import ipaddress
import os
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from secrets_actor.backends.aws.credentials.connect import connect
from secrets_actor.backends.aws.credentials.json_credentials import credentials_in, parsed
from secrets_actor.backends.aws.endpoint import Endpoint
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.clock import now, sleep
from secrets_actor.domain.errors import CredentialsError, MetadataServiceError, NoCredentials, SecretsError
from secrets_actor.small_files import Problem, read_text

if TYPE_CHECKING:
    from secrets_actor.backends.http.httpx_transport import HttpxTransport

NAME: Final = "container"
RELATIVE: Final = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105  a variable's name
TOKEN_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105  likewise
ECS_HOST: Final = "169.254.170.2"
# Hosts that may be asked over plain http, beside loopback addresses: those of ECS, and of EKS by IPv4 and IPv6.
PLAIN_HOSTS: Final = frozenset({ECS_HOST, "169.254.170.23", "fd00:ec2::23", "localhost"})
REQUEST_TIMEOUT: Final = 2.0  # seconds
ATTEMPTS: Final = 3
PAUSE: Final = 1.0  # seconds
_MAX_TOKEN: Final = 65_536  # bytes
_PATH: Final = re.compile(r"/[!-~]*")
_TOKEN: Final = re.compile(r"[!-~]([ -~]*[!-~])?")
_PORTS: Final = {"http": 80, "https": 443}


class ContainerCredentials:
    """Fetches the credentials behind the container's URI. Reads the environment at each fetch."""

    def fetch(self, deadline: float) -> AwsCredentials:
        """Fetch the credentials, by *deadline* (clock seconds).

        Raises `NoCredentials` when no URI is set, `CredentialsError` for a URI or a token that cannot be used, and
        `MetadataServiceError` for a service that does not answer, or not with credentials.
        """
        relative, full = os.environ.get(RELATIVE, "").strip(), os.environ.get(FULL, "").strip()
        if relative:
            endpoint, path = _relative(relative)
        elif full:
            endpoint, path = _full(full)
        else:
            raise NoCredentials((NAME, f"neither {RELATIVE} nor {FULL} is set"))
        headers = [(b"Accept", b"application/json")]
        token = _token()
        if token is not None:
            headers.append((b"Authorization", token))
        transport = connect(endpoint)
        try:
            return _ask(transport, endpoint, path, headers, deadline)
        finally:
            transport.close()

    def __repr__(self) -> str:
        return "<ContainerCredentials>"


def _ask(
    transport: "HttpxTransport", endpoint: Endpoint, path: str, headers: list[tuple[bytes, bytes]], deadline: float
) -> AwsCredentials:
    attempt = 1
    while True:
        begun = now()
        failure: CredentialsError
        try:
            answer = transport.ask("GET", endpoint, path, headers, until=min(deadline, begun + REQUEST_TIMEOUT))
            credentials = credentials_in(parsed(answer.content), bare=True) if answer.status_code == 200 else ""
            if isinstance(credentials, AwsCredentials):
                return credentials
            failure = _refused(endpoint, answer.status_code, credentials)
            final = 400 <= answer.status_code < 500 and answer.status_code != 429  # 429: asked too often, which passes
        except SecretsError as exc:
            failure, final = MetadataServiceError(f"{exc} (asked for the container's credentials)"), False
        if final or attempt == ATTEMPTS or now() + PAUSE >= deadline:
            raise failure
        sleep(PAUSE)
        attempt += 1


def _refused(endpoint: Endpoint, status: int, problem: str) -> MetadataServiceError:
    if status == 200:
        text = f"the container's credential service gave no credentials ({problem}); see what answers there"
    elif status in (401, 403):
        text = f"the container's credential service refuses (HTTP {status}); see {TOKEN_FILE} and the task's role"
    elif status == 404:
        text = f"the container's credential service knows no such path (HTTP 404); see {RELATIVE}, {FULL}"
    else:
        text = f"the container's credential service answers with HTTP {status}; see the host's agent"
    return MetadataServiceError(f"{endpoint.name}: {text}", status=status)


def _relative(uri: str) -> tuple[Endpoint, str]:
    if _PATH.fullmatch(uri) is None:
        raise CredentialsError(f"{RELATIVE}: a path that begins with a slash, and nothing more")
    return Endpoint("http", ECS_HOST, 80, ""), uri


def _full(uri: str) -> tuple[Endpoint, str]:
    host = ""
    port = None
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts = urlsplit("")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme not in _PORTS or not host or port == 0 or "@" in parts.netloc or _PATH.fullmatch(path) is None:
        raise CredentialsError(f"{FULL}: http:// or https://, a host, a path; and no user, password or blank")
    if parts.scheme == "http" and not _may_be_plain(host):
        raise CredentialsError(
            f"{FULL}: over plain http only loopback addresses and {', '.join(sorted(PLAIN_HOSTS))} are asked; use https"
        )
    return Endpoint(parts.scheme, host, port or _PORTS[parts.scheme], ""), path


def _may_be_plain(host: str) -> bool:
    if host in PLAIN_HOSTS:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _token() -> bytes | None:
    """Return the value of the Authorization header, or None when no token is configured.

    The file goes before the variable, as with AWS's SDKs. Raises `CredentialsError`, which quotes no token.
    """
    path = os.environ.get(TOKEN_FILE, "")
    found: str | Problem | None = os.environ.get(TOKEN, "")
    name = TOKEN
    if path:
        name, found = TOKEN_FILE, read_text(path, _MAX_TOKEN)
        if not isinstance(found, str):
            problem = "cannot be read (No such file)" if found is None else str(found)
            raise CredentialsError(f"{TOKEN_FILE}: the file {problem}; see what writes it, and who may read it")
    if not found and not path:
        return None
    if isinstance(found, str) and _TOKEN.fullmatch(found) is not None:
        return found.encode()
    del found  # a traceback may show the variables of this frame
    raise CredentialsError(f"{name}: the token is empty, or holds a line break or what no header may: write it anew")
