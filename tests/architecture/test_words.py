"""The house in supervision.md: its floors, its folders, and its words, which files and identifiers keep to."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.house import PACKAGE, ROOT, files, project

PAGE: Final = (ROOT / "supervision.md").read_text()
HOUSE: Final = PAGE.partition("## The house and its words")[2].partition("\n## ")[0]
FOLDERS: Final = {
    str(path.parent.relative_to(PACKAGE)) for path in files() if path.name == "__init__.py" and path.parent != PACKAGE
}
# A word that may stand where the path begins so, with the reason.
ALLOWED: Final = {
    ("label", "otp/"): "a process has a label in the tree",
    ("label", "runtime/"): "a process has a label in the tree",
    ("label", "cli/"): "a process has a label in the tree",
    ("label", "testing/"): "a process has a label in the tree",
    ("label", "domain/metrics.py"): "Prometheus's word for what tells the series of a metric apart",
    ("label", "telemetry/"): "as in domain/metrics.py",
    ("label", "extras/"): "as in domain/metrics.py",
    ("label", "domain/tracing.py"): "what a caller calls itself in the audit log",
    ("label", "client/"): "as in domain/tracing.py",
    ("label", "delivery/"): "a process has a label in the tree",
    ("label", "faces/"): "a process has a label in the tree",
    ("label", "actor/"): "a process has a label in the tree",
    ("label", "faces/control.py"): "as in domain/metrics.py",
}


def rows(heading: str) -> list[list[str]]:
    """The cells of the rows of the table that begins with *heading*."""
    table = HOUSE.partition(f"\n{heading}\n")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()[1:]]


def test_every_folder_has_its_line_and_no_line_names_one_that_is_not_there() -> None:
    named = [cells[0].strip(" `") for cells in rows("| folder | what is in it |")]

    assert sorted(named) == sorted(FOLDERS)


def test_the_floors_are_those_of_the_import_contract() -> None:
    [layers] = [one["layers"] for one in project()["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    contract = [set(floor.split(" | ")) & (FOLDERS | {"__main__"}) for floor in layers]
    [drawn] = re.findall(r"```\n(__main__\n.*?)```", HOUSE, re.S)

    assert [set(floor.split(" | ")) for floor in drawn.splitlines()] == [floor for floor in contract if floor]


def test_what_is_to_be_touched_is_there() -> None:
    table = HOUSE.partition("### Where to add what")[2]
    named = {name for name in re.findall(r"`([\w./]+)`", table) if "/" in name}

    assert len(named) > 15
    assert [name for name in sorted(named) if not (PACKAGE / name).exists() and not (ROOT / name).exists()] == []


def words_that_are_not_used() -> list[str]:
    """Those in the last column of the table of words that are marked as code."""
    return [word for cells in rows("| word | means | not |") for word in re.findall(r"`(\w+)`", cells[-1])]


def identifiers(path: Path) -> Iterator[str]:
    """The names that a file gives to things or calls them by; and the parts of its own path."""
    yield from path.relative_to(PACKAGE).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.alias(name=name, asname=asname):
                yield asname or name.rpartition(".")[2]


def words(identifier: str) -> set[str]:
    """The words of a name in either style, in the singular."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)
    return {word.lower() for word in found} | {word.lower().removesuffix("s") for word in found}


def unwanted(path: Path) -> set[tuple[str, str]]:
    """Words of *path* that the page has a better one for, with the name that has it."""
    inside = str(path.relative_to(PACKAGE))
    banned = {
        word
        for word in words_that_are_not_used()
        if not any(word == allowed and inside.startswith(place) for allowed, place in ALLOWED)
    }
    return {(word, name) for name in set(identifiers(path)) for word in words(name) & banned}


def test_files_and_identifiers_keep_to_the_words_of_the_page() -> None:
    assert {(str(path.relative_to(ROOT)), *one) for path in files() for one in unwanted(path)} == set()


def test_the_page_has_words_that_are_not_used() -> None:
    assert {"front", "kit", "asker", "journey", "shelf", "label", "errand"} <= set(words_that_are_not_used())


@pytest.mark.parametrize(
    "code", ["def open_kit(): ...", "class LocalShelf: ...", "labels = 1", "x.first_label", "f(asker=1)"]
)
def test_a_word_that_is_not_used_is_found(code: str) -> None:
    names = [name for node in ast.walk(ast.parse(code)) for name in vars(node).values() if isinstance(name, str)]

    assert any(words(name) & set(words_that_are_not_used()) for name in names)


def test_a_program_is_an_it() -> None:
    masculine = re.compile(r"\b(?:he|him|his|himself)\b", re.IGNORECASE)
    texts = [*files(), *ROOT.glob("*.md"), *ROOT.glob("config/*")]

    assert [str(path.relative_to(ROOT)) for path in texts if masculine.search(path.read_text())] == []
