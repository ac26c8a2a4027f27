"""Several processes at one store lose no update of each other."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from secrets_actor.backends.local.upkeep.verify import verify
from secrets_actor.domain.operations import Get, List, ListVersions
from secrets_actor.domain.semantics.stages import MAX_VERSIONS
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import do, key_of, within

PROCESSES, NAMES = 4, 8
# Sets by turns, reads each back by its version at once, and says which were acknowledged: name and token.
WRITER: Final = """
import pathlib, sys, time
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.domain.operations import Get, Set
from secrets_actor.domain.ports import CallContext
folder, me, sets, names = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
backend = local_backend_factory(path=folder, recovery_window=30).connect()
def ask(operation):
    return backend.perform(operation, CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 120)).value
print("ready", flush=True)
sys.stdin.readline()
done = []
for turn in range(sets):
    name, token = f"shared/{(turn + me) % names}", f"{me:04}-{turn:032}"
    receipt = ask(Set(name, token, token=token))
    assert receipt.version_id == token
    done.append((name, token))
    assert ask(Get(name, version_id=token)).reveal() == token
backend.close()
for name, token in done:
    print(name, token)
"""


@pytest.mark.parametrize("sets", [20, pytest.param(2000, marks=pytest.mark.slow)])
def test_every_acknowledged_version_is_there(sets: int, folder: Path, connect: Connect) -> None:
    """A secret keeps its last versions only: of these each is there, with its value, and of each process in the order
    in which it set them; and all that was acknowledged later than one that is kept, is kept."""
    told = run_writers(folder, sets)

    backend = connect()
    assert [info.name for info in do(backend, List())] == [f"shared/{number}" for number in range(NAMES)]
    for name in (f"shared/{number}" for number in range(NAMES)):
        ours = [[token for at, token in done if at == name] for done in told]
        kept = [one.version_id for one in versions(connect, name)]
        assert len(kept) == min(MAX_VERSIONS, sum(map(len, ours)))
        for done in ours:
            of_this = [token for token in kept if token in set(done)]
            assert of_this == done[len(done) - len(of_this) :]
        assert sum(len(set(kept) & set(done)) for done in ours) == len(kept)
        for token in kept:
            assert do(backend, Get(name, version_id=token)).reveal() == token
        assert do(backend, Get(name)).version_id == kept[-1]
        assert do(backend, Get(name, stage="AWSPREVIOUS")).version_id == kept[-2]
        assert kept[-1] in {done[-1] for done in ours}
    assert verify(folder, key_of(folder), deadline=within().deadline).damage == []


def versions(connect: Connect, name: str) -> list:
    found, token, backend = [], None, connect()
    while True:
        page = do(backend, ListVersions(name, include_deprecated=True, page_size=100, next_token=token))
        found += page.versions
        token = page.next_token
        if token is None:
            return found


def run_writers(folder: Path, sets: int) -> list[list[tuple[str, str]]]:
    """What each process was told: names and tokens, in order. They begin at once, and make the store."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), str(number), str(sets), str(NAMES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        ended = [(*process.communicate(timeout=300), process.returncode) for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert [(said, code) for _, said, code in ended] == [("", 0)] * PROCESSES
    told = [[tuple(line.split()) for line in out.splitlines()] for out, _, _ in ended]
    assert [len(one) for one in told] == [sets] * PROCESSES
    return told
