"""supervision.md against the running tree."""

import re
from dataclasses import dataclass, field
from itertools import accumulate, count, takewhile
from pathlib import Path

from secrets_actor.faces.listener import BACKOFF
from secrets_actor.otp import ChildSpec, GenServer, TreeNode, WhichChildren, call
from secrets_actor.runtime import tree as specs
from secrets_actor.runtime.daemon import LISTENERS_FLAGS, Daemon
from secrets_actor.runtime.daemon_files import FILES_FLAGS
from secrets_actor.testing import fake_system
from tests.architecture.flight_diagram import diagram
from tests.architecture.house import ROOT
from tests.architecture.public_names import PUBLIC

TEXT = (ROOT / "supervision.md").read_text()


@dataclass
class Drawn:
    """A process as the page draws it."""

    id: str
    how: str
    children: "list[Drawn]" = field(default_factory=list)


def drawn_tree(root: str = "secrets_actor") -> Drawn:
    [block] = [one for one in re.findall(r"```\n(.*?)```", TEXT, re.S) if re.match(rf"{root} +\w+\n", one)]
    path: list[Drawn] = []
    for line in block.splitlines():
        found = re.fullmatch(r"((?:[│ ] {2}|[├└]─ )*)(\w+) +(\w+)", line)
        assert found, f"not a line of a tree: {line!r}"
        node, depth = Drawn(found[2], found[3]), len(found[1]) // 3
        del path[depth:]
        if path:
            path[-1].children.append(node)
        path.append(node)
    return path[0]


def running(node: TreeNode) -> Drawn:
    return Drawn(node.id, node.strategy or node.restart, [running(child) for child in node.children])


def test_the_tree_on_the_page_is_the_running_one() -> None:
    added = [ChildSpec("program", GenServer)]
    with (
        fake_system(max_workers=1, children=lambda _secrets: added) as (system, store),
        store.hold("get_many") as gate,
    ):
        system.subscribe("db/password", print)
        system.secrets.prefetch(["db/password"])
        gate.wait_until_held()
        for supervisor in (
            "workers",
            "subscribers",
            "prefetches",
        ):  # a child is at work before its supervisor has noted it
            call(system.whereis(supervisor), WhichChildren())
        found = running(system.tree().root)

    assert found == drawn_tree()


def test_what_the_daemon_adds_on_the_page_is_what_it_adds(tmp_path: Path) -> None:
    config = tmp_path / "daemon.toml"
    listen = f'[[daemon.listen]]\naddress = "unix:{tmp_path}/api.sock"\n'
    file = f'[[file]]\npath = "{tmp_path}/made"\ntext = "made"\n'
    config.write_text(f'[local]\npath = "{tmp_path}/store"\n{listen}{file}')
    daemon = Daemon(config, say=lambda _: None, environ={})
    daemon.start()
    try:
        [faces] = [node for node in daemon.tree().root.children if node.id == "faces"]
    finally:
        daemon.stop()

    found = running(faces)
    named = [one for child in found.children[1:] for one in child.children]
    assert [one.id for one in named] == [
        f"file {tmp_path}/made",
        f"changes {tmp_path}/made",
        f"listener unix:{tmp_path}/api.sock",
    ]
    for one in named:
        one.id = one.id.partition(" ")[0]
    assert found == drawn_tree("faces")


def test_the_page_tells_every_process_and_no_other() -> None:
    told = set(re.findall(r"^\| `(\w+)` \| (?:supervisor|gen_server|dynamic)", TEXT, re.M))

    def names(node: Drawn) -> set[str]:
        return {node.id}.union(*map(names, node.children))

    assert told == names(drawn_tree()) | names(drawn_tree("faces"))


def test_the_intensities_on_the_page_are_those_in_force() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\d+) in (\d+) s \|", TEXT, re.M)
    flags = {
        "secrets_actor": specs.ROOT_FLAGS,
        "infra": specs.INFRA_FLAGS,
        "core": specs.CORE_FLAGS,
        "workers": specs.WORKERS_FLAGS,
        "background": specs.BACKGROUND_FLAGS,
        "faces": specs.PROGRAM_FLAGS,
        "files": FILES_FLAGS,
        "listeners": LISTENERS_FLAGS,
        "subscribers": specs.SUBSCRIBERS_FLAGS,
        "prefetches": specs.PREFETCHES_FLAGS,
    }

    assert {name for name, *_ in rows} == flags.keys()
    for name, strategy, intensity, period in rows:
        assert (flags[name].intensity, flags[name].period) == (int(intensity), float(period)), name
        dynamic = name in ("workers", "subscribers", "prefetches")
        assert strategy == ("dynamic" if dynamic else flags[name].strategy), name


def test_the_shutdowns_on_the_page_are_those_in_force() -> None:
    assert re.search(rf"\| `worker` \| transient, [^|]* \| {specs.WORKER_SHUTDOWN:g} s, in parallel \|", TEXT)
    assert (
        f"| `listener` | permanent, the fourth time in a row and later after a pause that grows from "
        f"{BACKOFF.initial * 1000:g} ms to {BACKOFF.maximum:g} s | `drain_seconds` and 5 s |" in TEXT
    )
    assert BACKOFF.at_once == 3
    assert f"| `subscriber` | transient | {specs.SUBSCRIBER_SHUTDOWN:g} s, in parallel |" in TEXT


def test_the_pauses_of_a_programs_processes_are_those_in_force_and_never_too_short_for_faces() -> None:
    backoff, flags = specs.PROGRAM_BACKOFF, specs.PROGRAM_FLAGS
    shortest = accumulate(backoff.delay(tries, 1.0) for tries in count(1))
    restarts = list(takewhile(lambda moment: moment <= flags.period, shortest))

    assert f"after a pause that grows from {backoff.initial:g} to {backoff.maximum:g} s" in TEXT
    assert f"may make {flags.intensity} restarts for each process that a program has added" in TEXT
    assert backoff.at_once == 2
    assert backoff.stable > flags.period, (
        "a process that begins with the first pause again had no restart in the period"
    )
    assert len(restarts) < flags.intensity


def test_the_error_table_names_classes_that_are_public() -> None:
    section = TEXT.partition("## The names of the Erlang module\n")[2].partition("\n## ")[0]
    named = {name for row in section.splitlines() if row.startswith("|") for name in re.findall(r"`([A-Z]\w+)`", row)}

    assert len(named) > 25
    assert named - {name for names in PUBLIC.values() for name in names} == set()


def test_the_life_of_a_flight_on_the_page_is_the_table() -> None:
    assert re.findall(r"```mermaid\n(.*?)\n```", TEXT, re.S) == [diagram()]
