"""Damage of all kinds, done to a copy of a store whose contents are known."""

import copy
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.operations import Operation
from tests.spoiling.known_store import SECRETS, Known, Seen, ask, change, fill, known_backend, look, verified

PAGE: Final = 4096
DATABASE, LOG = "secrets.db", "secrets.db-wal"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A folder to be copied, what is in it, and an earlier state of the same files."""

    folder: Path
    made: dict[str, Known]
    earlier: dict[str, bytes]


def prepare(folder: Path, *, secrets: int = SECRETS, log: bool = False) -> Prepared:
    """A store of so many secrets. With *log* it was left by a crash, and its last changes are in the log alone."""
    backend = known_backend(folder)
    made = fill(backend, secrets)
    backend.close()
    earlier = _files(folder)
    backend = known_backend(folder)

    def step(_name: str, operation: Operation[Any]) -> bool:
        ask(backend, operation)
        return True

    change(backend, made, step, "before")
    if log:
        crashed = folder.with_name(folder.name + "-crashed")
        shutil.copytree(folder, crashed)
        backend.close()
        return Prepared(crashed, made, earlier)
    backend.close()
    return Prepared(folder, made, earlier)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


Damage = Callable[[Path, random.Random, Prepared], str]


def flip(path: Path, chance: random.Random) -> str:
    """Change one byte."""
    content = bytearray(path.read_bytes())
    at = chance.randrange(len(content))
    content[at] ^= chance.randrange(1, 256)
    path.write_bytes(content)
    return f"{path.name} byte {at}"


def flipped(folder: Path, chance: random.Random, _prepared: Prepared) -> str:
    """One byte of the database."""
    return flip(folder / DATABASE, chance)


def flipped_structure(folder: Path, chance: random.Random, _prepared: Prepared) -> str:
    """One byte where the pages say what is on them: at their beginnings."""
    content = bytearray((folder / DATABASE).read_bytes())
    page = chance.randrange(len(content) // PAGE)
    at = page * PAGE + chance.randrange(140 if page == 0 else 60)
    content[at] ^= chance.randrange(1, 256)
    (folder / DATABASE).write_bytes(content)
    return f"byte {at} (page {page + 1} at {at % PAGE})"


def flipped_log(folder: Path, chance: random.Random, _prepared: Prepared) -> str:
    """One byte of the log."""
    return flip(folder / LOG, chance)


def torn(folder: Path, chance: random.Random, prepared: Prepared) -> str:
    """A page is half new, half as it was before the last changes."""
    content = bytearray((folder / DATABASE).read_bytes())
    old = prepared.earlier[DATABASE]
    pages = [page for page in range(len(old) // PAGE) if old[page * PAGE :][:PAGE] != content[page * PAGE :][:PAGE]]
    page = chance.choice(pages)
    sector = PAGE * page + 512 * chance.randrange(1, 8)
    here = slice(page * PAGE, sector) if chance.random() < 0.5 else slice(sector, page * PAGE + PAGE)
    if chance.random() < 0.2:
        here = slice(page * PAGE, page * PAGE + PAGE)  # the write was lost
    content[here] = old[here]
    (folder / DATABASE).write_bytes(content)
    return f"page {page + 1} from {here.start} to {here.stop}"


def zeroed(folder: Path, chance: random.Random, _prepared: Prepared) -> str:
    """A page, or a part of it, is zeros."""
    content = bytearray((folder / DATABASE).read_bytes())
    page = chance.randrange(len(content) // PAGE)
    length = chance.choice([PAGE, PAGE, 512])
    at = page * PAGE + chance.randrange(0, PAGE, length)
    content[at : at + length] = bytes(length)
    (folder / DATABASE).write_bytes(content)
    return f"page {page + 1} at {at % PAGE}, {length} bytes"


def truncated(folder: Path, chance: random.Random, _prepared: Prepared) -> str:
    """The file ends early, anywhere."""
    size = (folder / DATABASE).stat().st_size
    to = chance.choice([0, 1, 100, 512, PAGE, chance.randrange(size), chance.randrange(size) // PAGE * PAGE])
    with (folder / DATABASE).open("r+b") as file:
        file.truncate(to)
    return f"to {to}"


def cut_log(folder: Path, chance: random.Random, _prepared: Prepared) -> str:
    """The log ends early, anywhere."""
    to = chance.randrange((folder / LOG).stat().st_size)
    with (folder / LOG).open("r+b") as file:
        file.truncate(to)
    return f"to {to}"


KINDS: Final[dict[str, Damage]] = {one.__name__: one for one in (flipped, flipped_structure, torn, zeroed, truncated)}


@dataclass(slots=True)
class Tally:
    """What came of many cases; `wrong` must stay empty."""

    cases: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{sum(self.cases.values())} cases, {sum(self.answers.values()):,} questions, {len(self.wrong)} wrong"]
        lines += [f"{count:>9} cases: {outcome}" for outcome, count in self.cases.most_common()]
        lines += [f"{count:>9,} answers: {outcome}" for outcome, count in self.answers.most_common()]
        return "\n".join(lines + self.wrong[:20])


def run(prepared: Prepared, scratch: Path, damage: Callable[[Path], str], tally: Tally) -> None:
    """One case: damage a copy, look, verify; then write, and look again: what could be read still can be."""
    folder, before, after = scratch / "store", Seen(), Seen()
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(prepared.folder, folder)
    what = damage(folder)
    spoilt = _files(folder)
    look(folder, prepared.made, before)
    first = verified(folder)
    if not before.good and _files(folder)[DATABASE] != spoilt[DATABASE]:
        before.wrong.append("a file that does not open was written to")
    made, changed = copy.deepcopy(prepared.made), set()
    backend = known_backend(folder)

    def step(name: str, operation: Operation[Any]) -> bool:
        try:
            ask(backend, operation)
        except SecretsError as exc:
            after.error(f"write of {name}", exc)
            return False
        changed.add(name)
        return True

    change(backend, made, step, "after")
    backend.close()
    look(folder, made, after)
    lost = {one for one in before.good - after.good if not any(f"'{name}'" in one for name in changed)}
    after.wrong += [f"{one}: answered before the writes, and not after" for one in lost if not one.startswith("List")]
    outcome = " and ".join(sorted(before.refused | after.refused)) or "all right"
    tally.answers += before.answers + after.answers
    tally.cases[f"{outcome}; verify: {first}"] += 1
    tally.wrong += [f"{what}: {one}" for one in before.wrong + after.wrong]
