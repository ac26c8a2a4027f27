"""Two stores, each way round."""

from pathlib import Path

import pytest

from tests.cli.migration.sides import AwsSide, aws_side
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer


@pytest.fixture
def ministack_side(fresh_ministack: Ministack, tmp_path: Path) -> AwsSide:
    return aws_side(fresh_ministack, tmp_path / "ministack.toml", max_workers=4)


@pytest.fixture
def moto_side(fresh_moto: MotoServer, tmp_path: Path) -> AwsSide:
    return aws_side(fresh_moto, tmp_path / "moto.toml", max_workers=4)


@pytest.fixture(params=["ministack-moto", "moto-ministack"])
def sides(request: pytest.FixtureRequest) -> tuple[AwsSide, AwsSide]:
    """Source and target."""
    source, target = request.param.split("-")
    return request.getfixturevalue(f"{source}_side"), request.getfixturevalue(f"{target}_side")
