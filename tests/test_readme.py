"""The examples of the pages run, each in a fresh interpreter with a home of its own; what the pages name is there."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from secrets_actor.cli.main import cli
from tests.examples import EXAMPLES, HELPED, PAGES, documentation
from tests.servers.process import ROOT


def test_every_python_block_is_an_example_that_is_run() -> None:
    blocks = sum(len(re.findall(r"^```python$", text, re.M)) for text in PAGES.values())

    assert len([name for name in EXAMPLES if name not in HELPED]) == blocks
    assert {"embedding", "errors", "asyncio", "pytest"} <= EXAMPLES.keys()


def test_every_docstring_that_more_is_said_in_has_an_example() -> None:
    table = PAGES["README.md"].partition("## You want more")[2].partition("\n## ")[0]
    named = [name for name in HELPED if f"help({name})" in table or f'help("{name}")' in table]
    doctests = [name for name in named if ">>> " in documentation(name)]

    assert len(named) > 10
    assert doctests == ["secrets_actor.testing"]  # tests/testing runs them
    assert [name for name in named if name not in EXAMPLES and name not in doctests] == []


def test_the_dependencies_are_those_of_the_project() -> None:
    [(number, told)] = re.findall(r"^\| dependencies \| (\d+) \| (.*) \|$", PAGES["README.md"], re.M)
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]

    assert told.split(", ") == [re.split(r"[<>=]", one)[0] for one in declared]
    assert int(number) == len(declared)


def test_the_tests_that_are_said_to_try_each_place_of_credentials_are_there() -> None:
    rows = re.search(r"how it is tested, in `([\w/]+)` \|\n\|[-|]+\n((?:\|.*\n)+)", PAGES["tests/README.md"])
    assert rows
    folder, lines = ROOT / rows[1], rows[2].splitlines()
    named = [re.findall(r"`(test_\w+)`", line) for line in lines]

    assert len(lines) == 7
    assert all(named)
    assert [name for names in named for name in names if not (folder / f"{name}.py").is_file()] == []
    places = r"^\| place \|.*\n\|[-|]+\n((?:\|.*\n)+)"
    read = re.search(places, PAGES["config/README.md"], re.M)
    assert read
    assert [line.split("|")[1] for line in read[1].splitlines()] == [line.split("|")[1] for line in lines]


def test_the_folders_of_tests_are_those_of_their_page() -> None:
    table = PAGES["tests/README.md"].partition("## What runs against what")[2].partition("## ")[0]
    told = {
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([\w/]+)`", row.split("|")[1])
    }
    folders = {path.name for path in (ROOT / "tests").iterdir() if (path / "__init__.py").is_file()}

    assert {name for name in told if not (ROOT / "tests" / name).is_dir()} == set()
    assert folders - {name.split("/")[0] for name in told} == {"servers"}  # told of below the table
    assert "The servers are in `servers`" in " ".join(table.split())


def anchor(heading: str) -> str:
    """The name by which GitHub links to a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_a_link_leads_to_a_file_and_a_heading_that_are_there(page: str) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.is_file() or (
            heading and heading not in map(anchor, re.findall(r"^#+ (.*)$", target.read_text(), re.M))
        ):
            broken.append(link)

    assert broken == []


def test_the_commands_are_those_of_the_program() -> None:
    lines = [line for text in PAGES.values() for line in re.findall(r"^secrets-actor (.*?)(?:  +#.*)?$", text, re.M)]
    assert len(lines) >= 15
    for line in lines:
        ours, _, _ = line.partition(" -- ")  # what follows is a program of another's
        told = CliRunner().invoke(cli, [*shlex.split(ours), "--help"])
        assert (told.exit_code, "Usage: " in told.output) == (0, True), f"{line}: {told.output}"


def run(program: str, home: Path) -> "subprocess.CompletedProcess[str]":
    """Run *program* in a fresh interpreter, in the folder *home*. A warning of Python's is an error there."""
    kept = {key: value for key, value in os.environ.items() if key.startswith("PATH")}
    environment = {
        **kept,
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
    }
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=home,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_without_any_logging_the_warnings_are_printed_and_nothing_else(tmp_path: Path) -> None:
    program = """
import secrets_actor
with secrets_actor.start() as system:
    system.secrets.set("a", "b")
"""
    first, second = run(program, tmp_path), run(program, tmp_path)

    assert first.stderr.startswith("store_made "), "keep a copy of its key"
    assert (first.stderr.count("\n"), first.stdout) == (1, "")
    assert (second.stderr, second.stdout) == ("", "")


RUN = EXAMPLES | {"typed_program": (ROOT / "tests/typed_program.py").read_text()}


@pytest.mark.parametrize("name", RUN)
def test_the_example_runs(name: str, tmp_path: Path) -> None:
    ended = run(RUN[name], tmp_path)

    told = [line for line in ended.stderr.splitlines() if not line.startswith("store_made ")]
    assert (ended.returncode, told) == (0, [])
