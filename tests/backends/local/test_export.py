"""Export and import of whole shelves: the round trip, and everything that may befall the file between."""

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secrets_actor.backends.local.export import Imported, export, import_
from secrets_actor.backends.local.export_record import NoRecord, decode, encode
from secrets_actor.backends.local.sealed_file import CHUNK, HEADER_BYTES, KEY, PASSPHRASE, Lock, Sealed, Sealing
from secrets_actor.domain.errors import ExportDamaged, ExportFileError, SecretExists, WrongExportKey
from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.semantics.entry import Entry, Version
from tests.architecture.house import ROOT
from tests.backends.local.dict_shelf import DictShelf

NOW: Final = datetime(2024, 2, 29, 12, tzinfo=UTC)
LOCK: Final = Lock(KEY, bytes(range(32)))
CHEAP: Final = Lock(PASSPHRASE, b"correct horse", costs=(2, 1, 1))

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


def shelf_of(secrets: Iterable[tuple[Entry, dict[str, SecretValue]]]) -> DictShelf:
    shelf = DictShelf("arn:there:secretsmanager:there:000000000000:secret:")
    for entry, values in secrets:
        shelf.keep(entry)
        for version_id, value in values.items():
            shelf.put_value(entry, version_id, value)
    return shelf


def exported(shelf: DictShelf, lock: Lock = LOCK) -> bytes:
    sink = io.BytesIO()
    export(shelf, sink, lock, NOW, "FILE")
    return sink.getvalue()


def imported(file: bytes, shelf: DictShelf, lock: Lock = LOCK, *, overwrite: bool = False) -> Imported:
    return import_(Sealed(io.BytesIO(file), lock, "FILE"), shelf, NOW, overwrite=overwrite)


def made(
    name: str, *values: str | bytes, deletion_date: datetime | None = None
) -> tuple[Entry, dict[str, SecretValue]]:
    ids = [f"{number:032}" for number in range(len(values))]
    versions = tuple(Version(one, NOW) for one in ids)
    arn = f"arn:there:secretsmanager:there:000000000000:secret:{name}-AbC123"
    entry = Entry(name, arn, NOW, NOW, None, {}, deletion_date, None, versions, {"AWSCURRENT": ids[-1]})
    return entry, dict(zip(ids, map(SecretValue, values), strict=True))


SMALL: Final = exported(shelf_of([made("db/password", "hunter1", b"hunter2"), made("app", "hunter3")]))


@given(st.lists(secrets(), max_size=4, unique_by=lambda one: one[0].name), st.sampled_from([LOCK, CHEAP]))
def test_what_was_exported_is_imported(given_secrets: list[tuple[Entry, dict[str, SecretValue]]], lock: Lock) -> None:
    there, here = shelf_of(given_secrets), DictShelf()

    done = imported(exported(there, lock), here, lock)

    assert done == Imported(len(given_secrets), 0, 0)
    here_entries = {name: _moved(entry) for name, entry in here.entries.items()}
    assert (here_entries, here.values) == (there.entries, there.values)


def _moved(entry: Entry) -> Entry:
    fields = {name: getattr(entry, name) for name in Entry.__slots__}
    return Entry(**fields | {"arn": entry.arn.replace(":here:", ":there:")})


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5])
def test_the_ends_of_the_pieces_are_no_ends(size: int) -> None:
    sink, clear = io.BytesIO(), os.urandom(size)
    sealing = Sealing(sink, LOCK, "FILE")
    for start in range(0, size, 10_007):
        sealing.write(clear[start : start + 10_007])
    sealing.finish()

    read = Sealed(io.BytesIO(sink.getvalue()), LOCK, "FILE").clear()

    assert read.read(size) == clear
    assert read.is_at_end
    with pytest.raises(ExportDamaged, match="it ends in the middle"):
        read.read(1)


def refused(file: bytes, lock: Lock = LOCK) -> ExportFileError:
    """How *file* is refused; nothing has been changed by then."""
    shelf = shelf_of([made("here", "before")])
    before = dict(shelf.entries), dict(shelf.values)
    with pytest.raises(ExportFileError, match="FILE is") as caught:
        imported(file, shelf, lock, overwrite=True)
    assert (shelf.entries, shelf.values) == before
    assert "hunter" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("lock", [LOCK, CHEAP])
