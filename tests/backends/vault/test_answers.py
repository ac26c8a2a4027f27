"""The answers of a KV mount, as OpenBao 2.7.2 gives them, and those that are none."""

import traceback
from datetime import UTC, datetime
from typing import Any

import pytest

from secrets_actor.backends.vault import answers
from secrets_actor.backends.vault.layout import KvVersion
from secrets_actor.backends.vault.names import Mount
from secrets_actor.backends.vault.protocol import VaultAnswer
from secrets_actor.domain.errors import InvalidAnswer

MOUNT = Mount("secret")
MADE = "2026-11-30T04:40:28.961362809Z"
AT = datetime(2026, 11, 30, 4, 40, 28, 961362, tzinfo=UTC)
TOKEN = "29c43972-c745-4ea0-9c9d-a34923929b59"
HIDDEN = "never-show-this"
ONE = {"created_time": MADE, "custom_metadata": None, "deletion_time": "", "destroyed": False, "version": 3}
KEY = {
    "created_time": MADE,
    "updated_time": MADE,
    "current_version": 10,
    "current_metadata_version": 4,
    "custom_metadata": {"team": "db"},
    "versions": {
        "9": {"created_time": MADE, "deletion_time": MADE, "destroyed": False},
        "10": {"created_time": MADE, "deletion_time": "", "destroyed": False},
    },
}


def said(data: Any, status: int = 200) -> VaultAnswer:
    return VaultAnswer(status, {"data": data, "request_id": "r"}, "r", "node:8200")


NONE = VaultAnswer(404, {"errors": []})


def test_a_current_version() -> None:
    secret = answers.secret_of(MOUNT, "a", said({"data": {"value": "v"}, "metadata": ONE}))

    assert (secret.name, secret.arn, secret.reveal(), secret.created_at) == ("a", MOUNT.arn("a"), "v", AT)
    assert (secret.version_id, secret.stages) == ("vault-0003-20261130044028961362809", ("AWSCURRENT",))
    noted = {**ONE, "custom_metadata": {"sa.v": f"3={TOKEN}"}}
    assert answers.secret_of(MOUNT, "a", said({"data": {"value": "v"}, "metadata": noted})).version_id == TOKEN


def test_what_a_read_of_a_version_tells_of_its_secret() -> None:
    found = answers.version_read("a", said({"data": {"value": "v"}, "metadata": ONE}))

    assert found is not None
    assert (found.current, found.versions, found.partial) == (3, (KvVersion(3, MADE),), True)
    deleted = {**ONE, "deletion_time": MADE, "destroyed": True}
    gone = answers.version_read("a", said({"data": None, "metadata": deleted}, 404))
    assert gone is not None
    assert gone.versions == (KvVersion(3, MADE, MADE, True),)
    assert answers.version_read("a", NONE) is None
    assert answers.value_in(said({"data": {"a": 1}, "metadata": ONE})) == {"a": 1}


def test_metadata() -> None:
    found = answers.metadata("a", said(KEY))

    assert found is not None
    assert [one.number for one in found.versions] == [9, 10]
    assert (found.current, found.metadata_version, found.custom, found.partial) == (10, 4, {"team": "db"}, False)
    assert (found.created, found.updated) == (AT, AT)
    older = {key: part for key, part in KEY.items() if key != "current_metadata_version"}
    of_vault = answers.metadata("a", said({**older, "custom_metadata": None, "versions": {}}))
    assert of_vault is not None
    assert (of_vault.metadata_version, of_vault.custom, of_vault.latest) == (None, {}, None)
    assert answers.metadata("a", NONE) is None


def test_a_write() -> None:
    assert answers.version_made(said(ONE)) == KvVersion(3, MADE)


def test_lists() -> None:
    listed = said({"keys": ["b", "a/", "c d", "..", "arn:aws:x", "", "x/y", "é/", "../"]})

    assert answers.names_in("f/", listed) == (["f/b", "f/x/y"], ["f/a/"])
    assert answers.names_in("", said({"keys": ["arn:aws:x", "b"]})) == (["b"], [])
    assert answers.names_in("", NONE) == ([], [])
    scanned = said({"keys": ["b", "c d"], "key_info": {"b": KEY, "c d": KEY, "a/../b": KEY}})
    assert [one.name for one in answers.all_secrets("", scanned)] == ["b"]
    assert [one.name for one in answers.all_secrets("f/", scanned)] == ["f/b"]
    for nothing in (said({}), said(None), NONE):
        assert list(answers.all_secrets("", nothing)) == []


def test_the_version_of_a_mount() -> None:
    assert answers.mount_version(said({"options": {"version": "1"}, "type": "kv"})) == "1"
    for other in ({"options": None, "type": "kv"}, {"options": {}}, {"options": {"version": 2}}, None):
        assert answers.mount_version(said(other)) is None


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"value": HIDDEN},
        {"data": {"value": HIDDEN}},
        {"data": {"value": HIDDEN}, "metadata": {"version": HIDDEN}},
        {"data": {"value": HIDDEN}, "metadata": {**ONE, "created_time": HIDDEN}},
        {**KEY, "versions": {HIDDEN: KEY["versions"]["9"]}},  # type: ignore[index]
        {**KEY, "versions": {"²": KEY["versions"]["9"]}},  # type: ignore[index]
        {**KEY, "versions": {"9" * 5000: KEY["versions"]["9"]}},  # type: ignore[index]
        {**KEY, "custom_metadata": {"a": [HIDDEN]}},
        {**ONE, "version": 0},
        *[{"data": {"value": "v"}, "metadata": {**ONE, "version": number}} for number in (0, -1, 2**63)],
        {**KEY, "current_version": 2**63},
        {"keys": HIDDEN},
        {"key_info": {"a": HIDDEN}},
    ],
)
def test_what_is_no_answer_of_a_kv_mount_is_refused_and_not_shown(data: Any) -> None:
    refusals = []
    for read in (
        lambda: answers.secret_of(MOUNT, "a", said(data)),
        lambda: answers.metadata("a", said(data)),
        lambda: answers.version_made(said(data)),
        lambda: list(answers.all_secrets("", said(data))),
    ):
        try:
            read()
        except InvalidAnswer as error:
            refusals.append(error)

    assert len(refusals) >= 3
    for error in refusals:
        assert HIDDEN not in "".join(traceback.format_exception(error))
        assert error.__context__ is None


def test_what_a_page_of_a_folder_tells_of_the_names_that_were_asked_for() -> None:
    page = said({"keys": ["a", "b", "c"], "key_info": {"a": KEY, "c": KEY}})

    told, entries, untold = answers.details_in("db/", ["a", "b", "bb"], page)
    assert {name: one and one.name for name, one in told.items()} == {"db/a": "db/a", "db/bb": None}
    assert (entries, untold) == (3, ["b"])


def test_a_full_page_tells_nothing_of_names_behind_its_end() -> None:
    page = said({"keys": ["a", "b", "c", "d"], "key_info": dict.fromkeys("abcd", KEY)})

    assert answers.details_in("", ["e"], page) == ({}, 4, ["e"])  # four entries for each name: there may be more
    assert answers.details_in("", ["aa"], page) == ({"aa": None}, 4, [])
    assert answers.details_in("", ["a"], NONE) == ({"a": None}, 0, [])
