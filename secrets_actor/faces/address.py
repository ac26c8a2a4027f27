"""The addresses that a listener serves: a Unix socket, a TCP port, or a socket that systemd opened. PURE.

Rule 1: the text of an address is its name: in the configuration, in the tree, in the log and in metrics. `str` gives
        back the text that was parsed.
Rule 2: a host is an IP address, or `localhost`, which is 127.0.0.1 here. A name that has to be looked up could mean
        another machine tomorrow, and the lookup would need the network before the tree is up.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from msgspec import Struct

UNIX: Final = "unix:"
SYSTEMD: Final = "systemd:"
# The longest path of a Unix socket in bytes: Linux has 108 for it, with the zero byte at its end (unix(7)).
MAX_PATH: Final = 107
_EXAMPLES: Final = "unix:/run/secrets-actor/api.sock, 127.0.0.1:2773, [::1]:2773 or systemd:NAME"


class InvalidAddress(ValueError):
    """The text is no address of a listener. The text of this error says what is wrong, made to follow the name of the
    setting."""


class UnixAddress(Struct, frozen=True):
    """A Unix socket at *path*, which is absolute."""

    path: str

    def __str__(self) -> str:
        return f"{UNIX}{self.path}"


class TcpAddress(Struct, frozen=True):
    """A TCP *port* (0: the kernel chooses one) at *host*: an IP address without brackets, or `localhost`."""

    host: str
    port: int

    @property
    def ip(self) -> IPv4Address | IPv6Address:
        """The IP address of `host`."""
        return IPv4Address("127.0.0.1") if self.host == "localhost" else ip_address(self.host)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect to it."""
        return self.ip.is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class SystemdAddress(Struct, frozen=True):
    """The sockets that systemd opened under the *name* of their `FileDescriptorName=`, one or several."""

    name: str

    def __str__(self) -> str:
        return f"{SYSTEMD}{self.name}"


Address = UnixAddress | TcpAddress | SystemdAddress


def parse_address(text: str) -> Address:
    """Return the address that *text* spells. Raises `InvalidAddress`."""
    if text.startswith(UNIX):
        return _unix(text.removeprefix(UNIX))
    if text.startswith(SYSTEMD):
        return _systemd(text.removeprefix(SYSTEMD))
    return _tcp(text)


def _unix(path: str) -> UnixAddress:
    if not path.startswith("/") or path.endswith("/"):
        raise InvalidAddress("give the absolute path of a socket, such as unix:/run/secrets-actor/api.sock")
    if "\0" in path:
        raise InvalidAddress("the path has a zero byte in it, which no file system knows")
    if len(path.encode(errors="surrogateescape")) > MAX_PATH:
        raise InvalidAddress(f"the path has more than {MAX_PATH} bytes, the longest that the kernel takes")
    return UnixAddress(path)


def _systemd(name: str) -> SystemdAddress:
    # systemd.socket(5): printable ASCII but control characters and ":", at most 255 characters.
    if not (0 < len(name) <= 255 and name.isascii() and name.isprintable() and ":" not in name):
        raise InvalidAddress("give the FileDescriptorName= of the socket unit, such as systemd:api")
    return SystemdAddress(name)


def _tcp(text: str) -> TcpAddress:
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise InvalidAddress(f"give {_EXAMPLES}")
    if host == "localhost":
        return TcpAddress(host, int(port))
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        ip = ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        raise InvalidAddress(f"{host or 'nothing'} is no IP address: give {_EXAMPLES}") from None
    if bracketed is not isinstance(ip, IPv6Address):
        raise InvalidAddress("brackets belong around an IPv6 address, and only there: [::1]:2773")
    return TcpAddress(host[1:-1] if bracketed else host, int(port))
