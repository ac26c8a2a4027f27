"""The real addresses of the metadata services, in a network namespace."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.link_local import NOT_ALLOWED
from tests.servers.process import ROOT


def test_at_the_real_link_local_addresses_we_find_what_botocore_finds(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.servers.link_local", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if ended.returncode == NOT_ALLOWED:
        pytest.skip(ended.stdout.strip())

    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    keys = ["ASIAMETADATA00000001"] * 2
    assert told["found"] == dict.fromkeys(["instance", "instance, IPv6", "ECS", "EKS", "EKS, IPv6"], keys)
    assert told["hosts"] == [
        *("169.254.169.254", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "[fd00:ec2::254]")
    ]
