"""Export and import of whole stores: the round trip, and everything that may befall the file between."""

import io
import json
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secrets_actor.backends.local.export import Imported, import_
from secrets_actor.backends.local.export_format import NoRecord, decode, encode
from secrets_actor.backends.local.export_key import KEY, PASSPHRASE, ExportKey
from secrets_actor.backends.local.sealed_file import Sealed, Sealing
from secrets_actor.domain.errors import SecretExists
from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.semantics.entry import Entry, Version
from tests.backends.local.dict_records import DictRecords
from tests.backends.local.exports import CHEAP, LOCK, NOW, SMALL, exported, imported, made, records_of, refused

NAMES: Final = st.text("abcDEF/_+=.@-", min_size=1, max_size=12).filter(lambda name: not name.startswith("arn:"))
LETTERS: Final = 'ab é世\U0001f600"\\\n\0'
TEXTS: Final = st.text(LETTERS, max_size=12)
TIMES: Final = st.integers(-(10**15), 10**15).map(lambda micros: NOW + timedelta(microseconds=micros))
VALUES: Final = st.text(LETTERS, min_size=1, max_size=40) | st.binary(min_size=1, max_size=40)
IDS: Final = st.uuids().map(str)


@st.composite
def secrets(draw: st.DrawFn) -> tuple[Entry, dict[str, SecretValue]]:
    name, ids = draw(NAMES), draw(st.lists(IDS, max_size=4, unique=True))
    labels = st.dictionaries(st.sampled_from(["AWSCURRENT", "AWSPREVIOUS", "mine"]), st.sampled_from(ids or [""]))
    entry = Entry(
        name,
        f"arn:there:secretsmanager:there:000000000000:secret:{name}-AbC123",
        draw(TIMES),
        draw(TIMES),
        draw(st.none() | TEXTS),
        draw(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.text("abc ", max_size=3), max_size=3)),
        draw(st.none() | st.just(NOW + timedelta(days=7))),
        draw(st.none() | TIMES),
        tuple(Version(one, draw(TIMES), draw(st.booleans())) for one in ids),
        draw(labels) if ids else {},
    )
    return entry, {one: SecretValue(draw(VALUES)) for one in ids}


@given(st.lists(secrets(), max_size=4, unique_by=lambda one: one[0].name), st.sampled_from([LOCK, CHEAP]))
def test_what_was_exported_is_imported(
    given_secrets: list[tuple[Entry, dict[str, SecretValue]]], lock: ExportKey
) -> None:
    there, here = records_of(given_secrets), DictRecords()

    done = imported(exported(there, lock), here, lock)

    assert done == Imported(len(given_secrets), 0, 0)
    here_entries = {name: _moved(entry) for name, entry in here.entries.items()}
    assert (here_entries, here.values) == (there.entries, there.values)


def _moved(entry: Entry) -> Entry:
    fields = {name: getattr(entry, name) for name in Entry.__struct_fields__}
    return Entry(**fields | {"arn": entry.arn.replace(":here:", ":there:")})


def test_what_is_sealed_by_the_key_and_is_no_export_is_refused() -> None:
    whole = encode(*_entry_and_values())

    assert "it ends in the middle of a secret" in str(refused(sealed_whole(whole[:-1])))
    assert "what it holds is no export of secrets" in str(refused(sealed_whole(b"\0" * 40)))
    assert imported(sealed_whole(whole), DictRecords()).secrets == 1
    assert imported(sealed_whole(b""), DictRecords()).secrets == 0


def sealed_whole(clear: bytes) -> bytes:
    """A file with *clear* in it."""
    sink = io.BytesIO()
    sealing = Sealing(sink, LOCK, "FILE")
    sealing.write(clear)
    sealing.finish()
    return sink.getvalue()


def test_what_is_there_is_not_replaced_unless_asked_for() -> None:
    here = records_of([made("app", "mine"), made("own", "mine")])
    with pytest.raises(SecretExists, match=r"1 of these secrets are there already \(app\); nothing was imported"):
        imported(SMALL, here)
    assert here.entries.keys() == {"app", "own"}

    assert imported(SMALL, here, overwrite=True) == Imported(2, 1, 0)

    assert here.entries.keys() == {"app", "own", "db/password"}
    assert here.values["app", f"{0:032}"] == SecretValue("hunter3")
    many = exported(records_of([made(f"many/{number}", "hunter1") for number in range(7)]))
    imported(many, here)
    with pytest.raises(SecretExists, match=r"7 of .*many/0, many/1, many/2, many/3, many/4, \.\.\."):
        imported(many, here)


