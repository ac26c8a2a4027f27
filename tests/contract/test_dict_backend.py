"""The example of a backend of one's own: the suite runs over it as over any; here is what makes it an example."""

import ast
from pathlib import Path

from secrets_actor.domain.semantics import Records
from tests.architecture.public_names import PUBLIC
from tests.contract import dict_backend
from tests.contract.dict_backend import DictRecords

SOURCE = Path(dict_backend.__file__).read_text()


def test_the_example_is_made_of_public_names() -> None:
    used = {
        (node.module, alias.name)
        for node in ast.walk(ast.parse(SOURCE))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("secrets_actor", "tests"))
        for alias in node.names
    }

    assert ("secrets_actor", "BackendFactory") in used
    public = {(module, name) for module, names in PUBLIC.items() for name in names}
    assert used - public == {("secrets_actor.otp", "SystemClock")}  # `otp` has a front door of its own


def test_the_example_stays_short_enough_to_read() -> None:
    assert len(SOURCE.splitlines()) <= 150


def test_the_records_of_the_example_are_a_port_of_the_semantics() -> None:
    records: Records = DictRecords()  # for mypy; the suite tries it

    assert list(records.every()) == []
