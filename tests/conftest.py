"""What every test may lean on: the real servers, started when first asked for, and a host that stays outside."""

import contextlib
import gc
import importlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

from secrets_actor.clock import now as clock_now
from tests import tallies
from tests.cli import forked
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer
from tests.servers.openbao import OpenBaoCluster, OpenBaoDev, missing

LEAVE_SECONDS: Final = 5.0
# Removed from the environment: keys and settings of whoever runs the tests.
FOREIGN: Final = ("AWS_", "BAO_", "SECRETS_ACTOR_", "VAULT_")

# How long an example takes is the machine's business: it may be busy, or make hypothesis's tables for the first time.
ANY_MACHINE: Final = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Who waits for the tests has a fifth of the examples. .ci/run asks for them all where pure modules are tried:
# --hypothesis-profile=whole.
settings.register_profile("whole", ANY_MACHINE)
settings.register_profile("quick", ANY_MACHINE, max_examples=20)
settings.load_profile("quick")

# Fixtures of OpenBao's nodes.
OPENBAO: Final = frozenset({"openbao", "openbao_cluster"})
NOT_THE_SAME: Final = re.compile(r"set\(\{|\bat 0x[0-9a-f]")

# pytest rewrites each module of tests and compiles it, which is twice the work of all the rest of the collection.
# Images of containers forbid to keep the result, and then each process of tests does it anew, in each run.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Ours for the whole run, collection included.
_patch: Final = pytest.MonkeyPatch()


