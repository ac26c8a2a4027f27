"""`doctor`: what is there, what is in the way, and what to do about it."""

import json
from pathlib import Path

from tests.cli.program import Program

STORE = Path(".local/share/secrets-actor")


def findings(program: Program, status: int = 0) -> dict[str, tuple[str, str]]:
    """verdict and text by check."""
    done = program("--json", "doctor")
    assert done.status == status, done
    found = [json.loads(line) for line in done.text.splitlines()]
    return {one["check"]: (one["verdict"], f"{one['fact']} {one['remedy']}") for one in found}


def test_a_store_that_is_not_there_yet_is_well_and_is_not_made(program: Program) -> None:
    found = findings(program)

    assert list(found) == ["configuration", "folder"]
    assert "not there yet" in found["folder"][1]
    assert not (program.home / STORE).exists()


def test_a_store_at_work_is_well(program: Program) -> None:
    program("set", "db/password", stdin=b"v")
    found = findings(program)

    assert list(found) == ["configuration", "folder", "disk", "key", "data"]
    assert {verdict for verdict, _ in found.values()} == {"ok"}
    assert "1 live secrets, 0 scheduled for deletion" in found["data"][1]


def test_it_says_where_the_configuration_comes_from(program: Program, tmp_path: Path) -> None:
    config = tmp_path / "named.toml"
    config.write_text("ttl_seconds = 60\n")

    assert "from the defaults and the environment" in findings(program)["configuration"][1]
    named = findings(program.with_settings(SECRETS_ACTOR_CONFIG=str(config)))
    assert f"from {config} and the environment" in named["configuration"][1]


def test_loose_modes_are_told_with_the_command_that_mends_them(program: Program) -> None:
    program("set", "db/password", stdin=b"v")
    folder = program.home / STORE
    folder.chmod(0o755)
    assert findings(program)["folder"] == ("warning", f"{folder} is open to others (mode 0755) chmod 700 {folder}")
    folder.chmod(0o777)
    refused = findings(program, status=1)
    assert refused["folder"][0] == "fault"
    assert list(refused) == ["configuration", "folder"], "nothing is known of a key in a folder that is not looked into"
    folder.chmod(0o700)
    (folder / "key").chmod(0o644)
    assert findings(program, status=1)["key"][0] == "fault"


def test_a_folder_that_is_none_is_told_as_such(program: Program, tmp_path: Path) -> None:
    place = program.home / STORE
    place.parent.mkdir(parents=True)
    place.touch(0o600)
    found = findings(program, status=1)
    assert list(found) == ["configuration", "folder"]
    assert "(Not a directory)" in found["folder"][1]

    place.unlink()
    place.symlink_to(tmp_path / "of a disk")
    told = findings(program, status=1)["folder"][1]
    assert f"it is a link to {tmp_path / 'of a disk'}, which is not there: mount its disk" in told


def test_a_missing_and_a_wrong_key_are_told_apart_and_nothing_is_changed(program: Program) -> None:
    program("set", "db/password", stdin=b"v")
    key = program.home / STORE / "key"
    right = key.read_bytes()
    key.unlink()
    missing = findings(program, status=1)
    assert missing["key"][0] == "fault"
    assert missing["key"][1].startswith(
        f"the key file {key} is missing, but there is data sealed under it; put the key back from a copy"
    )
    assert not key.exists()
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    assert "not the one this store was sealed with" in findings(program, status=1)["data"][1]
    key.write_bytes(right)
    assert findings(program)["data"][0] == "ok"


def test_what_is_no_database_is_told(program: Program) -> None:
    program("set", "db/password", stdin=b"v")
    (program.home / STORE / "secrets.db").write_bytes(b"no database at all" * 1000)

    assert findings(program, status=1)["data"][0] == "fault"


def test_a_configuration_that_does_not_hold_is_the_first_finding(program: Program) -> None:
    found = findings(program.with_settings(SECRETS_ACTOR_TTL_SECONDS="long"), status=1)

    assert list(found) == ["configuration"]
    assert found["configuration"][0] == "fault"
    assert "ttl_seconds" in found["configuration"][1]


def test_people_read_columns(program: Program) -> None:
    lines = program("doctor").text.splitlines()

    assert lines[0].split()[:2] == ["configuration", "ok"]
