"""What is damaged is found and named; what is whole is not called damaged."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.upkeep.existing_store import init, opened_store
from secrets_actor.backends.local.upkeep.verify import Damage, Verification, look_through, stage_faults, verify
from secrets_actor.domain.diagnosis import Verdict
from secrets_actor.domain.errors import InvalidRequest, StoreDamaged, StoreUnavailable, WrongKey
from secrets_actor.domain.operations import Get, List, Set
from secrets_actor.domain.semantics.entry import Entry, Version
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import SECRETS, ask, do, files, key_of, tamper, within

PAGE: Final = 4096
OF: Final = "(SELECT secret FROM versions WHERE id = {})"


def look(folder: Path) -> Verification:
    return verify(folder, key_of(folder), deadline=within().deadline)


def test_a_whole_store_is_clean_and_stays_as_it_is(store: Path) -> None:
    before = files(store)

    found = look(store)

    assert found.clean
    assert (found.secrets, found.versions, found.unfinished) == (SECRETS, SECRETS + 2, None)
    assert files(store) == before


def test_what_is_written_meanwhile_is_no_damage(store: Path, connect: Connect) -> None:
    backend = connect()
    do(backend, Set("s2", "new"))

    assert look(store).clean


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE versions SET sealed = zeroblob(40) WHERE id = 5", "secret s4: version {v5} is damaged"),
        ("UPDATE versions SET wrapped = sealed WHERE id = 5", "secret s4: version {v5} is damaged"),
        ("UPDATE versions SET version_id = x'00' WHERE id = 5", "secret s4: version b'\\x00' is damaged"),
        ("DELETE FROM versions WHERE id = 5", "secret s4: version {v5} is missing"),
        (
            f"UPDATE secrets SET head = zeroblob(40) WHERE id = {OF.format(5)}",
            "the secret in row {s5}: its head is damaged",
        ),
        (f"UPDATE secrets SET head = 'text' WHERE id = {OF.format(5)}", "the secret in row {s5}: its row is not as"),
        (
            f"UPDATE secrets SET deletion_date = 5 WHERE id = {OF.format(5)}",
            "the secret in row {s5}: its row is not as",
        ),
        (f"UPDATE secrets SET locator = zeroblob(16) WHERE id = {OF.format(5)}", "row {s5}: its head is damaged"),
        (f"UPDATE secrets SET key = 7 WHERE id = {OF.format(5)}", "row {s5}: its head is damaged"),
        (f"DELETE FROM secrets WHERE id = {OF.format(5)}", "row {s5}: there are versions of it, and it is gone"),
        ("INSERT INTO keys SELECT id, zeroblob(16), derivation, wrapped, sum FROM keys", "rows that hold the store's"),
    ],
)
def test_damage_is_told_by_name_where_there_is_one(store: Path, statement: str, says: str) -> None:
    ((version, secret),) = ask(store, "SELECT version_id, secret FROM versions WHERE id = 5")
    tamper(store, statement)

    found = [str(one) for one in look(store).damage]

    assert any(says.format(v5=version, s5=secret) in one for one in found), found
    assert len(found) <= 2


def test_a_version_of_another_secret_is_damage_of_both(store: Path) -> None:
    tamper(store, f"UPDATE versions SET secret = {OF.format(6)} WHERE id = 5")

    assert {one.secret for one in look(store).damage} == {"s4", "s5"}


def test_a_version_that_the_secret_does_not_know_is_told(store: Path, connect: Connect) -> None:
    backend = connect()
    head = ask(store, f"SELECT id, head FROM secrets WHERE id = {OF.format(5)}")
    do(backend, Set("s4", "new", token="n" * 32))
    backend.close()
    tamper(store, f"UPDATE secrets SET head = x'{head[0][1].hex()}' WHERE id = {head[0][0]}")

    assert [str(one) for one in look(store).damage] == [
        f"secret s4: version {'n' * 32} is there, and the secret does not know it"
    ]


def test_torn_pages_are_told_and_the_rest_is_looked_at(store: Path) -> None:
    whole = (store / "secrets.db").read_bytes()
    named, typed = 0, 0
    for page in range(len(whole) // PAGE):
        torn = bytearray(whole)
        torn[page * PAGE : page * PAGE + PAGE // 2] = b"\xa5" * (PAGE // 2)
        (store / "secrets.db").write_bytes(torn)
        try:
            found = look(store)
        except StoreDamaged:
            typed += 1  # nothing can be opened: the file's first page, the header, the keys
            continue
        assert not found.clean
        named += any(one.secret is not None for one in found.damage)

    assert named > 4
    assert 0 < typed < 8


def test_tables_that_are_gone_are_told(store: Path) -> None:
    tamper(store, "DROP TABLE versions")
    found = [str(one) for one in look(store).damage]
    assert "secret s4: its versions cannot be read to the end" in found
    assert found[-1] == "the table of the versions cannot be read to its end"

    tamper(store, "DROP TABLE secrets")
    assert [str(one) for one in look(store).damage] == [
        "the tables are not those that were made: bring the store back from a copy",
        "the table of the secrets cannot be read",
    ]


def test_keys_that_are_damaged_while_the_store_is_open_are_told(store: Path) -> None:
    with opened_store(store, key_of(store), within().deadline) as one:
        tamper(store, "UPDATE keys SET wrapped = zeroblob(61)")
        found = look_through(one, within().deadline)

    assert [str(damage) for damage in found.damage] == [
        "a key of the store does not open: it is damaged or was exchanged"
    ]


def test_a_store_that_another_key_sealed_is_not_called_damaged(store: Path) -> None:
    (store / "key").write_bytes(bytes(32))

    with pytest.raises(WrongKey):
        look(store)


def test_where_there_is_no_store_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="there is no store in"):
        verify(tmp_path / "none", key_of(tmp_path), deadline=within().deadline)

    assert not (tmp_path / "none").exists()


def entry(stages: dict[str, str]) -> Entry:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Entry("a", "a", at, at, versions=(Version("1", at), Version("2", at)), stages=stages)


@pytest.mark.parametrize(
    ("stages", "faults"),
    [
        ({"AWSCURRENT": "2", "AWSPREVIOUS": "1", "blue": "2"}, []),
        ({"AWSCURRENT": "2"}, []),
        ({"AWSPREVIOUS": "2"}, ["no version of it has AWSCURRENT"]),
        ({"AWSCURRENT": "2", "AWSPREVIOUS": "2"}, ["AWSPREVIOUS is on the current version"]),
    ],
)
def test_labels_that_do_not_go_together_are_told(stages: dict[str, str], faults: list[str]) -> None:
    assert list(stage_faults(entry(stages))) == faults


def test_damage_reads_as_a_line() -> None:
    assert [str(one) for one in (Damage("x", "a"), Damage("x", None, 7), Damage("x"))] == [
        "secret a: x",
        "the secret in row 7: x",
        "x",
    ]


@pytest.mark.parametrize("key", [lambda folder: folder / "key", lambda folder: folder.with_name("elsewhere")])
def test_init_makes_an_empty_store_and_never_a_second_one(
    folder: Path, connect: Connect, key: Callable[[Path], Path]
) -> None:
    source = KeyFile(key(folder))
    init(folder, source, deadline=within().deadline)

    assert verify(folder, source, deadline=within().deadline) == Verification()
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    with pytest.raises(InvalidRequest, match="already"):
        init(folder, source, deadline=within().deadline)


def test_a_store_that_init_made_is_used_as_any(folder: Path, connect: Connect) -> None:
    init(folder, key_of(folder), deadline=within().deadline)

    assert do(connect(), List()) == ()
    do(connect(), Set("a", "b"))
    assert do(connect(), Get("a")).reveal() == "b"


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "CREATE TRIGGER evil AFTER INSERT ON versions BEGIN DELETE FROM versions WHERE id = new.id; END",
            "a trigger evil on versions",
        ),
        ("CREATE TABLE more (a)", "a table more on more"),
        ("CREATE VIEW seen AS SELECT * FROM versions", "a view seen on seen"),
        ("CREATE INDEX one ON versions (secret)", "an index one on versions"),
        ("ANALYZE", None),
    ],
)
def test_what_is_not_of_our_making_is_told(store: Path, statement: str, told: str | None) -> None:
    tamper(store, statement)

    found = verify(store, key_of(store), deadline=within().deadline)

    assert [str(one).partition(",")[0] for one in found.damage] == ([] if told is None else [f"there is {told}"])
    diagnose = local_backend_factory(path=store, recovery_window=30).diagnose
    assert diagnose is not None
    verdicts = {one.check: one.verdict for one in diagnose(within().deadline, "")}
    assert verdicts.get("schema") == (None if told is None else Verdict.FAULT)
