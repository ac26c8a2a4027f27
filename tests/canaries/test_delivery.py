"""What delivers values to other programs shows none: by a repr, an error, a frame, or a file that is left."""

import json
from pathlib import Path

import pytest

from secrets_actor.delivery.environment import Contents, Mapped, contents_of, environment_of
from secrets_actor.delivery.fetching import Wanted, fetch
from secrets_actor.delivery.file_writer import Content, FileWriter, Target
from secrets_actor.delivery.formats import Formatted
from secrets_actor.delivery.jinja_templates import JinjaTemplate
from secrets_actor.delivery.private_files import PrivateFolder, memory_file
from secrets_actor.delivery.references import find_in, parse_reference, parse_source, parse_variable
from secrets_actor.delivery.rendered_file import FileSpec, deliver
from secrets_actor.delivery.templates import Source, Template
from secrets_actor.domain.references import member_of
from secrets_actor.errors import (
    CheckFailed,
    DeliveryFailed,
    InvalidInput,
    InvalidParameter,
    InvalidSecretValue,
    MissingSecrets,
)
from secrets_actor.testing import fake_system
from tests.canaries.canary_forms import canary
from tests.canaries.canary_search import Hunt


@pytest.fixture
def value(hunt: Hunt) -> str:
    found = canary()
    hunt.plant("value", found)
    return found


def test_nothing_that_holds_values_shows_one(hunt: Hunt, value: str) -> None:
    mapped = Mapped((parse_variable("DB=app/db"), parse_variable("USER=app/login#user")), ("app/",), prefix="X_")
    with fake_system() as (system, store):
        store.put("app/db", value)
        store.put("app/login", json.dumps({"user": value, "half": value + "\ud800"}))
        store.put("app/binary", value.encode() + b"\xff")
        store.put("low/path", value)
        store.put("low/db", value)
        secrets = system.secrets
        fetched = hunt.attempt("fetched", lambda: fetch(secrets, mapped.wanted({})))
        contents = hunt.attempt("contents", lambda: contents_of(mapped, {}, fetched))
        hunt.attempt("environment", lambda: environment_of(mapped, {}, contents, {"DB": "/a"}))
        references = [parse_reference(one) for one in ("app/login#no", "app/db#user", "app/login#half", "gone")]
        hunt.failure(
            "missing", MissingSecrets, lambda: fetch(secrets, Wanted((parse_reference("app/db"), *references)))
        )
        hunt.failure("binary", InvalidSecretValue, lambda: environment_of(mapped, {}, contents))
        low = fetch(secrets, Wanted((parse_reference("app/db"),), ("low/",)))
        loads = Mapped(sources=("low/",))
        hunt.failure("a name that loads programs", InvalidParameter, lambda: contents_of(loads, {}, low))
        twice = Mapped((parse_variable("X_DB=app/db"),), ("low/",), prefix="X_")
        hunt.failure("two places", InvalidParameter, lambda: contents_of(twice, {}, low))
        no_object = Mapped(sources=(parse_source("app/db#"),))
        hunt.failure("no object", InvalidSecretValue, lambda: contents_of(no_object, {}, low))
        hunt.objects("delivery", system)
    for problem in ("\0", "x" * 200_000):
        bad = Contents({"A": value + problem})
        hunt.failure("no variable holds it", InvalidSecretValue, lambda bad=bad: bad.text("A"))  # type: ignore[misc]
    document = json.dumps({"half": value + "\ud800"})
    for member in ("no", "half"):
        hunt.failure("a member", InvalidParameter, lambda member=member: member_of(document, (member,)))  # type: ignore[misc]
    hunt.nothing_was_found(error=30, answer=9, object=100, frames=8)


def test_a_value_in_the_place_of_a_reference_is_not_repeated(hunt: Hunt, value: str) -> None:
    for where, parse in (
        ("variable", lambda: parse_variable(f"A={value} ")),
        ("name", lambda: parse_variable(f"{value}-=a")),
        ("source", lambda: parse_source(value)),
        ("given", lambda: find_in("A", f"secret://{value} ")),
    ):
        hunt.failure(where, InvalidInput, parse, locals_too=False)
    hunt.nothing_was_found(error=10)


def test_files_that_cannot_be_made_say_why_and_nothing_else(hunt: Hunt, value: str, tmp_path: Path) -> None:
    content = value.encode()
    hunt.failure("memory file", DeliveryFailed, lambda: memory_file("x" * 300, content))
    with PrivateFolder() as folder:
        (folder.path / "TAKEN").mkdir()
        hunt.failure("file", DeliveryFailed, lambda: folder.write("TAKEN", content))
        hunt.files(folder.path)
        (folder.path / "TAKEN").rmdir()
        hunt.attempt("folder", lambda: folder)
    hunt.nothing_was_found(error=10, frames=2)


def test_a_rendered_file_that_cannot_be_made_says_why_and_nothing_else(hunt: Hunt, value: str, tmp_path: Path) -> None:
    path = tmp_path / "made"
    with fake_system() as (system, store):
        for name, given in (("app/db", value), ("app/nul", value + "\0"), ("app/binary", value.encode() + b"\xff")):
            store.put(name, given)
        store.put("low/db", value)

        def made(source: Source, **given: object) -> None:
            spec = FileSpec(path, source, **given)  # type: ignore[arg-type]
            deliver(spec, fetch(system.secrets, spec.wanted))

        good = Template.parse("${app/db}")
        for where, source in (
            ("binary", Template.parse("a ${app/db} ${app/binary}")),
            ("nul", Template.parse("${app/db}${app/nul|shell}")),
            ("a variable with a nul", Formatted.of("systemd", {"A": "app/db", "B": "app/nul"}, ())),
            ("twice", Formatted.of("json", {"db": "app/db"}, ("low/",))),
            ("jinja", JinjaTemplate.parse("{{ secret('app/db') + 1 }}")),
            ("binary in jinja", JinjaTemplate.parse("{{ secret('app/db') }}{{ secret('app/binary') }}")),
        ):
            hunt.failure(where, InvalidInput, lambda source=source: made(source))  # type: ignore[misc]
        for check in (("sh", "-c", "cat {}; exit 1"), ("cat", str(path), "/no/such")):
            hunt.failure("check", CheckFailed, lambda check=check: made(good, check=check))  # type: ignore[misc]
        hunt.failure("owner", DeliveryFailed, lambda: made(good, owner="nobody-of-ours"))
        path.mkdir()
        hunt.failure("no file", DeliveryFailed, lambda: made(good))
        path.rmdir()
        content = Content(value.encode())
        hunt.failure("no folder", DeliveryFailed, lambda: FileWriter(Target(path / "gone")).write(content))
        hunt.attempt("written", lambda: FileWriter(Target(path)).write(content))
        path.unlink()
        hunt.files(tmp_path)
        hunt.objects("files", system)
    hunt.nothing_was_found(error=40, frames=8)
