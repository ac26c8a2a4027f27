"""The server of a connection, and the names of the settings that decide about it. PURE."""

import re
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from secrets_actor.domain.errors import ConfigurationError

# A host is ASCII: a name, an IPv4 address, or an IPv6 address without its brackets.
HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")
_PORTS: Final = {"https": 443, "http": 80}
# The scheme of a server on this machine that is reached by the path of a Unix socket.
UNIX: Final = "unix"
# Bytes of the longest path of a Unix socket: `sun_path` has 108, and the last is a NUL (unix(7)).
MAX_SOCKET_PATH: Final = 107


class Origin(Struct, frozen=True):
    """One server: scheme (`http` or `https`), host (IPv6 without brackets) and port.

    A server behind a Unix socket has the scheme `unix`; its host is the path of the socket, and its port is 0.
    """

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The Host header: an IPv6 address is in brackets, and the port is left out if it is the scheme's default.

        For a Unix socket it is `localhost`: HTTP wants a host (RFC 9110, 7.2), and a path is none.
        """
        if self.scheme == UNIX:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Scheme and authority, without a slash at the end."""
        return f"{'http' if self.scheme == UNIX else self.scheme}://{self.authority}"

    @property
    def place(self) -> str:
        """What tells this server from all others, for records and breakers: the authority, or `unix:PATH`."""
        return self.name if self.scheme == UNIX else self.authority

    @property
    def name(self) -> str:
        """`host:port`, or `unix:PATH`, for errors and logs."""
        if self.scheme == UNIX:
            return f"{UNIX}:{self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class SettingNames(Struct, frozen=True):
    """The names of a connection's settings, such as `aws.ca_bundle`, for the remedies in errors.

    *endpoint* names all settings that decide about the host; *endpoint_url* is the one setting that names a URL.
    *not_there* is what to do where nobody listens. *client_certificate* names the setting of our own certificate.
    """

    endpoint: str
    endpoint_url: str
    ca_bundle: str
    proxy: str
    not_there: str = "is anything listening there?"
    client_certificate: str = "the client certificate"


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
