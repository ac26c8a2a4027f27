"""The listening sockets of a system. They are made, or inherited, outside of the listeners that serve them.

Rule 1: a socket stays open while its listener is started again: the kernel keeps the clients that connect meanwhile,
        and none of them is refused.
Rule 2: nobody can connect to a Unix socket before it has its mode and its group: it gets them after `bind` and before
        `listen`, and until then the kernel refuses each connect.
Rule 3: a socket file that is there already is removed only if a connect to it is refused, which means that its program
        has ended. One that is answered belongs to another daemon.
Rule 4: a socket that was inherited is the giver's: it is never removed from the file system here.
Rule 5: the child of a fork closes its copies. Otherwise it would hold clients of the daemon, and never answer them.
"""

import contextlib
import errno
import fcntl
import grp
import os
import socket
import stat
from collections.abc import Iterator, MutableMapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from msgspec import Struct

from secrets_actor.clock import now, sleep
from secrets_actor.domain.errors import ConfigurationError, StartFailed
from secrets_actor.faces.address import Address, SystemdAddress, TcpAddress, UnixAddress
from secrets_actor.forks import on_fork

# The first descriptor that systemd passes (sd_listen_fds(3)).
_FIRST: Final = 3
_GIVEN: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
# The mode of a folder that is made for a socket. The mode of the socket decides who may connect, and a client that may
# has to get through the folder, too.
_FOLDER: Final = 0o755
# Connections that the kernel keeps until they are accepted; it takes no more than net.core.somaxconn.
BACKLOG: Final = 4096
# Seconds that another daemon may take to open a socket in the same folder, and between two looks whether it has.
_ALONE: Final = 5.0
_LOOK: Final = 0.01


class _Opened(Struct):
    """The sockets of one address, and the file that is to be removed: its path, device and inode."""

    sockets: tuple[socket.socket, ...]
    file: tuple[str, int, int] | None = None


class Sockets:
    """The listening sockets of a system, by address. One is made for a system, outside of its tree.

    It takes over at once what systemd has passed to this process, so that no program which this one starts inherits
    that. *environment* is where systemd says what it has passed; its variables are removed.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        self._opened: dict[str, _Opened] = {}
        self._given = _inherited(environment)
        self._process = os.getpid()
        on_fork(self)

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the sockets that systemd has passed."""
        return tuple(self._given)

    def open(
        self,
        address: Address,
        *,
        mode: int = 0o600,
        group: str | None = None,
        beyond_loopback: bool = False,
    ) -> tuple[socket.socket, ...]:
        """Open the socket or sockets of *address*, or return those that are open already.

        For a Unix socket: *mode* is that of its file, *group* the name or number of the group that the file gets. Its
        folder is made if it is not there. *beyond_loopback*: the address may be one that other machines can reach.
        Raises `ConfigurationError`, and `StartFailed`.
        """
        found = self._opened.get(str(address))
        if found is None:
            match address:
                case UnixAddress():
                    found = _open_unix(address, mode, group)
                case TcpAddress():
                    found = _Opened((_open_tcp(address, beyond_loopback),))
                case SystemdAddress():
                    found = _Opened(self._of_systemd(address))
                    _check_reach(address, found.sockets)
            self._opened[str(address)] = found
        return found.sockets

    def of(self, address: Address) -> tuple[socket.socket, ...]:
        """Return the sockets of *address*. Raises `StartFailed` if they are not open."""
        found = self._opened.get(str(address))
        if found is None:
            raise StartFailed(f"{address} has no socket: it was closed")
        return found.sockets

    def places(self, address: Address) -> tuple[str, ...]:
        """Return where *address* can be reached: `unix:PATH` or `HOST:PORT`, with the port that the kernel chose."""
        return tuple(_place(one) for one in self.of(address))

    def close(self, address: Address) -> None:
        """Close the sockets of *address*, and remove the file that was made for them. Those of systemd stay open: it
        has passed them once, and a reload may need them again."""
        found = self._opened.pop(str(address), None)
        if found is None or isinstance(address, SystemdAddress):
            return
        # The file goes first: who finds none tries another way at once, and who has connected is still served.
        if found.file is not None and self._process == os.getpid():
            path, device, inode = found.file
            with contextlib.suppress(OSError):
                there = os.lstat(path)
                if (there.st_dev, there.st_ino) == (device, inode):  # another daemon may have its own there by now
                    os.unlink(path)
        for one in found.sockets:
            one.close()

    def close_all(self) -> None:
        """Close all sockets, those of systemd too."""
        for text in tuple(self._opened):
            found = self._opened[text]
            if found.file is not None or text.startswith("unix:"):
                self.close(UnixAddress(text.removeprefix("unix:")))
        self._close_copies()

    def forget(self) -> None:
        """In the child of a fork: close the copies (rule 5)."""
        self._close_copies()

    def _close_copies(self) -> None:
        opened, self._opened = self._opened, {}
        given, self._given = self._given, {}
        for one in [
            *(one for each in opened.values() for one in each.sockets),
            *(one for of in given.values() for one in of),
        ]:
            one.close()

    def _of_systemd(self, address: SystemdAddress) -> tuple[socket.socket, ...]:
        found = self._given.get(address.name)
        if not found:
            names = ", ".join(self._given) or "none"
            raise StartFailed(
                f"systemd has passed no socket {address.name} (it has passed: {names}): start the socket unit, and "
                f"give it FileDescriptorName={address.name}"
            )
        return found


