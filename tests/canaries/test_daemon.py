"""A whole daemon, asked rightly and wrongly by each face: nothing of what it was told is let out."""

import json
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from secrets_actor.faces.exchange import Request, Response
from secrets_actor.faces.router import Router
from secrets_actor.otp import LifecycleEvent
from secrets_actor.runtime.daemon import Daemon as InProcess
from tests.canaries.canary_forms import canary, plain_canary
from tests.canaries.canary_search import Hunt
from tests.canaries.planted_canaries import Values, plant_keys
from tests.canaries.test_crashes import FAILURES
from tests.daemon.rig import PATIENCE, Answer, ask, configuration, port_of
from tests.faces.served import served
from tests.servers.account import REGION, Keys
from tests.servers.daemon import Daemon

TYPE: Final = "application/x-amz-json-1.1"
TOKEN_HEADERS: Final = ("X-Aws-Parameters-Secrets-Token", "X-Vault-Token")
NAME: Final = "canaries/one"


@dataclass
class Planted:
    """A folder with the files of a daemon, and all that was planted in them."""

    folder: Path
    values: Values
    token: str = field(default_factory=plain_canary)
    tried: str = field(default_factory=plain_canary)
    said: str = field(default_factory=canary)
    keys: Keys = field(default_factory=lambda: Keys("AKLOCALCI", plain_canary(), None))

    @property
    def socket(self) -> Path:
        return self.folder / "api.sock"

    @classmethod
    def by(cls, hunt: Hunt, folder: Path) -> "Planted":
        """New ones, which *hunt* must not find."""
        made = cls(folder, Values.planted(hunt))
        hunt.plant("token", made.token)
        hunt.plant("a token that is none", made.tried)
        hunt.plant("what a client said in a wrong place", made.said)
        hunt.plant("static key", made.keys.secret_key)
        (folder / "token").write_text(made.token)
        (folder / "static.key").write_text(made.keys.secret_key)
        return made

    def toml(self, **more: Any) -> str:
        """The configuration. *more* goes into its table `daemon`."""
        table = {
            "token": [{"name": "ci", "value": {"file": str(self.folder / "token")}}],
            "key": [{"name": "ci", "access_key_id": "AKLOCALCI", "secret_key": {"file": f"{self.folder}/static.key"}}],
            "allow": [
                {"who": ["uid:0"], "secrets": ["**"], "may": ["admin"]},
                {"who": ["token:ci", "key:ci"], "secrets": ["canaries/*"], "may": ["read", "write"]},
            ],
            **more,
        }
        log = {"output": str(self.folder / "daemon.log")}
        return configuration(self.folder, f"unix:{self.socket}", "127.0.0.1:0", daemon=table, log=log)

    def planted_files(self) -> tuple[Path, ...]:
        """The files that keys and tokens were planted in."""
        return tuple(self.folder / name for name in ("token", "static.key", "mint.key", "store/key"))


