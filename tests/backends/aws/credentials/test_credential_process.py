"""A program of the user's gives the keys: split, bounded, ended in time, and never quoted."""

import json
import os
import shlex
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import ProcessProvider

from secrets_actor.backends.aws.credentials.credential_process import MAX_OUTPUT, ProcessCredentials
from secrets_actor.clock import now as clock_now
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
        (printing({"Version": 1, "AccessKeyId": "canary"}), "no whole set of credentials: SecretAccessKey is missing"),
        (printing({**KEYS, "SecretAccessKey": None}), "no whole set of credentials: SecretAccessKey is missing"),
        (printing({**KEYS, "AccessKeyId": ""}), "no whole set of credentials: AccessKeyId is empty"),
        (printing({**KEYS, "AccessKeyId": 5}), "no whole set of credentials: AccessKeyId is no text"),
        (printing({**KEYS, "SessionToken": ["canary"]}), "no whole set of credentials: SessionToken is no text"),
        (
            printing({**KEYS, "Expiration": "canary"}),
            "no whole set of credentials: Expiration is no moment with a time zone",
        ),
        (
            printing({**KEYS, "Expiration": "2086-01-02T03:04:05"}),
            "no whole set of credentials: Expiration is no moment",
        ),
        (printing({**KEYS, "Expiration": ""}), "no whole set of credentials: Expiration is empty"),
        (printing({**KEYS, "Expiration": 3660000000}), "no whole set of credentials: Expiration is no text"),
        (printing({**KEYS, "Expiration": "9" * 5000}), "no whole set of credentials: Expiration is no moment"),
        (
            printing({**KEYS, "SecretAccessKey": "can ary"}),
            "no whole set of credentials: the secret key holds a character that no credential has",
        ),
        (
            printing({**KEYS, "SessionToken": "can\nary"}),
            "no whole set of credentials: the session token holds a character that no credential has",
        ),
        (printing({**KEYS, "SessionToken": "\ud800canary"}), "no whole set of credentials: the s"),
        (python("import os, signal; os.kill(os.getpid(), signal.SIGTERM)"), "the program failed (by signal 15)"),
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
    started = clock_now()

    assert "did not end in time" in str(failing(ProcessCredentials(python(code)), within=1.5))

    assert clock_now() - started < 10
    for pid in map(int, note.read_text().split()):
        gone(pid)


@pytest.mark.parametrize("printed", ["", "hello", '{"Version": 1'])
def test_a_program_that_left_the_answer_to_a_silent_child_is_not_said_to_hang(printed: str) -> None:
    error = failing(ProcessCredentials(f"sh -c 'sleep 60 & printf %s {json.dumps(printed)}'"), within=0.5)

    assert "the program ended without a whole answer" in str(error)


def test_a_program_that_closes_its_output_and_stays_is_ended_too(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); os.close(1); time.sleep(60)"

    assert "did not end in time" in str(failing(ProcessCredentials(python(code)), within=1.5))
    gone(int(note.read_text()))


@pytest.mark.parametrize("token", ["", None])
def test_an_empty_session_token_is_none_to_botocore_too(token: str | None) -> None:
    """It signs without one."""
    command = printing({**KEYS, "SessionToken": token})

    found = fetch(ProcessCredentials(command))

    assert plain(found)[2] is None
    assert not of_botocore(command)[2]
    assert plain(found)[:2] == of_botocore(command)[:2]


def test_a_child_that_keeps_the_output_open_is_not_waited_for() -> None:
    child = f"{sys.executable!r}, '-c', 'import time; time.sleep(60)'"
    code = f"import json, subprocess; subprocess.Popen([{child}]); print(json.dumps({KEYS!r}))"
    started = clock_now()

    assert plain(fetch(ProcessCredentials(python(code)), within=30))[0] == "ASIAPROCESS"
    assert clock_now() - started < 15


def test_a_child_that_has_left_the_session_and_keeps_the_output_open_is_not_waited_for(tmp_path: Path) -> None:
    child = f"{sys.executable!r}, '-c', 'import time; time.sleep(60)'"
    code = (
        f"import json, subprocess; c = subprocess.Popen([{child}], start_new_session=True);"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(c.pid)); print(json.dumps({KEYS!r}))"
    )
    started = clock_now()
    try:
        assert fetch(ProcessCredentials(python(code)), within=30)
        assert clock_now() - started < 15
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_a_child_may_give_the_answer_when_its_parent_is_gone() -> None:
    """As a shell's background job does."""
    child = f"{sys.executable!r}, '-c', {f'import time, json; time.sleep(0.3); print(json.dumps({KEYS!r}))'!r}"
    command = python(f"import subprocess; subprocess.Popen([{child}])")

    assert plain(fetch(ProcessCredentials(command))) == of_botocore(command)


def test_a_failure_is_told_at_once_whoever_keeps_the_output_open() -> None:
    child = f"{sys.executable!r}, '-c', 'import time; time.sleep(60)'"
    started = clock_now()

    told = str(
        failing(ProcessCredentials(python(f"import subprocess; subprocess.Popen([{child}]); exit(3)")), within=30)
    )

    assert "the program failed (status 3)" in told
    assert clock_now() - started < 15


def test_an_output_in_parts_is_read_whole() -> None:
    answer = json.dumps({**KEYS, "SessionToken": "t" * 30_000})
    code = f"for at in range(0, {len(answer)}, 9000):\n print({answer!r}[at:at + 9000], end='', flush=True)"

    assert plain(fetch(ProcessCredentials(python(code))))[2] == "t" * 30_000


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
    deadline = clock_now() + 10
    while clock_now() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return
    raise AssertionError(f"process {pid} still runs")


def test_its_repr_shows_no_command() -> None:
    assert repr(ProcessCredentials("canary --token canary")) == "<ProcessCredentials [credential_process]>"
