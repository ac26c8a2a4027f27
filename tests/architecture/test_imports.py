"""What importing the package costs others, and what its public names are."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import secrets_actor

ROOT = Path(secrets_actor.__file__).parent
HEAVY = (
    "httpx",
    "httpcore",
    "cryptography",
    "sqlite3",
    "asyncio",
    "pydantic",
    "structlog",
    "click",
    "boto3",
    "botocore",
)
PUBLIC_PACKAGES = ("secrets_actor", "secrets_actor.otp", "secrets_actor.testing")
# Names by which a module would get at the time, at chance, at threads or at the world outside.
IMPURE = {"time", "random", "threading", "socket", "os", "logging", "subprocess", "secrets", "pathlib"}
IMPURE_CALLS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("uuid", "uuid4"),
    ("date", "today"),
}


def pure_modules() -> list[Path]:
    """The list that the coverage gate uses, too."""
    lines = (ROOT.parent / ".ci" / "pure-modules").read_text().split("\n")
    patterns = [line for line in lines if line and not line.startswith("#")]
    return sorted({path for pattern in patterns for path in ROOT.parent.glob(pattern)})


def modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    return set(run.stdout.split())


def test_importing_the_package_loads_none_of_what_only_parts_of_it_need() -> None:
    loaded = modules_after("import secrets_actor")

    assert "secrets_actor.runtime.system" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_hunt_for_heavy_modules_finds_one_that_is_loaded() -> None:
    assert "sqlite3" in modules_after("import secrets_actor, secrets_actor.backends.local.store")


@pytest.mark.parametrize("package", PUBLIC_PACKAGES)
def test_the_public_names_are_sorted_unique_there_and_ours(package: str) -> None:
    module = importlib.import_module(package)
    names = module.__all__

    assert list(names) == sorted(set(names), key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    for name in names:
        thing = getattr(module, name)
        assert getattr(thing, "__module__", "secrets_actor").startswith(("secrets_actor", "typing", "types")), name


def test_every_error_that_leaves_the_package_is_public_and_a_secrets_error() -> None:
    from secrets_actor.domain import errors

    classes = [thing for thing in vars(errors).values() if isinstance(thing, type) and issubclass(thing, Exception)]

    assert len(classes) > 40
    for error in classes:
        assert issubclass(error, secrets_actor.SecretsError)
        assert getattr(secrets_actor, error.__name__) is error
    codes = [error.code for error in classes]
    assert len(set(codes)) == len(codes)


def test_no_file_of_the_package_is_longer_than_300_lines() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in ROOT.rglob("*.py")}

    assert len(lengths) > 60
    assert {path.name: length for path, length in lengths.items() if length > 300} == {}


@pytest.mark.parametrize("path", pure_modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_pure_module_gets_time_and_chance_as_arguments(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {
        node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    calls = {
        (node.func.value.id, node.func.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
    }

    allowed = {"threading"} if path.name == "reply.py" else set()  # an answer handle is waited on: locks are its matter
    assert imported & IMPURE <= allowed
    assert calls.isdisjoint(IMPURE_CALLS)


def test_the_kernel_knows_nothing_of_secrets() -> None:
    for path in (ROOT / "otp").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("secrets_actor"):
                assert node.module.startswith("secrets_actor.otp"), path
