"""Rules for the files of the package that no import contract can see."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.house import PACKAGE, ROOT, files, imported, module, project, pure_files

MAX_LINES: Final = 300
# What reads a clock, throws dice, starts a thread, or looks at the machine.
IMPURE_IMPORTS: Final = frozenset(
    ["time", "threading", "_thread", "socket", "ssl", "random", "secrets", "os", "logging", "subprocess", "tempfile", "signal", "select", "asyncio", "concurrent", "multiprocessing", "urllib.request", "http", "sqlite3", "httpx", "pykka", "structlog", "cryptography", "click", "pydantic"]
)
IMPURE_CALLS: Final = frozenset(
    ["datetime.now", "datetime.utcnow", "datetime.today", "date.today", "uuid1", "uuid4", "uuid.uuid1", "uuid.uuid4", "open", "print", "input", "Path.home", "Path.cwd", "monotonic", "perf_counter", "time.time", "getenv", "urandom"]
)
# Of a pure module's own: a lock makes a handle safe to share; it starts nothing and reads no clock.
ALLOWED: Final = {("secrets_actor.otp.reply", "threading")}


@pytest.mark.parametrize("path", files(), ids=module)
def test_no_file_is_longer_than_a_mind_can_hold(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", pure_files(), ids=module)
def test_a_pure_module_imports_no_clock_thread_dice_or_machine(path: Path) -> None:
    found = {
        (name, line)
        for name, line in imported(path)
        for impure in IMPURE_IMPORTS
        if (name == impure or name.startswith(f"{impure}.")) and (module(path), impure) not in ALLOWED
    }

    assert not found


@pytest.mark.parametrize("path", pure_files(), ids=module)
def test_a_pure_module_asks_for_no_time_and_no_randomness(path: Path) -> None:
    called = {
        (ast.unparse(node.func), node.lineno)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in IMPURE_CALLS
    }

    assert not called


def test_the_rules_for_pure_modules_bite(tmp_path: Path) -> None:
    assert {"secrets_actor.domain.secret", "secrets_actor.otp.strategy"} <= set(map(module, pure_files()))
    impure = [path for path in files() if any(name.split(".")[0] in IMPURE_IMPORTS for name, _ in imported(path))]
    assert PACKAGE / "actor" / "cache.py" in impure
    assert PACKAGE / "client" / "secrets.py" not in pure_files()


def test_the_kernel_knows_nothing_of_secrets() -> None:
    ours = {
        (module(path), name)
        for path in files()
        if module(path).startswith("secrets_actor.otp")
        for name, _ in imported(path)
        if name.startswith("secrets_actor") and not name.startswith("secrets_actor.otp")
    }

    assert not ours


def test_nobody_inside_imports_the_public_names() -> None:
    public = {name: line for path in files() for name, line in imported(path) if name.count(".") == 1}

    assert not {name for name in public if name.startswith("secrets_actor.") and not _is_module(name)}


def _is_module(dotted: str) -> bool:
    place = ROOT.joinpath(*dotted.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def test_the_import_contracts_are_kept() -> None:
    names = [contract["name"] for contract in project()["tool"]["importlinter"]["contracts"]]
    assert len(names) >= 8
    pytest.importorskip("importlinter", reason="a tool for developers; .ci/run has it")

    ended = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"Contracts: {len(names)} kept, 0 broken." in ended.stdout


def test_the_top_level_is_as_it_was_planned() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    if listed.returncode:  # not a clone, but an unpacked source archive
        return
    top = {line.split("/")[0] for line in listed.stdout.splitlines()}

    assert {name for name in top if not name.startswith(".")} == {
        "pyproject.toml", "README.md", "LICENSE", "supervision.md", "secrets_actor", "tests", "config",
    }  # fmt: skip
