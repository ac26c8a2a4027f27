"""Replays one scenario: a world, a client, the steps; then everything is killed."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from secrets_actor.otp import Pid, TimerServer, call, spawn
from tests.otp.replay import gen_server_steps, supervisor_steps
from tests.otp.replay.canonical import LATE, differences
from tests.otp.replay.client import Client, Step
from tests.otp.replay.gen_server_steps import NONE
from tests.otp.replay.supervisor_steps import Tree
from tests.otp.replay.world import World

# Tags whose scenarios may differ, with the reason from the mapping table in traces/README.md.
MAY_DIFFER: Final = {"quirk": "an oddity of OTP that need not be copied"}
SLACK_MS: Final = 150.0  # what a step may take beyond its max_ms: threads of one interpreter wait for each other


@dataclass(frozen=True)
class Outcome:
    """How one scenario went. *problems* of a scenario that may differ are the reason it is skipped."""

    name: str
    family: str
    problems: tuple[str, ...] = ()
    skipped: str = ""
    took: float = field(default=0.0, compare=False)

    @property
    def passed(self) -> bool:
        return not self.problems


def load(path: Path) -> dict[str, Any]:
    """The document at *path*."""
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def replay(document: dict[str, Any], slack: float = SLACK_MS) -> Outcome:
    """Run *document*'s scenario and compare. One that was only late is given a second chance: the machine was busy."""
    outcome = _replay(document, slack)
    late = outcome.problems and all(LATE in problem for problem in outcome.problems)
    return _replay(document, slack) if late else outcome


def _replay(document: dict[str, Any], slack: float) -> Outcome:
    begun = time.monotonic()
    try:
        world = run(document)
    except Exception as error:  # a scenario that cannot be run has failed; the others go on
        problems: list[str] = [f"{document['name']}: the harness failed: {type(error).__name__}: {error}"]
    else:
        problems = differences(world.trace, document, world.elapsed, slack)
    tag = next((tag for tag in document.get("tags", []) if tag in MAY_DIFFER), None)
    skipped = f"{tag}: {MAY_DIFFER[tag]}" if problems and tag is not None else ""
    return Outcome(document["name"], document["family"], tuple(problems), skipped, time.monotonic() - begun)


def run(document: dict[str, Any]) -> World:
    """Run *document*'s scenario: the world with its trace."""
    world = World()
    timers = spawn(world, TimerServer, label="timers")
    clients: list[Client] = []

    def make() -> Client:
        clients.append(Client(world))
        return clients[0]

    client = spawn(world, make, label="client")
    scenario = document["scenario"]
    tree = Tree(world, clients[0], scenario)
    try:
        if document["family"].startswith("supervisor"):
            _step(world, client, 0, {"op": "start"}, lambda _: tree.start())
            for number, step in enumerate(scenario["steps"], 1):
                _step(world, client, number, step, lambda _, step=step: supervisor_steps.run_step(tree, step))
        else:
            for number, step in enumerate(scenario["steps"], 1):
                _step(world, client, number, step, lambda me, step=step: gen_server_steps.run_step(world, me, step))
        return world
    finally:
        world.close()
        tree.release()
        for pid in (client, timers):
            pid.kill()


def _step(world: World, client: Pid, number: int, step: dict[str, Any], action: Any) -> None:
    world.record("step", step=number, op=step["op"])

    def timed(me: Client) -> None:
        begun = time.monotonic()
        value = action(me)
        world.elapsed[number] = (time.monotonic() - begun) * 1000
        if value is not NONE:
            world.record("result", step=number, value=value)

    call(client, Step(timed), None)
    if step.get("settle") is False:
        world.stir()
    else:
        world.settle()
