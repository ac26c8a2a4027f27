"""The commands that read: fields of JSON, lists by prefix and tag, what is known of a secret, its versions."""

import json
from typing import Final

import pytest

from tests.cli.program import Program

VALUE: Final = {"user": "u", "port": 5432, "deep": {"a": ["b"]}, "empty": "", "no": None}


@pytest.fixture
def shop(program: Program) -> Program:
    """A user with a secret `shop/db` of three versions, and two others."""
    program("create", "shop/db", "--description", "of the shop", "--tag", "team=web", stdin=b"first")
    program("set", "shop/db", stdin=json.dumps(VALUE).encode())
    program("put", "shop/db", "--stage", "NEXT", stdin=b"third")
    program.at_once(("set", "shop/smtp", "--tag", "team=mail"), ("set", "other", "--tag", "team=webshop"), stdin=b"x")
    return program


def test_a_field_of_a_json_value_is_printed_alone(shop: Program) -> None:
    user, port, deep, deeper, empty, none, as_json = shop.at_once(
        *(("get", "shop/db", "--key", key) for key in ("user", "port", "deep")),
        ("get", "shop/db", "--key", "deep", "--key", "a"),
        *(("get", "shop/db", "--key", key) for key in ("empty", "no")),
        ("--json", "get", "shop/db", "--key", "user"),
    )

    assert [done.stdout for done in (user, port, empty, none)] == [b"u", b"5432", b"", b"null"]
    assert (json.loads(deep.stdout), json.loads(deeper.stdout)) == ({"a": ["b"]}, ["b"])
    assert as_json.stdout == b'"u"\n'


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("--key", "nobody"), 3, "has no field nobody"),
        (("--key", "port", "--key", "x"), 2, "what should have the field x is no JSON object"),
        (("--key", "user", "--stage", "NEXT"), 2, "is not JSON"),
    ],
)
def test_a_field_that_is_not_there_is_told_without_the_value(
    shop: Program, arguments: tuple[str, ...], status: int, told: str
) -> None:
    done = shop("get", "shop/db", *arguments)

    assert (done.status, done.stdout) == (status, b"")
    assert told in done.complaint
    assert "5432" not in done.stderr
    assert "third" not in done.stderr


def test_a_list_can_be_asked_for_by_the_beginning_of_names_and_by_tags(shop: Program) -> None:
    def names(*arguments: str) -> list[str]:
        return [info["name"] for info in shop("list", *arguments, "--json").json]

    assert names() == ["other", "shop/db", "shop/smtp"]
    assert names("--prefix", "shop/") == ["shop/db", "shop/smtp"]
    assert names("--tag", "team=web") == ["shop/db"]  # and not webshop: a filter of AWS would take it, too
    assert names("--tag", "team") == ["other", "shop/db", "shop/smtp"]
    assert names("--prefix", "shop/", "--tag", "team=mail") == ["shop/smtp"]
    assert names("--tag", "team=web", "--tag", "team=mail") == []
    assert "no secrets with names that begin with x and tag team" in shop("list", "--prefix", "x", "--tag", "team").text
    refused = shop("list", "--tag", "=x")
    assert (refused.status, refused.stdout) == (2, b"")


def test_all_that_is_known_of_a_secret_is_shown_without_its_values(shop: Program) -> None:
    as_json, lines = shop.at_once(("--json", "describe", "shop/db"), ("describe", "shop/db"))

    told = as_json.json
    assert (told["name"], told["description"], told["tags"]) == ("shop/db", "of the shop", {"team": "web"})
    assert sorted(told["versions"].values()) == [["AWSCURRENT"], ["AWSPREVIOUS"], ["NEXT"]]
    assert (told["deleted_at"], told["is_replica"], told["rotation_rules"]) == (None, False, None)
    shown = dict(line.split(maxsplit=1) for line in lines.text.splitlines())
    assert {"name", "arn", "description", "created_at", "changed_at", "tags", "versions"} <= set(shown)
    assert "deleted_at" not in shown  # what says nothing is left out
    assert shown["tags"] == "team=web"
    assert set(shown["versions"].split(", ")) == {f"{one}={stages[0]}" for one, stages in told["versions"].items()}


def test_versions_are_listed_newest_first_and_history_has_those_without_a_stage(shop: Program) -> None:
    shop("set", "shop/db", stdin=b"fourth")
    versions, history, table = shop.at_once(
        ("versions", "shop/db", "--json"), ("history", "shop/db", "--json"), ("history", "shop/db")
    )

    assert sorted(one["stages"] for one in versions.json) == [["AWSCURRENT"], ["AWSPREVIOUS"], ["NEXT"]]
    kept = history.json
    assert len(kept) == 4
    assert [one["stages"] for one in kept if not one["stages"]] == [[]]
    assert [one["created_at"] for one in kept] == sorted((one["created_at"] for one in kept), reverse=True)
    head, *rows = table.text.splitlines()
    assert head.split() == ["VERSION", "CREATED", "STAGES", "LAST", "READ"]
    assert sorted(row.split()[0] for row in rows) == sorted(one["version_id"] for one in kept)


def test_a_secret_that_is_not_there_has_neither_facts_nor_versions(program: Program) -> None:
    program("store", "init")

    assert [done.status for done in program.at_once(("describe", "a"), ("versions", "a"), ("history", "a"))] == [3] * 3
