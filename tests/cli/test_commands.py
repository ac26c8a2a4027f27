"""Each command on the local store: what people see, and what scripts get."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.cli.program import Program

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def facts(text: str) -> dict[str, str]:
    """The lines `name  fact`."""
    return dict(re.split(r"\s{2,}", line, maxsplit=1) for line in text.splitlines())


def test_the_life_of_a_secret_as_people_see_it(program: Program) -> None:
    assert "secrets-actor set NAME" in program("list").text

    created = facts(program("set", "db/password", "--description", "of the shop", stdin=b"hunter2\n").text)
    assert (created["name"], created["created"]) == ("db/password", "yes")
    assert re.fullmatch(UUID, created["version_id"])
    again = facts(program("set", "db/password", stdin=b"hunter3\n").text)
    assert again["created"] == "no"

    shown, revealed, raw, previous, first, listed = program.at_once(
        ("get", "db/password"),
        ("get", "db/password", "--reveal"),
        ("get", "db/password", "--raw"),
        ("get", "db/password", "--raw", "--stage", "AWSPREVIOUS"),
        ("get", "db/password", "--raw", "--version-id", created["version_id"]),
        ("list",),
    )
    assert "hunter" not in shown.text
    told = facts(shown.text)
    assert (told["name"], told["version_id"], told["stages"]) == ("db/password", again["version_id"], "AWSCURRENT")
    assert (told["kind"], told["stale"], told["source"]) == ("text", "no", "backend")
    assert facts(revealed.text) == told | {"age": facts(revealed.text)["age"], "value": "hunter3"}
    assert (raw.stdout, previous.stdout, first.stdout) == (b"hunter3", b"hunter2", b"hunter2")
    assert [line.split()[0] for line in listed.text.splitlines()] == ["NAME", "db/password"]

    deleted = facts(program("delete", "db/password", "--recovery-window", "7").text)
    gone_on = datetime.fromisoformat(deleted["gone_on"])
    assert abs(gone_on - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=1)
    refused, listed, all_listed = program.at_once(("get", "db/password"), ("list",), ("list", "--include-deleted"))
    assert refused.status == 1
    assert "restore it first" in refused.complaint
    assert "db/password" not in listed.text
    header, line = all_listed.text.splitlines()
    assert (header.split()[-1], line.split()[0]) == ("DELETED", "db/password")
    assert abs(datetime.fromisoformat(" ".join(line.split()[-2:])) - datetime.now(UTC)) < timedelta(minutes=1)

    assert facts(program("restore", "db/password").text) == {"name": "db/password", "restored": "yes"}
    assert program("get", "db/password", "--raw").stdout == b"hunter3"
    assert program("delete", "db/password", "--force").status == 0
    assert program("restore", "db/password").status == 3


def test_the_life_of_a_secret_as_scripts_get_it(program: Program) -> None:
    def asked(*arguments: str, stdin: bytes = b"") -> object:
        done = program("--json", *arguments, stdin=stdin)
        told = done.stderr if "store_made" not in done.stderr else ""  # by the first set
        assert (done.status, told, done.stdout.count(b"\n")) == (0, "", 1)
        assert done.stdout.isascii()
        return done.json

    assert asked("list") == []
    made = asked("set", "db/password", "--description", "für den Laden", stdin="Grüße".encode())
    assert made == {"name": "db/password", "version_id": made["version_id"], "created": True}
    told = asked("get", "db/password")
    assert "value" not in told
    assert (told["name"], told["version_id"], told["stages"]) == ("db/password", made["version_id"], ["AWSCURRENT"])
    assert (told["kind"], told["stale"], told["source"]) == ("text", False, "backend")
    assert asked("get", "db/password", "--reveal")["value"] == "Grüße"
    [info] = asked("list")
    assert (info["name"], info["description"], info["deleted_at"]) == ("db/password", "für den Laden", None)
    deleted = asked("delete", "db/password")
    [info] = asked("list", "--include-deleted")
    assert info["deleted_at"] == info["changed_at"] < deleted["gone_on"]
    assert asked("restore", "db/password") == {"name": "db/password", "restored": True}

    tree = asked("tree")
    assert (tree["root"]["id"], tree["root"]["strategy"], tree["disowned"]) == ("secrets_actor", "rest_for_one", [])
    assert [child["id"] for child in tree["root"]["children"]] == ["infra", "core", "background"]


def test_the_tree_is_drawn_when_it_has_come_to_rest(program: Program) -> None:
    lines = program("tree").text.splitlines()

    assert [re.sub(r"[^a-z_].*", "", line.lstrip("├└│─ ")) for line in lines] == [
        "secrets_actor",
        "infra",
        "timers",
        "audit",
        "core",
        "workers",
        "secrets",
        "background",
        "subscribers",
        "prefetches",
    ]
    told = lines.pop(6)
    assert re.search(r"restarts 0  0 of \d+ waiting, 0 cached, breaker closed$", told)
    assert all(line.endswith("restarts 0") for line in lines), lines


def test_a_configuration_file_says_where_secrets_are_kept(program: Program, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[local]\npath = "{tmp_path / "elsewhere"}"\n')

    assert program("--config", str(config), "set", "db/password", stdin=b"hunter2").status == 0

    assert (tmp_path / "elsewhere" / "secrets.db").is_file()
    assert program.with_settings(SECRETS_ACTOR_CONFIG=str(config))("get", "db/password", "--raw").stdout == b"hunter2"
    assert program("get", "db/password").status == 3  # the default store, in the home folder
    assert not (program.home / ".local" / "share" / "secrets-actor").exists(), "a get makes none"


def test_verbose_shows_the_audit_record_and_no_value(program: Program) -> None:
    done = program("--verbose", "set", "db/password", stdin=b"hunter2")
    as_json = program("--verbose", "--json", "get", "db/password")

    assert " INFO audit operation=set secret_id=db/password outcome=ok " in done.stderr
    (audited,) = [one for one in map(json.loads, as_json.stderr.splitlines()) if one["event"] == "audit"]
    assert (audited["operation"], audited["secret_id"], audited["level"]) == ("get", "db/password", "info")
    assert "hunter2" not in done.stderr + done.text + as_json.stderr + as_json.text


def test_questions_about_the_program_are_answered(program: Program) -> None:
    help_, version, nothing = program.at_once(("--help",), ("--version",), ())

    assert [(done.status, done.stderr) for done in (help_, version, nothing)] == [(0, ""), (0, ""), (2, "")]
    assert "Exit codes:" in help_.text
    assert nothing.text == help_.text
    assert re.fullmatch(r"secrets-actor \S.*\n", version.text)
