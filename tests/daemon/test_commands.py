"""The commands that look at a running daemon show it as it is, and not another system."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import Program, finished
from tests.daemon.rig import configuration
from tests.servers.daemon import Daemon


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("daemon")
    with Daemon(folder, configuration(folder, f"unix:{folder}/api.sock"), count=1) as one:
        yield one


@pytest.fixture
def asking(daemon: Daemon, tmp_path: Path) -> Program:
    """The program, with the daemon's own configuration."""
    return Program(tmp_path / "home").with_settings(SECRETS_ACTOR_CONFIG=str(daemon.configuration))


def test_status_shows_the_running_daemon(asking: Program, daemon: Daemon) -> None:
    facts = asking("--json", "status").json
    lines = asking("status").text

    assert (facts["pid"], facts["status"]) == (daemon.pid, "ok")
    assert re.search(rf"^pid +{daemon.pid}$", lines, re.M)
    assert re.search(r"^listeners +unix:\S+ \(aws, agent, health, metrics; 1 connections, \d+ requests\)$", lines, re.M)
    for nothing in ("waits_for", "degraded", "reload"):
        assert re.search(rf"^{nothing} +-$", lines, re.M)


def test_the_tree_is_that_of_the_running_daemon_as_the_program_itself_would_draw_it(
    asking: Program, daemon: Daemon
) -> None:
    drawn = asking("tree").text
    facts = asking("--json", "tree").json

    assert re.search(r"^   └─ listeners +one_for_one +running", drawn, re.M)
    assert re.search(r"^      └─ listener unix:\S+ +permanent +running .* requests$", drawn, re.M)
    serials = re.findall(r"#(\d+)", drawn)
    assert facts["root"]["serial"] == int(serials[0])
    assert [child["id"] for child in facts["root"]["children"]] == ["infra", "core", "background", "faces"]


def test_the_tree_can_be_watched(asking: Program) -> None:
    with asking.start("--json", "tree", "--watch", "--every", "0.05") as process:
        assert process.stdout is not None
        for _ in range(3):
            assert b'"listeners"' in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert finished(process).status == 0


def test_metrics_are_printed_one_series_a_line(asking: Program) -> None:
    text = asking("metrics").text
    families = asking("--json", "metrics").json

    assert re.search(r"^secrets_actor_cache_hits \d+$", text, re.M)
    assert re.search(r'^secrets_actor_breaker_state\{state="closed"\} 1$', text, re.M)
    assert "secrets_actor_upstream_calls" in {family["name"] for family in families}


def test_health_ends_with_0_or_1_as_a_probe_wants_it(asking: Program, tmp_path: Path) -> None:
    fine, live = asking("--json", "health"), asking("health", "--live")
    none = Program(tmp_path / "home")("--socket", str(tmp_path / "none.sock"), "health")

    assert (fine.status, fine.json) == (0, {"status": "ok", "waits_for": [], "degraded": []})
    assert (live.status, live.text) == (0, "alive  yes\n")
    assert none.status == 1
    assert re.search(r"^status  down$", none.text, re.M)


def test_without_a_daemon_the_commands_say_where_they_looked(tmp_path: Path) -> None:
    config = tmp_path / "daemon.toml"
    config.write_text(configuration(tmp_path, f"unix:{tmp_path}/none.sock"))
    program = Program(tmp_path / "home").with_settings(SECRETS_ACTOR_CONFIG=str(config))

    for command in ("status", "metrics"):
        done = program(command)
        assert done.status == 5
        assert f"no daemon was found (looked at {tmp_path}/none.sock)" in done.complaint
    assert program("--no-daemon", "status").status == 2
