"""What tests of the backend share."""

from pathlib import Path

import pytest

from tests.backends.vault.foreign import Bao
from tests.servers.openbao import OpenBaoDev


@pytest.fixture
def bao(openbao: OpenBaoDev, tmp_path: Path) -> Bao:
    """OpenBao's own command line."""
    return Bao(openbao, tmp_path)
