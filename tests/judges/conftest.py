"""A daemon on the encrypted local store, and the ways in which AWS's clients come by credentials for it."""

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.judges.clients import AwsCli, Judge, LineProgram, environment, install_node_sdk, node_judge, python_judge
from tests.servers.daemon import Daemon, toml
from tests.servers.process import free_port

KEY_ID, SECRET_KEY = "AKLOCALCI", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
READER_ID, READER_KEY = "AKLOCALREADER", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY"
TOKEN: Final = "a-token-of-32-bytes-for-the-tests"
# How a client comes by credentials: keys that are configured on both sides; a program that asks over the Unix socket;
# the endpoint for containers, with a token.
ACCESSES: Final = ("static", "process", "container")
JUDGES: Final = ("boto3", "powertools", "caching", "node", "cli")


@dataclass(frozen=True)
class House:
    """The running daemon and where it is reached."""

    daemon: Daemon
    folder: Path
    port: int

    @property
    def url(self) -> str:
        """The AWS face over TCP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket(self) -> Path:
        """The Unix socket."""
        return self.folder / "api.sock"

    def access(self, kind: str) -> dict[str, str]:
        """The variables that a client with this kind of access has."""
        match kind:
            case "static":
                return {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
            case "reader":
                return {"AWS_ACCESS_KEY_ID": READER_ID, "AWS_SECRET_ACCESS_KEY": READER_KEY}
            case "process":
                program = f"{sys.executable} -m secrets_actor --socket {self.socket} credentials"
                config = self.folder / "aws-config"
                config.write_text(f"[default]\ncredential_process = {program}\n")
                return {"AWS_CONFIG_FILE": str(config)}
            case "container":
                return {
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.url}/aws/credentials",
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self.folder / "ci.token"),
                }
        raise AssertionError(kind)


def written(folder: Path, name: str, text: str) -> Path:
    """A private file with *text*."""
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def configured(folder: Path, port: int) -> str:
    """The configuration: one socket, one port, one token, two keys, and who may do what."""
    token, secret = written(folder, "ci.token", TOKEN), written(folder, "ci.key", SECRET_KEY)
    reader = written(folder, "reader.key", READER_KEY)
    table = {
        "local": {"path": folder / "store"},
        "log": {"output": folder / "daemon.log", "audit_hits": "each"},
        "daemon": {
            "listen": [
                {"address": f"unix:{folder / 'api.sock'}", "faces": ["aws", "agent", "health"]},
                {"address": f"127.0.0.1:{port}", "faces": ["aws", "agent", "health"]},
            ],
            "token": [{"name": "ci", "value": {"file": str(token)}}],
            "key": [
                {"name": "ci", "access_key_id": KEY_ID, "secret_key": {"file": str(secret)}},
                {"name": "reader", "access_key_id": READER_ID, "secret_key": {"file": str(reader)}},
            ],
            "allow": [
                {
                    "who": ["key:ci", "token:ci", f"user:{getpass.getuser()}"],
                    "secrets": ["**"],
                    "may": ["read", "write", "admin"],
                },
                {"who": ["key:reader"], "secrets": ["shared/*"], "may": ["get"]},
            ],
        },
    }
    return toml(table)


def house_in(folder: Path) -> House:
    """A daemon whose files are in *folder*, not yet started."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    return House(Daemon(folder, configured(folder, port), count=2), folder, port)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The daemon, for all tests of a file."""
    made = house_in(tmp_path_factory.mktemp("house"))
    with made.daemon:
        yield made


@pytest.fixture(scope="session")
def node_sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the SDK for JavaScript is installed in, once a run."""
    folder = tmp_path_factory.mktemp("node")
    missing = install_node_sdk(folder)
    if missing is not None:
        pytest.skip(missing)
    return folder


Make = Callable[..., Judge]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Make]:
    """`judge("boto3", "static")`: this judge with this access. It may have served another test before, as to start one
    takes a second. *at*: a judge of its own, of another daemon than that of the file. *more* is further environment."""
    known: dict[tuple[str, ...], Judge] = {}
    with ExitStack() as opened:

        def start(house: House, kind: str, access: str, more: dict[str, str]) -> Judge:
            home = tmp_path_factory.mktemp(f"{kind}-{access}")
            env = environment(home, house.url, house.access(access) | more)
            if kind == "cli":
                return AwsCli(env)
            started: LineProgram
            if kind == "node":
                started = node_judge(request.getfixturevalue("node_sdk"), env)
            else:
                started = python_judge(kind, env)
            return opened.enter_context(started)

        def make(kind: str, access: str, at: House | None = None, **more: str) -> Judge:
            if at is not None:
                return start(at, kind, access, more)
            asked = (kind, access, *sorted(f"{name}={value}" for name, value in more.items()))
            if asked not in known:
                known[asked] = start(request.getfixturevalue("house"), kind, access, more)
            return known[asked]

        yield make
