"""What can be measured in a fresh process only: the start, and memory."""

import os
import statistics
import subprocess
import sys
from pathlib import Path

from tests.bench.aws import Stub
from tests.bench.newborn import KEPT
from tests.bench.peers import has
from tests.bench.table import Row, median_ratio, pin

MOST_TO_READY, MOST_TO_SECRET, MOST_RESIDENT, MOST_BYTES = 0.5, 0.65, 0.65, 1400
VALUE = 1024


def measured(subject: str, what: str, url: str) -> tuple[float, float]:
    """(seconds of CPU, bytes) of one fresh process, on the core that is not the stand-in's."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "tests.bench.newborn", subject, what, url]
    ended = subprocess.run(
        command, capture_output=True, text=True, env=environ, cwd=Path(__file__).parents[2], check=True
    )
    seconds, size = ended.stdout.split()
    return float(seconds), float(size)


def starts(stub: Stub, rounds: int, share: int) -> list[Row]:
    """From the execution of Python to a ready system, and to the first secret."""
    stub.configure()
    pin(0)
    rows = []
    for what, name, bar in (
        ("ready", "import and start to a ready system, CPU", MOST_TO_READY),
        ("secret", "the same to the first secret from the store, CPU", MOST_TO_SECRET),
    ):
        for subject in ("ours", "boto3"):
            measured(subject, what, stub.url)  # leaves the compiled modules behind, as an installation has them
        found = [(measured("ours", what, stub.url), measured("boto3", what, stub.url)) for _ in range(2 * rounds)]
        mine, theirs = ([one[at][0] for one in found] for at in (0, 1))
        more = f"{statistics.median(mine) * 1000:.0f} ms, boto3 {statistics.median(theirs) * 1000:.0f} ms"
        rows.append(Row(name, median_ratio(mine, theirs), "x boto3", bar, more=more))
        if what == "ready":
            mine, theirs = ([one[at][1] / 2**20 for one in found] for at in (0, 1))
            more = f"{statistics.median(mine):.1f} MiB, boto3 {statistics.median(theirs):.1f} MiB"
            rows.append(
                Row(
                    "resident memory of a ready system", median_ratio(mine, theirs), "x boto3", MOST_RESIDENT, more=more
                )
            )
    return rows


def kept(stub: Stub, rounds: int, share: int) -> list[Row]:
    """Memory of many cached secrets."""
    stub.configure(value_bytes=VALUE)
    pin(0)
    found = [measured("ours", "kept", stub.url)[1] for _ in range(max(1, rounds // 3))]
    name = f"bytes of a cached secret of 1 KiB, {KEPT:,} of them"
    rows = [Row(name, statistics.median(found), "bytes", MOST_BYTES)]
    if has("aws-lambda-powertools"):
        rows.append(Row("  aws-lambda-powertools'", measured("powertools", "kept", stub.url)[1], "bytes"))
    return rows
