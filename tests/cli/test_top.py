"""`top`: the lines of its screen, and the command on a terminal, over a daemon that goes away and comes back."""

from pathlib import Path

import pytest

from secrets_actor.cli.top import lines, span
from secrets_actor.faces.live_state import (
    LiveCaller,
    LiveCredentials,
    LiveEvent,
    LiveFact,
    LiveFile,
    LiveGauge,
    LiveListener,
    LiveSecret,
    tree_of,
)
from secrets_actor.otp import Tree
from tests.cli.program import Program
from tests.daemon.rig import ask, configuration, port_of
from tests.faces.test_live_state import node, state
from tests.servers.daemon import Daemon

FULL = state(
    started_at=900.0,
    status="degraded",
    waits_for=("a listener",),
    degraded=(LiveFact("breaker", "open"),),
    tree=tree_of(
        Tree(
            node("root", serial=1, children=(node("<b>\x1b[31m", serial=2, status="busy", mailbox=3, restarts=1),)),
            ("root#9",),
        ),
        {1: 900.0, 2: 990.0},
        {"root": ("ValueError", 990.0)},
    ),
    gauges=(LiveGauge("hits", 12.0, 1.5), LiveGauge("in_flight", 0.0), LiveGauge("breaker", "open")),
    secrets=tuple(
        LiveSecret(f"app/{one}", "abcdefgh-1", (), 990.0, None, one == 1, 1010.0 - one * 20) for one in range(9)
    ),
    secrets_total=700,
    callers=(LiveCaller("unit:a.service", 10, None, 2, 999.0), LiveCaller("user:b", 1, 0.5, 0, 990.0)),
    listeners=(
        LiveListener("unix:/x", ("aws", "live"), True, 3, 14),
        LiveListener("127.0.0.1:1", ("aws",), False, 0, 0),
    ),
    credentials=(LiveCredentials("of the store aws", 1060.0, 1030.0), LiveCredentials("x", None, None)),
    files=(LiveFile("/etc/x", "rendered"), LiveFile("/etc/y", "failed", None, "no space")),
    events=(LiveEvent(940.0, "child restarted", "workers", "killed"), LiveEvent(999.0, "reloaded", "faces", "")),
)


def drawn(width: int = 200, height: int | None = None, lost_at: float | None = None) -> list[str]:
    return [text for text, _ in lines(FULL, width, height, 1000.0, lost_at)]


def test_all_of_the_state_is_there() -> None:
    text = "\n".join(drawn())

    for part in (
        *("degraded", "waits for a listener", "breaker: open", "hits 12 (1.5/s)", "in flight 0", "restarts 1"),
        *("last crash ValueError", "mailbox 3", "disowned 1", "Secrets in memory: 700", "due in 10 s", "stale", "due"),
        *(
            "2 refused",
            "14 requests",
            "down",
            "end in 1 min, renewed in 30 s",
            "no end",
            "no space",
            "1 s ago  reloaded",
        ),
    ):
        assert part in text
    assert "reconnecting" not in text


def test_what_does_not_print_is_shown_and_does_nothing() -> None:
    assert "\x1b" not in "".join(drawn())
    assert any(r"<b>\x1b[31m" in line for line in drawn())


@pytest.mark.parametrize("width", [1, 20, 80])
@pytest.mark.parametrize("height", [1, 5, 24, 200])
def test_it_fits_the_terminal(width: int, height: int) -> None:
    found = drawn(width, height)

    assert all(len(line) <= width for line in found)
    assert 1 <= len(found) <= height


def test_where_there_is_little_room_each_table_has_a_few_rows_and_says_how_many_are_left() -> None:
    found = drawn(80, 24)

    assert "Secrets in memory: 700  (and 6 more)" in found
    assert len(found) == 24


def test_a_daemon_that_does_not_answer_is_told_in_the_first_line() -> None:
    assert drawn(lost_at=940.0)[0].startswith("reconnecting, for 1 min")


def test_a_state_of_nothing_is_drawn() -> None:
    assert len(lines(state(), 80, 24, 1000.0)) == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (3600, "1 h 0 min"), (86_399, "23 h 59 min"), (90_000, "1 d 1 h")],
)
def test_a_length_of_time_has_two_units_at_most(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.slow
def test_it_draws_until_q_and_survives_a_restart_of_the_daemon(program: Program, tmp_path: Path) -> None:
    socket = tmp_path / "api.sock"
    text = configuration(tmp_path, f"unix:{socket}", "127.0.0.1:0")
    text = text.replace('address = "127.0.0.1:0"', 'address = "127.0.0.1:0"\nfaces = ["live"]')
    asked = ("--socket", str(socket))
    with Daemon(tmp_path, text, count=2) as daemon:
        url = program(*asked, "live").text.strip()
        assert url.startswith(f"http://127.0.0.1:{port_of(daemon)}/live?key=")
        where = url.partition("/live")[2]
        assert ask(port_of(daemon), f"/live{where}").status == 200
        assert ask(port_of(daemon), f"/live{where}").status == 401
        once = program(*asked, "top", "--once")
        assert "listener 127.0.0.1:0" in once.text
        assert program(*asked, "--json", "top", "--once").json["status"] == "ok"
        with program.on_terminal(*asked, "top", "--every", "0.5") as terminal:
            terminal.wait_for("secrets_actor", 1)
            daemon.kill()
            terminal.wait_for("reconnecting", 1)
            daemon.start()
            terminal.wait_for(f"pid {daemon.pid}", 1)
            terminal.type("q")
            assert terminal.wait_for_end() == 0
        key = where.partition("=")[2]
        assert key not in daemon.tail(1000)
