"""config/external-secrets.yaml, without Kubernetes: what External Secrets makes of it is asked of a real daemon.

Source of what it makes: external-secrets, `pkg/common/webhook/webhook.go` (templates, escapes, statuses).
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus

import boto3
import pytest
import yaml
from botocore.config import Config

from tests.architecture.house import ROOT
from tests.cli.program import Program
from tests.daemon.rig import Answer, ask, port_of
from tests.servers.daemon import Daemon, toml

DOCUMENTS: Final = {
    f"{one['kind']}/{one['metadata']['name']}": one
    for one in yaml.safe_load_all((ROOT / "config" / "external-secrets.yaml").read_text())
}
ACCESS: Final = {"token": "t0ken-of-the-cluster", "secret-access-key": "k3y-of-the-cluster-k3y"}


def rendered(template: str, data: dict[str, dict[str, str]]) -> str:
    """A text with `{{ .name.member }}` in it, as Go's text/template fills it in."""
    return re.sub(r"{{ \.(\w+)\.(\w+) }}", lambda found: data[found[1]][found[2]], template)


def configuration(folder: Path) -> dict[str, Any]:
    """The daemon's configuration, with this folder's files, and on loopback without TLS."""
    settings = tomllib.loads(DOCUMENTS["ConfigMap/secrets-actor"]["data"]["daemon.toml"])
    settings["local"]["path"] = folder / "store"
    daemon = settings["daemon"]
    daemon["listen"][0] = {"address": "127.0.0.1:0", "faces": daemon["listen"][0]["faces"]}
    for row, field in ((daemon["token"][0], "value"), (daemon["key"][0], "secret_key")):
        mounted = Path(row[field]["file"])
        (folder / mounted.name).write_text(ACCESS[mounted.name])
        row[field] = {"file": str(folder / mounted.name)}
    return settings


@pytest.mark.slow
def test_both_ways_answer_what_the_operator_expects(tmp_path: Path) -> None:
    program = Program(tmp_path / "user")
    text = toml(configuration(tmp_path))
    (tmp_path / "daemon.toml").write_text(text)
    here = ("--config", str(tmp_path / "daemon.toml"), "--no-daemon")
    account = {"user": "u", "password": "p"}
    for name, value in (("app/db", "hunter2"), ("app/account", json.dumps(account)), ("app/old", "x"), ("b", "x")):
        assert program(*here, "set", name, stdin=value.encode()).status == 0
    assert program(*here, "delete", "app/old").status == 0

    with Daemon(tmp_path, text, count=1) as daemon:
        port = port_of(daemon)
        webhook = DOCUMENTS["SecretStore/through-webhook"]["spec"]["provider"]["webhook"]
        assert DOCUMENTS["Secret/secrets-actor"]["metadata"]["labels"] == {"external-secrets.io/type": "webhook"}

        def operator_asks(key: str) -> Answer:
            url = rendered(webhook["url"], {"remoteRef": {"key": quote_plus(key)}})
            data = {"remoteRef": {"key": key}, webhook["secrets"][0]["name"]: ACCESS}
            headers = {name: rendered(value, data) for name, value in webhook["headers"].items()}
            return ask(port, re.sub(r"^https://[\w.-]+:2773", "", url), headers=headers)

        [member] = re.fullmatch(r"\$\.(\w+)", webhook["result"]["jsonPath"]).groups()  # type: ignore[union-attr]
        spec = DOCUMENTS["ExternalSecret/app"]["spec"]
        assert operator_asks(spec["data"][0]["remoteRef"]["key"]).json[member] == "hunter2"
        assert json.loads(operator_asks(spec["dataFrom"][0]["extract"]["key"]).json[member]) == account
        statuses = {key: operator_asks(key).status for key in ("app/none", "app/old", "b")}
        assert statuses == {"app/none": 404, "app/old": 404, "b": 403}

        provider = DOCUMENTS["SecretStore/through-aws-api"]["spec"]["provider"]["aws"]
        client = boto3.client(
            "secretsmanager",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name=provider["region"],
            aws_access_key_id=DOCUMENTS["Secret/secrets-actor"]["stringData"]["access-key-id"],
            aws_secret_access_key=ACCESS["secret-access-key"],
            config=Config(retries={"total_max_attempts": 1}),
        )
        assert client.get_secret_value(SecretId="app/db", VersionStage="AWSCURRENT")["SecretString"] == "hunter2"
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.get_secret_value(SecretId="app/none")
        with pytest.raises(client.exceptions.InvalidRequestException, match="marked for deletion"):
            client.get_secret_value(SecretId="app/old")