class Client:
    """Asks both listeners. Each answer is looked at, unless it is meant to hold a value or a key."""

    def __init__(self, hunt: Hunt, planted: Planted, port: int) -> None:
        self.hunt, self.planted, self.port = hunt, planted, port

    def ask(
        self, where: Path | int, path: str, method: str = "GET", body: bytes = b"", secret: bool = False, **headers: str
    ) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        found = ask(where, path, method, body=body, headers=named)
        if not secret or found.status >= 300:
            self.hunt.text("page", f"{method} of {where}", f"{found.headers}".encode() + found.body)
        self.hunt.counts[f"status {found.status}"] += 1
        return found

    def aws(self, operation: str, members: object, secret: bool = False, **headers: str) -> Answer:
        """An unsigned request to the Unix socket."""
        body = members if isinstance(members, bytes) else json.dumps(members).encode()
        headers = {"X_Amz_Target": f"secretsmanager.{operation}", "Content_Type": TYPE, **headers}
        return self.ask(self.planted.socket, "/", "POST", body, secret, **headers)

    def signed(self, keys: Keys, members: object, secret: bool = False, **changed: str) -> Answer:
        """A signed GetSecretValue by TCP. *changed*: headers that are others than those that were signed."""
        body = json.dumps(members).encode()
        headers = {"X-Amz-Target": "secretsmanager.GetSecretValue", "Content-Type": TYPE}
        made = AWSRequest("POST", f"http://127.0.0.1:{self.port}/", data=body, headers=headers)
        made.headers["Host"] = f"127.0.0.1:{self.port}"
        credentials = Credentials(keys.access_key_id, keys.secret_key, keys.session_token)
        SigV4Auth(credentials, "secretsmanager", REGION).add_auth(made)
        self.hunt.plant(f"signature {uuid.uuid4()}", made.headers["Authorization"].rpartition("=")[2])
        given = {name.replace("-", "_"): value for name, value in made.headers.items()} | changed
        return self.ask(self.port, "/", "POST", body, secret, **given)

    def raw(self, data: bytes) -> None:
        """Bytes that are no request."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                self.hunt.text("page", "raw", part)


def everything_is_asked(client: Client) -> None:
    """Each face, rightly and wrongly."""
    planted, values, hunt = client.planted, client.planted.values, client.hunt
    for number, value in enumerate((values.text, values.json, values.other)):
        name = f"canaries/{number}"
        members = {"Name": name, "SecretString": value, "ClientRequestToken": str(uuid.uuid4())}
        assert client.aws("CreateSecret", members).status == 200
        assert client.aws("CreateSecret", members | {"SecretString": values.other + "x"}).status == 400
        put = {"SecretId": name, "SecretString": value[::-1], "ClientRequestToken": str(uuid.uuid4())}
        assert client.aws("PutSecretValue", put).status == 200
        assert client.aws("PutSecretValue", put | {"SecretString": value}).status == 400
        assert client.aws("GetSecretValue", {"SecretId": name}, secret=True).status == 200
        for show in (*TOKEN_HEADERS, "Authorization"):
            shown = {show: planted.token}
            for path in (f"/secretsmanager/get?secretId={name}", f"/v1/{name}", f"/v1/{name}?versionStage=AWSPREVIOUS"):
                client.ask(client.port, path, secret=True, **shown)
    for operation in ("ListSecrets", "DescribeSecret", "ListSecretVersionIds", "DeleteSecret", "GetSecretValue"):
        client.aws(operation, {} if operation == "ListSecrets" else {"SecretId": "canaries/0"})
    _keys_are_used(client)
    _nonsense_is_sent(client)
    for where in (planted.socket, client.port):
        for path in ("/ping", "/health", "/health/ready", "/metrics", "/control/status", "/control/tree"):
            client.ask(where, path)
        client.ask(where, "/control/metrics")
    hunt.plant("master key", (planted.folder / "store" / "key").read_bytes())
    hunt.plant("the mint's key", (planted.folder / "mint.key").read_bytes())


def _keys_are_used(client: Client) -> None:
    planted, hunt, members = client.planted, client.hunt, {"SecretId": "canaries/1"}
    process = client.ask(planted.socket, "/control/credentials", secret=True).json
    container = client.ask(client.port, "/aws/credentials", secret=True, Authorization=planted.token).json
    minted = [
        Keys(found["AccessKeyId"], found["SecretAccessKey"], found.get("SessionToken", found.get("Token")))
        for found in (process, container)
    ]
    for keys in (planted.keys, *minted):
        plant_keys(hunt, keys) if keys.session_token else None
        assert client.signed(keys, members, secret=True).status == 200
        assert client.signed(keys, {"SecretId": "canaries/nothing"}).status == 400
        for changed in (
            {"X_Amz_Date": "20200101T000000Z"},
            {"X_Amz_Target": f"secretsmanager.{planted.said}".encode().decode("latin-1")},
            {"X_Amz_Security_Token": planted.tried},
            {"Authorization": f"AWS4-HMAC-SHA256 Credential={planted.tried}, Signature={planted.tried}"},
            {"Authorization": f"Bearer {planted.tried}"},
            {"X_Amz_Content_Sha256": planted.tried},
        ):
            assert client.signed(keys, members, **changed).status == 400
        wrong = Keys(keys.access_key_id, planted.tried, keys.session_token)
        assert client.signed(wrong, members).status == 400
    client.ask(client.port, "/aws/credentials", Authorization=planted.tried)


def _nonsense_is_sent(client: Client) -> None:
    planted, values = client.planted, client.planted.values
    said, tried = quote(planted.said), planted.tried
    for show in TOKEN_HEADERS:
        for where in (planted.socket, client.port):
            assert client.ask(where, "/v1/canaries/1", **{show: tried}).status == 403
    shown = {TOKEN_HEADERS[0]: planted.token}
    for target in (
        f"/secretsmanager/get?secretId={said}",
        f"/secretsmanager/get?secretId=canaries/1&versionId={said}",
        f"/secretsmanager/get?secretId=canaries/1&versionStage={said * 4}",  # too long for the name of a stage
        f"/secretsmanager/get?secretId=canaries/1&refreshNow={said}",
        f"/secretsmanager/get?secretId=canaries/1&roleArn={said}",
        f"/secretsmanager/get?secretId=canaries/1&wait={said}",
        f"/secretsmanager/watch?secretId={said}",
        f"/v1/{said}",
        f"/{said}?{said}",
        f"/?token={tried}",
        f"/control/{said}",
    ):
        client.ask(client.port, target, **shown)
        client.ask(planted.socket, target)
    for header in (
        "Cookie",
        "X-Api-Key",
        "Origin",
        "Host",
        "X-Forwarded-For",
        "Referer",
        "User-Agent",
        "If-None-Match",
    ):
        client.ask(client.port, "/v1/canaries/nothing", **{header: planted.said.encode().decode("latin-1"), **shown})
    value = values.text
    for body in (
        json.dumps({"Name": NAME, "SecretString": {"password": value}}).encode(),
        json.dumps({"Name": NAME, "SecretString": [value], value: value}).encode(),
        json.dumps({"Name": value, "SecretString": value, "ClientRequestToken": value}).encode(),
        json.dumps({"Name": NAME, "SecretString": value, "ClientRequestToken": value}).encode(),
        json.dumps({"Name": NAME, "SecretString": value, "SecretBinary": value}).encode(),
        json.dumps({"Name": NAME, "SecretString": value, "Tags": [{"Key": value, "Value": 1}]}).encode(),
        json.dumps({"Name": NAME, "SecretString": values.long, "ClientRequestToken": "t" * 32}).encode(),
        json.dumps({"Name": NAME, "SecretString": value}).encode()[:-3],
        value.encode(),
        values.binary,
        (value * 5000).encode(),
    ):
        for operation in ("CreateSecret", "PutSecretValue", "GetSecretValue", "ListSecrets", planted.tried):
            client.aws(operation, body)
    for data in (
        f"GET /?{said} HTTP/9.9\r\n\r\n".encode(),
        f"GET http://user:{tried}@localhost/{said} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Token " + tried.encode() + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + tried.encode() + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + tried.encode() + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: " + tried.encode() + b"\r\nConnection: upgrade\r\n\r\n",
        values.binary * 100,
        b"\x16\x03\x01" + planted.said.encode(),
    ):
        client.raw(data)


def reloads(planted: Planted) -> Iterator[tuple[str, Callable[[], object]]]:
    """Configurations with a mistake in them, and what spoils the files for each."""

    def write(name: str, content: str) -> Callable[[], object]:
        return lambda: (planted.folder / name).write_text(content)

    def nothing() -> None:
        pass

    yield planted.toml(token=[{"name": "ci", "value": planted.tried}]), nothing
    yield planted.toml(key=[{"name": "ci", "access_key_id": "AKLOCALCI", "secret_key": planted.tried}]), nothing
    yield planted.toml(key=[{"name": "ci", "access_key_id": planted.said, "secret_key": {"env": "X"}}]), nothing
    yield planted.toml(token=[{"name": planted.said, "value": {"env": planted.tried}}]), nothing
    yield planted.toml(), write("token", f"{planted.tried}\n{planted.tried}\n")
    yield planted.toml(), write("static.key", planted.tried * 1000)


def test_a_daemon_lets_nothing_out(hunt: Hunt, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    planted, path = Planted.by(hunt, tmp_path), tmp_path / "daemon.toml"
    path.write_text(planted.toml())
    lines: list[str] = []
    daemon = InProcess(path, say=lines.append, environ={})
    daemon.start()
    try:
        [place] = [line for line in lines if line.startswith("listening on 127.0.0.1:")]
        client = Client(hunt, planted, int(place.rpartition(":")[2]))
        everything_is_asked(client)
        hunt.objects("asked", daemon.system)
        for configuration, spoil in reloads(planted):
            spoil()
            path.write_text(configuration)
            assert not daemon.reload()
            client.ask(planted.socket, "/control/status")
        hunt.text("status", "objects", repr(daemon.status()) + repr(daemon.condition()) + repr(daemon.tree()))
        hunt.objects("not reloaded", daemon.system)
    finally:
        daemon.stop()
    hunt.text("standard output and error", "daemon", "".join(capfd.readouterr()) + "\n".join(lines))
    hunt.files(tmp_path, *planted.planted_files(), path)

    hunt.nothing_was_found(
        texts=1000, object=200, page=150, file=2, **{"status 400": 50, "status 403": 10, "status 421": 1}
    )


@pytest.mark.slow
def test_a_daemon_in_pythons_development_mode_lets_nothing_out(hunt: Hunt, tmp_path: Path) -> None:
    """asyncio then tells of slow callbacks and of tasks, and warnings have tracebacks."""
    planted = Planted.by(hunt, tmp_path)
    mode = {"PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1", "PYTHONTRACEMALLOC": "5", "PYTHONWARNINGS": "always"}
    with Daemon(tmp_path, planted.toml(), count=2, environment=mode) as daemon:
        everything_is_asked(Client(hunt, planted, port_of(daemon)))
    hunt.text("standard error", "daemon", "\n".join(daemon.stderr))
    hunt.files(tmp_path, *planted.planted_files())

    assert len(daemon.audit()) > 50
    hunt.nothing_was_found(page=150, file=3)


class Careless:
    """A face with a mistake in it: it fails as *fail* does, with a value in its hands."""

    name = "careless"

    def __init__(self, fail: Callable[[str], object], value: str) -> None:
        self._fail, self._value = fail, value

    def takes(self, _request: Request) -> bool:
        return True

    async def answer(self, request: Request) -> Response:
        """Fail."""
        held: Mapping[str, object] = {"value": self._value, "request": request}
        self._fail(str(held["value"]))
        raise AssertionError("it has not failed")


@pytest.mark.parametrize("fail", [one for one in FAILURES if one.__name__ != "by_an_answer_that_is_none"])
def test_a_face_that_fails_with_a_secret_in_its_hands_lets_nothing_out(
    hunt: Hunt, fail: Callable[[str], object], capfd: pytest.CaptureFixture[str]
) -> None:
    values, events = Values.planted(hunt), list[LifecycleEvent]()
    hunt.plant("what a client said", tried := plain_canary())
    router = Router([Careless(fail, values.text)], lambda _request: None, events.append)
    with served(router) as one:
        for _ in range(2):
            with one.client() as client:
                answer = client.post(tried.encode(), f"/{tried}?{tried}", f"Authorization: {tried}")
                assert answer.status == 500
                hunt.text("page", fail.__name__, answer.head + answer.body)
        for event in (*events, *one.events):
            hunt.text("event", type(event).__name__, f"{event!r} {event}")
    hunt.text("standard output and error", fail.__name__, "".join(capfd.readouterr()))

    hunt.nothing_was_found(page=2, event=1)
