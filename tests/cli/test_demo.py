"""The demonstration, as a new user sees it."""

import json
import re

from tests.cli.program import Program

COLOUR = "\x1b["


def test_the_demonstration_shows_both_kills_and_the_restarts(program: Program) -> None:
    done = program("demo")

    assert (done.status, done.stderr) == (0, "")
    assert COLOUR not in done.text
    assert re.search(r"^killed     worker #\d+ with a get in its hands: another one took over", done.text, re.M)
    assert re.search(
        r"^killed     the secrets actor itself: its supervisor started <Pid secrets#\d+ alive>", done.text, re.M
    )
    assert "the value is still there" in done.text
    before, after = re.findall(r"^    secrets_actor.*?\n\n", done.text, re.M | re.S)
    assert set(re.findall(r"restarts (\d+)", before)) == {"0"}
    assert "1" in restarts(after, "worker")
    assert restarts(after, "secrets") == ["1"]
    assert done.text.splitlines()[-1].startswith("stopped ")
    assert max(len(line) for line in done.text.splitlines()) <= 120
    assert list((program.home / "tmp").iterdir()) == []
    assert [path.name for path in program.home.iterdir()] == ["tmp"]


def restarts(drawing: str, name: str) -> list[str]:
    return re.findall(rf"[├└]─ {name} .*restarts (\d+)", drawing)


def test_the_demonstration_is_in_colour_on_a_terminal(program: Program) -> None:
    with program.on_terminal("demo") as terminal:
        assert terminal.wait_for_end() == 0

    assert f"{COLOUR}31mkilled" in terminal.transcript
    assert f"{COLOUR}32mstopped" in terminal.transcript


def test_the_demonstration_tells_scripts_an_object_a_line(program: Program) -> None:
    done = program("--json", "demo")

    told = [json.loads(line) for line in done.text.splitlines()]
    assert [one["event"] for one in told if one["event"] != "tree"] == [
        "started", "set", "get", "get again", "list", "killed", "killed", "delete", "stopped",
    ]  # fmt: skip
    trees = [one["root"] for one in told if one["event"] == "tree"]
    [secrets] = [node for node in trees[1]["children"][1]["children"] if node["id"] == "secrets"]
    assert secrets["restarts"] == 1
