"""`store migrate` between two accounts: what is there after, as boto3 sees it."""

import pytest

from tests.cli.migration.sides import AwsSide
from tests.cli.program import Done, Program

Sides = tuple[AwsSide, AwsSide]


def migrated(program: Program, sides: Sides, *more: str) -> Done:
    source, target = sides
    return program("--config", str(source.config), "store", "migrate", "--to", str(target.config), *more)


def counts(done: Done) -> dict[str, int]:
    """The table's lines."""
    rows = (line.rsplit(maxsplit=1) for line in done.text.splitlines() if line.rsplit(maxsplit=1)[-1:] != [])
    return {row[0].strip(): int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def test_current_and_previous_versions_are_copied_with_description_and_tags(program: Program, sides: Sides) -> None:
    source, target = sides
    source.seed("db/password", "hunter1", "hunter2", "hunter3", Description="of the shop", Tags=[{"Key": "a", "Value": "b"}])
    source.seed("db/binary", bytes(range(256)))
    source.seed("gone", "hunter4")
    source.theirs.delete_secret(SecretId="gone")

    done = migrated(program, sides)

    assert (done.status, done.stderr) == (0, "")
    assert counts(done) == {"copied": 2, "already there": 0, "completed": 0, "conflicts": 0, "failed": 0}
    assert target.names() == ["db/binary", "db/password"]
    assert target.values("db/password") == ("hunter3", "hunter2")
    assert target.values("db/binary") == (bytes(range(256)), None)
    assert target.facts("db/password") == ("of the shop", {"a": "b"})
    assert target.ids("db/password")["AWSCURRENT"] == source.ids("db/password")["AWSCURRENT"]
    assert "hunter" not in done.text
