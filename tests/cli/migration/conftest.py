"""Two stores, each way round."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from secrets_actor import System
from tests.cli.migration.sides import AwsSide, LocalSide, Side, aws_side
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer


@pytest.fixture
def ministack_side(fresh_ministack: Ministack, tmp_path: Path) -> AwsSide:
    return aws_side(fresh_ministack, tmp_path / "ministack.toml", max_workers=4)


@pytest.fixture
def moto_side(fresh_moto: MotoServer, tmp_path: Path) -> AwsSide:
    return aws_side(fresh_moto, tmp_path / "moto.toml", max_workers=4)


@pytest.fixture
def local_side(tmp_path: Path) -> Iterator[LocalSide]:
    config = tmp_path / "local.toml"
    config.write_text(f'max_workers = 4\n[local]\npath = "{tmp_path / "store"}"\n')
    with System(config) as system:
        yield LocalSide(config, system)


@pytest.fixture(
    params=[
        "local-ministack",
        pytest.param("ministack-local", marks=pytest.mark.slow),
        pytest.param("ministack-moto", marks=pytest.mark.slow),
        pytest.param("moto-ministack", marks=pytest.mark.slow),
    ]
)
def sides(request: pytest.FixtureRequest) -> tuple[Side, Side]:
    """Source and target."""
    source, target = request.param.split("-")
    return request.getfixturevalue(f"{source}_side"), request.getfixturevalue(f"{target}_side")
