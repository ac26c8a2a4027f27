"""What several tests of the daemon share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.systemd_rig import UserSystemd, missing


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[UserSystemd]:
    """A real systemd in namespaces of its own; where there can be none, the test is skipped and says why."""
    found = missing()
    if found is not None:
        pytest.skip(found)
    with UserSystemd(tmp_path) as one:
        yield one