def test_each_flipped_bit_of_each_byte_is_an_error_of_its_type(lock: Lock) -> None:
    file = exported(shelf_of([made("db/password", "hunter1", b"hunter2")]), lock)

    for place in range(len(file)):
        spoilt = bytearray(file)
        spoilt[place] ^= 1 << place % 8
        assert type(refused(bytes(spoilt), lock)) in (ExportDamaged, ExportFileError), place


def test_a_file_that_is_cut_off_anywhere_is_damaged() -> None:
    for length in range(len(SMALL)):
        assert type(refused(SMALL[:length])) is ExportDamaged


@given(st.binary(min_size=1, max_size=100))
def test_nothing_may_follow(more: bytes) -> None:
    assert type(refused(SMALL + more)) is ExportDamaged


PIECE: Final = CHUNK + 16


@pytest.fixture(scope="module")
def pieces() -> list[bytes]:
    """The header of a file, and its pieces."""
    file = exported(shelf_of([made(f"large/{number}", os.urandom(60_000)) for number in range(5)]))
    return [file[:HEADER_BYTES], *(file[at : at + PIECE] for at in range(HEADER_BYTES, len(file), PIECE))]


def test_pieces_that_are_lost_swapped_or_doubled_are_noticed(pieces: list[bytes]) -> None:
    header, *rest = pieces
    assert len(rest) == 5
    assert imported(b"".join(pieces), DictShelf()).secrets == 5

    for place in range(5):
        assert type(refused(header + b"".join(rest[:place]))) is ExportDamaged
        assert type(refused(header + b"".join(rest[:place] + rest[place + 1 :]))) is ExportDamaged
        assert type(refused(header + b"".join(rest[: place + 1] + rest[place:]))) is ExportDamaged
    for one in range(4):
        swapped = [*rest[:one], rest[one + 1], rest[one], *rest[one + 2 :]]
        assert type(refused(header + b"".join(swapped))) is ExportDamaged


def test_pieces_of_another_file_of_the_same_key_do_not_fit(pieces: list[bytes]) -> None:
    other = exported(shelf_of([made("other", "hunter1")]))

    assert type(refused(other[:HEADER_BYTES] + b"".join(pieces[1:]))) is ExportDamaged
    assert type(refused(pieces[0] + other[HEADER_BYTES:])) is ExportDamaged


def test_a_wrong_key_is_told_from_damage() -> None:
    with_words = exported(shelf_of([made("a", "hunter1")]), CHEAP)

    assert type(refused(SMALL, Lock(KEY, bytes(32)))) is WrongExportKey
    assert type(refused(with_words, Lock(PASSPHRASE, b"correct house"))) is WrongExportKey
    assert "sealed with a passphrase: give that" in str(refused(with_words, LOCK))
    assert "sealed with a key: give that" in str(refused(SMALL, CHEAP))
    newer = bytearray(SMALL)
    newer[newer.index(b"\n") + 1] += 1
    assert "newer format" in str(refused(bytes(newer)))
    assert "does not begin as an export does" in str(refused(b"SQLite format 3"))


def test_a_header_that_asks_for_too_much_is_not_obeyed() -> None:
    greedy = exported(shelf_of([made("a", "hunter1")]), CHEAP)
    costs = greedy.index(b"\n") + 3
    for given_costs in ((2**31, 8, 1), (3, 1, 1), (0, 1, 1), (2, 0, 1), (2, 1, 0), (2**20, 64, 16)):
        changed = greedy[:costs] + b"".join(one.to_bytes(4, "big") for one in given_costs) + greedy[costs + 12 :]
        above = changed[: HEADER_BYTES - 32]
        whole = above + hashlib.sha256(above).digest() + changed[HEADER_BYTES:]
        assert "asks for what no header of ours does" in str(refused(whole, CHEAP))


def test_a_wrapped_key_that_was_exchanged_is_damage_and_no_wrong_key() -> None:
    place = HEADER_BYTES - 32 - 1
    above = SMALL[:place] + bytes((SMALL[place] ^ 1,))

    assert "its header was changed" in str(refused(above + hashlib.sha256(above).digest() + SMALL[HEADER_BYTES:]))


