"""The provider of Docker Compose, by its protocol: Compose itself comes from no registry of Python's."""

import json
from typing import Any

import pytest

from tests.cli.program import Program


def said(program: Program, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the lines; each line must be an object, or Compose ends the whole command."""
    done = program("compose", "--project-name=shop", *arguments)
    return done.status, [json.loads(line) for line in done.text.splitlines()]


@pytest.fixture
def shop(program: Program) -> Program:
    for name, value in (
        ("db/login", b'{"user": "u", "password": "it\'s\\n=$x"}'),
        ("app/api-key", b"k"),
        ("app/db/url", b"l"),
        ("bytes", b"\xff"),
    ):
        program("set", name, "--value-file", "-", stdin=value)
    return program


def test_what_depends_on_the_service_gets_variables_each_time(shop: Program) -> None:
    asked = (
        "up",
        "--env=NONE?=none",
        "--env=DB_PASSWORD=db/login#password",
        "--env=DB_USER=db/login#user@AWSCURRENT",
        "--env-from=app/",
    )
    told = {"DB_PASSWORD": "it's\n=$x", "DB_USER": "u", "API_KEY": "k", "DB_URL": "l"}
    for more, kind in (((), "rawsetenv"), (("--prefixed=true",), "setenv")):
        status, lines = said(shop, *asked, *more, "secrets")
        assert status == 0
        assert lines == [
            *({"type": kind, "message": f"{name}={value}"} for name, value in told.items()),
            {"type": "info", "message": "4 variables for what depends on secrets"},
        ]
    assert said(shop, "down", "secrets") == (0, [])


def test_what_is_wrong_is_told_to_compose_before_any_variable(shop: Program) -> None:
    for option, status, told in (
        ("--env=X=none", 3, "missing: none"),
        ("--env=X=db/login#none", 3, "missing: db/login#none"),
        ("--env=X=bytes", 2, "variable X: the secret is binary"),
        ("--env=A-B=db/login", 2, "NAME=REFERENCE"),
        ("--env=kanarie kanarie", 2, "NAME=REFERENCE"),
        ("--env=DB_USER=db/login", 2, "DB_USER"),
        ("--env-from=nothing/", 3, "nothing/ (no secret below it)"),
    ):
        code, [line] = said(shop, "up", "--env=DB_USER=db/login#user", option, "secrets")

        assert (code, line["type"]) == (status, "error"), option
        assert told in line["message"]
        assert "kanarie" not in line["message"]


def test_a_store_that_cannot_be_asked_is_told_to_compose(program: Program) -> None:
    asked = ("compose", "up", "--env=X=db/login", "secrets")
    for before, status in ((("--config", "/nowhere"), 6), (("--socket", "/nowhere", "--no-daemon"), 2)):
        done = program(*before, *asked)
        assert (done.status, json.loads(done.text)["type"]) == (status, "error")


def test_compose_is_told_the_options_that_up_has(program: Program) -> None:
    status, [found] = said(program, "metadata")

    assert status == 0
    assert found["description"]
    assert "stop" not in found  # Compose does not ask for it then
    for one in found["up"]["parameters"]:
        assert one["required"] is False
        assert f"--{one['name']} " in program("compose", "up", "--help").text
