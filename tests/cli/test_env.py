"""`env export` and `env import`, as people use them with shells and files."""

import json
from pathlib import Path

import pytest

from tests.cli.program import Program


def test_the_secrets_below_a_name_are_lines_of_an_env_file_and_back(program: Program, tmp_path: Path) -> None:
    for name, value in (("app/db-password", "it's\nsecret"), ("app/API_KEY", "k"), ("other", "x")):
        program("set", name, "--value-file", "-", stdin=value.encode())

    exported = program("env", "export", "app/")
    as_json = program("env", "export", "app/", "--json")
    assert exported.text == 'API_KEY=k\nDB_PASSWORD="it\'s\nsecret"\n'.replace('"it\'s\nsecret"', '"it\'s\nsecret"')
    assert as_json.json == {"API_KEY": "k", "DB_PASSWORD": "it's\nsecret"}

    (tmp_path / ".env").write_bytes(exported.stdout)
    imported = program("env", "import", str(tmp_path / ".env"), "copy/", "--json")
    again = program("env", "import", "-", "copy/", "--json", stdin=exported.stdout)
    assert imported.json == {"target": "copy/", "variables": 2, "changed": ["copy/API_KEY", "copy/DB_PASSWORD"]}
    assert again.json["changed"] == []  # the same value makes no version
    assert program("get", "copy/DB_PASSWORD", "--raw").stdout == b"it's\nsecret"


def test_a_secret_of_json_has_a_field_for_each_line(program: Program) -> None:
    program("set", "app", stdin=json.dumps({"kept": [1], "USER": "old"}).encode())

    imported = program("env", "import", "-", "app", "--json", stdin=b"USER=new\nPORT=5432\n")
    assert imported.json["changed"] == ["USER", "PORT"]
    assert json.loads(program("get", "app", "--raw").stdout) == {"kept": [1], "USER": "new", "PORT": "5432"}
    assert program("env", "export", "app").text == "KEPT='[1]'\nUSER=new\nPORT=5432\n"
    assert program("env", "import", "-", "new", stdin=b"A=1").status == 0
    assert json.loads(program("get", "new", "--raw").stdout) == {"A": "1"}


@pytest.mark.parametrize(
    ("target", "status", "told"),
    [
        ("nothing/", 3, "there is no secret below nothing/"),
        ("nothing", 3, "nothing"),
        ("app/binary", 2, "is not JSON"),
        ("app/", 2, "app/binary is binary"),
        ("app/list", 2, "is no JSON object"),
        ("twice/", 2, "would be the same variable"),
    ],
)
def test_what_cannot_be_exported_is_told(program: Program, target: str, status: int, told: str) -> None:
    for name, value in (("app/binary", b"\xff"), ("app/list", b"[1]"), ("twice/a-b", b"1"), ("twice/a_b", b"2")):
        program("set", name, "--value-file", "-", stdin=value)

    done = program("env", "export", target)

    assert (done.status, done.stdout) == (status, b"")
    assert told in done.complaint


@pytest.mark.parametrize(
    ("text", "target", "told"),
    [
        (b"A=1\nkanarie", "app/", "line 2"),
        (b"A=\xff", "app/", "is no text in UTF-8"),
        (b"A=1", "a b/", "a secret name is made of"),
        (b"A=", "app/", "empty"),
        (b"A=1", "taken", "is not JSON"),
    ],
)
def test_what_cannot_be_imported_is_told_and_not_quoted(program: Program, text: bytes, target: str, told: str) -> None:
    program("set", "taken", stdin=b"kanarie")

    done = program("env", "import", "-", target, stdin=text)

    assert done.status == 2
    assert told in done.complaint
    assert "kanarie" not in done.stderr
    assert [info["name"] for info in program("list", "--json").json] == ["taken"]
