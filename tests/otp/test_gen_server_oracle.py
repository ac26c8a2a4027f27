"""The oracle agrees with the recorded gen_server scenarios, and the kernel with the oracle where none was recorded."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.otp.oracle.server_scenarios import scenario
from tests.otp.oracle.server_steps import ServerOracle
from tests.otp.replay.canonical import canonical, differences
from tests.otp.replay.runner import load, replay
from tests.otp.scripted import call, cast, servers, start, values

FILES = sorted((Path(__file__).parent / "traces" / "gen_server").glob("*.json"))
SEEDS = range(50)
LATE_MS = 1000.0  # by which a step may exceed its time: the machine may be busy


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_oracle_foretells_what_was_recorded(path: Path) -> None:
    document = load(path)
    assert differences(ServerOracle(document["scenario"]).play(), document, {}) == []


def foretold(seed: int) -> dict[str, Any]:
    """A scenario that nobody recorded, with the trace it must give."""
    made, trace = scenario(Random(seed))
    return {"name": f"seed {seed}", "family": "gen_server/foretold", "scenario": made, "trace": trace}


def test_random_servers_under_random_steps_go_as_the_oracle_says() -> None:
    documents = [foretold(seed) for seed in SEEDS]
    events = [event for document in documents for event in document["trace"]]
    assert {"client", "down", "handle", "note", "terminate"} <= {event["ev"] for event in events}
    assert {"call", "cast", "continue", "info", "init"} <= {event.get("cb") for event in events}
    with ThreadPoolExecutor(max_workers=10) as pool:  # they mostly wait
        outcomes = list(pool.map(lambda document: replay(document, LATE_MS), documents))
    assert [problem for outcome in outcomes for problem in outcome.problems] == []


def test_a_scenario_is_foretold_the_same_way_every_time() -> None:
    made, trace = scenario(Random(7))
    assert (made, trace) == scenario(Random(7))
    assert trace == canonical(ServerOracle(made).play(), made)


def agreed(*steps: dict[str, Any]) -> list[dict[str, Any]]:
    """The trace that the kernel and the oracle both give."""
    scenario = {"steps": list(steps)}
    told = [event for event in canonical(ServerOracle(scenario).play(), scenario) if event["ev"] != "step"]
    assert servers(*steps) == told
    return told


@pytest.mark.parametrize("end", [["exit", "boom"], ["stop", "normal"]])
def test_stop_of_a_server_that_ends_before_its_turn_says_so(end: list[Any]) -> None:
    told = agreed(
        start("s"),
        {**cast("s", "k", ["sleep", 80], end), "settle": False},
        {"op": "stop", "to": "s", "reason": "normal"},
    )
    assert values(told)[-1] == ["exit", [end[1], ["sys", "terminate", [{"pid": "s#1"}, "normal", "infinity"]]]]


def test_who_was_started_without_a_link_is_his_own_parent() -> None:
    told = agreed(start("s", trap_exit=True), cast("s", "k", ["signal", "self", "boom"]))
    assert [event["ev"] for event in told][-2:] == ["terminate", "down"]
    told = agreed(start("s", trap_exit=True, link=True), cast("s", "k", ["signal", "self", "boom"]))
    assert told[-1]["msg"] == ["EXIT", {"pid": "s#1"}, "boom"]


def test_the_dead_send_no_signals() -> None:
    told = agreed(
        start("s", trap_exit=True),
        start("t"),
        cast("t", "k", ["signal", "self", "boom"], ["signal", "s", "late"]),
        call("s", "c", ["reply", "fine"]),
    )
    assert told[-3:] == [
        {"ev": "down", "id": "t", "start_no": 1, "reason": "boom"},
        {"ev": "handle", "id": "s", "cb": "call", "msg": "c"},
        {"ev": "result", "step": 4, "value": ["reply", "fine"]},
    ]


def test_a_down_shows_the_name_that_was_monitored() -> None:
    told = agreed({"op": "monitor", "to": {"name": "nobody"}, "key": "m"}, {"op": "mailbox"})
    assert values(told) == [{"list": [["DOWN", "m", "process", ["nobody", "nonode@nohost"], "noproc"]]}]