def _inherited(environment: MutableMapping[str, str]) -> dict[str, tuple[socket.socket, ...]]:
    """Return the listening stream sockets that systemd has passed to this process, by their names."""
    pid, count, names = (environment.pop(name, "") for name in _GIVEN)
    if pid != str(os.getpid()) or not count.isdigit():
        return {}
    called = names.split(":") if names else []
    found: dict[str, tuple[socket.socket, ...]] = {}
    for place in range(int(count)):
        descriptor = _FIRST + place
        # systemd.socket(5): without FileDescriptorName= it is the name of the unit. Without names at all, `unknown`.
        name = called[place] if place < len(called) else "unknown"
        with contextlib.suppress(OSError):  # it is not open, or no socket
            os.set_inheritable(descriptor, False)
            one = socket.socket(fileno=descriptor)
            if one.type == socket.SOCK_STREAM and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                one.setblocking(False)
                found[name] = (*found.get(name, ()), one)
            else:
                one.detach()
    return found


def _check_reach(address: SystemdAddress, passed: tuple[socket.socket, ...]) -> None:
    """Raise `ConfigurationError` if other machines can reach one of the sockets that systemd has *passed*: they have no
    TLS here."""
    for one in passed:
        if one.family == socket.AF_UNIX:
            continue
        # Of other families, such as vsock, it is not known who can reach them.
        of_ip = one.family in (socket.AF_INET, socket.AF_INET6)
        if not of_ip or not ip_address(one.getsockname()[0].partition("%")[0]).is_loopback:
            raise ConfigurationError(
                (
                    f"{address}: other machines can reach a socket of it, and it has no TLS: give the socket unit "
                    "ListenStream=127.0.0.1:PORT or a path, or give the daemon an address with tls = { cert, key }",
                )
            )


_TCP_REMEDIES: Final = {
    errno.EACCES: ': choose a port of 1024 or more, or have systemd make the socket (address = "systemd:NAME")',
    errno.EADDRNOTAVAIL: ": this machine has no such address",
}


