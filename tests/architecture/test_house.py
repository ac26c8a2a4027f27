"""Rules for the files of the package that no import contract can see."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest

import secrets_actor.errors
from secrets_actor import CredentialsError
from tests.architecture.house import (
    PACKAGE,
    ROOT,
    files,
    imported,
    impurities,
    module,
    project,
    pure_files,
    pure_tests,
    says_pure,
)


@pytest.mark.parametrize("path", pure_files(), ids=module)
def test_a_pure_module_knows_no_clock_no_thread_no_dice_and_no_machine(path: Path) -> None:
    assert impurities(path) == []


@pytest.mark.parametrize(
    "code",
    ["import time", "from datetime import datetime\nat = datetime.now()", "import uuid\nx = uuid.uuid4()", "open('x')",
     "from concurrent.futures import ThreadPoolExecutor", "def f():\n    import os.path"],
)  # fmt: skip
def test_an_impure_module_is_found_out(code: str, tmp_path: Path) -> None:
    (tmp_path / "impure.py").write_text(code)

    assert impurities(tmp_path / "impure.py")


def test_the_modules_that_say_pure_are_those_that_the_contract_lists() -> None:
    assert list(map(module, filter(says_pure, files()))) == sorted(map(module, pure_files()))


def test_the_coverage_report_reads_the_same_list() -> None:
    assert [ROOT / name for name in house_says().split(",")] == pure_files()
    assert '--include="$("$bin/python" -m tests.architecture.house)"' in (ROOT / ".ci" / "run").read_text()


def test_coverage_is_measured_by_tests_that_are_there() -> None:
    named = [ROOT / name for name in house_says("tests").split()]

    assert named == pure_tests()
    assert all(path.exists() for path in named)
    assert len(named) == len(set(named)) > 50
    assert '$("$bin/python" -m tests.architecture.house tests)' in (ROOT / ".ci" / "run").read_text()


def house_says(*arguments: str) -> str:
    """What house.py prints for .ci/run."""
    return subprocess.run(
        [sys.executable, "-m", "tests.architecture.house", *arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.strip()


def test_the_kernel_knows_nothing_of_secrets() -> None:
    ours = {
        (module(path), name)
        for path in files()
        if module(path).startswith("secrets_actor.otp")
        for name, _ in imported(path)
        if name.startswith("secrets_actor")
        and not name.startswith(
            tuple(
                f"secrets_actor.{one}."
                for one in ("otp", "forks", "structs", "clock", "coroutines", "log_fields", "pickling")
            )
        )
    }

    assert not ours


def test_the_actor_names_nothing_of_the_credentials_of_one_store() -> None:
    """What an error means, it says itself (`refused`, `outage`), so that the next store's are as good as AWS's."""
    errors = [one for one in vars(secrets_actor.errors).values() if isinstance(one, type)]
    of_aws = {one.__name__ for one in errors if issubclass(one, CredentialsError)}
    of_aws -= {"CredentialsError", "CredentialsExpired"}
    named = {word for path in (PACKAGE / "actor").glob("*.py") for word in re.findall(r"\w+", path.read_text())}

    assert {"ExpiredToken", "MetadataServiceError", "NoCredentials"} <= of_aws
    assert not named & {"AwsCredentials", *of_aws}


def test_nobody_inside_imports_the_public_names() -> None:
    public = {name: line for path in files() for name, line in imported(path) if name.count(".") == 1}

    assert not {name for name in public if name.startswith("secrets_actor.") and not _is_module(name)}


def _is_module(dotted: str) -> bool:
    place = ROOT.joinpath(*dotted.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def test_the_import_contracts_are_kept() -> None:
    names = [contract["name"] for contract in project()["tool"]["importlinter"]["contracts"]]
    assert len(names) >= 8
    if find_spec("importlinter") is None:  # a tool for developers, not for tests; .ci/run has it and runs it
        return

    ended = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"Contracts: {len(names)} kept, 0 broken." in ended.stdout


@pytest.mark.parametrize("script", [".ci/run", ".ci/matrix"])
def test_the_tests_that_ci_names_are_there(script: str) -> None:
    named = re.findall(r"(?<![\w/])tests/[\w/.{},*-]*\w[\w}]*", (ROOT / script).read_text())

    for path in named:
        beginning, braced, rest = re.fullmatch(r"([^{]*)(?:\{([^}]*)\})?(.*)", path).groups()  # type: ignore[union-attr]
        for choice in (braced or "").split(","):
            assert list(ROOT.glob(f"{beginning}{choice}{rest}")), path


def test_the_top_level_is_as_it_was_planned() -> None:
    if which("git") is None:
        return
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=False, capture_output=True, text=True, timeout=30)
    if listed.returncode:  # not a clone, but an unpacked source archive
        return
    top = {line.split("/")[0] for line in listed.stdout.splitlines()}

    assert {name for name in top if not name.startswith(".")} == {
        "pyproject.toml", "README.md", "LICENSE", "supervision.md", "secrets_actor", "tests", "config",
    }  # fmt: skip
