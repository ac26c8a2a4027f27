"""Chooses the proxy of a connection, and writes the request for a tunnel through it. PURE.

Rule 1: TLS is spoken with the server. The proxy is asked for a tunnel (CONNECT), and sees a host, a port and encrypted
        bytes.
Rule 2: plain http, as to an emulator, never goes through a proxy: the proxy would see the secrets.
Rule 3: the user and the password of a proxy are in no repr, no error and no log.
"""

import base64
from collections.abc import Mapping
from typing import ClassVar, Final
from urllib.parse import unquote_to_bytes, urlsplit

from secrets_actor.backends.http.origin import HOST, Origin
from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.structs import Opaque

# The port of a proxy URL without one: the default port of http (RFC 9110, 4.2.1).
DEFAULT_PORT: Final = 80


class Proxy(Opaque):
    """An HTTP proxy. *authorization* is the value of the Proxy-Authorization header, or None. No repr shows it."""

    __slots__ = ("authorization", "host", "port")
    SHOWN: ClassVar = ("host", "port")

    def __init__(self, host: str, port: int, authorization: bytes | None = None) -> None:
        self.host = host
        self.port = port
        self.authorization = authorization

    @property
    def name(self) -> str:
        """`host:port`, for errors."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def proxy_for(origin: Origin, proxy_url: str | None, environ: Mapping[str, str], setting: str) -> Proxy | None:
    """Return the proxy on the way to *origin*, or None.

    It is *proxy_url*, whatever NO_PROXY says; an empty *proxy_url* means no proxy at all. Without a *proxy_url* it is
    HTTPS_PROXY, unless NO_PROXY names the host. As in other programs, variables in lower case go first.

    Raises `ConfigurationError`, which names *setting*, the source of *proxy_url*, and quotes no URL.
    """
    if proxy_url is not None:
        if proxy_url and origin.scheme != "https":
            raise ConfigurationError((f"{setting}: only for an https endpoint; plain http goes straight",))
        return parse_proxy(proxy_url, setting) if proxy_url else None
    variable = "https_proxy" if environ.get("https_proxy") else "HTTPS_PROXY"
    found = environ.get(variable)
    spared = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if not found or origin.scheme != "https" or is_spared(origin.host, origin.port, spared):
        return None
    return parse_proxy(found, variable)


def parse_proxy(url: str, setting: str) -> Proxy:
    """Parse *url* as a proxy; a URL without a scheme counts as http.

    Raises `ConfigurationError`, which names *setting* and does not quote *url*.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if (
        HOST.fullmatch(host) is None
        or parts.scheme != "http"
        or port == 0
        or parts.path not in ("", "/")
        or "?" in url
        or "#" in url
    ):
        text = f"{setting}: http://, a user and a password (percent-encoded) if need be, a host and a port"
        raise ConfigurationError((text,))
    authorization = None
    if parts.username is not None:
        plain = unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password or "")
        authorization = b"Basic " + base64.b64encode(plain)
    return Proxy(host, port or DEFAULT_PORT, authorization)


def is_spared(host: str, port: int, no_proxy: str) -> bool:
    """Whether *no_proxy*, a list separated by commas, names *host*.

    An entry is `*` (every host), a name (which includes the names below it), an address, or a network (10.0.0.0/8). An
    entry with a port is for that port alone.
    """
    name = host.lower().rstrip(".")
    return any(_fits(entry.strip().lower(), name, port) for entry in no_proxy.split(","))


def _fits(entry: str, name: str, port: int) -> bool:
    if entry == "*":
        return True
    bare, colon, stated = entry.rpartition(":")
    if colon and stated.isascii() and stated.isdigit() and (":" not in bare or bare.endswith("]")):
        if int(stated[:6]) != port:
            return False
        entry = bare
    entry = entry.removeprefix("*").strip("[].")
    if not entry:
        return False
    if "/" in entry or ":" in name:
        return _within(name, entry)
    return name == entry or name.endswith(f".{entry}")


def _within(name: str, network: str) -> bool:
    import ipaddress  # loaded here, for few programs need it

    try:
        return ipaddress.ip_address(name) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def connect_request(proxy: Proxy, host: str, port: int) -> bytes:
    """Return the request to *proxy* for a tunnel to *host* and *port*, as bytes."""
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1".encode(), f"Host: {target}".encode()]
    if proxy.authorization is not None:
        lines.append(b"Proxy-Authorization: " + proxy.authorization)
    return b"\r\n".join(lines) + b"\r\n\r\n"
