"""python -m tests.bench [--quick] [--only WORD] [--json PATH]: what we cost, beside what others cost in the same run.

All clients share one core, and the stand-in for AWS has another. Figures are medians of alternating rounds. A peer
that is not installed (the extra `bench`) is left out, and that is said. Ends with 1 if a bar is missed.
"""

import argparse
import sys
from pathlib import Path

from tests.bench import cached, daemon, fresh, local, plain, uncached, vault
from tests.bench.aws import Stub
from tests.bench.peers import missing
from tests.bench.table import Row, Rows, cores, write

PARTS: dict[str, Rows] = {
    "hit": cached.against_powertools,
    "hit-cpu": cached.whole_cost,
    "hit-busy": cached.beside_a_busy_thread,
    "crowd": uncached.one_missing_key,
    "miss": uncached.one_after_the_other,
    "callers": uncached.many_callers,
    "start": fresh.starts,
    "kept": fresh.kept,
    "hit-grows": cached.as_the_table_grows,
    "miss-grows": uncached.as_more_are_in_flight,
    "local": local.operations,
    "local-lists": local.first_list,
    "local-opens": local.opening,
    "local-threads": local.busy,
    "local-peers": local.beside_peers,
    "vault": vault.everything,
    "daemon": daemon.everything,
}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="a fifth of everything")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--json", type=Path, help="write the table there, too")
    options = parser.parse_args()
    left_out = [f"{name} is not installed: its rows have no ratio" for name in (*missing(), *plain.missing())]
    left_out += [f"{name} is not installed: it has no rows" for name in (*vault.missing(), *daemon.missing())]
    for line in left_out:
        print(line)
    rows: list[Row] = []
    with Stub(cores()[1] if len(cores()) > 1 else None) as stub:
        for part in options.only:
            for row in PARTS[part](stub, options.rounds, 5 if options.quick else 1):
                print(row, flush=True)
                rows.append(row)
    if options.json is not None:
        write(options.json, rows, left_out)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
