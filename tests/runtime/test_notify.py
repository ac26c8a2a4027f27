"""What systemd is told, as a real datagram socket gets it."""

import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from secrets_actor.runtime.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.settimeout(10)
        path = str(tmp_path / "notify")
        one.bind(path if request.param == "path" else f"\0{path}")
        yield one, path if request.param == "path" else f"@{path}"


def test_each_change_is_one_datagram(told: tuple[socket.socket, str]) -> None:
    systemd, address = told
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}

    notifier = Notifier.of(environ)
    notifier.ready("two\nlines")
    notifier.reloading()
    notifier.alive()
    notifier.stopping("draining")

    assert environ == {"HOME": "/"}, "no child of ours can speak for us"
    assert notifier.watchdog_seconds == 3
    ready, reloading, alive, stopping = (systemd.recv(1000).decode() for _ in range(4))
    assert ready == "READY=1\nSTATUS=two lines"
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=.+", reloading)
    assert (alive, stopping) == ("WATCHDOG=1", "STOPPING=1\nSTATUS=draining")


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"},
    ],
)
def test_a_watchdog_that_is_none_of_ours_is_not_fed(environ: dict[str, str], told: tuple[socket.socket, str]) -> None:
    systemd, address = told
    notifier = Notifier.of({**environ, "NOTIFY_SOCKET": address})

    notifier.alive()
    notifier.ready("up")

    assert notifier.watchdog_seconds is None
    assert systemd.recv(1000).startswith(b"READY=1")


def test_nobody_is_told_where_nobody_asked_and_a_socket_that_is_gone_is_no_failure(tmp_path: Path) -> None:
    Notifier.of({}).ready("up")
    Notifier(str(tmp_path / "gone"), 1.0).alive()


def test_a_queue_that_systemd_does_not_empty_holds_nothing_up(told: tuple[socket.socket, str]) -> None:
    _, address = told
    notifier = Notifier(address, 1.0)

    def tell() -> None:
        for _ in range(3000):  # more than net.unix.max_dgram_qlen lets wait
            notifier.alive()

    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    telling.join(10)
    assert not telling.is_alive()
