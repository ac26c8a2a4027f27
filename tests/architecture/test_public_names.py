"""What a program may import, and what that costs it."""

import ast
import importlib
import inspect
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import secrets_actor
from tests.architecture.house import PACKAGE, ROOT

HEAVY = (
    "httpx",
    "httpcore",
    "httptools",
    "cryptography",
    "sqlite3",
    "asyncio",
    "pydantic",
    "boto3",
    "click",
    "structlog",
    "ssl",
)


def test_the_public_names_are_sorted_and_each_is_said_once() -> None:
    assert secrets_actor.__all__ == sorted(set(secrets_actor.__all__))


def test_the_public_names_are_ours_and_can_be_imported() -> None:
    for name in secrets_actor.__all__:
        found = getattr(secrets_actor, name)
        assert found.__module__.startswith("secrets_actor."), name
        assert inspect.getdoc(found), name


def test_nothing_else_is_public() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    kinds = [type(node).__name__ for node in tree.body]

    assert imported - {"TYPE_CHECKING"} == set(secrets_actor.__all__)
    assert kinds == ["Expr", *["ImportFrom"] * (len(kinds) - 4), "If", "Assign", "Assign"]
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()}
    assert {name for name in vars(secrets_actor) if not name.startswith("_")} - imported <= rooms


def test_a_name_that_is_not_there_is_told_as_usual() -> None:
    with pytest.raises(AttributeError, match="'secrets_actor' has no attribute 'AsyncSecret'"):
        _ = secrets_actor.AsyncSecret
    with pytest.raises(ImportError):
        importlib.import_module("secrets_actor.AsyncSecret")


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


def test_who_uses_the_face_for_threads_does_not_load_asyncio_or_the_face_for_it(tmp_path: Path) -> None:
    loaded = loaded_after(
        "import logging\n"
        "from secrets_actor import LocalSettings, Settings, start\n"
        "logging.getLogger('secrets_actor').setLevel(logging.ERROR)  # structlog would tell of the new store\n"
        f"with start(Settings(local=LocalSettings(path={str(tmp_path)!r}))) as system:\n"
        "    system.secrets.set('a', 'v'); system.secrets.get('a'); system.secrets.list()"
    )

    assert "secrets_actor.client.secrets" in loaded
    assert "asyncio" not in loaded
    assert "secrets_actor.client.async_secrets" not in loaded


@pytest.mark.parametrize("naming", ["secrets_actor.AsyncSecrets", "secrets_actor.System().async_secrets"])
def test_the_face_for_asyncio_is_loaded_when_it_is_named(naming: str) -> None:
    loaded = loaded_after(f"import secrets_actor\n{naming}")

    assert {"asyncio", "secrets_actor.client.async_secrets"} <= loaded
    assert not loaded & (set(HEAVY) - {"asyncio", "ssl"})


def test_importing_a_backend_loads_neither_the_other_nor_its_libraries() -> None:
    local = loaded_after("import secrets_actor.backends.local.backend")
    aws = loaded_after("import secrets_actor.backends.aws.backend")

    assert not (local | aws) & set(HEAVY)
    assert not any(name.startswith("secrets_actor.backends.aws.") for name in local - aws)
    assert not any(name.startswith("secrets_actor.backends.local") for name in aws)


def test_the_type_marker_is_shipped() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_the_version_is_that_of_the_package_that_is_installed() -> None:
    assert secrets_actor.__version__ == metadata.version("secrets-actor")
