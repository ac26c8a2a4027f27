"""Replays one scenario: a world, a client, the steps; then everything is killed."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from secrets_actor.clock import now as clock_now
from secrets_actor.otp import TimerServer, call, spawn
from tests.otp.replay import gen_server_steps, supervisor_steps
from tests.otp.replay.canonical import LATE, differences
from tests.otp.replay.client import Client, Step
from tests.otp.replay.gen_server_steps import NONE
from tests.otp.replay.supervisor_steps import Tree
from tests.otp.replay.world import QUIET, World

# Tags whose scenarios may differ, with the reason from the mapping table in traces/README.md.
MAY_DIFFER: Final = {"quirk": "an oddity of OTP that need not be copied"}
UNREADABLE: Final = "unreadable"  # the family of what has none
STUCK: Final = 60.0  # seconds after which a step has failed
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
    """The document at *path*. A file that holds none yields one whose replay fails and says why."""
    try:
        document = json.loads(path.read_text())
        missing = [key for key in ("scenario", "trace") if key not in document]
    except (OSError, ValueError, TypeError) as error:
        return {"name": path.stem, "family": UNREADABLE, "broken": f"{type(error).__name__}: {error}"}
    if not isinstance(document, dict) or missing:
        return {"name": path.stem, "family": UNREADABLE, "broken": f"no scenario document: {missing}"}
    return {"name": path.stem, "family": UNREADABLE, **document}


def replay(document: dict[str, Any], slack: float = SLACK_MS) -> Outcome:
    """Run *document*'s scenario and compare. One that was only late is given a second chance: the machine was busy."""
    outcome = _replay(document, slack)
    late = outcome.problems and all(LATE in problem for problem in outcome.problems)
    return _replay(document, slack) if late else outcome


def _replay(document: dict[str, Any], slack: float) -> Outcome:
    begun = clock_now()
    problems: list[str]
    try:
        if "broken" in document:
            raise ValueError(document["broken"])
        world = run(document)
        problems = [f"{document['name']}: {text}" for text in world.unknown]
        problems += differences(world.trace, document, world.elapsed, slack)
    except Exception as error:  # a scenario that cannot be run has failed; the others go on
        problems = [f"{document['name']}: the harness failed: {type(error).__name__}: {error}"]
    tag = next((tag for tag in document.get("tags", []) if tag in MAY_DIFFER), None)
    skipped = f"{tag}: {MAY_DIFFER[tag]}" if problems and tag is not None else ""
    return Outcome(document["name"], document["family"], tuple(problems), skipped, clock_now() - begun)


def run(document: dict[str, Any]) -> World:
    """Run *document*'s scenario: the world with its trace."""
    scenario = document["scenario"]
    with Stage(scenario) as stage:
        supervises = document["family"].startswith("supervisor") or "children" in scenario
        if supervises:
            stage.start_root()
        for number, step in enumerate(scenario["steps"], 1):
            stage.step(number, step, supervises=supervises)
        return stage.world


class Stage:
    """A world with its timers and its client, for as long as it is entered; then everything is killed."""

    def __init__(self, scenario: dict[str, Any], quiet: float = QUIET) -> None:
        self.world = World(quiet)
        self._timers = spawn(self.world, TimerServer, label="timers")
        clients: list[Client] = []

        def make() -> Client:
            clients.append(Client(self.world))
            return clients[0]

        self._client = spawn(self.world, make, label="client")
        self._tree = Tree(self.world, clients[0], scenario)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill whoever is left."""
        self.world.close()
        for pid in (self._client, self._timers):
            pid.kill()

    def start_root(self) -> None:
        """Step 0 of the supervisor scenarios."""
        self._do(0, {"op": "start"}, lambda _: self._tree.start())

    def step(self, number: int, step: dict[str, Any], *, supervises: bool = True) -> None:
        """Do *step* and wait until all is at rest."""
        if supervises:
            self._do(number, step, lambda _: supervisor_steps.run_step(self._tree, step))
        else:
            self._do(number, step, lambda me: gen_server_steps.run_step(self.world, me, step))

    def _do(self, number: int, step: dict[str, Any], action: Callable[[Client], Any]) -> None:
        world = self.world
        world.record("step", step=number, op=step["op"])

        def timed(me: Client) -> Exception | None:
            begun = clock_now()
            try:
                value = action(me)
            except Exception as error:  # a step that nobody understands is no reason for the client to die
                return error
            world.elapsed[number] = (clock_now() - begun) * 1000
            if value is not NONE:
                world.record("result", step=number, value=value)
            return None

        error = call(self._client, Step(timed), STUCK)
        if error is not None:
            raise RuntimeError(f"step {number}, {step['op']}: {type(error).__name__}: {error}")
        if step.get("settle") is False:
            world.stir()
        else:
            world.settle()
