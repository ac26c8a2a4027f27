"""config/: what stands there is what the program does."""

import grp
import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from secrets_actor import AwsSettings, Settings, start
from secrets_actor.backends.master_key_setting import KeyPlaceKind
from secrets_actor.runtime.daemon_settings import (
    AccessKeySettings,
    AllowSettings,
    DaemonSettings,
    ListenSettings,
    SystemdCredentialSettings,
    TlsSettings,
    TokenSettings,
)
from secrets_actor.runtime.file_settings import FileSettings, specs_of
from secrets_actor.runtime.section import Section
from secrets_actor.runtime.settings_loader import load
from tests.architecture.house import ROOT
from tests.servers.behaviours import Forward
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack

CONFIG = ROOT / "config"


def test_the_annotated_file_is_the_defaults() -> None:
    assert load(CONFIG / "secrets_actor.toml", {}).settings == Settings()


TEXT = (CONFIG / "secrets_actor.toml").read_text()
# The table of the daemon is commented out as a whole, and so loads as a whole.
DAEMON = TEXT[TEXT.index("# [daemon]") :]


def test_the_annotated_file_leaves_no_setting_out() -> None:
    whole = Settings(
        daemon=DaemonSettings(
            listen=(ListenSettings(tls=TlsSettings()),),
            token=(TokenSettings(),),
            key=(AccessKeySettings(),),
            systemd_credential=(SystemdCredentialSettings(),),
            allow=(AllowSettings(),),
        ),
        file=(FileSettings(),),
    )

    assert _stated(tomllib.loads(uncommented(TEXT))) == _names(whole) - {f"daemon.{name}" for name in LISTS} - {"file"}


LISTS = ("listen", "token", "key", "systemd_credential", "allow")
# Tables that are values, with keys that no section has.
VALUES = (
    "local.key",
    "aws.secret_key",
    "aws.session_token",
    "aws.role_tags",
    "vault.token",
    "vault.secret_id",
    "vault.jwt",
    "vault.password",
    "daemon.token.value",
    "daemon.key.secret_key",
    "file.secrets",
)


def uncommented(text: str) -> str:
    return re.sub(r"^# (?=\w+ = |\[)", "", text, flags=re.M)


