"""The server of a connection, and the names of the settings that decide about it. PURE."""

import re
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from secrets_actor.domain.errors import ConfigurationError

# A host is ASCII: a name, an IPv4 address, or an IPv6 address without its brackets.
HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")
_PORTS: Final = {"https": 443, "http": 80}


class Origin(Struct, frozen=True):
    """One server: scheme (`http` or `https`), host (IPv6 without brackets) and port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The Host header: an IPv6 address is in brackets, and the port is left out if it is the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Scheme and authority, without a slash at the end."""
        return f"{self.scheme}://{self.authority}"

    @property
    def name(self) -> str:
        """`host:port`, for errors and logs."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class SettingNames(Struct, frozen=True):
    """The names of a connection's settings, such as `aws.ca_bundle`, for the remedies in errors.

    *endpoint* names all settings that decide about the host; *endpoint_url* is the one setting that names a URL.
    """

    endpoint: str
    endpoint_url: str
    ca_bundle: str
    proxy: str


def parse_origin(url: str, setting: str) -> Origin:
    """Parse *url* as an origin: `http` or `https`, a host, a port if need be, and nothing more.

    Raises `ConfigurationError`, which names *setting* and does not quote *url*: a URL may hold a password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if (
        HOST.fullmatch(host) is None
        or parts.scheme not in _PORTS
        or port == 0
        or parts.path not in ("", "/")
        or "@" in parts.netloc
        or "?" in url
        or "#" in url
    ):
        raise ConfigurationError((f"{setting}: http:// or https://, a host, a port if need be, and nothing more",))
    return Origin(parts.scheme, host, port or _PORTS[parts.scheme])
