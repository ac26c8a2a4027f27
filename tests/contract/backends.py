"""THE table of the backends that the suite runs over: a backend more is a row more."""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from secrets_actor.domain.ports import BackendFactory
from tests.contract.dict_backend import dict_backend_factory
from tests.servers.account import allow_everything
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer
from tests.servers.openbao import OpenBaoDev

# Days that a deletion takes in the stores that are told so.
RECOVERY_WINDOW: Final = 12
MINISTACK: Final = "aws-on-ministack"
MOTO: Final = "aws-on-moto"
LOCAL: Final = "local"
FAKE: Final = "fake"
DICT: Final = "dict"
# The local store, behind the AWS face of a daemon, asked by the backend `daemon` over a Unix socket.
DAEMON: Final = "daemon"
# OpenBao, a single node, with a new KV mount for each test.
VAULT: Final = "vault"
# A real account. It has no row, since a run opens it only when told to (`-m live`), and no divergence, ever.
LIVE: Final = "aws-live"


def _emulated(fixture: str) -> Callable[[pytest.FixtureRequest], BackendFactory]:
    def factory(request: pytest.FixtureRequest) -> BackendFactory:
        from tests.contract.store import aws_kit  # the store looks into this table

        server: Ministack | MotoServer = request.getfixturevalue(fixture)
        # A user's keys: ministack never checks a signature of root's.
        return aws_kit(server.url, server.account.user(allow_everything()))

    return factory


def _local(request: pytest.FixtureRequest) -> BackendFactory:
    from secrets_actor.backends.local.backend import local_backend_factory

    path: Path = request.getfixturevalue("tmp_path")
    return local_backend_factory(path=path / "store", recovery_window=RECOVERY_WINDOW)


def _daemon(request: pytest.FixtureRequest) -> BackendFactory:
    from secrets_actor.backends.aws.daemon_backend import daemon_backend_factory
    from secrets_actor.runtime.daemon import Daemon
    from tests.servers.daemon import toml

    # Not in pytest's folder, whose names may be too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="daemon-"))
    request.addfinalizer(lambda: shutil.rmtree(folder))
    listen = [{"address": f"unix:{folder / 's'}", "faces": ["aws"]}]
    local = {"path": folder / "store", "recovery_window": RECOVERY_WINDOW}
    rules = [{"who": [f"uid:{os.geteuid()}"], "secrets": ["**"], "may": ["admin"]}]
    log = {"output": str(folder / "log")}  # not standard error: pytest would show it
    (folder / "daemon.toml").write_text(
        toml({"local": local, "log": log, "daemon": {"listen": listen, "allow": rules}})
    )
    daemon = Daemon(folder / "daemon.toml", say=lambda _line: None, environ={})
    daemon.start()
    request.addfinalizer(daemon.stop)
    return daemon_backend_factory(path=str(folder / "s"), timeout=10.0, recovery_window=RECOVERY_WINDOW)


def _vault(request: pytest.FixtureRequest) -> BackendFactory:
    from tests.contract.store import vault_kit

    openbao: OpenBaoDev = request.getfixturevalue("openbao")
    return vault_kit(openbao.url, openbao.token, request.getfixturevalue("kv_mount"))


def _fake(_request: pytest.FixtureRequest) -> BackendFactory:
    from secrets_actor.testing import FakeStore

    return FakeStore(recovery_window=RECOVERY_WINDOW).factory()


@dataclass(frozen=True, slots=True)
class Row:
    """One backend. *factory* makes an empty store.

    *emulator*: of AWS, so that it is asked for what one machine does not have, too; all others refuse that.
    *foreign*: a server that is no AWS, and means some things otherwise.
    *request_ids*: an answer carries a request id. *aws_facts*: and a refusal has AWS's code and status.
    """

    factory: Callable[[pytest.FixtureRequest], BackendFactory]
    emulator: bool = False
    foreign: bool = False
    request_ids: bool = False
    aws_facts: bool = False


ROWS: Final[dict[str, Row]] = {
    MINISTACK: Row(_emulated("fresh_ministack"), emulator=True, request_ids=True, aws_facts=True),
    MOTO: Row(_emulated("fresh_moto"), emulator=True, request_ids=True, aws_facts=True),
    LOCAL: Row(_local),
    DAEMON: Row(_daemon, request_ids=True, aws_facts=True),
    FAKE: Row(_fake, request_ids=True, aws_facts=True),
    DICT: Row(lambda _request: dict_backend_factory(RECOVERY_WINDOW)),
    VAULT: Row(_vault, foreign=True, request_ids=True),
}
BACKENDS: Final = tuple(ROWS)
EMULATORS: Final = tuple(name for name, row in ROWS.items() if row.emulator)
# The parameters of tests that run over the row of OpenBao, and are chosen, and left out, by the mark; and over that of
# the daemon. Each of its tests starts a daemon, and `AwsApi` and the local store have tests of their own.
VAULT_ROW: Final = pytest.param(VAULT, marks=pytest.mark.vault)
DAEMON_ROW: Final = pytest.param(DAEMON, marks=pytest.mark.slow)
# What knows all of AWS's language that makes sense on one machine.
OWN: Final = tuple(name for name, row in ROWS.items() if not (row.emulator or row.foreign))
