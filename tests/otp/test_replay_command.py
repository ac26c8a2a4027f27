"""The replay command: what it prints, what it makes of files that are no scenarios, how it exits."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.otp.replay import __main__ as command
from tests.otp.replay.canonical import differences
from tests.otp.replay.runner import Outcome, replay
from tests.otp.scripted import call


def test_a_difference_names_scenario_index_and_both_sides() -> None:
    document = {
        "name": "n",
        "family": "gen_server/x",
        "scenario": {"steps": [call({"name": "nobody"}, "c", max_ms=-1000)]},
        "trace": [{"ev": "step", "step": 1, "op": "call"}, {"ev": "result", "step": 1, "value": "other"}],
    }
    outcome = replay(document, slack=0)
    assert not outcome.passed
    assert outcome.problems[0].startswith("n[1]: got ")
    assert '"other"' in outcome.problems[0]
    assert "step 1: took" in outcome.problems[1]


def test_a_scenario_that_cannot_be_run_has_failed(capsys: Any) -> None:
    outcome = replay({"name": "n", "family": "gen_server/x", "scenario": {"steps": [{"op": "fly"}]}, "trace": []})
    assert "the harness failed" in outcome.problems[0]
    assert command.report([outcome, Outcome("q", "f", ("p",), "quirk: why"), Outcome("g", "f")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 passed, 1 failed, 1 skipped"
    assert "skipped 1: quirk: why" in lines


def test_the_record_of_a_child_in_an_error_is_not_compared() -> None:
    recorded = [{"ev": "result", "step": 1, "value": ["error", ["boom", {"child": {"id": "b"}}]]}]
    mine = [{"ev": "result", "step": 1, "value": ["error", ["boom", {"child": {}}]]}]
    step = {"ev": "step", "step": 1, "op": "start_child"}
    document = {"name": "n", "scenario": {"steps": [{"op": "start_child"}]}, "trace": [step, *recorded]}
    assert differences([step, *mine], document, {}) == []


GOOD = Path(__file__).parent / "traces" / "gen_server" / "gs_call_reply.json"


def written(folder: Path, name: str, document: Any) -> Path:
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def with_step(**step: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(GOOD.read_text())
    document["scenario"]["steps"].append(step)
    return document


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "no scenario document"),
        ({"name": "x"}, "no scenario document"),
        ({**with_step(op="fly"), "name": "x"}, "step 3, fly: KeyError: 'fly'"),
        ({**with_step(op="cast", to="s", label="c", do=[["fly", 1]]), "name": "x"}, "no such action: fly"),
        ({**with_step(op="cast", to="s"), "name": "x"}, "step 3, cast: KeyError: 'label'"),
    ],
    ids=["no JSON", "no document", "no steps", "unknown op", "unknown action", "half a step"],
)
def test_what_cannot_be_replayed_fails_by_name_and_the_rest_goes_on(
    tmp_path: Path, document: Any, why: str, capsys: Any
) -> None:
    written(tmp_path, "deep/down/good", GOOD.read_text())
    written(tmp_path, "x", document)
    assert command.main([str(tmp_path), "--jobs", "1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 passed, 1 failed, 0 skipped"
    failure = next(line for line in lines if line.startswith("FAILED x"))
    assert why in failure


def test_a_filter_takes_names_families_and_tags_and_a_file_given_twice_counts_once(tmp_path: Path, capsys: Any) -> None:
    path = written(tmp_path, "one", GOOD.read_text())
    written(tmp_path, "two", {**json.loads(GOOD.read_text()), "name": "other", "tags": ["odd"]})
    assert command.main([str(tmp_path), str(path), "--filter", "gs_call"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 0 failed, 0 skipped"
    assert command.main([str(tmp_path), "--filter", "odd"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 0 failed, 0 skipped"
    assert command.main([str(tmp_path), "--filter", "nothing like it"]) == 2


def test_jobs_are_one_or_more(capsys: Any) -> None:
    with pytest.raises(SystemExit) as refused:
        command.main([str(GOOD), "--jobs", "0"])
    assert refused.value.code == 2
    assert "1 or more" in capsys.readouterr().err
