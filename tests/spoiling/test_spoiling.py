"""Whatever becomes of the files, a program gets the right value or a typed error: never a wrong or an older value,
never `SecretNotFound` for what is there, never another exception. Few cases here; more are marked slow."""

import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secrets_actor.domain.errors import DecryptionFailed, StoreDamaged, StoreUnavailable
from secrets_actor.domain.operations import Get, List, Set
from tests.backends.local.helpers import files
from tests.spoiling import damage_cases
from tests.spoiling.damage_cases import DATABASE, KINDS, LOG, PAGE, Prepared, Tally, prepare, run
from tests.spoiling.known_store import ask, known_backend, verified

CASES: Final = [20, pytest.param(100, marks=pytest.mark.slow)]
BYTES: Final = [30, pytest.param(1000, marks=pytest.mark.slow)]


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """In memory where that can be: thousands of copies need not come to a disk."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as place:
        yield Path(place)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(tmp_path_factory.mktemp("known") / "store")


@pytest.mark.parametrize("examples", BYTES)
def test_a_changed_byte_anywhere(examples: int, prepared: Prepared, scratch: Path) -> None:
    tally, size = Tally(), (prepared.folder / DATABASE).stat().st_size

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(st.integers(0, size - 1), st.integers(1, 255))
    def spoil(at: int, change: int) -> None:
        def flip(folder: Path) -> str:
            content = bytearray((folder / DATABASE).read_bytes())
            content[at] ^= change
            (folder / DATABASE).write_bytes(content)
            return f"byte {at} of page {at // PAGE + 1} changed by {change}"

        run(prepared, scratch, flip, tally)
        assert tally.wrong == []

    spoil()

    print(tally)
    assert tally.cases.total() >= examples * 0.9
    assert tally.answers["right"] > 100 * examples


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"flipped"}))
@pytest.mark.parametrize("count", CASES)
def test_pages_that_are_torn_zeroed_cut_off_or_misdescribed(
    count: int, kind: str, prepared: Prepared, scratch: Path
) -> None:
    tally = Tally()
    for seed in range(count):
        chance = random.Random(f"{kind} {seed}")
        run(prepared, scratch, lambda folder, chance=chance: KINDS[kind](folder, chance, prepared), tally)

    print(f"{kind}: {tally}")
    assert tally.wrong == []
    assert tally.cases.total() == count
    assert tally.answers["StoreDamaged"] + tally.answers["DecryptionFailed"] > count


@pytest.mark.parametrize("count", CASES)
@pytest.mark.parametrize("damage", [damage_cases.flipped_log, damage_cases.cut_log])
def test_a_damaged_log_ends_where_the_damage_is(
    damage: Callable[[Path, random.Random, Prepared], str], count: int, tmp_path: Path
) -> None:
    """SQLite takes a log to end before the first frame that does not fit, as after a power cut, and nothing can tell
    the two apart: what was committed is there up to a moment, all of it, and nothing of what came later."""
    folder = tmp_path / "logged"
    moments = logged(folder)
    crashed = Prepared(folder, {}, {})
    met = set()
    for seed in range(count):
        spoilt = tmp_path / "spoilt"
        shutil.rmtree(spoilt, ignore_errors=True)
        shutil.copytree(folder, spoilt)
        what = damage(spoilt, random.Random(seed), crashed)
        backend = known_backend(spoilt)
        try:
            found = tuple(info.name for info in ask(backend, List()))
        finally:
            backend.close()
        assert found in moments, what
        met.add(found)

    assert len(met) > 3


def logged(folder: Path) -> list[tuple[str, ...]]:
    """Make a store that was left by a crash, with its last sets in the log alone, and return the names there were after
    each of them."""
    live = folder.with_name("live")
    backend = known_backend(live)
    ask(backend, Set("s00", "in the database"))
    backend.close()
    backend, moments = known_backend(live), [("s00",)]
    for number in range(1, 12):
        ask(backend, Set(f"s{number:02}", "in the log"))
        moments.append((*moments[-1], f"s{number:02}"))
    shutil.copytree(live, folder)
    backend.close()
    return moments


@pytest.mark.parametrize("size", [0, 1])
def test_an_emptied_file_is_told_and_no_new_store_is_made_of_it(size: int, prepared: Prepared, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(prepared.folder, tmp_path / "store"))
    with (folder / DATABASE).open("r+b") as file:
        file.truncate(size)

    told(folder, "has lost what was in it: the file is empty")


def test_a_log_whose_file_is_gone_is_told_and_left(prepared: Prepared, tmp_path: Path) -> None:
    folder = tmp_path / "logged"
    logged(folder)
    (folder / DATABASE).unlink()
    (folder / (DATABASE + "-shm")).unlink()

    told(folder, "has lost what was in it: the file is gone")
    assert (folder / LOG).stat().st_size > 0


@pytest.mark.parametrize(
    ("at", "change"),
    [
        pytest.param(31, 4, id="fewer pages than there are"),
        pytest.param(55, 1, id="auto-vacuum"),
        pytest.param(59, 3, id="another encoding"),
        pytest.param(18, 7, id="a write version to come"),
    ],
)
def test_a_header_that_would_mislead_sqlite_is_told_before_anything_is_written(
    at: int, change: int, prepared: Prepared, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(prepared.folder, tmp_path / "store"))
    content = bytearray((folder / DATABASE).read_bytes())
    content[at] ^= change
    (folder / DATABASE).write_bytes(content)
    before = files(folder)
    backend = known_backend(folder)
    try:
        with pytest.raises((StoreDamaged, StoreUnavailable)):
            ask(backend, Set("known/0", "new"))
    finally:
        backend.close()

    assert files(folder)[DATABASE] == before[DATABASE]


def test_an_old_page_of_heads_is_told_for_each_secret_that_was_changed_since(scratch: Path) -> None:
    """Each old head is sealed as well as the present one, and its values are still there."""
    folder = scratch / "store"
    backend = known_backend(folder)
    for name in "abc":
        ask(backend, Set(name, "old"))
    backend.close()
    (page,) = page_of(folder, "secrets")
    old = (folder / DATABASE).read_bytes()[page]
    backend = known_backend(folder)
    for name in "ac":
        ask(backend, Set(name, "new"))
    backend.close()
    content = bytearray((folder / DATABASE).read_bytes())
    content[page] = old
    (folder / DATABASE).write_bytes(content)

    backend = known_backend(folder)
    for _ in range(2):
        for name in "ac":
            with pytest.raises(DecryptionFailed, match=f"secret {name} .* not the one that was written last"):
                ask(backend, Get(name))
        assert ask(backend, Get("b")).reveal() == "old"
        with pytest.raises(DecryptionFailed):
            ask(backend, List())
    backend.close()
    assert verified(folder) == "damage"


@pytest.mark.parametrize("before", [b"-16", b"old.locator"])
def test_a_trigger_that_was_changed_stops_all_writes(before: bytes, prepared: Prepared, scratch: Path) -> None:
    folder = Path(shutil.copytree(prepared.folder, scratch / "store"))
    content = (folder / DATABASE).read_bytes()
    assert before in content
    (folder / DATABASE).write_bytes(content.replace(before, before[:-1] + b"5", 1))
    backend = known_backend(folder)
    try:
        with pytest.raises(StoreDamaged):
            ask(backend, Set("known/1", "new"))
    finally:
        backend.close()


def page_of(folder: Path, table: str) -> list[slice]:
    """Where the root of *table* lies in the file."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        rows = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchall()
    return [slice((page - 1) * PAGE, page * PAGE) for (page,) in rows]


def test_another_program_s_file_is_told_and_left(prepared: Prepared, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(prepared.folder, tmp_path / "store"))
    (folder / DATABASE).unlink()
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    (folder / DATABASE).chmod(0o600)

    told(folder, "belongs to another program")


def told(folder: Path, what: str) -> None:
    """Every operation raises `StoreDamaged`, and nothing in the folder changes."""
    before = files(folder)
    for operation in (List(), Set("known/0", "new")):
        backend = known_backend(folder)
        try:
            with pytest.raises(StoreDamaged, match=what):
                ask(backend, operation)
        finally:
            backend.close()
    assert files(folder) == before
