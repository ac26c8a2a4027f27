"""What some tests need of the machine, each in one place, with the reason that stands where it is not there."""

import os
from typing import Final

import pytest

AS_ROOT: Final = pytest.mark.skipif(
    os.geteuid() != 0, reason="the kernel lets only root become another user, or make files of one; run them as root"
)
