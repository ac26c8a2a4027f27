"""Reads from the kernel and from TLS who is at the other end of a connection.

Rule 1: on a Unix socket, the kernel says who connected: at the moment of the connect, whoever holds the socket later.
Rule 2: a process number is given again when its process has ended. So what /proc tells of a number counts only if the
        process that connected is known to be alive after it was read: by its pidfd, where the kernel gives one
        (Linux 6.5), and else by its start and its owner.
Rule 3: a systemd unit is told as `unit` only if the system's manager has named it. A user may name a unit of their own
        `billing.service`, and who is given a part of the tree of cgroups (Delegate=) may make folders of any name in
        it. So it is the outermost unit of the path that counts, and what lies below a user's manager is `user_unit`.
Rule 4: the names of a user and of groups may come from the network (NSS). They are looked up in a thread of their own,
        never in the loop's, and are kept for a minute.
"""

import contextlib
import errno
import grp
import os
import pwd
import select
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from secrets_actor.client.aio import in_a_thread
from secrets_actor.faces.identity import NOBODY, SPIFFE, Peer

# Of Linux (asm-generic/socket.h); Python has no names for them.
_SO_PEERGROUPS: Final = 59
_SO_PEERPIDFD: Final = 77
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid: `struct ucred`
_NUMBER: Final = struct.Struct("i")
# Bytes that `getsockopt` of Python takes at most: 256 groups. A process may have 65,536.
_MOST_GROUPS: Final = 1024
# Seconds for which the names of a user and a group are kept.
NAMES_KEPT: Final = 60.0
# Names that are kept; beyond that all are looked up anew.
_MOST_NAMES: Final = 4096
# Bytes of a file below /proc that are read.
_MOST_OF_PROC: Final = 65_536
_UNITS: Final = (".service", ".scope", ".socket", ".mount", ".swap")


class Caller(Struct, frozen=True):
    """What the kernel says of the process at the other end, before names are looked up."""

    uid: int
    gid: int
    gids: tuple[int, ...]
    pid: int | None
    unit: str | None
    user_unit: str | None


class Units(Struct, frozen=True):
    """The unit of the system's manager that a process is in, and the unit of a user's manager, as `UID/NAME`."""

    unit: str | None = None
    user_unit: str | None = None


def units_of(cgroups: str) -> Units:
    """Return the units of a process from the content of its /proc/PID/cgroup.

    Systemd's own tree is the line `0::PATH` (cgroup v2), or `N:name=systemd:PATH` where that is the root (v1).
    """
    paths = {}
    for line in cgroups.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers in ("", "name=systemd"):
            paths[controllers] = path
    path = paths.get("", "/")
    return _units_in(path if path != "/" else paths.get("name=systemd", "/"))


def _units_in(path: str) -> Units:
    parts = [part.removeprefix("_") for part in path.split("/") if part]  # systemd escapes some names by a `_`
    if ".." in parts:  # a process outside of our own cgroup namespace: what it is in cannot be told from here
        return Units()
    outer = _first_unit(parts)
    if outer is None:
        return Units()
    name = parts[outer]
    if name.startswith("user@") and name.endswith(".service"):
        inner = _first_unit(parts[outer + 1 :])
        uid = name.removeprefix("user@").removesuffix(".service")
        return Units() if inner is None else Units(user_unit=f"{uid}/{parts[outer + 1 + inner]}")
    return Units() if "user.slice" in parts[:outer] else Units(unit=name)


def _first_unit(parts: list[str]) -> int | None:
    """Return the place of the outermost unit in *parts*: what lies in slices only. None if there is none."""
    for place, part in enumerate(parts):
        if part.endswith(_UNITS):
            return place
        if not part.endswith(".slice"):
            break
    return None


def caller_at(connection: socket.socket) -> Caller | None:
    """Return what the kernel says of the process that connected *connection*, a Unix socket; None if it does not."""
    try:
        given = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:  # the peer has gone already
        return None
    pid, uid, gid = _CREDENTIALS.unpack(given)
    process = _Process(connection, pid, uid)
    try:
        gids = _groups(connection)
        if gids is None:
            gids = process.groups()
        units = process.units()
    finally:
        process.close()
    return Caller(uid, gid, tuple(sorted({gid, *gids})), pid or None, units.unit, units.user_unit)


def _groups(connection: socket.socket) -> tuple[int, ...] | None:
    """Return the supplementary groups of the peer; None if they are too many to be told here."""
    try:
        given = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST_GROUPS)
    except OSError as error:
        return None if error.errno == errno.ERANGE else ()
    return tuple(number for (number,) in _NUMBER.iter_unpack(given))


