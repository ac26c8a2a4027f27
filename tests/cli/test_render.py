"""`render`: the files of a configuration, made once by the real program."""

import os
from pathlib import Path

import pytest

from tests.cli.program import Program

CANARY = "xK9-canary"
TEXT = """
[[file]]
path = "{folder}/app.conf"
text = "key = ${{db/x}}\\n"
check = ["sh", "-c", "cat {{}}; ! grep -q bad {{}}"]
on_change = ["sh", "-c", "echo told >> {folder}/told"]

[[file]]
path = "{folder}/app.env"
format = "systemd"
secrets = {{ A = "db/x" }}
mode = "0440"
"""


@pytest.fixture
def files(program: Program, tmp_path: Path) -> Program:
    """The program with a configuration of two files, and their secret."""
    config = tmp_path / "files.toml"
    (tmp_path / "out").mkdir()
    config.write_text(TEXT.format(folder=tmp_path / "out"))
    found = program.with_settings(SECRETS_ACTOR_CONFIG=str(config))
    assert found("set", "db/x", stdin=CANARY.encode()).status == 0
    return found


@pytest.mark.slow
def test_the_files_are_made_once_and_only_what_changes_is_touched(files: Program, tmp_path: Path) -> None:
    out = tmp_path / "out"
    conf, env = out / "app.conf", out / "app.env"

    dry = files("render", "--dry-run")
    assert dry.text == f"{conf}: would change\n{env}: would change\n"
    assert CANARY not in dry.stderr
    assert list(out.iterdir()) == []

    made = files("render", "--json")
    assert made.status == 0
    assert [line.split(", ")[1] for line in made.text.splitlines()] == ['"state": "changed"}'] * 2
    assert CANARY not in made.text
    assert f"key = {CANARY}" in made.stderr, "what the check has printed"
    assert (conf.read_text(), env.read_text()) == (f"key = {CANARY}\n", f'A="{CANARY}"\n')
    assert env.stat().st_mode & 0o777 == 0o440

    env.chmod(0o400)
    assert files("render").text == f"{conf}: unchanged\n{env}: repaired\n"
    assert (out / "told").read_text() == "told\n"

    files("set", "db/x", stdin=b"bad")
    failed = files("render")
    assert failed.status == 1
    assert failed.text == f"{env}: changed\n", "each file is tried"
    assert f"secrets-actor: {conf}: the check sh ended with 1" in failed.stderr
    assert conf.read_text() == f"key = {CANARY}\n"
    assert files("render", "--dry-run").text == f"{conf}: would change\n{env}: unchanged\n"

    assert files("delete", "db/x").status == 0
    missing = files("render", str(env))
    assert (missing.status, missing.text) == (3, "")
    assert "missing: db/x" in missing.complaint
    assert "no [[file]] for /no/such" in files("render", "/no/such").complaint


@pytest.mark.slow
def test_one_template_is_printed_or_put_into_a_file(program: Program, tmp_path: Path) -> None:
    program("set", "db/x", stdin=CANARY.encode())
    template, out = tmp_path / "t", tmp_path / "made"
    template.write_text("<${db/x}>\n")

    assert program("render", "--template", str(template)).stdout == f"<{CANARY}>\n".encode()
    made = program("render", "--template", str(template), "--out", str(out))
    assert made.text == f"{out}: changed\n"
    assert (out.read_text(), out.stat().st_mode & 0o777, out.stat().st_uid) == (f"<{CANARY}>\n", 0o400, os.geteuid())

    template.write_text("<{{ secret('db/x') }}>\n")
    assert program("render", "--template", str(template), "--engine", "jinja2").stdout == f"<{CANARY}>\n".encode()
    template.write_text("${db/x|no}")
    wrong = program("render", "--template", str(template))
    assert (wrong.status, "line 1, column 8" in wrong.complaint) == (6, True)
    assert program("render").status == 2, "the configuration has no files"