def _open_tcp(address: TcpAddress, beyond_loopback: bool) -> socket.socket:
    if not address.is_loopback and not beyond_loopback:
        raise ConfigurationError((f"{address}: other machines can reach it, so it needs tls = {{ cert, key }}",))
    six = address.ip.version == 6
    made = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after a restart old connections are in TIME_WAIT
        if six:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if address.is_loopback:  # an answer that is forwarded to another machine by mistake is dropped on the way
            level, option = (
                (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if six else (socket.IPPROTO_IP, socket.IP_TTL)
            )
            made.setsockopt(level, option, 1)
        made.bind((str(address.ip), address.port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise StartFailed(
                f"{address} is in use: another program listens there; stop it, or choose a port"
            ) from None
        raise StartFailed(
            f"{address} cannot be listened on ({error.strerror}){_TCP_REMEDIES.get(error.errno or 0, '')}"
        ) from None
    return made


def _open_unix(address: UnixAddress, mode: int, group: str | None) -> _Opened:
    path, gid = Path(address.path), None if group is None else _group_number(group)
    with contextlib.suppress(OSError):  # it is there, or cannot be made: then the bind says what is wrong
        path.parent.mkdir()
        path.parent.chmod(_FOLDER)  # whatever the umask is
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with _alone_in(path.parent):
            _make_room(address)
            made.setblocking(False)
            made.bind(address.path)
            if gid is not None:
                os.chown(address.path, -1, gid, follow_symlinks=False)
            os.chmod(address.path, mode)
            there = os.lstat(address.path)
            made.listen(BACKLOG)  # rule 2
    except OSError as error:
        made.close()
        raise StartFailed(f"{address} cannot be listened on ({error.strerror}): {_remedy(error, path)}") from None
    except StartFailed:
        made.close()
        raise
    return _Opened((made,), (address.path, there.st_dev, there.st_ino))


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold *folder* against other daemons that open a socket there: of two that find the file of one that has ended,
    the slower one would remove the file of the faster one. Raises OSError if there is no such folder, `StartFailed`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        end = now() + _ALONE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if now() >= end:
                    raise StartFailed(f"another program holds a lock on the folder {folder}: see `lslocks`") from None
                sleep(_LOOK)
        yield
    finally:
        os.close(descriptor)  # and the lock with it


def _remedy(error: OSError, path: Path) -> str:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"make the folder {path.parent} first (RuntimeDirectory= of a systemd unit does)"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"this user may not make a socket in {path.parent}, or may not give it that group"
    return f"look at {path.parent}"


def closed_folder(path: Path) -> Path | None:
    """Return the folder that keeps clients from the Unix socket at *path*, although the mode of the socket lets them
    connect; None if there is none. Others count if they may connect; else the group, if it may."""
    there = path.stat()
    others = bool(there.st_mode & stat.S_IWOTH)
    if not others and not there.st_mode & stat.S_IWGRP:
        return None
    for folder in reversed(path.parents):
        found = folder.stat()
        by_group = not others and found.st_gid == there.st_gid and found.st_mode & stat.S_IXGRP
        if not found.st_mode & stat.S_IXOTH and not by_group:
            return folder
    return None


def _make_room(address: UnixAddress) -> None:
    """Remove a socket file that a program which has ended has left (rule 3). Raises `StartFailed`."""
    try:
        there = os.lstat(address.path)
    except OSError:
        return  # it is not there; or else the bind will say what is wrong
    if not stat.S_ISSOCK(there.st_mode):
        raise StartFailed(f"{address}: there is a file of that name that is no socket; move it, or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as asking:
        asking.setblocking(False)  # a daemon that is busy keeps a connect waiting: that one is alive
        found = asking.connect_ex(address.path)
    if found == errno.ECONNREFUSED:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address.path)
    elif found != errno.ENOENT:
        raise StartFailed(f"{address}: another daemon listens there already; stop it, or choose another path")


def _group_number(group: str) -> int:
    if group.isascii() and group.isdigit():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigurationError((f"group: this machine has no group {group}",)) from None


def _place(one: socket.socket) -> str:
    name = one.getsockname()
    if isinstance(name, tuple):
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
    return f"unix:{name}"