def _stated(table: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for name, value in table.items():
        rows = value if isinstance(value, list) else [value]
        if rows and all(isinstance(row, dict) for row in rows) and f"{prefix}{name}" not in VALUES:
            found |= {key for row in rows for key in _stated(row, f"{prefix}{name}.")}
        else:
            found.add(prefix + name)
    return found


def _names(section: Section, prefix: str = "") -> set[str]:
    found = set()
    for name in section.__struct_fields__:
        value = getattr(section, name)
        rows = value if isinstance(value, tuple) else (value,)
        found |= {key for row in rows if isinstance(row, Section) for key in _names(row, f"{prefix}{name}.")}
        found |= set() if isinstance(value, Section) else {prefix + name}
    return found


def _commented_out() -> Iterator[tuple[str, str]]:
    """The lines of the annotated file that are commented out, each after the line that begins its table."""
    table = ""
    for line in TEXT.removesuffix(DAEMON).splitlines():
        table = line if line.startswith("[") else table
        if re.match(r"# \w+ = ", line):
            yield table, line.removeprefix("# ")


# What keys of [vault] want beside them: most are for one way to log in.
BESIDE = {
    "auth_mount": 'auth_method = "cert"\nclient_cert = "/c"',
    "role": 'auth_method = "kubernetes"',
    "role_id": 'auth_method = "approle"',
    "secret_id": 'auth_method = "approle"\nrole_id = "r"',
    "secret_id_wrapped_path": 'auth_method = "approle"\nrole_id = "r"\nsecret_id = "s"',
    "jwt": 'auth_method = "jwt"',
    "username": 'auth_method = "userpass"\npassword = "p"',
    "password": 'auth_method = "userpass"\nusername = "u"',
    "iam_server_id": 'auth_method = "aws"',
    "sts_region": 'auth_method = "aws"',
    "client_key": 'client_cert = "/c"',
}


@pytest.mark.parametrize(("table", "line"), [*_commented_out()])
def test_each_line_that_is_commented_out_holds_if_it_is_not(table: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    beside = BESIDE.get(line.partition(" ")[0], "") if table == "[vault]" else ""
    path.write_text(f"{table}\n{beside}\n{line}\n")

    assert load(path, {"AWS_SECRET_ACCESS_KEY": "x"}).settings != Settings()


def test_the_daemons_table_holds_if_it_is_not_commented_out(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(uncommented(DAEMON).replace('"secrets"\n', f'"{grp.getgrgid(os.getgid()).gr_name}"\n'))

    settings = load(path, {}).settings
    found = settings.daemon

    assert [row.mode for row in settings.file] == ["0400"] * 3
    assert found is not None
    assert [row.address for row in found.listen] == ["unix:/run/secrets-actor/api.sock", "0.0.0.0:8443"]
    assert found.listen[0].mode_bits() == 0o660
    assert [row.name for row in (*found.token, *found.key)] == ["ci", "ci"]
    assert found.drain_seconds == DaemonSettings().drain_seconds
    assert (found.listen[0].faces, found.listen[0].dialect) == (ListenSettings().faces, ListenSettings().dialect)


def test_each_key_source_that_is_explained_holds(tmp_path: Path) -> None:
    text = (CONFIG / "secrets_actor.toml").read_text()
    named = re.findall(r'^#   ("file"|\{ .* \})$', text, re.M)
    environment = {"STORE_KEY": "set", "STORE_PASSPHRASE": "set"}
    path = tmp_path / "config.toml"

    kinds = []
    for one in named:
        path.write_text(f"[local]\nkey = {one}\n")
        kinds.append(load(path, environment).settings.local.key.kind)

    assert sorted(kinds) == sorted(set(get_args(KeyPlaceKind)) - {"none"})


def test_the_aws_example_loads_and_goes_to_aws() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "x"}

    found = load(CONFIG / "aws.toml", keys).settings

    assert (found.backend, found.aws.region, found.aws.auth_method) == (
        "aws_secrets_manager",
        "us-east-1",
        "access_key",
    )
    assert (found.ttl_seconds, found.max_workers, found.aws.timeout) == (300, 16, 5.0)


def test_the_vault_example_loads_and_goes_to_each_node() -> None:
    found = load(CONFIG / "vault.toml", {"VAULT_ROLE_ID": "r"})

    assert (found.settings.backend, found.settings.vault.auth_method) == ("vault", "approle")
    assert found.make_factory(None).endpoints == tuple(f"bao-{number}.example:8200" for number in (1, 2, 3))


def test_the_readmes_configurations_load(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    environment = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    file = tmp_path / "readme.toml"

    backends = []
    for block in blocks:
        file.write_text(block)
        backends.append(load(file, environment).settings.backend)

    assert load(CONFIG / "aws.toml", environment).settings.backend in backends


def test_the_configurations_on_the_page_of_delivery_load(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (CONFIG / "delivery.md").read_text(), re.S)
    file = tmp_path / "delivery.toml"

    files, faces = [], []
    for block in blocks:
        file.write_text(block)
        settings = load(file, {}).settings
        files += list(specs_of(settings.file))  # templates and formats are looked at here
        listens = settings.daemon.listen if settings.daemon else ()
        faces += [listen.faces for listen in listens]
        if ("live",) in faces:  # the commands that lead to the page ask at a Unix socket
            assert listens[0].address.startswith("unix:")

    assert files == ["/etc/nginx/database.conf", "/run/app/environment"]
    assert {("systemd",), ("live",)} <= set(faces)


def policy_file() -> dict[str, Any]:
    return json.loads((CONFIG / "iam-policy.json").read_text())


def allowed_actions() -> list[str]:
    actions = [
        action
        for one in policy_file()["Statement"]
        for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    ]
    assert all(one["Effect"] == "Allow" for one in policy_file()["Statement"])
    return actions


@pytest.fixture
def recorder(fresh_ministack: Ministack) -> Iterator[FaultyServer]:
    with FaultyServer(Forward(fresh_ministack.process.port)) as server:
        yield server


def test_the_policy_allows_what_the_program_asks_for_and_nothing_else(
    fresh_ministack: Ministack, recorder: FaultyServer
) -> None:
    keys = fresh_ministack.account.user(policy_file())
    settings = Settings(
        backend="aws_secrets_manager",
        ttl_seconds=0,
        aws=AwsSettings(
            region="us-east-1", endpoint_url=recorder.url, access_key=keys.access_key_id, secret_key=keys.secret_key
        ),
    )
    with start(settings) as system:
        secrets = system.secrets
        assert secrets.set("app/one", "text").created
        assert not secrets.set("app/one", b"bytes", description="again").created
        assert secrets.get("app/one").reveal() == b"bytes"
        assert secrets.get("app/one", stage="AWSPREVIOUS").reveal() == "text"
        assert secrets.put("app/one", "pending", stages=["AWSPENDING"]).stages == ("AWSPENDING",)
        assert secrets.get_many(["app/one"]).found["app/one"].reveal() == b"bytes"
        assert secrets.describe("app/one").description == "again"
        secrets.delete("app/one")
        secrets.restore("app/one")
        assert [info.name for info in secrets.list(include_deleted=True)] == ["app/one"]
        secrets.delete("app/one", force=True)

    sent = {
        re.search(rb"(?i)^x-amz-target: secretsmanager\.(\w+)\r$", one.head, re.M)[1].decode()
        for one in recorder.requests
    }
    assert sorted(f"secretsmanager:{action}" for action in sent) == sorted(allowed_actions())


def test_the_tests_that_the_page_on_delivery_names_are_there() -> None:
    named = re.findall(r"`(test_\w+)`", (CONFIG / "delivery.md").read_text())
    defined = [
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.M)
    ]

    assert len(set(named)) > 12
    assert {name: defined.count(name) for name in named} == dict.fromkeys(named, 1)
