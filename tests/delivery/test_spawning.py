"""Programs that are started: what they get of us, how they end, and who takes their exit codes."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from secrets_actor.clock import now
from secrets_actor.delivery.spawning import (
    NOT_EXECUTABLE,
    NOT_FOUND,
    OUT_OF_TIME,
    OUTPUT_TAIL,
    Command,
    Ended,
    NotStarted,
    Orphans,
    executable,
    exit_code,
    run_to_end,
    start,
)

# Signals 32 and 33, which a C library keeps for itself (nptl(7)): what it does with them is not ours.
OF_THE_C_LIBRARY = 0b11 << 31
ENVIRONMENT = {"A": "hunter2"}


def shell(script: str, **more: object) -> Ended:
    return run_to_end(["sh", "-c", script], environment=ENVIRONMENT, **more)  # type: ignore[arg-type]


def how(ended: Ended) -> tuple[int, bytes, bool]:
    return ended.code, ended.output_tail, ended.out_of_time


def test_the_code_and_the_output_of_a_program_that_ends() -> None:
    assert how(shell("echo $A; echo bad >&2; exit 7")) == (7, b"hunter2\nbad\n", False)
    assert shell("kill -TERM $$").code == 128 + signal.SIGTERM


def test_a_program_reads_its_input_while_it_prints_and_only_the_end_of_that_is_kept() -> None:
    text = b"x" * 300_000 + b"the end"
    assert shell("cat", input=text).output_tail == text[-OUTPUT_TAIL:]


def test_a_program_that_does_not_read_its_input_is_no_error() -> None:
    assert how(shell("exec <&-; echo done", input=b"x" * 300_000)) == (0, b"done\n", False)


def test_after_its_time_the_whole_group_is_killed() -> None:
    began = now()
    ended = shell("echo so far; sleep 60 & sleep 60", timeout=0.2)
    assert how(ended) == (OUT_OF_TIME, b"so far\n", True)
    assert now() - began < 20


def test_a_program_has_ended_although_another_has_its_output() -> None:
    ended = shell("sleep 60 & echo $!; exit 3", timeout=30.0)
    assert ended.code == 3
    os.kill(int(ended.output_tail), signal.SIGKILL)


def test_what_cannot_be_started_says_so(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    assert run_to_end(["no-such-program"]).code == NOT_FOUND
    for name in (script, tmp_path):
        assert run_to_end([str(name)]).code == NOT_EXECUTABLE
    script.chmod(0o755)
    ended = run_to_end([str(script)])
    assert (ended.code, b"interpreter" in ended.output_tail) == (NOT_FOUND, True)
    script.write_bytes(b"\x00\x01")
    assert run_to_end([str(script)]).code == NOT_EXECUTABLE
    with pytest.raises(NotStarted, match="NUL"):
        start(Command(["true"], {"A": "nul\0"}))


def test_a_program_of_the_folder_of_path_that_is_not_executable(tmp_path: Path) -> None:
    (tmp_path / "no-such-program").touch(0o644)
    assert executable("sh").endswith("/sh")
    with pytest.raises(NotStarted, match="PATH") as caught:
        executable("no-such-program")
    assert caught.value.exit_code == NOT_FOUND


def test_no_repr_shows_a_value() -> None:
    shown = repr(Command(["mysql", "-phunter2"], ENVIRONMENT)) + repr(Ended(1, b"hunter2"))
    assert "hunter2" not in shown


def test_a_program_has_no_descriptor_handler_or_ignored_signal_of_ours() -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)  # as a library that knows no better
    try:
        seen = shell("ls -l /proc/self/fd; grep -E 'SigBlk|SigIgn' /proc/self/status").output_tail.decode()
    finally:
        os.close(read)
        os.close(write)
    assert seen.count("pipe:") == 3
    masks = {name: int(mask, 16) & ~OF_THE_C_LIBRARY for name, mask in re.findall(r"(Sig\w+):\t(\w+)", seen)}
    assert masks == {"SigIgn": 0, "SigBlk": 0}


def test_a_group_is_signalled_and_killed_as_a_whole() -> None:
    read, write = os.pipe()
    program = start(Command(["sh", "-c", "(trap '' TERM; sleep 60) & sleep 60"], ENVIRONMENT, stdio=(0, write, write)))
    os.close(write)
    program.signal(signal.SIGTERM)
    assert program.wait(lambda status: status == -signal.SIGTERM) == -signal.SIGTERM
    with os.fdopen(read, "rb") as output:
        assert output.read() == b""  # all that had the pipe have ended
    program.signal(signal.SIGTERM)  # it has ended: its number may be another's
    assert exit_code(-signal.SIGTERM) == 143


def test_orphans_are_looked_at_and_a_program_keeps_its_code() -> None:
    orphans = Orphans(adopts=True)
    program = start(Command(["sh", "-c", "exit 7"], ENVIRONMENT))
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
    orphans.look()
    assert orphans.timeout() is None  # it is one of ours: nothing to look at
    assert program.wait() == 7


def test_what_somebody_else_may_wait_for_is_no_orphan_for_a_while() -> None:
    orphans = Orphans(adopts=True)
    in_our_group = subprocess.Popen(["sh", "-c", "exit 7"])
    leader = subprocess.Popen(["sh", "-c", "exit 8"], start_new_session=True)  # as a credential_process is
    for process in (in_our_group, leader):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    orphans.look()
    assert orphans.timeout() is not None
    assert (in_our_group.wait(), leader.wait()) == (7, 8)
    nobody = Orphans(adopts=False)
    nobody.look()
    assert nobody.timeout() is None