def pytest_configure(config: pytest.Config) -> None:
    """No key, profile or endpoint of the host reaches a test, nor boto3 inside one; loopback needs no proxy; and an
    signal reaches the programs that tests start, even where this run ignores it (in the background, under nohup)."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGQUIT, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        return  # no test runs here; the processes in which they do start as this one did (see contract/live.py)
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        _patch.delenv(name)
    _patch.setenv("AWS_CONFIG_FILE", os.devnull)
    _patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    _patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("NO_PROXY", "no_proxy"):
        _patch.setenv(name, ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"])))


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Of several processes that collect all tests, each imports another part first, so that each module is rewritten
    and compiled by one of them, and read from its cache by the others: they would all do all, in step."""
    config = collector.config
    mine: dict[str, Any] | None = getattr(config, "workerinput", None)
    if not isinstance(collector, pytest.Session) or mine is None or config.args_source != config.ArgsSource.TESTPATHS:
        return
    root = config.rootpath
    names = [".".join(one.relative_to(root).with_suffix("").parts) for one in sorted(root.glob("tests/**/test_*.py"))]
    first = len(names) * int(mine["workerid"].removeprefix("gw")) // mine["workercount"]
    for name in names[first:] + names[:first]:
        with contextlib.suppress(Exception, pytest.skip.Exception):  # the collection tells of it
            importlib.import_module(name)


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs OpenBao, and leave it out where there is none, as the slow tests are: `pytest_terminal_summary`
    says so once. Refuse names of tests that are others in each process, such as those with the order of a
    set or the address of an object in them: pytest-xdist gives up when two processes collect different names, which
    happens now and then."""
    for item in items:
        # A row of the contract suite asks for its server by the row's name, when the test runs.
        if OPENBAO.intersection(getattr(item, "fixturenames", ())) or "vault" in item.name.partition("[")[2]:
            item.add_marker(pytest.mark.vault)
    wrong = [item.nodeid for item in items if NOT_THE_SAME.search(item.nodeid)]
    if wrong:
        raise pytest.UsageError(f"give these parameters ids that are the same in each process: {wrong}")
    if _leaves_openbao_out(config):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("vault")])
        items[:] = [item for item in items if not item.get_closest_marker("vault")]


def _leaves_openbao_out(config: pytest.Config) -> bool:
    """Whether the tests on OpenBao are left out. Where they are asked for, they are skipped one by one, and say why."""
    return missing() is not None and "vault" not in config.option.markexpr


def pytest_collection_finish() -> None:
    """Have the collector of garbage look no more at what has been imported and collected: a million objects, which stay
    to the end. It would go over them again and again, and each process that a test forks would copy their pages."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked as a test on OpenBao where there is none. A test that needs it and has no mark fails there:
    .ci/run goes by the mark, and would never run it."""
    if item.get_closest_marker("vault") and (reason := missing()):
        pytest.skip(reason)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The end of a process of tests."""
    tallies.hand_on(session.config)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_testnodedown(node: Any) -> None:
    """One of several processes of tests has ended."""
    tallies.take_in(getattr(node, "workeroutput", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the whole run has counted, and what it has left out."""
    tallies.tell(terminalreporter)
    if _leaves_openbao_out(terminalreporter.config):
        terminalreporter.write_line(f"left out: each test that {missing()}")


def pytest_unconfigure() -> None:
    """Give the environment back."""
    _patch.undo()


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """At the end no thread that would keep the interpreter alive is left, and no child process."""
    threads_before, children_before = set(threading.enumerate()), _children()
    yield
    forked.stop()
    deadline = clock_now() + LEAVE_SECONDS
    left = [one for one in threading.enumerate() if not one.daemon and one not in threads_before]
    left = [one for one in left if not one.name.startswith("pytest_timeout")]  # it watches this end, too
    for one in left:
        one.join(max(0.0, deadline - clock_now()))
    threads = [one.name for one in left if one.is_alive()]
    children = _children() - children_before
    assert (threads, children) == ([], set()), "threads and child processes left behind"


def _children() -> set[str]:
    """The command lines of our child processes. Empty where there is no /proc."""
    found = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        for pid in listing.read_text().split():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue  # it ended while we looked
            found.add(f"{pid}: {command.replace(bytes(1), b' ').decode(errors='replace')}")
    return found


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory, _nothing_is_left_behind: None) -> Iterator[Ministack]:
    """One ministack with AUTH=true for the whole run; `fresh_ministack` is the same one, emptied."""
    with Ministack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory, _nothing_is_left_behind: None) -> Iterator[MotoServer]:
    """One moto with the front door for the whole run; `fresh_moto` is the same one, emptied."""
    with MotoServer(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def fresh_ministack(ministack: Ministack) -> Ministack:
    """ministack without secrets, users and roles."""
    ministack.reset()
    return ministack


@pytest.fixture
def fresh_moto(moto_server: MotoServer) -> MotoServer:
    """moto without secrets, users and roles, its clock right."""
    moto_server.reset()
    return moto_server


@pytest.fixture(scope="session")
def openbao(tmp_path_factory: pytest.TempPathFactory, _nothing_is_left_behind: None) -> Iterator[OpenBaoDev]:
    """One OpenBao for the whole run, of a single node; `kv_mount` is a new place in it."""
    with OpenBaoDev(tmp_path_factory.mktemp("openbao")) as server:
        yield server


@pytest.fixture
def kv_mount(openbao: OpenBaoDev) -> Iterator[str]:
    """The path of a KV v2 mount of `openbao` that nobody wrote to."""
    path = openbao.root.mount()
    yield path
    openbao.root.delete(f"sys/mounts/{path}")


@pytest.fixture(scope="session")
def openbao_cluster(
    tmp_path_factory: pytest.TempPathFactory, _nothing_is_left_behind: None
) -> Iterator[OpenBaoCluster]:
    """Three nodes of OpenBao for the whole run, 8 s until they stand; `whole_cluster` is the same one, healed."""
    with OpenBaoCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def whole_cluster(openbao_cluster: OpenBaoCluster) -> OpenBaoCluster:
    """Three nodes of OpenBao, any of which may die. A test takes a mount of its own: `mount()`."""
    openbao_cluster.heal()
    return openbao_cluster
