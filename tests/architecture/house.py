"""The package as files and syntax trees."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGE: Final = ROOT / "secrets_actor"
# What a pure module must not call, beside what pyproject's contract forbids it to import.
IMPURE_CALLS: Final = (
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    *("uuid1", "uuid4", "uuid.uuid1", "uuid.uuid4", "new_uuid", "open", "print", "input", "Path.home", "Path.cwd"),
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


if __name__ == "__main__":  # for the coverage report of .ci/run
    print(",".join(str(path.relative_to(ROOT)) for path in pure_files()))
