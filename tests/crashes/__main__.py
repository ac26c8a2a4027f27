"""python -m tests.crashes [--kills N] [--seed S]: the crash driver, by hand."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.crashes.driver import Driver

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--kills", type=int, default=300)
parser.add_argument("--seed", type=int, default=1)
chosen = parser.parse_args()
with tempfile.TemporaryDirectory() as scratch:
    report = Driver(Path(scratch), chosen.seed).run(chosen.kills)
print(report)
sys.exit(bool(report.problems))
