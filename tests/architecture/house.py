"""The package as files and syntax trees."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGE: Final = ROOT / "secrets_actor"
TESTS: Final = ROOT / "tests"
# What a pure module must not call, beside what pyproject's contract forbids it to import.
IMPURE_CALLS: Final = (
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    *("uuid1", "uuid4", "uuid.uuid1", "uuid.uuid4", "new_uuid", "open", "print", "input", "Path.home", "Path.cwd"),
)

# Beside the tests that bear the name of a pure module, these try pure ones: folders that are pure but for their shells,
# and tests in which pure modules are at work together.
PURE_AT_WORK: Final = (
    *("actor", "aws_json", "domain", "otp"),
    *("backends/aws/test_call_runner.py", "backends/aws/test_daemon_backend.py", "backends/aws/test_odd_answers.py"),
    *("backends/aws/test_retry_state.py", "backends/aws/test_sigv4_vectors.py", "backends/aws/test_stray_answers.py"),
    *("backends/http/test_unix_transport.py", "backends/local/test_arns.py", "backends/local/test_damage.py"),
    *("backends/local/test_deletion.py", "backends/local/test_export.py", "client/test_secrets.py"),
    *("faces/test_aws_api.py", "faces/test_aws_round_trips.py", "faces/test_policed_aws_api.py"),
    *("runtime/test_doors.py", "runtime/test_profile_connection.py", "runtime/test_settings_loader.py"),
)


def files() -> list[Path]:
    """All Python files of the package."""
    found = sorted(PACKAGE.rglob("*.py"))
    assert len(found) > 80
    return found


def module(path: Path) -> str:
    """The dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """The dotted names that a file imports anywhere, with their lines; those for type checkers only left out."""
    tree = ast.parse(path.read_text())
    for_checkers = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_checkers:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def pure_contract() -> dict[str, Any]:
    """pyproject's import contract for pure modules: the one place where they are listed."""
    contracts = project()["tool"]["importlinter"]["contracts"]
    [contract] = [one for one in contracts if one["name"].startswith("Pure modules")]
    return contract


def pure_files() -> list[Path]:
    """The files of the modules that the contract lists; a folder stands for all that is in it."""
    names = set[Path]()
    for dotted in pure_contract()["source_modules"]:
        place = ROOT.joinpath(*dotted.split("."))
        names |= set(place.rglob("*.py")) if place.is_dir() else {place.with_suffix(".py")}
    return sorted(names)


def pure_tests() -> list[Path]:
    """The files and folders of the quick tests that try every branch of the pure modules: .ci/run measures it by them
    alone, for to measure all tests takes twice the time of all tests. Of secrets_actor/delivery/env_files.py that is
    tests/delivery/test_env_files.py."""
    named = set[Path]()
    for path in pure_files():
        folder = TESTS / path.parent.relative_to(PACKAGE)
        named |= set(folder.glob(f"test_{path.stem}.py"))
    besides = [TESTS / one for one in PURE_AT_WORK]
    return [*besides, *sorted(one for one in named if not any(one.is_relative_to(other) for other in besides))]


def says_pure(path: Path) -> bool:
    """Whether the docstring of a file says that it is pure."""
    return "PURE" in (ast.get_docstring(ast.parse(path.read_text())) or "")


def impurities(path: Path) -> list[tuple[str, int]]:
    """What a pure module must not import or call, with the lines."""
    forbidden = (*pure_contract()["forbidden_modules"], "urllib.request")  # the linter knows no part of a library
    found = [
        (impure, line)
        for name, line in imported(path)
        for impure in forbidden
        if name == impure or name.startswith(f"{impure}.")
    ]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in IMPURE_CALLS:
            found.append((ast.unparse(node.func), node.lineno))
    return found


if __name__ == "__main__":  # for .ci/run: the modules for the report of coverage, or the tests to be measured
    if sys.argv[1:] == ["tests"]:
        print(*(path.relative_to(ROOT) for path in pure_tests()))
    else:
        print(",".join(str(path.relative_to(ROOT)) for path in pure_files()))
