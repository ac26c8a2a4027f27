"""What a program may import, and what that costs it."""

import ast
import builtins
import importlib
import inspect
import json
import os
import pydoc
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import msgspec
import pytest

import secrets_actor
from secrets_actor.structs import Opaque, SelectiveStruct
from tests.architecture.house import PACKAGE, ROOT
from tests.architecture.public_names import MEMBERS, PUBLIC

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


# Our own bases of records: what they add has names in capitals, and says how a record is shown and compared.
SELECTIVE = (SelectiveStruct, Opaque)
# What modules import for their annotations only.
LATER = {"AsyncSecrets": secrets_actor.AsyncSecrets, "Behaviour": secrets_actor.otp.Behaviour}
# A program writes these as a text or a table of its settings, and never names their types. The daemon's are in a file.
WRITTEN = {"DaemonSettings", "FileSettings", "KeyPlace", "KeySource"}


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_are_those_of_the_table(module: str) -> None:
    assert sorted(importlib.import_module(module).__all__) == sorted(PUBLIC[module])
    assert len(set(PUBLIC[module])) == len(PUBLIC[module])


@pytest.mark.parametrize("module", PUBLIC)
def test_each_public_name_is_ours_and_says_what_it_is(module: str) -> None:
    for name in PUBLIC[module]:
        found = getattr(importlib.import_module(module), name)
        if isinstance(found, str) or name == "ExitReason":  # a stage, and a union of types: neither has a docstring
            continue
        assert getattr(found, "__module__", found.__name__).startswith("secrets_actor."), name
        assert inspect.getdoc(found), name


@pytest.mark.parametrize("module", PUBLIC)
def test_a_public_module_has_nothing_else(module: str) -> None:
    found = importlib.import_module(module)
    path = Path(found.__file__ or "")
    tree = ast.parse(path.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}

    assert imported - {"Any", "TYPE_CHECKING"} == set(PUBLIC[module])
    assert {type(node).__name__ for node in tree.body} <= {"Expr", "ImportFrom", "If", "Assign"}
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()} if module == "secrets_actor" else set()
    assert {name for name in vars(found) if not name.startswith("_")} - imported <= rooms


def test_the_root_has_about_forty_names_and_none_that_shadows_a_builtin_or_a_type() -> None:
    names = PUBLIC["secrets_actor"]

    assert len(names) <= 52
    assert not {name.lower() for name in names} & set(dir(builtins))
    assert not set(names) & set(typing.__all__)


@pytest.mark.parametrize("door", ["errors", "events", "messages", "results", "semantics", "otp"])
def test_a_public_module_is_there_without_an_import_of_its_own(door: str) -> None:
    assert f"secrets_actor.{door}" in loaded_after(f"import secrets_actor; secrets_actor.{door}")


def test_help_shows_the_first_example_and_every_public_module() -> None:
    told = inspect.getdoc(secrets_actor) or ""

    assert "with secrets_actor.start() as system:" in told
    assert all(f"`{module}`" in told for module in PUBLIC)


# A frozen class of msgspec evaluates its annotations for `help`, in the names of its module as it runs: a name that is
# there for type checkers only ends that with a NameError.
@pytest.mark.parametrize("module", [*PUBLIC, "secrets_actor.otp"])
def test_help_shows_a_public_module_and_every_name_in_it(module: str) -> None:
    found = importlib.import_module(module)

    assert inspect.cleandoc(found.__doc__ or "").splitlines()[0] in pydoc.render_doc(found, renderer=pydoc.plaintext)
    for name in found.__all__:
        assert pydoc.render_doc(f"{module}.{name}"), name


def named_in(signature: object) -> Iterator[type]:
    """The classes of ours that an annotation names, at any depth."""
    yield from (one for one in (signature, typing.get_origin(signature)) if inspect.isclass(one))
    for part in typing.get_args(signature):
        yield from [one for each in (part if isinstance(part, list) else [part]) for one in named_in(each)]


def public_classes() -> dict[str, type]:
    """The classes of the table, by name."""
    found = ((name, getattr(importlib.import_module(door), name)) for door, names in PUBLIC.items() for name in names)
    return {name: one for name, one in found if inspect.isclass(one)}


def otp_classes() -> set[type]:
    return {one for one in vars(secrets_actor.otp).values() if inspect.isclass(one)}


def members(cls: type) -> set[str]:
    """The public names that *cls* adds to those of its public bases: fields, methods, properties, slots."""
    known = {*public_classes().values(), *otp_classes(), *SELECTIVE}
    ours = [one for one in cls.__mro__ if one.__module__.startswith("secrets_actor")]
    of_bases = {name for base in ours if base is not cls and base in known for name in dir(base)}
    return {name for one in ours if one not in known or one is cls for name in vars(one)} - of_bases


@pytest.mark.parametrize("name", public_classes())
def test_the_public_members_of_a_class_are_those_of_the_table(name: str) -> None:
    public = {one for one in members(public_classes()[name]) if not one.startswith("_")}

    assert public == set(MEMBERS.get(name, ()))


