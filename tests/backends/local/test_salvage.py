"""What can be read of a damaged store goes into an export, and from there into a new one; the old one is left alone."""

from pathlib import Path

import pytest

from secrets_actor.backends.local import export
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.backends.local.export_key import KEY, ExportKey
from secrets_actor.backends.local.upkeep.existing_store import opened_store
from secrets_actor.backends.local.upkeep.salvage import Salvaged, salvage_to
from secrets_actor.domain.errors import SecretDeleted, SecretNotFound
from secrets_actor.domain.operations import Get, ListVersions
from tests.backends.local.helpers import SECRETS, START, ask, do, files, key_of, tamper, within

LOCK = ExportKey(KEY, bytes(range(32)))
OF = "(SELECT secret FROM versions WHERE id = {})"
# The ids of versions: s0's first, s4's, and s0's second and third.
FIRST, OF_S4, SECOND, THIRD = 1, 5, SECRETS + 1, SECRETS + 2


def salvaged(store: Path, file: Path) -> Salvaged:
    deadline = within().deadline
    with opened_store(store, key_of(store), deadline) as damaged:
        return salvage_to(file, damaged, LOCK, START, deadline)


def test_of_a_whole_store_it_is_an_export(store: Path, tmp_path: Path) -> None:
    before = files(store)

    assert salvaged(store, tmp_path / "file") == Salvaged(SECRETS, ())
    assert files(store) == before


@pytest.mark.parametrize(
    ("statement", "gone", "told"),
    [
        (f"UPDATE versions SET sealed = zeroblob(40) WHERE id = {OF_S4}", "s4", "secret s4: its current version does"),
        (f"DELETE FROM versions WHERE id = {OF_S4}", "s4", "secret s4: its current version does not open"),
        (f"UPDATE secrets SET head = zeroblob(40) WHERE id = {OF.format(OF_S4)}", "s4", "the secret in row"),
        (f"UPDATE marks SET mark = x'00' WHERE locator = (SELECT locator FROM secrets WHERE id = {OF.format(OF_S4)})",
         "s4", "secret s4: its head is not the one that was written last"),
        (f"DELETE FROM secrets WHERE id = {OF.format(OF_S4)}", "s4", "there are versions of it, and it is gone"),
        (f"UPDATE versions SET version_id = x'00' WHERE id = {OF_S4}", "s4", "secret s4: its current version does not"),
        (f"UPDATE versions SET sealed = zeroblob(40) WHERE id = {THIRD}", "s0", "secret s0: its current version does"),
    ],
)  # fmt: skip
def test_what_does_not_open_is_told_and_the_rest_is_saved(
    store: Path, tmp_path: Path, statement: str, gone: str, told: str
) -> None:
    tamper(store, statement)
    before = files(store)

    done = salvaged(store, tmp_path / "file")

    assert done.secrets == SECRETS - 1
    assert [told in str(one) for one in done.left] == [True]
    assert files(store) == before
    backend = local_backend_factory(path=tmp_path / "new", recovery_window=30, wall_clock=lambda: START).connect()
    with export.opened_export(tmp_path / "file", LOCK) as source:
        backend.with_records(lambda records: export.import_(source, records, START), within().deadline, writes=True)
    for name in {f"s{number}" for number in range(SECRETS)} - {"s0", "s1", gone}:
        assert do(backend, Get(name)).value.reveal() == f"value {name[1:]}"
    with pytest.raises(SecretNotFound):
        do(backend, Get(gone))
    with pytest.raises(SecretDeleted):
        do(backend, Get("s1"))
    backend.close()


def test_an_older_version_that_does_not_open_stays_behind_with_its_labels(store: Path, tmp_path: Path) -> None:
    ((second,),) = ask(store, f"SELECT version_id FROM versions WHERE id = {SECOND}")
    tamper(store, f"UPDATE versions SET wrapped = zeroblob(60) WHERE id = {SECOND}")

    done = salvaged(store, tmp_path / "file")

    assert done.secrets == SECRETS
    assert [str(one) for one in done.left] == [f"secret s0: version {second} does not open"]
    backend = local_backend_factory(path=tmp_path / "new", recovery_window=30, wall_clock=lambda: START).connect()
    with export.opened_export(tmp_path / "file", LOCK) as source:
        backend.with_records(lambda records: export.import_(source, records, START), within().deadline, writes=True)
    assert do(backend, Get("s0")).value.reveal() == "value 2 of s0"
    versions = do(backend, ListVersions("s0", include_deprecated=True)).versions
    assert [one.stages for one in versions] == [(), ("AWSCURRENT",)]
    backend.close()


def test_a_secret_whose_row_is_lost_is_told_by_its_mark(store: Path, tmp_path: Path) -> None:
    tamper(store, "DROP TRIGGER gone", f"DELETE FROM secrets WHERE id = {OF.format(OF_S4)}")

    done = salvaged(store, tmp_path / "file")

    assert done.secrets == SECRETS - 1
    lost, stray = map(str, done.left)
    assert lost == "1 of the secrets are missing"
    assert stray.endswith("there are versions of it, and it is gone")


def test_a_secret_that_a_damaged_table_shows_twice_is_saved_once(store: Path, tmp_path: Path) -> None:
    tamper(
        store,
        "CREATE TABLE others AS SELECT * FROM secrets",
        "DROP TABLE secrets",
        "ALTER TABLE others RENAME TO secrets",
        f"INSERT INTO secrets SELECT * FROM secrets WHERE id = {OF.format(OF_S4)}",
    )

    assert salvaged(store, tmp_path / "file") == Salvaged(SECRETS, ())
