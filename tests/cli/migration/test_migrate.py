"""`store migrate` between two accounts: what is there after, as boto3 sees it."""

import pytest

from secrets_actor import StartFailed
from secrets_actor.cli.migration.run import migrate
from secrets_actor.testing import fake_system
from tests.cli.migration.sides import AwsSide, Side
from tests.cli.program import Done, Program
from tests.threadless import no_threads

Sides = tuple[Side, Side]


def migrated(program: Program, sides: Sides, *more: str) -> Done:
    source, target = sides
    return program("--config", str(source.config), "store", "migrate", "--to", str(target.config), *more)


def counts(done: Done) -> dict[str, int]:
    """The table's lines."""
    rows = (line.rsplit(maxsplit=1) for line in done.text.splitlines() if line.rsplit(maxsplit=1)[-1:] != [])
    return {row[0].strip(): int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def test_current_and_previous_versions_are_copied_with_description_and_tags(program: Program, sides: Sides) -> None:
    source, target = sides
    source.seed(
        "db/password", "hunter1", "hunter2", "hunter3", Description="of the shop", Tags=[{"Key": "a", "Value": "b"}]
    )
    source.seed("db/binary", bytes(range(256)))
    source.seed("gone", "hunter4")
    source.schedule_deletion("gone")

    done = migrated(program, sides)

    assert done.status == 0
    made = target.config.name == "local.toml"  # and the user is told
    assert ("keep a copy of the key" in done.complaint) if made else done.stderr == ""
    assert counts(done) == {"copied": 2, "already there": 0, "completed": 0, "conflicts": 0, "failed": 0}
    assert target.names() == ["db/binary", "db/password"]
    assert target.values("db/password") == ("hunter3", "hunter2")
    assert target.values("db/binary") == (bytes(range(256)), None)
    assert target.facts("db/password") == ("of the shop", {"a": "b"})
    assert target.ids("db/password")["AWSCURRENT"] == source.ids("db/password")["AWSCURRENT"]
    assert "hunter" not in done.text


def test_what_is_there_and_equal_is_left_alone_and_what_is_half_there_is_completed(
    program: Program, sides: Sides
) -> None:
    source, target = sides
    for name in ("whole", "first-only", "last-only", "facts"):
        source.seed(name, "hunter1", "hunter2", Description="of the shop", Tags=[{"Key": "a", "Value": "b"}])
    facts = {"Description": "of the shop", "Tags": [{"Key": "a", "Value": "b"}]}
    target.seed("whole", "hunter1", "hunter2", **facts)
    target.seed("first-only", "hunter1", **facts)
    target.seed("last-only", "hunter2", **facts)
    target.seed("facts", "hunter1", "hunter2", Tags=[{"Key": "more", "Value": "stays"}])
    ids = target.ids("whole")

    done = migrated(program, sides)

    assert counts(done) == {"copied": 0, "already there": 1, "completed": 3, "conflicts": 0, "failed": 0}
    assert all(target.values(name) == ("hunter2", "hunter1") for name in target.names())
    assert target.facts("facts") == ("of the shop", {"a": "b", "more": "stays"})
    assert target.ids("whole") == ids
    before = target.state()
    assert counts(migrated(program, sides))["already there"] == 4
    assert target.state() == before


def test_another_value_is_a_conflict_until_it_is_to_be_overwritten(program: Program, sides: Sides) -> None:
    source, target = sides
    source.seed("current", "hunter1", "hunter2")
    target.seed("current", "hunter1", "hunter3")
    source.seed("previous", "hunter1", "hunter2")
    target.seed("previous", "hunter3", "hunter2")
    source.seed("facts", "hunter1", Description="ours", Tags=[{"Key": "a", "Value": "b"}, {"Key": "new", "Value": "1"}])
    target.seed("facts", "hunter1", Description="theirs", Tags=[{"Key": "a", "Value": "other"}])
    source.seed("kind", "hunter1")
    target.seed("kind", b"hunter1")
    before = target.state()

    done = migrated(program, sides)

    assert done.status == 1
    assert (counts(done)["conflicts"], target.state()) == (4, before)
    assert "conflict: current: another current version at the target" in done.text
    assert "conflict: previous: another previous version at the target" in done.text
    assert "conflict: facts: another description and another tags at the target" in done.text
    assert "hunter" not in done.text + done.stderr

    done = migrated(program, sides, "--overwrite")

    assert (done.status, counts(done)["overwritten"]) == (0, 4)
    assert [target.values(name) for name in ("current", "previous")] == [("hunter2", "hunter1")] * 2
    assert target.values("kind") == ("hunter1", b"hunter1")
    assert target.facts("facts") == ("ours", {"a": "b", "new": "1"})
    assert counts(migrated(program, sides))["already there"] == 4


def test_a_value_that_went_back_and_forth_is_overwritten_under_another_id(program: Program, sides: Sides) -> None:
    source, target = sides
    source.seed("a", "hunter1", "hunter2")
    migrated(program, sides)
    target.put("a", "hunter3")  # and the source's current version is the one before now, under its own id

    assert migrated(program, sides, "--overwrite").status == 0

    assert target.values("a") == ("hunter2", "hunter1")


def test_a_dry_run_reads_both_and_writes_nothing(program: Program, sides: Sides) -> None:
    source, target = sides
    source.seed("new", "hunter1")
    source.seed("half", "hunter1", "hunter2")
    target.seed("half", "hunter1")
    source.seed("other", "hunter1")
    target.seed("other", "hunter2")
    before = source.state(), target.state()

    done = migrated(program, sides, "--dry-run")

    assert done.status == 1
    assert done.text.startswith("would be ")
    assert {"would be copied: new", "would be completed: half"} <= set(done.text.splitlines())
    assert counts(done) == {"copied": 1, "already there": 0, "completed": 1, "conflicts": 1, "failed": 0}
    assert (source.state(), target.state()) == before
    told = migrated(program, sides, "--dry-run", "--overwrite", "--json").json
    assert sorted((one["name"], one["would_be"]) for one in told["plan"]) == [
        ("half", "completed"), ("new", "copied"), ("other", "overwritten"),
    ]  # fmt: skip
    assert target.state() == before[1]


def test_what_cannot_be_copied_is_told_by_name_and_code_and_the_rest_goes(program: Program, sides: Sides) -> None:
    source, target = sides
    for name in ("deleted", "fine"):
        source.seed(name, "hunter1")
        target.seed(name, "hunter1")
    target.schedule_deletion("deleted")

    done = migrated(program, sides, "--json")

    assert done.status == 1
    told = done.json
    assert (told["already_there"], told["failed"], told["not_tried"]) == (1, {"deleted": 1}, 0)
    [failure] = told["failures"]
    assert (failure["name"], failure["at"]) == ("deleted", "target")
    assert "restore it first" in failure["message"]
    text = migrated(program, sides).text
    assert "failed at the target: deleted: deleted: secret deleted is scheduled for deletion; restore it first" in text
    assert target.names() == ["fine"]


def test_a_secret_without_a_value_cannot_be_copied(
    program: Program, ministack_side: AwsSide, moto_side: AwsSide
) -> None:
    moto_side.theirs.create_secret(Name="without-value")  # ministack makes a version of it, an empty one
    moto_side.seed("fine", "hunter1")

    done = migrated(program, (moto_side, ministack_side))

    assert done.status == 1
    assert "failed at the source: without-value: not_found: secret without-value has no current version" in done.text
    assert ministack_side.names() == ["fine"]


def test_prefixes_choose(program: Program, sides: Sides) -> None:
    source, target = sides
    for name in ("app/a", "app/b", "db/a", "web/a", "my-app/a"):
        source.seed(name, "hunter1")

    done = migrated(program, sides, "--prefix", "app/", "--prefix", "db/")

    assert counts(done)["copied"] == 3
    assert target.names() == ["app/a", "app/b", "db/a"]
    many = [part for letter in "abcdefghijw" for part in ("--prefix", letter)]  # more than AWS's filter takes
    assert counts(migrated(program, sides, *many))["copied"] == 1
    assert target.names() == ["app/a", "app/b", "db/a", "web/a"]


def test_a_store_is_not_its_own_target(program: Program, ministack_side: AwsSide, moto_side: AwsSide) -> None:
    done = migrated(program, (ministack_side, ministack_side))

    assert done.status == 6
    assert "source and target are the same store" in done.complaint
    overruled = program.with_settings(SECRETS_ACTOR_BACKEND="local_encrypted")
    assert migrated(overruled, (ministack_side, moto_side)).status == 6


def test_a_progress_bar_is_drawn_on_a_terminal(program: Program, sides: Sides) -> None:
    source, target = sides
    for number in range(12):
        source.seed(f"app/{number}", "hunter1")

    with program.on_terminal("store", "migrate", "--from", str(source.config), "--to", str(target.config)) as terminal:
        assert terminal.wait_for_end() == 0

    assert "12/12" in terminal.transcript
    assert "copied         12" in terminal.transcript


def test_where_there_is_no_thread_to_copy_with_it_says_so_and_copies_when_there_is() -> None:
    with fake_system() as (system, store):
        store.put("a", "v")
        with no_threads(), pytest.raises(StartFailed, match=r"pids\.max"):
            migrate(system.secrets, None, ["a"], workers=2)
        assert migrate(system.secrets, system.secrets, ["a"], workers=2).counts["already_there"] == 1