def helped() -> Iterator[tuple[str, str]]:
    """What `help` shows of each public name: its docstring, and those of the members of a class."""
    for door in (*PUBLIC, "secrets_actor.otp"):
        module = importlib.import_module(door)
        yield door, inspect.getdoc(module) or ""
        for name in module.__all__:
            found = getattr(module, name)
            yield name, inspect.getdoc(found) or ""
            if inspect.isclass(found):
                shown = {key: one for key, one in vars(found).items() if not key.startswith("_") or key[-2:] == "__"}
                yield from ((f"{name}.{key}", inspect.getdoc(one) or "") for key, one in shown.items())


def test_help_does_not_send_its_readers_to_files_and_rules_of_the_sources() -> None:
    # A store of one's own begins with a copy of that one: the text says that it is in the sources.
    allowed = {("BackendFactory", "tests/contract/dict_backend.py")}
    found = {(name, one) for name, text in helped() for one in re.findall(r"\brules?\s+\d|[\w/]+\.py\b", text)}

    assert found == allowed


def test_the_table_of_members_has_public_classes_only() -> None:
    assert MEMBERS.keys() <= public_classes().keys()


def annotations(found: object) -> Iterator[object]:
    """The types in the public signatures of a function or a class: of its methods, its fields and its answer."""
    if inspect.isclass(found):
        # `start` has what `System()` takes.
        made_by_us = found.__name__ in ("System", "Secrets", "AsyncSecrets", "Subscription", "CallTrace")
        for cls in found.__mro__:
            yield from (base for base in getattr(cls, "__orig_bases__", ()) if typing.get_args(base))
            for name, one in vars(cls).items():
                if not name.startswith("_") or (name == "__init__" and not made_by_us):
                    yield from annotations(getattr(one, "fget", getattr(one, "__func__", one)))
            if issubclass(cls, msgspec.Struct) and cls.__module__.startswith("secrets_actor."):
                hints = typing.get_type_hints(cls, None, LATER)
                yield from (hints[name] for name in cls.__struct_fields__ if not name.startswith("_"))
    elif inspect.isfunction(found) and found.__module__.startswith("secrets_actor."):
        yield from typing.get_type_hints(found, found.__globals__ | LATER).values()


@pytest.mark.parametrize("name", sorted({name for names in PUBLIC.values() for name in names}))
def test_what_a_public_signature_needs_can_be_imported_from_a_public_place(name: str) -> None:
    [found, *_] = [getattr(importlib.import_module(door), name) for door, names in PUBLIC.items() if name in names]
    doors = [importlib.import_module(door) for door in (*PUBLIC, "secrets_actor.otp")]
    public = {id(one) for door in doors for one in vars(door).values()} | {id(one) for one in SELECTIVE}
    needed = {one for hint in annotations(found) for one in named_in(hint) if one.__name__ not in WRITTEN}

    assert [one for one in needed if one.__module__.startswith("secrets_actor.") and id(one) not in public] == []


def test_the_signatures_that_are_looked_at_name_types_of_ours() -> None:
    assert secrets_actor.System in {one for hint in annotations(secrets_actor.start) for one in named_in(hint)}
    named = {one for hint in annotations(secrets_actor.messages.GetMany) for one in named_in(hint)}
    assert {secrets_actor.messages.SecretId, secrets_actor.results.SecretBatch} <= named


def test_every_event_is_public() -> None:
    tree = {
        node.name: {ast.unparse(base) for base in node.bases}
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    events = {name for name, bases in tree.items() if "LifecycleEvent" in bases}

    assert len(events) > 20
    assert events <= set(PUBLIC["secrets_actor.events"])


def test_a_name_that_is_not_there_is_told_as_usual() -> None:
    with pytest.raises(AttributeError, match="'secrets_actor' has no attribute 'AsyncSecret'"):
        _ = secrets_actor.AsyncSecret
    with pytest.raises(ImportError):
        importlib.import_module("secrets_actor.AsyncSecret")


def test_every_error_is_public_and_of_one_tree() -> None:
    errors = importlib.import_module("secrets_actor.domain.errors")
    all_errors = {
        name
        for name, found in vars(errors).items()
        if inspect.isclass(found) and issubclass(found, Exception) and found.__module__ == errors.__name__
    }

    assert all_errors <= set(PUBLIC["secrets_actor.errors"])
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


def test_no_internal_name_of_a_public_class_is_public() -> None:
    internal = {"forget", "start_linked", "expect_end", "block", "seen"}

    assert not internal & {*dir(secrets_actor.System), *dir(secrets_actor.Secret)}


def test_no_two_results_are_equal_field_by_field() -> None:
    results = importlib.import_module("secrets_actor.results")
    receipts = [getattr(results, name) for name in PUBLIC["secrets_actor.results"] if name.endswith("Receipt")]
    fields = [tuple((one.name, one.type) for one in msgspec.structs.fields(receipt)) for receipt in receipts]

    assert len(receipts) == len(set(fields)) == 7
