"""A program of the user's gives the keys: split, bounded, ended in time, and never quoted."""

import json
import os
import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import ProcessProvider

from secrets_actor.backends.aws.credentials.process import MAX_OUTPUT, ProcessCredentials
from tests.backends.aws.credentials.conftest import failing, fetch, plain

KEYS: dict[str, Any] = {"Version": 1, "AccessKeyId": "ASIAPROCESS", "SecretAccessKey": "canary-secret"}
MORE = {"SessionToken": "canary-token", "Expiration": "2086-01-02T03:04:05Z"}


def python(code: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"


def printing(answer: object) -> str:
    return python(f"print({json.dumps(answer)!r})")


def of_botocore(command: str) -> tuple[str, str, str | None]:
    provider = ProcessProvider("p", lambda: {"profiles": {"p": {"credential_process": command}}})
    found = provider.load().get_frozen_credentials()
    return found.access_key, found.secret_key, found.token


@pytest.mark.parametrize("answer", [KEYS, {**KEYS, **MORE}], ids=["lasting", "temporary"])
def test_its_keys_are_those_that_botocore_gets(answer: dict[str, Any]) -> None:
    found = fetch(ProcessCredentials(printing(answer)))

    assert plain(found) == of_botocore(printing(answer))
    end = datetime(2086, 1, 2, 3, 4, 5, tzinfo=UTC) if "Expiration" in answer else None
    assert found.expires_at == end


@pytest.mark.parametrize("argument", ["a b", "$HOME", "; echo x", "*", "it's", 'say "x"', "back\\slash", "Grüße"])
def test_no_shell_looks_at_its_words(argument: str) -> None:
    code = f"import json, sys; print(json.dumps({KEYS!r} | {{'SessionToken': sys.argv[1].encode().hex()}}))"
    command = f"{python(code)} {shlex.quote(argument)}"

    assert plain(fetch(ProcessCredentials(command)))[2] == argument.encode().hex() == of_botocore(command)[2]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (printing([]), "no JSON object"),
        (printing("canary"), "no JSON object"),
        (python("print('{canary')"), "no JSON object"),
        (python("import sys; sys.stdout.buffer.write(b'\\xff')"), "no JSON object"),
        (printing({**KEYS, "Version": 2}), "not of Version 1"),
        (printing({**KEYS, "Version": "1"}), "not of Version 1"),
        (printing({name: one for name, one in KEYS.items() if name != "Version"}), "not of Version 1"),
        (printing({"Version": 1, "AccessKeyId": "canary"}), "no whole set"),
        (printing({**KEYS, "Expiration": "canary"}), "no whole set"),
        (printing({**KEYS, "Expiration": "2086-01-02T03:04:05"}), "no whole set"),
        (printing({**KEYS, "SecretAccessKey": "can ary"}), "no whole set"),
        (python("import sys; sys.exit('canary')"), "the program failed (status 1)"),
        (python(f"print('canary' * {MAX_OUTPUT})"), f"more than {MAX_OUTPUT} bytes"),
        ("/no/such/program canary", "cannot be started"),
        ("'canary", "no command line"),
        ("", "no command line"),
        ("x\0canary", "cannot be started"),
    ],
)
def test_what_goes_wrong_is_told_without_what_it_said(command: str, told: str) -> None:
    assert told in str(failing(ProcessCredentials(command, "credential_process of profile p")))


def test_a_program_that_hangs_is_ended_with_all_it_has_started(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    child = f"{sys.executable!r}, '-c', 'import time; time.sleep(60)'"
    code = (
        f"import os, subprocess, time; c = subprocess.Popen([{child}]);"
        f"open({str(note)!r}, 'w').write(f'{{os.getpid()}} {{c.pid}}'); time.sleep(60)"
    )
    started = time.monotonic()

    assert "did not end in time" in str(failing(ProcessCredentials(python(code)), within=1.5))

    assert time.monotonic() - started < 10
    for pid in map(int, note.read_text().split()):
        gone(pid)


def test_a_program_that_closes_its_output_and_stays_is_ended_too(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); os.close(1); time.sleep(60)"

    assert "did not end in time" in str(failing(ProcessCredentials(python(code)), within=1.5))
    gone(int(note.read_text()))


def test_what_a_program_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child = f"{sys.executable!r}, '-c', 'import time; time.sleep(60)'"
    code = (
        f"import json, subprocess; c = subprocess.Popen([{child}], stdout=subprocess.DEVNULL);"
        f"open({str(note)!r}, 'w').write(str(c.pid)); print(json.dumps({KEYS!r}))"
    )

    assert fetch(ProcessCredentials(python(code)))
    gone(int(note.read_text()))


def gone(pid: int) -> None:
    """Whoever inherits an orphan collects it in his own time: a zombie counts as gone."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return
    raise AssertionError(f"process {pid} still runs")


def test_its_repr_shows_no_command() -> None:
    assert repr(ProcessCredentials("canary --token canary")) == "<ProcessCredentials [credential_process]>"
