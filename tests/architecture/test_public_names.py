"""What a program may import, and what that costs it."""

import ast
import importlib
import inspect
import json
import os
import subprocess
import sys

import secrets_actor
from tests.architecture.house import PACKAGE, ROOT

HEAVY = ("httpx", "httpcore", "cryptography", "sqlite3", "asyncio", "pydantic", "boto3", "click", "structlog", "ssl")


def test_the_public_names_are_sorted_and_each_is_said_once() -> None:
    assert secrets_actor.__all__ == sorted(set(secrets_actor.__all__))


def test_the_public_names_are_ours_and_can_be_imported() -> None:
    for name in secrets_actor.__all__:
        found = getattr(secrets_actor, name)
        assert found.__module__.startswith("secrets_actor."), name
        assert inspect.getdoc(found), name


def test_nothing_else_is_public() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    imported = {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }

    assert imported == set(secrets_actor.__all__)
    assert [type(node).__name__ for node in tree.body] == ["Expr", *["ImportFrom"] * (len(tree.body) - 2), "Assign"]
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()}
    assert {name for name in vars(secrets_actor) if not name.startswith("_")} - imported <= rooms


def test_every_error_is_public_and_of_one_tree() -> None:
    errors = importlib.import_module("secrets_actor.domain.errors")
    all_errors = {
        name for name, found in vars(errors).items() if inspect.isclass(found) and issubclass(found, Exception)
    }

    assert all_errors <= set(secrets_actor.__all__)
    for name in all_errors:
        assert issubclass(getattr(errors, name), secrets_actor.SecretsError)


def loaded_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after *code*. Unmeasured: coverage brings modules of its own."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(ended.stdout.splitlines()[-1]))


def test_the_import_loads_nothing_heavy() -> None:
    assert not loaded_after("import secrets_actor") & set(HEAVY)


def test_a_start_on_the_defaults_loads_nothing_heavy_either() -> None:
    loaded = loaded_after("import secrets_actor\nwith secrets_actor.start() as system: pass")

    assert not loaded & set(HEAVY)


def test_importing_a_backend_loads_neither_the_other_nor_its_libraries() -> None:
    local = loaded_after("import secrets_actor.backends.local.backend")
    aws = loaded_after("import secrets_actor.backends.aws.backend")

    assert not (local | aws) & set(HEAVY)
    assert not any(name.startswith("secrets_actor.backends.aws.") for name in local - aws)
    assert not any(name.startswith("secrets_actor.backends.local") for name in aws)


def test_the_type_marker_is_shipped() -> None:
    assert (PACKAGE / "py.typed").is_file()
