"""The README's examples run, each in a fresh interpreter with a home of its own; the tests that it names are there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from secrets_actor.cli.main import cli
from tests.servers.process import ROOT

TEXT = (ROOT / "README.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- example: ([\w-]+) -->\n```python\n(.*?)```", TEXT, re.S))


def test_every_python_block_is_an_example_that_is_run() -> None:
    assert len(re.findall(r"^```python$", TEXT, re.M)) == len(EXAMPLES)
    assert {"embedding", "errors", "asyncio", "actors", "supervision"} <= EXAMPLES.keys()


def test_the_tests_that_are_said_to_try_each_place_of_keys_are_there() -> None:
    rows = re.search(r"how it is tested, in `([\w/]+)` \|\n\|[-|]+\n((?:\|.*\n)+)", TEXT)
    assert rows
    folder, lines = ROOT / rows[1], rows[2].splitlines()
    named = [re.findall(r"`(test_\w+)`", line) for line in lines]

    assert len(lines) == 7
    assert all(named)
    assert [name for names in named for name in names if not (folder / f"{name}.py").is_file()] == []


def test_the_commands_are_those_of_the_program() -> None:
    lines = re.findall(r"^secrets-actor (.*?)(?:  +#.*)?$", TEXT, re.M)
    assert len(lines) >= 15
    for line in lines:
        told = CliRunner().invoke(cli, [*shlex.split(line), "--help"])
        assert (told.exit_code, "Usage: " in told.output) == (0, True), f"{line}: {told.output}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_runs(name: str, tmp_path: Path) -> None:
    kept = {key: value for key, value in os.environ.items() if key.startswith(("PATH", "COV"))}
    environment = {
        **kept,
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
    }

    ended = subprocess.run(
        [sys.executable, "-c", EXAMPLES[name]],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    told = [line for line in ended.stderr.splitlines() if '"store_made"' not in line]
    assert (ended.returncode, told) == (0, [])
