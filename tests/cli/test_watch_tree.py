"""The tree, watched: on a terminal, as JSON lines, and without rich."""

import json
import signal

from tests.cli.program import Program, finished


def test_the_tree_is_drawn_again_and_again_until_an_interrupt(program: Program) -> None:
    with program.on_terminal("tree", "--watch", "--every", "0.05") as terminal:
        terminal.wait_for("secrets_actor      rest_for_one", 3)
        terminal.wait_for("running  #", 3 * 10)
        terminal.type("\x03")

        assert terminal.wait_for_end() == 0

    assert "Traceback" not in terminal.transcript
    assert "└─ secrets" in terminal.transcript


def test_as_json_each_picture_is_a_line(program: Program) -> None:
    with program.start("--json", "tree", "--watch", "--every", "0.05") as process:
        assert process.stdout is not None
        pictures = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        done = finished(process)

    assert done.status == 0
    assert [picture["root"]["id"] for picture in pictures] == ["secrets_actor"] * 3
    uptimes = [picture["root"]["uptime"] for picture in pictures]
    assert uptimes == sorted(set(uptimes))


def test_without_rich_the_remedy_is_told(program: Program) -> None:
    """An empty folder in the place of the package: rich cannot be imported."""
    (program.home / "without").mkdir(parents=True)
    (program.home / "without" / "rich.py").write_text("raise ModuleNotFoundError('no rich here', name='rich')")
    done = program.with_settings(PYTHONPATH=str(program.home / "without"))("tree", "--watch")

    assert done.status == 2
    assert "pip install 'secrets-actor[watch]'" in done.complaint


def test_an_interval_that_is_none_is_refused(program: Program) -> None:
    assert program("tree", "--watch", "--every", "0").status == 2
