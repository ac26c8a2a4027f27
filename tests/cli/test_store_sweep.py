"""`store sweep` against a real OpenBao: what it removes, and what it leaves."""

import json
from pathlib import Path

import pytest

from secrets_actor import Secrets, Settings, VaultSettings, start
from tests.cli.program import Program
from tests.servers.openbao import OpenBaoDev, Refused


@pytest.fixture
def config(openbao: OpenBaoDev, kv_mount: str, tmp_path: Path) -> Path:
    path = tmp_path / "vault.toml"
    path.write_text(
        f'backend = "vault"\n[vault]\naddresses = ["{openbao.url}"]\nmount = "{kv_mount}"\ntoken = "{openbao.token}"\n'
        f'[log]\noutput = "{tmp_path / "log"}"\n'
    )
    return path


def filled(secrets: Secrets) -> None:
    """Secrets that were deleted in four ways, and a live one."""
    for name in ("app/over", "app/over-too", "app/open", "app/foreign", "app/live"):
        secrets.set(name, "hunter2")
    for name in ("app/over", "app/over-too", "app/open"):
        secrets.delete(name)


def test_what_may_be_restored_stays_and_the_rest_goes_for_good(
    program: Program, openbao: OpenBaoDev, kv_mount: str, config: Path, tmp_path: Path
) -> None:
    vault = VaultSettings(addresses=(openbao.url,), mount=kv_mount, token=openbao.token)
    with start(Settings(backend="vault", vault=vault)) as system:
        filled(system.secrets)
    openbao.root.delete(f"{kv_mount}/data/app/foreign")
    for name in ("over", "over-too"):  # as if the days of the window had passed
        path = f"{kv_mount}/metadata/app/{name}"
        custom = openbao.root.read(path)["custom_metadata"]
        openbao.root.write(path, custom_metadata={**custom, "sa.deleted": "window=0;live=1"})

    first = program("--config", str(config), "store", "sweep", "--json")
    again = program("--config", str(config), "store", "sweep")

    assert first.json == {"removed": ["app/over", "app/over-too"]}
    assert (again.status, again.text) == (0, "no secret's recovery window has ended\n")
    assert sorted(openbao.root.read(f"{kv_mount}/metadata/app/?list=true")["keys"]) == ["foreign", "live", "open"]
    with pytest.raises(Refused, match="404"):
        openbao.root.read(f"{kv_mount}/metadata/app/over")
    records = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    swept = [(one["secret_id"], one["outcome"]) for one in records if one.get("operation") == "store_sweep"]
    assert sorted(swept, key=str) == [("app/over", "ok"), ("app/over-too", "ok"), (None, "ok"), (None, "ok")]


def test_it_is_for_vault_alone(program: Program) -> None:
    done = program("store", "sweep")

    assert done.status == 6
    assert 'backend: "vault" for this' in done.complaint
