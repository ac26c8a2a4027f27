"""Two stores, each way round."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from secrets_actor import System
from tests.cli.migration.sides import AwsSide, OwnSide, Side, aws_side
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer
from tests.servers.openbao import OpenBaoDev


@pytest.fixture
def ministack_side(fresh_ministack: Ministack, tmp_path: Path) -> AwsSide:
    return aws_side(fresh_ministack, tmp_path / "ministack.toml", max_workers=4)


@pytest.fixture
def moto_side(fresh_moto: MotoServer, tmp_path: Path) -> AwsSide:
    return aws_side(fresh_moto, tmp_path / "moto.toml", max_workers=4)


@pytest.fixture
def local_side(tmp_path: Path) -> Iterator[OwnSide]:
    config = tmp_path / "local.toml"
    config.write_text(f'max_workers = 4\n[local]\npath = "{tmp_path / "store"}"\n')
    with System(config) as system:
        yield OwnSide(config, system)


@pytest.fixture
def vault_side(openbao: OpenBaoDev, kv_mount: str, tmp_path: Path) -> Iterator[OwnSide]:
    config = tmp_path / "vault.toml"
    config.write_text(
        f'backend = "vault"\nmax_workers = 4\n[vault]\naddresses = ["{openbao.url}"]\nmount = "{kv_mount}"\n'
        f'token = "{openbao.token}"\n'
    )
    with System(config) as system:
        yield OwnSide(config, system)


@pytest.fixture(
    params=[
        "local-ministack",
        "local-vault",
        pytest.param("vault-local", marks=pytest.mark.slow),
        pytest.param("ministack-vault", marks=pytest.mark.slow),
        pytest.param("ministack-local", marks=pytest.mark.slow),
        pytest.param("ministack-moto", marks=pytest.mark.slow),
        pytest.param("moto-ministack", marks=pytest.mark.slow),
    ]
)
def sides(request: pytest.FixtureRequest) -> tuple[Side, Side]:
    """Source and target."""
    source, target = request.param.split("-")
    return request.getfixturevalue(f"{source}_side"), request.getfixturevalue(f"{target}_side")
