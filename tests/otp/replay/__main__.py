"""python -m tests.otp.replay DIR [DIR ...] [--jobs N] [--filter TEXT]: replay every scenario under DIR.

Prints a line for every failure, the skipped by reason, passed/total per family, and `N passed, M failed, K skipped`.
Exit status: 0 if nothing failed, 1 if something did, 2 if there was nothing to replay.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.otp.replay.runner import SLACK_MS, Outcome, load, replay


def scenario_files(folders: Sequence[Path]) -> list[Path]:
    """Every scenario file under *folders*."""
    return sorted({path for folder in folders for path in ([folder] if folder.is_file() else folder.rglob("*.json"))})


def _jobs(text: str) -> int:
    if (jobs := int(text)) < 1:
        raise argparse.ArgumentTypeError("1 or more")
    return jobs


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.otp.replay", description="Replay recorded OTP scenarios.")
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--jobs", type=_jobs, default=4, help="scenarios at a time (they mostly wait); default 4")
    parser.add_argument("--filter", default="", help="only scenarios with this in their name, family or tags")
    parser.add_argument("--slack", type=float, default=SLACK_MS, help="ms a step may exceed its max_ms")
    parser.add_argument("--times", action="store_true", help="print the slowest scenarios")
    options = parser.parse_args(arguments)
    documents = [
        document
        for document in map(load, scenario_files(options.folders))
        if any(options.filter in text for text in (document["name"], document["family"], *document.get("tags", [])))
    ]
    if not documents:
        print("no scenario there", file=sys.stderr)
        return 2
    with ThreadPoolExecutor(max_workers=options.jobs) as pool:
        outcomes = list(pool.map(lambda document: replay(document, options.slack), documents))
    return report(outcomes, times=options.times)


def report(outcomes: Sequence[Outcome], *, times: bool = False) -> int:
    """Print the outcomes; the exit status."""
    failed = [outcome for outcome in outcomes if not outcome.passed and not outcome.skipped]
    for outcome in failed:
        for problem in outcome.problems:
            print(f"FAILED {problem}")
    for reason, number in sorted(Counter(outcome.skipped for outcome in outcomes if outcome.skipped).items()):
        print(f"skipped {number}: {reason}")
    for outcome in sorted(outcomes, key=lambda one: -one.took)[: 15 if times else 0]:
        print(f"{outcome.took:6.2f} s  {outcome.name}")
    passed, total = Counter[str](), Counter[str]()
    for outcome in outcomes:
        total[outcome.family] += 1
        passed[outcome.family] += outcome.passed
    for family in sorted(total):
        print(f"{family:32} {passed[family]}/{total[family]}")
    skipped = sum(bool(outcome.skipped) for outcome in outcomes)
    print(f"{sum(passed.values())} passed, {len(failed)} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