class _Process:
    """The process of a peer in /proc (rule 2)."""

    def __init__(self, connection: socket.socket, pid: int, uid: int) -> None:
        self._pidfd = self._folder = -1
        self._uid = uid
        if pid <= 0:  # it is in another pid namespace
            return
        try:
            given = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, _NUMBER.size)
            self._pidfd = _NUMBER.unpack(given)[0]
        except OSError as error:
            # An older kernel has no such option. Any other error means that the process has ended (ESRCH, EINVAL or
            # ENODATA, by the version of the kernel), or that it cannot be told: its number may be another's by now.
            if error.errno != errno.ENOPROTOOPT:
                return
        with contextlib.suppress(OSError):  # it has ended, or this user may not see it (hidepid, ProtectProc=)
            self._folder = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        for descriptor in (self._pidfd, self._folder):
            if descriptor >= 0:
                os.close(descriptor)

    def units(self) -> Units:
        """Return the units that the process is in; none if that cannot be told for sure."""
        read = self._read("cgroup")
        return Units() if read is None else units_of(read)

    def groups(self) -> tuple[int, ...]:
        """Return its supplementary groups; none if that cannot be told for sure."""
        read = self._read("status")
        return () if read is None else tuple(map(int, _field(read, "Groups")))

    def _read(self, name: str) -> str | None:
        """Return a file of the process; None if it cannot be had, or might be another process's.

        All files are read through one open folder: reading fails once its process has ended, whatever has its number
        by then.
        """
        if self._folder < 0:
            return None
        try:
            content = self._content(name)
            if self._pidfd >= 0:
                ended = select.poll()
                ended.register(self._pidfd, select.POLLIN)
                return None if ended.poll(0) else content  # a pidfd is readable once its process has ended
            # Without a pidfd, the number may have been given again between the connect and the opening of the folder.
            # Then it is at least a process of the same user: the effective uid is the one that the kernel told.
            return content if _field(self._content("status"), "Uid")[1:2] == [str(self._uid)] else None
        except OSError:
            return None

    def _content(self, name: str) -> str:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder)
        try:
            return os.read(descriptor, _MOST_OF_PROC).decode(errors="replace")
        finally:
            os.close(descriptor)


def _field(status: str, name: str) -> list[str]:
    """Return the words of the line *name* of a /proc/PID/status."""
    for line in status.splitlines():
        if line.startswith(f"{name}:"):
            return line.split()[1:]
    return []


class Names:
    """The names of users and groups, each kept for a minute. *now*: the clock, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._users: dict[int, tuple[str, float]] = {}
        self._groups: dict[int, tuple[str, float]] = {}

    def known(self, caller: Caller) -> Peer | None:
        """Return the peer that *caller* is; None if a name has to be looked up first."""
        now = self._now()
        user = self._users.get(caller.uid)
        groups = [self._groups.get(gid) for gid in caller.gids]
        if user is None or user[1] <= now or any(one is None or one[1] <= now for one in groups):
            return None
        return _peer(caller, user[0], frozenset([one[0] for one in groups if one is not None]))

    async def find(self, caller: Caller) -> Peer:
        """Return the peer that *caller* is. What the machine has no name for is called by its number."""
        found = self.known(caller)
        return found if found is not None else await in_a_thread(lambda: self.look_up(caller))

    def look_up(self, caller: Caller) -> Peer:
        """Return the peer that *caller* is, and look up all of its names anew. This may take as long as the network."""
        user = _name_of_user(caller.uid)
        groups = {gid: _name_of_group(gid) for gid in caller.gids}
        if len(self._users) + len(self._groups) > _MOST_NAMES:
            self._users.clear()
            self._groups.clear()
        until = self._now() + NAMES_KEPT
        self._users[caller.uid] = (user, until)
        self._groups.update({gid: (name, until) for gid, name in groups.items()})
        return _peer(caller, user, frozenset(groups.values()))


def _peer(caller: Caller, user: str, groups: frozenset[str]) -> Peer:
    return Peer(
        uid=caller.uid,
        gid=caller.gid,
        pid=caller.pid,
        user=user,
        groups=groups,
        unit=caller.unit,
        user_unit=caller.user_unit,
    )


def _name_of_user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OSError, OverflowError):
        return str(uid)


def _name_of_group(gid: int) -> str:
    if gid == NOBODY:  # the kernel says so of each group that our user namespace does not know: it is no one group
        return str(gid)
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OSError, OverflowError):
        return str(gid)


def host_at(connection: socket.socket) -> str | None:
    """Return the IP address and the port of the other end of a TCP connection as `host:port`; None if it has gone."""
    try:
        host, port = connection.getpeername()[:2]
    except (OSError, ValueError):
        return None
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def name_in(certificate: dict[str, Any] | None) -> str | None:
    """Return the name in a client's verified *certificate*, as `ssl` gives it: its first URI, such as
    `spiffe://example.org/billing`, else its common name; None if it has neither.

    A common name that looks like a SPIFFE id is none: an authority that may sign for some URIs only (name constraints,
    RFC 5280) may still write anything there.
    """
    if not certificate:
        return None
    for kind, name in certificate.get("subjectAltName", ()):
        if kind == "URI":
            return str(name)
    for part in certificate.get("subject", ()):
        for kind, name in part:
            if kind == "commonName" and not name.startswith(SPIFFE):
                return str(name)
    return None