def test_what_is_sealed_by_the_key_and_is_no_export_is_refused() -> None:
    whole = encode(*_entry_and_values())

    assert "it ends in the middle of a secret" in str(refused(sealed_whole(whole[:-1])))
    assert "what it holds is no export of secrets" in str(refused(sealed_whole(b"\0" * 40)))
    assert imported(sealed_whole(whole), DictShelf()).secrets == 1
    assert imported(sealed_whole(b""), DictShelf()).secrets == 0


def test_the_last_piece_is_not_empty_but_alone() -> None:
    sink = io.BytesIO()
    sealing = Sealing(sink, LOCK, "FILE")
    sealing._rest += bytes(CHUNK)
    sealing._seal(last=False)
    sealing.finish()
    clear = Sealed(io.BytesIO(sink.getvalue()), LOCK, "FILE").clear()

    with pytest.raises(ExportDamaged, match="it has an empty piece"):
        clear.read(CHUNK + 1)


def sealed_whole(clear: bytes) -> bytes:
    """A file with *clear* in it."""
    sink = io.BytesIO()
    sealing = Sealing(sink, LOCK, "FILE")
    sealing.write(clear)
    sealing.finish()
    return sink.getvalue()


def test_scrypt_without_memory_is_told(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_bytes(exported(shelf_of([made("a", "hunter1")]), Lock(PASSPHRASE, b"correct horse")))
    starved = (
        "import resource, sys, io\n"
        "from secrets_actor.backends.local.sealed_file import *\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, used + 2**26))\n"
        "for kind, file in ((Sealed, open(sys.argv[1], 'rb')), (Sealing, None)):\n"
        "    try: kind(file, Lock(PASSPHRASE, b'correct horse'), 'FILE')\n"
        "    except ExportFileError as error: print(error)\n"
    )

    command = [sys.executable, "-c", starved, str(path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert ended.stdout.count("FILE cannot be sealed or opened: scrypt wants 128 MiB of memory") == 2, ended.stderr


def test_locks_are_of_the_right_size_and_show_nothing() -> None:
    for kind, secret in ((KEY, b"hunter1"), (KEY, b""), (PASSPHRASE, b"")):
        with pytest.raises(ValueError, match="a key has 32 bytes, a passphrase one at least") as caught:
            Lock(kind, secret)
        assert "hunter1" not in repr(caught.traceback[-1].locals)
    assert "correct" not in repr(CHEAP)


def test_what_is_there_is_not_replaced_unless_asked_for() -> None:
    here = shelf_of([made("app", "mine"), made("own", "mine")])
    with pytest.raises(SecretExists, match=r"1 of these secrets are there already \(app\); nothing was imported"):
        imported(SMALL, here)
    assert here.entries.keys() == {"app", "own"}

    assert imported(SMALL, here, overwrite=True) == Imported(2, 1, 0)

    assert here.entries.keys() == {"app", "own", "db/password"}
    assert here.values["app", f"{0:032}"] == SecretValue("hunter3")
    many = exported(shelf_of([made(f"many/{number}", "hunter1") for number in range(7)]))
    imported(many, here)
    with pytest.raises(SecretExists, match=r"7 of .*many/0, many/1, many/2, many/3, many/4, \.\.\."):
        imported(many, here)


def test_what_is_past_its_recovery_window_neither_goes_nor_comes_nor_is_in_the_way() -> None:
    over, soon = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
    there = shelf_of([made("over", "hunter1", deletion_date=over), made("soon", "hunter2", deletion_date=soon)])
    file, here = exported(there), shelf_of([made("soon", "old", "old", deletion_date=over)])

    assert imported(file, here) == Imported(1, 0, 0)
    assert (here.entries["soon"].deletion_date, len(here.values)) == (soon, 1)
    later = import_(Sealed(io.BytesIO(file), LOCK, "FILE"), DictShelf(), soon)
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
    shelf = shelf_of(
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

    file = exported(shelf)

    assert not any(piece in file for piece in (canary.encode(), b"canary", b"AWSCURRENT", b"arn:", b"tag"))
    assert exported(shelf) != file  # nor does it tell that it is the same again


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
