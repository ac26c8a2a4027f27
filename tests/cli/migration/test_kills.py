"""A migration that is killed in the middle, or loses its way, and is run again."""

import signal
from pathlib import Path

import pytest

from secrets_actor import System
from secrets_actor.clock import now as clock_now
from tests.cli.migration.sides import AwsSide, OwnSide, Side, aws_side
from tests.cli.migration.test_migrate import counts, migrated
from tests.cli.program import Program
from tests.servers.account import REGION
from tests.servers.ministack import Ministack
from tests.servers.process import reserve

Sides = tuple[Side, Side]
MANY = 60


def seeded(source: Side, count: int = MANY) -> dict[str, tuple[str, str]]:
    """Secrets of two versions each, and what is wanted of them."""
    wanted = {f"app/{number:04}": (f"new-{number}", f"old-{number}") for number in range(count)}
    for name, (current, before) in wanted.items():
        source.seed(name, before, current)
    return wanted


def copied(target: Side, wanted: dict[str, tuple[str, str]]) -> bool:
    return {name: target.values(name) for name in target.names()} == wanted


def kill_at(program: Program, sides: Sides, there: int) -> None:
    """Run a migration, and kill it when *there* secrets are at the target."""
    source, target = sides
    command = ("store", "migrate", "--from", str(source.config), "--to", str(target.config))
    with program.start(*command) as process:
        while len(target.names()) < there:
            assert process.poll() is None, "it ended before it was killed"
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_a_migration_that_was_killed_goes_on_where_it_was(program: Program, sides: Sides) -> None:
    wanted = seeded(sides[0])

    kill_at(program, sides, 7)
    halfway = len(sides[1].names())
    done = migrated(program, sides)

    assert 7 <= halfway < MANY
    told = counts(done)
    assert (done.status, told["conflicts"], told["failed"]) == (0, 0, 0)
    assert told["copied"] == MANY - halfway
    assert told["already there"] + told["completed"] == halfway
    assert copied(sides[1], wanted)


@pytest.mark.slow
@pytest.mark.parametrize("sides", ["local-ministack", "ministack-local"], indirect=True)
def test_it_may_be_killed_many_times(program: Program, sides: Sides) -> None:
    wanted = seeded(sides[0], 150)

    for there in range(3, 130, 12):
        kill_at(program, sides, there)

    assert counts(migrated(program, sides))["conflicts"] == 0
    assert copied(sides[1], wanted)


def test_a_target_that_is_not_there_ends_it_and_what_was_not_tried_is_counted(
    program: Program, moto_side: AwsSide, tmp_path: Path
) -> None:
    seeded(moto_side, 20)
    with reserve() as nobody:  # bound, and nobody listens
        nowhere = tmp_path / "nowhere.toml"
        nowhere.write_text(
            f'backend = "aws_secrets_manager"\nmax_workers = 2\n[aws]\nregion = "{REGION}"\naccess_key = "AKIANOBODY"\n'
            f'secret_key = "nobodys/secret"\nendpoint_url = "http://127.0.0.1:{nobody.getsockname()[1]}"\n'
        )
        done = program(
            "--json", "--config", str(moto_side.config), "store", "migrate", "--to", str(nowhere), "--dry-run"
        )

    assert done.status == 5
    told = done.json
    assert (told["copied"], told["not_tried"] + len(told["failures"])) == (0, 20)
    assert 1 <= len(told["failures"]) <= 2
    assert told["failures"][0]["at"] == "target"


@pytest.fixture
def whole_account(fresh_ministack: Ministack, tmp_path: Path) -> AwsSide:
    """An account that is asked by as many workers as there may be."""
    return aws_side(fresh_ministack, tmp_path / "there.toml")


@pytest.mark.slow
@pytest.mark.parametrize("target", ["whole_account", "vault_side"])
def test_a_thousand_secrets_go_there_and_back(
    program: Program, local_side: OwnSide, target: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Prints the counts and seconds."""
    there: Side = request.getfixturevalue(target)
    wanted = seeded(local_side, 1000)
    (tmp_path / "back.toml").write_text(f'[local]\npath = "{tmp_path / "back"}"\n')

    with System(tmp_path / "back.toml") as system:
        back = OwnSide(tmp_path / "back.toml", system)
        ways = {"there": (local_side, there), "there again": (local_side, there), "back": (there, back)}
        told = {}
        for way, sides in ways.items():
            began = clock_now()
            done = migrated(program, sides)
            told[way] = counts(done)
            print(f"\n{way}, {clock_now() - began:.1f} s:\n{done.text}")

        assert copied(there, wanted)
        assert copied(back, wanted)
    assert (told["there"]["copied"], told["there again"]["already there"], told["back"]["copied"]) == (1000,) * 3