def test_what_is_past_its_recovery_window_neither_goes_nor_comes_and_is_replaced_only_if_asked_for() -> None:
    over, soon = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
    there = records_of([made("over", "hunter1", deletion_date=over), made("soon", "hunter2", deletion_date=soon)])
    file, here = exported(there), records_of([made("soon", "old", "old", deletion_date=over)])

    with pytest.raises(SecretExists, match="soon"):  # the clock may be wrong, and it may be restored
        import_(Sealed(io.BytesIO(file), LOCK, "FILE"), here, NOW)
    assert import_(Sealed(io.BytesIO(file), LOCK, "FILE"), here, NOW, overwrite=True) == Imported(1, 0, 0)
    assert (here.entries["soon"].deletion_date, len(here.values)) == (soon, 1)
    later = import_(Sealed(io.BytesIO(file), LOCK, "FILE"), DictRecords(), soon)
    assert later == Imported(0, 0, 1)


def test_a_file_with_a_secret_twice_is_none_of_ours() -> None:
    entry, values = made("a", "hunter1")
    sink = io.BytesIO()
    sealing = Sealing(sink, LOCK, "FILE")
    sealing.write(encode(entry, values.__getitem__) * 2)
    sealing.finish()

    assert "it has a secret twice" in str(refused(sink.getvalue()))


def test_nothing_is_in_clear_in_the_file() -> None:
    canary = "canary-91f3c2"
    entry, values = made(f"name-{canary}", f"value-{canary}", f"bytes-{canary}".encode())
    records = records_of(
        [
            (
                Entry(
                    entry.name,
                    entry.arn,
                    NOW,
                    NOW,
                    f"text-{canary}",
                    {"tag": canary},
                    None,
                    None,
                    entry.versions,
                    entry.stages,
                ),
                values,
            )
        ]
    )

    file = exported(records)

    assert not any(piece in file for piece in (canary.encode(), b"canary", b"AWSCURRENT", b"arn:", b"tag"))
    assert exported(records) != file  # nor does it tell that it is the same again


HEAD: Final = json.loads(encode(*(lambda one: (one[0], one[1].__getitem__))(made("a", "hunter1")))[4:-7])


@pytest.mark.parametrize(
    "change",
    [
        {"name": "no name"}, {"name": "arn:aws:secretsmanager:us-east-1:000000000000:secret:a-AbC123"}, {"name": 7},
        {"suffix": "short"}, {"suffix": None}, {"suffix": "ab-c12"}, {"description": "x" * 3000}, {"description": 7},
        {"created_at": "yesterday"}, {"created_at": "2024-02-29T12:00:00"}, {"changed_at": None}, {"accessed_at": 7},
        {"tags": [1]}, {"tags": {"": "x"}}, {"stages": {"AWSCURRENT": "x" * 32}}, {"stages": {"": "0" * 32}},
        {"stages": [1]}, {"versions": [["short", NOW.isoformat(), False, "text", 7]]}, {"versions": 7},
        {"versions": [["0" * 32, NOW.isoformat(), 1, "text", 7]]}, {"versions": [["0" * 32, NOW.isoformat(), True]]},
        {"versions": [["0" * 32, NOW.isoformat(), True, "text", 0]]},
        {"versions": [["0" * 32, NOW.isoformat(), True, "text", 65_537]]},
        {"versions": [["0" * 32, NOW.isoformat(), True, "other", 7]]},
        {"versions": [["0" * 32, NOW.isoformat(), True, "text", 3]] * 2},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_that_is_not_as_we_write_it_is_refused(change: dict[str, object]) -> None:
    head = json.dumps(HEAD | change).encode()
    whole = io.BytesIO(len(head).to_bytes(4, "big") + head + b"hunter1")

    with pytest.raises(NoRecord) as caught:
        decode(whole.read, "arn:")

    assert caught.value.__context__ is None
    assert decode(io.BytesIO(encode(*_entry_and_values())).read, "arn:").entry.name == "a"


def _entry_and_values() -> tuple[Entry, "object"]:
    entry, values = made("a", "hunter1")
    return entry, values.__getitem__


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_other_bytes_are_no_record(found: bytes) -> None:
    whole = io.BytesIO(found)

    with pytest.raises(NoRecord):
        decode(lambda size: whole.read(size).ljust(min(size, 999), b"\0"), "arn:")


@pytest.mark.parametrize(("kind", "secret"), [(KEY, b"k" * 31), (KEY, b"k" * 33), (KEY, b""), (PASSPHRASE, b"")])
def test_a_key_of_another_length_seals_nothing(kind: int, secret: bytes) -> None:
    with pytest.raises(ValueError, match="a key has 32 bytes, a passphrase one at least"):
        ExportKey(kind, secret)
