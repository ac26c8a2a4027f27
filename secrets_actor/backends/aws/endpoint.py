"""Where Secrets Manager answers for a region. PURE."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from secrets_actor.domain.errors import ConfigurationError

SERVICE: Final = "secretsmanager"
# DNS suffix by region prefix, the longer prefix first. Source: botocore's partitions.json, which the tests compare
# with region by region. What no prefix fits belongs to the `aws` partition, as in botocore's rule set.
_SUFFIXES: Final = (
    ("cn-", "amazonaws.com.cn"),
    ("us-gov-", "amazonaws.com"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("us-iso-", "c2s.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("eusc-", "amazonaws.eu"),
)
_DEFAULT_SUFFIX: Final = "amazonaws.com"
_REGION: Final = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,20}){1,4}")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")
_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server. `url` is its root without a slash at the end; `region` and `service` are what requests are signed
    for."""

    scheme: str
    host: str
    port: int
    region: str
    service: str = SERVICE

    @property
    def authority(self) -> str:
        """The Host header: an IPv6 address in brackets, the port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Such as `https://secretsmanager.us-east-1.amazonaws.com`."""
        return f"{self.scheme}://{self.authority}"

    @property
    def name(self) -> str:
        """`host:port`, for errors and logs."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoint_for(region: str, endpoint_url: str | None = None) -> Endpoint:
    """The endpoint of *region*, or *endpoint_url* in its place: `http` or `https`, a host, a port if need be.

    Raises `ConfigurationError` for what is neither; it does not quote the URL, which may hold a password.
    """
    if _REGION.fullmatch(region) is None:
        raise ConfigurationError(("aws.region: the name of an AWS region, such as us-east-1",))
    if endpoint_url is None:
        suffix = next((suffix for prefix, suffix in _SUFFIXES if region.startswith(prefix)), _DEFAULT_SUFFIX)
        return Endpoint("https", f"{SERVICE}.{region}.{suffix}", 443, region)
    return parse_url(endpoint_url, region, "aws.endpoint_url")


def parse_url(url: str, region: str, setting: str) -> Endpoint:
    """*url* as an endpoint. Raises `ConfigurationError` naming *setting*, and not quoting *url*."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if (
        _HOST.fullmatch(host) is None
        or parts.scheme not in _PORTS
        or port == 0
        or parts.path not in ("", "/")
        or "@" in parts.netloc
        or "?" in url
        or "#" in url
    ):
        raise ConfigurationError((f"{setting}: http:// or https://, a host, a port if need be, and nothing more",))
    return Endpoint(parts.scheme, host, port or _PORTS[parts.scheme], region)
