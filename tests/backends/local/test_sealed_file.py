"""The sealed file: whatever befalls it is noticed."""

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.local.export_key import KEY, PASSPHRASE, ExportKey
from secrets_actor.backends.local.sealed_file import CHUNK, HEADER_BYTES, Sealed, Sealing
from secrets_actor.domain.errors import ExportDamaged, ExportFileError, WrongExportKey
from tests.architecture.house import ROOT
from tests.backends.local.dict_records import DictRecords
from tests.backends.local.exports import CHEAP, LOCK, SMALL, exported, imported, made, records_of, refused


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


@pytest.mark.parametrize("lock", [LOCK, CHEAP])
def test_each_flipped_bit_of_each_byte_is_an_error_of_its_type(lock: ExportKey) -> None:
    file = exported(records_of([made("db/password", "hunter1", b"hunter2")]), lock)

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
    file = exported(records_of([made(f"large/{number}", os.urandom(60_000)) for number in range(5)]))
    return [file[:HEADER_BYTES], *(file[at : at + PIECE] for at in range(HEADER_BYTES, len(file), PIECE))]


def test_pieces_that_are_lost_swapped_or_doubled_are_noticed(pieces: list[bytes]) -> None:
    header, *rest = pieces
    assert len(rest) == 5
    assert imported(b"".join(pieces), DictRecords()).secrets == 5

    for place in range(5):
        assert type(refused(header + b"".join(rest[:place]))) is ExportDamaged
        assert type(refused(header + b"".join(rest[:place] + rest[place + 1 :]))) is ExportDamaged
        assert type(refused(header + b"".join(rest[: place + 1] + rest[place:]))) is ExportDamaged
    for one in range(4):
        swapped = [*rest[:one], rest[one + 1], rest[one], *rest[one + 2 :]]
        assert type(refused(header + b"".join(swapped))) is ExportDamaged


def test_pieces_of_another_file_of_the_same_key_do_not_fit(pieces: list[bytes]) -> None:
    other = exported(records_of([made("other", "hunter1")]))

    assert type(refused(other[:HEADER_BYTES] + b"".join(pieces[1:]))) is ExportDamaged
    assert type(refused(pieces[0] + other[HEADER_BYTES:])) is ExportDamaged


def test_a_wrong_key_is_told_from_damage() -> None:
    with_words = exported(records_of([made("a", "hunter1")]), CHEAP)

    assert type(refused(SMALL, ExportKey(KEY, bytes(32)))) is WrongExportKey
    assert type(refused(with_words, ExportKey(PASSPHRASE, b"correct house"))) is WrongExportKey
    assert "sealed with a passphrase: give that" in str(refused(with_words, LOCK))
    assert "sealed with a key: give that" in str(refused(SMALL, CHEAP))
    newer = bytearray(SMALL)
    newer[newer.index(b"\n") + 1] += 1
    assert "newer format" in str(refused(bytes(newer)))
    assert "does not begin as an export does" in str(refused(b"SQLite format 3"))


def test_a_header_that_asks_for_too_much_is_not_obeyed() -> None:
    greedy = exported(records_of([made("a", "hunter1")]), CHEAP)
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


def test_the_last_piece_is_not_empty_but_alone() -> None:
    sink = io.BytesIO()
    sealing = Sealing(sink, LOCK, "FILE")
    sealing._rest += bytes(CHUNK)
    sealing._seal(last=False)
    sealing.finish()
    clear = Sealed(io.BytesIO(sink.getvalue()), LOCK, "FILE").clear()

    with pytest.raises(ExportDamaged, match="it has an empty piece"):
        clear.read(CHUNK + 1)


def test_scrypt_without_memory_is_told(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_bytes(exported(records_of([made("a", "hunter1")]), ExportKey(PASSPHRASE, b"correct horse")))
    starved = (
        "import resource, sys, io\n"
        "from secrets_actor.backends.local.sealed_file import *\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, used + 2**26))\n"
        "for kind, file in ((Sealed, open(sys.argv[1], 'rb')), (Sealing, None)):\n"
        "    try: kind(file, ExportKey(PASSPHRASE, b'correct horse'), 'FILE')\n"
        "    except ExportFileError as error: print(error)\n"
    )

    command = [sys.executable, "-c", starved, str(path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert ended.stdout.count("FILE cannot be sealed or opened: scrypt wants 128 MiB of memory") == 2, ended.stderr


def test_locks_are_of_the_right_size_and_show_nothing() -> None:
    for kind, secret in ((KEY, b"hunter1"), (KEY, b""), (PASSPHRASE, b"")):
        with pytest.raises(ValueError, match="a key has 32 bytes, a passphrase one at least") as caught:
            ExportKey(kind, secret)
        assert "hunter1" not in repr(caught.traceback[-1].locals)
    assert "correct" not in repr(CHEAP)
