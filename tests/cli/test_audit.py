"""Who got what through the command line: each command leaves its records, with the user who gave it."""

import getpass
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Program
from tests.servers.account import REGION, allow_everything
from tests.servers.ministack import Ministack

ME = f"{getpass.getuser()} (uid {os.getuid()})"


class Audited:
    """A program with an audit log: `records` gives those of the next command."""

    def __init__(self, program: Program, log: Path, **settings: str) -> None:
        self.log = log
        self.program = program.with_settings(SECRETS_ACTOR_LOG__OUTPUT=str(log), **settings)

    def records(self, *arguments: str, stdin: bytes = b"", status: int = 0) -> list[dict[str, Any]]:
        before = self.log.read_text() if self.log.exists() else ""
        done = self.program(*arguments, stdin=stdin)
        assert done.status == status, done
        lines = [json.loads(line) for line in self.log.read_text().removeprefix(before).splitlines()]
        return [line for line in lines if line["event"] == "audit"]


@pytest.fixture
def audited(program: Program, tmp_path: Path) -> Audited:
    return Audited(program, tmp_path / "audit.log")


@pytest.fixture
def words(tmp_path: Path) -> str:
    path = tmp_path / "words"
    path.touch(0o600)
    path.write_text("correct horse battery staple\n")
    return str(path)


def told(records: list[dict[str, Any]]) -> list[tuple[str, str | None, str]]:
    return [(one["operation"], one["secret_id"], one["outcome"]) for one in records]


def test_a_get_and_a_set_name_the_user(audited: Audited) -> None:
    set_, got = audited.records("set", "app/db", stdin=b"hunter2"), audited.records("get", "app/db")

    assert told(set_) == [("set", "app/db", "ok")]
    assert told(got) == [("get", "app/db", "ok")]
    assert {one["caller"] for one in (*set_, *got)} == {ME}
    assert told(audited.records("get", "app/other", status=3)) == [("get", "app/other", "not_found")]


def test_an_export_tells_each_secret_that_left_and_where_to(audited: Audited, words: str, tmp_path: Path) -> None:
    versions = {name: audited.records("set", name, stdin=b"hunter2")[0]["version_id"] for name in ("app/a", "app/b")}
    file = tmp_path / "out" / ".." / "export"
    (tmp_path / "out").mkdir()

    records = audited.records("store", "export", str(file), "--passphrase-file", words)

    assert sorted(told(records[:2])) == [("store_export", "app/a", "ok"), ("store_export", "app/b", "ok")]
    assert told(records[2:]) == [("store_export", None, "ok")]
    assert {one["secret_id"]: one["version_id"] for one in records[:2]} == versions
    assert {(one["caller"], one["place"]) for one in records} == {(ME, str(tmp_path / "export"))}
    again = audited.records("store", "export", str(tmp_path / "nowhere" / "x"), "--passphrase-file", words, status=1)
    assert told(again) == [("store_export", None, "export_file_error")]


def test_what_salvage_takes_along_is_told_too(audited: Audited, words: str, tmp_path: Path) -> None:
    audited.records("set", "app/a", stdin=b"hunter2")

    records = audited.records("store", "export", str(tmp_path / "x"), "--salvage", "--passphrase-file", words)
    assert told(records) == [("store_export", "app/a", "ok"), ("store_export", None, "ok")]


def test_an_import_tells_each_secret_or_that_there_was_none(audited: Audited, words: str, tmp_path: Path) -> None:
    file = str(tmp_path / "export")
    audited.records("set", "app/a", stdin=b"hunter2")
    audited.records("store", "export", file, "--passphrase-file", words)

    refused = audited.records("store", "import", file, "--passphrase-file", words, status=1)
    assert told(refused) == [("store_import", None, "already_exists")]
    taken = audited.records("store", "import", file, "--overwrite", "--passphrase-file", words)
    assert told(taken) == [("store_import", "app/a", "ok"), ("store_import", None, "ok")]


def test_what_is_done_to_a_whole_store_is_told(audited: Audited, tmp_path: Path) -> None:
    copy = str(tmp_path / "copy")
    records = [
        *audited.records("store", "init"),
        *audited.records("store", "backup", copy),
        *audited.records("store", "restore", copy),
        *audited.records("store", "rekey"),
        *audited.records("store", "rekey", "--deep"),
        *audited.records("store", "backup", copy, status=1),
    ]

    names = ["store_init", "store_backup", "store_restore", "store_rekey", "store_rekey", "store_backup"]
    assert [one["operation"] for one in records] == names
    assert [one["outcome"] for one in records] == ["ok"] * 5 + ["store_unavailable"]
    assert {one["caller"] for one in records} == {ME}
    assert [one.get("place") for one in records] == [None, copy, copy, None, None, copy]


def test_a_migration_tells_on_both_sides_what_went(
    audited: Audited, fresh_ministack: Ministack, tmp_path: Path
) -> None:
    audited.records("set", "app/a", stdin=b"hunter2")
    keys = fresh_ministack.account.user(allow_everything())
    target = tmp_path / "aws.toml"
    target.write_text(
        f'backend = "aws_secrets_manager"\n[aws]\nregion = "{REGION}"\nendpoint_url = "{fresh_ministack.url}"\n'
        'access_key = { env = "KEY" }\nsecret_key = { env = "SECRET" }\n'
    )
    moving = Audited(audited.program, audited.log, KEY=keys.access_key_id, SECRET=keys.secret_key)

    records = moving.records("store", "migrate", "--to", str(target))

    assert ("get", "app/a", "ok") in told(records)
    assert ("create", "app/a", "ok") in told(records)
    assert {one["caller"] for one in records} == {ME}


def test_root_alone_is_believed_that_it_came_by_sudo(audited: Audited) -> None:
    by_sudo = Audited(audited.program, audited.log, SUDO_UID="1", SUDO_USER="somebody else")

    caller = f"{ME}, by sudo from daemon (uid 1)" if os.geteuid() == 0 else ME
    assert by_sudo.records("set", "a", stdin=b"v")[0]["caller"] == caller


def test_a_record_that_cannot_be_written_is_told(program: Program, tmp_path: Path) -> None:
    program("set", "a", stdin=b"v")

    done = program.with_settings(SECRETS_ACTOR_LOG__OUTPUT="/dev/full")("store", "backup", str(tmp_path / "copy"))
    assert done.status == 0
    assert done.complaint.startswith("secrets-actor: warning: the audit record could not be written: OSError")
