"""Servers start on a port of their own, are ready when they say so, and end with their parent."""

import json
import os
import select
import signal
import subprocess
import sys
import urllib.error
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.servers.process import ATTEMPTS, ROOT, ServerFailed, ServerProcess, free_port

# A server as small as can be: the page /environment.json is what it was given.
PAGE: Final = """
import http.server, json, os, pathlib, sys
pathlib.Path("environment.json").write_text(json.dumps(dict(os.environ)))
print("here I am")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def page_server(directory: Path, **more: object) -> ServerProcess:
    (directory / "module").mkdir(parents=True, exist_ok=True)
    (directory / "module" / "page_server.py").write_text(PAGE)
    arguments = {
        "ready": "/environment.json",
        "arguments": lambda port: [str(port)],
        "environment": lambda _port: {"PYTHONPATH": f"{ROOT}{os.pathsep}{directory / 'module'}"},
    } | more
    return ServerProcess("page_server", directory=directory / "server", **arguments)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ServerProcess]:
    with page_server(tmp_path) as server:
        yield server


def test_a_started_server_answers_at_once_and_its_output_is_kept(running: ServerProcess) -> None:
    assert running.fetch("/environment.json")
    assert "here I am" in running.log.read_text()


def test_nothing_of_the_hosts_environment_reaches_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the host's own")
    with page_server(tmp_path) as server:
        given: Mapping[str, str] = json.loads(server.fetch("/environment.json"))

    assert "AWS_SECRET_ACCESS_KEY" not in given
    assert given["HOME"].startswith(str(tmp_path))


def test_a_stopped_server_is_gone_and_may_be_stopped_again(running: ServerProcess) -> None:
    pid = running.pid
    assert pid is not None

    running.stop()
    running.stop()

    assert running.pid is None
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)
    with pytest.raises(urllib.error.URLError):
        running.fetch("/environment.json")


def test_a_port_lost_to_another_is_replaced_by_a_new_one(tmp_path: Path, running: ServerProcess) -> None:
    ports = iter([running.port, free_port()])

    with page_server(tmp_path / "second", port=lambda: next(ports)) as server:
        assert server.port != running.port
        assert server.pid != running.pid


def test_a_server_that_never_starts_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    tries = []
    server = page_server(tmp_path, arguments=lambda port: [str(tries.append(port) or "no port")])

    with pytest.raises(ServerFailed, match="invalid literal for int"):
        server.start()

    assert len(tries) == ATTEMPTS
    assert server.pid is None


def test_a_server_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from tests.servers.test_process import page_server\n"
        "server = page_server(pathlib.Path(sys.argv[1])).start()\n"
        "print(server.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    with parent, open_pidfd(int(parent.stdout.readline())) as server:
        parent.send_signal(signal.SIGKILL)

        ended, _, _ = select.select([server], [], [], 10)

    assert ended == [server]


class open_pidfd:
    """A descriptor that becomes readable when the process ends."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def __enter__(self) -> int:
        self._descriptor = os.pidfd_open(self._pid)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
