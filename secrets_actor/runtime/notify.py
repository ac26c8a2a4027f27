"""Tells systemd what the daemon does, by its protocol of datagrams: sd_notify(3).

Rule 1: without NOTIFY_SOCKET in the environment nothing is sent: then nobody asked.
Rule 2: a message that cannot be sent is lost, and nothing fails for it: systemd's own time-outs decide what follows.
Rule 3: the variables are taken out of the environment, so that no child of ours can speak for us.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final

from secrets_actor.clock import monotonic_microseconds

# The variables that systemd sets for a service with Type=notify, and with WatchdogSec.
_SOCKET: Final = "NOTIFY_SOCKET"
_WATCHDOG: Final = ("WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Tells systemd of each change. *address* is NOTIFY_SOCKET; None: nobody is told. Any thread may call it.

    `watchdog_seconds`: within so many seconds systemd wants to hear from the watchdog, again and again; None: it does
    not.
    """

    def __init__(self, address: str | None = None, watchdog_seconds: float | None = None) -> None:
        self._address = address
        self.watchdog_seconds = watchdog_seconds

    @classmethod
    def of(cls, environ: MutableMapping[str, str] = os.environ, pid: int | None = None) -> Notifier:
        """Return the notifier that *environ* describes for this process, and take its variables out (rule 3)."""
        address = environ.pop(_SOCKET, "")
        microseconds, owner = (environ.pop(name, "") for name in _WATCHDOG)
        meant = owner in ("", str(os.getpid() if pid is None else pid))
        seconds = int(microseconds) / 1e6 if meant and microseconds.isdecimal() else 0.0
        return cls(address or None, seconds or None)

    def ready(self, status: str) -> None:
        """Tell that the daemon is up, or that a reload is done. *status* is shown by `systemctl status`."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Tell that a reload has begun. The time goes along in the same message: systemd 253 and later (notify-reload)
        waits for it, and takes none without the time for the reload that it has asked for."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_microseconds()}", "STATUS=reading the configuration")

    def stopping(self, status: str) -> None:
        """Tell that the daemon ends."""
        self._send("STOPPING=1", f"STATUS={status}")

    def alive(self) -> None:
        """Feed the watchdog."""
        if self.watchdog_seconds is not None:
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        # An @ stands for the NUL of an abstract name.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as one:
            one.setblocking(False)  # rule 2: a full queue must not hold up the daemon
            one.sendto("\n".join(line.replace("\n", " ") for line in lines).encode(), address)
