"""`secrets-actor exec`: a value reaches the command, and nobody else: no log, error or traceback, no process list."""

import hashlib
from pathlib import Path
from typing import Final

import pytest

from tests.canaries.canary_search import Hunt
from tests.canaries.planted_canaries import Values
from tests.cli.program import Done, Program, finished
from tests.delivery.terminals import python

# What a command sees of us, whom it is started by: written into the folder of its first argument.
LOOK: Final = """
import hashlib, os, pathlib, sys
folder, digest, ending = sys.argv[1:]
for name in ("cmdline", "environ", "comm", "maps"):
    (pathlib.Path(folder) / f"{ending}-{name}").write_bytes(pathlib.Path(f"/proc/{os.getppid()}/{name}").read_bytes())
value = os.environ["TEXT"]
assert hashlib.sha256(value.encode()).hexdigest() == digest, "another value"
if "told" in ending:
    print(value, repr(value), flush=True)
    raise RuntimeError(value)
os.abort() if ending == "aborted" else sys.exit(7)
"""


@pytest.mark.slow
def test_a_value_for_a_command_is_seen_by_nobody_else(hunt: Hunt, tmp_path: Path) -> None:
    values = Values.planted(hunt)
    program = Program(tmp_path / "home")
    seen = tmp_path / "seen"
    seen.mkdir()

    def run(*arguments: str) -> Done:
        done = finished(program.start(*arguments), b"")  # a process of its own, with a list of arguments of its own
        hunt.text("command line", " ".join(arguments[:4]), done.stdout + done.stderr.encode())
        return done

    for name, value in (("text", values.text.encode()), ("json", values.json.encode()), ("binary", values.binary)):
        (tmp_path / "value").write_bytes(value)
        assert run("set", f"canaries/{name}", "--value-file", str(tmp_path / "value")).status == 0
    (tmp_path / "value").unlink()
    wanted = ("--env", "TEXT=canaries/text", "--env", "PASSWORD=canaries/json#password", "--memfd", "B=canaries/binary")
    digest = hashlib.sha256(values.text.encode()).hexdigest()

    def look(ending: str, *options: str, verbose: bool = False) -> Done:
        command = python("-c", LOOK, str(seen), digest, ending)
        return run(*(("--verbose",) if verbose else ()), "exec", *options, *wanted, "--", *command)

    assert look("ended").status == 7
    assert look("ended-verbosely", verbose=True).status == 7
    assert look("aborted").status in {-6, 134}
    masked = look("told", "--mask", verbose=True)
    assert masked.status == 1
    assert masked.stdout == b"**** '****'\n"
    assert "RuntimeError: ****" in masked.stderr

    for reference in ("json#nothing", "text#user", "binary", "nothing", values.other):
        assert run("exec", "--env", f"X=canaries/{reference}", "--", "true").status == 125
    assert run("exec", *wanted, "--", str(tmp_path / "no-such-program")).status == 127

    hunt.files(seen)
    hunt.files(program.home, program.home / ".local" / "share" / "secrets-actor" / "key")
    hunt.nothing_was_found(files=17, **{"command line": 13})
