"""Sealed for one place only; any other place, key or byte does not open."""

import os
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.local.envelope import NONCE_BYTES, Cipher, Master, StoreKey
from secrets_actor.domain.secret import SecretValue

KEY: Final = bytes(range(32))
STORE: Final = b"s" * 16
VERSION: Final = "0123456789abcdef0123456789abcdef"
LOCATOR: Final = b"l" * 16
values = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.binary(min_size=1))


def store_key(key: bytes = KEY, store: bytes = STORE, key_id: int = 7) -> StoreKey:
    return StoreKey(key, store, key_id)


OTHERS: Final = {
    "another key": store_key(KEY[::-1]),
    "another store": store_key(store=b"t" * 16),
    "another key id": store_key(key_id=8),
}


@given(value=values, secret=st.integers(0, 2**63 - 1))
def test_what_is_sealed_opens_again_with_its_type(value: str | bytes, secret: int) -> None:
    wrapped, sealed = store_key().seal_value(SecretValue(value), secret=secret, version_id=VERSION)

    opened = store_key().open_value(wrapped, sealed, secret=secret, version_id=VERSION)

    assert opened is not None
    assert opened.reveal() == value
    assert type(opened.reveal()) is type(value)


def test_two_seals_of_one_value_have_nothing_in_common() -> None:
    key = store_key()
    seals = [key.seal_value(SecretValue("same"), secret=1, version_id=VERSION) for _ in range(100)]
    records = [record for seal in seals for record in seal]

    assert len({record[1 : 1 + NONCE_BYTES] for record in records}) == 200
    assert len({record[1 + NONCE_BYTES :] for record in records}) == 200


@pytest.mark.parametrize(("secret", "version_id"), [(2, VERSION), (1, VERSION[::-1]), (1, VERSION[1:]), (-1, VERSION)])
def test_a_value_does_not_open_in_another_place(secret: int, version_id: str) -> None:
    wrapped, sealed = store_key().seal_value(SecretValue("hunter2"), secret=1, version_id=VERSION)

    assert store_key().open_value(wrapped, sealed, secret=secret, version_id=version_id) is None


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_nothing_opens_under_another_key_or_in_another_store(other: StoreKey) -> None:
    key = store_key()
    wrapped, sealed = key.seal_value(SecretValue("hunter2"), secret=1, version_id=VERSION)
    head = key.seal_head(b"head", secret=1, locator=LOCATOR)

    assert other.open_value(wrapped, sealed, secret=1, version_id=VERSION) is None
    assert other.open_head(head, secret=1, locator=LOCATOR) is None
    assert key.open_head(head, secret=1, locator=LOCATOR) == b"head"


@pytest.mark.parametrize(("secret", "locator"), [(2, LOCATOR), (1, b"m" * 16), (1, LOCATOR[1:])])
def test_a_head_does_not_open_in_another_place(secret: int, locator: bytes) -> None:
    head = store_key().seal_head(b"head", secret=1, locator=LOCATOR)

    assert store_key().open_head(head, secret=secret, locator=locator) is None


def test_a_data_key_wraps_no_value_but_its_own() -> None:
    key = store_key()
    one, other = (key.seal_value(SecretValue(value), secret=1, version_id=VERSION) for value in ("one", "other"))

    assert key.open_value(one[0], other[1], secret=1, version_id=VERSION) is None
    assert key.open_value(one[1], one[0], secret=1, version_id=VERSION) is None


def test_a_head_is_no_value_and_no_key() -> None:
    key = store_key()
    head = key.seal_head(bytes(32), secret=1, locator=VERSION.encode())

    assert key.open_value(head, head, secret=1, version_id=VERSION) is None


@given(part=st.sampled_from((0, 1)), position=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_record_with_any_byte_changed_does_not_open(part: int, position: int, flip: int) -> None:
    records = list(store_key().seal_value(SecretValue("hunter2"), secret=1, version_id=VERSION))
    changed = bytearray(records[part])
    changed[position % len(changed)] ^= flip
    records[part] = bytes(changed)

    assert store_key().open_value(*records, secret=1, version_id=VERSION) is None


@pytest.mark.parametrize("sealed", [b"", b"\x02", b"\x02" * 28, b"\x02" * 29, b"\x02" * 40, "text", None, 7])
def test_what_is_no_record_does_not_open(sealed: object) -> None:
    wrapped, _ = store_key().seal_value(SecretValue("hunter2"), secret=1, version_id=VERSION)

    assert Cipher(KEY).open(sealed, b"") is None
    assert store_key().open_value(wrapped, sealed, secret=1, version_id=VERSION) is None


@pytest.mark.parametrize("clear", [b"", b"t", b"b", b"t\xff", b"x hunter2"])
def test_what_we_never_seal_is_no_value(clear: bytes) -> None:
    key = store_key()
    data_key = os.urandom(32)
    wrapped = key._wraps.seal(data_key, key._place(b"\x02dkey", 1, VERSION.encode()))
    sealed = Cipher(data_key).seal(clear, key._place(b"\x02valu", 1, VERSION.encode()))

    assert key.open_value(wrapped, sealed, secret=1, version_id=VERSION) is None


def test_a_data_key_of_another_length_opens_nothing() -> None:
    key = store_key()
    wrapped = key._wraps.seal(b"k" * 16, key._place(b"\x02dkey", 1, VERSION.encode()))

    assert key.open_value(wrapped, b"\x02" * 40, secret=1, version_id=VERSION) is None


def test_a_name_is_found_by_a_hash_that_only_the_key_makes() -> None:
    key = store_key()
    hashes = {key.locator("a"), key.locator("b"), store_key(KEY[::-1]).locator("a")}

    assert key.locator("a") == store_key().locator("a")
    assert len(hashes) == 3
    assert {len(one) for one in hashes} == {16}


def test_a_master_key_wraps_the_keys_of_one_store() -> None:
    master, head = Master(KEY, STORE), {"secret": 1, "locator": LOCATOR}
    wrapped = master.new_key(7)
    key = Master(KEY, STORE).unwrap(7, wrapped)

    assert key is not None
    assert key.id == 7
    assert Master(KEY, STORE).check == master.check
    for other in (Master(KEY[::-1], STORE), Master(KEY, b"t" * 16)):
        assert other.unwrap(7, wrapped) is None
        assert other.check != master.check
    assert master.unwrap(8, wrapped) is None
    again = master.unwrap(7, wrapped)
    assert again is not None
    assert again.open_head(key.seal_head(b"head", **head), **head) == b"head"  # type: ignore[arg-type]


def test_a_store_key_stays_the_same_under_another_master_key() -> None:
    master, other = Master(KEY, STORE), Master(KEY[::-1], STORE)
    wrapped = master.new_key(7)
    rewrapped = master.rewrap(7, wrapped, other)

    key, same = master.unwrap(7, wrapped), other.unwrap(7, rewrapped)
    assert key is not None
    assert same is not None
    assert key.locator("a") == same.locator("a")
    assert other.rewrap(7, wrapped, master) is None
    assert master.unwrap(7, rewrapped) is None


@pytest.mark.parametrize("make", [Cipher, lambda key: Master(key, STORE)])
@pytest.mark.parametrize("length", [0, 16, 24, 31, 33])
def test_a_key_of_another_length_is_refused_and_stays_out_of_the_frames(
    length: int, make: Callable[[bytes], Any]
) -> None:
    with pytest.raises(ValueError, match="32 bytes") as caught:
        make(b"k" * length)

    frame = caught.traceback[-1].frame.f_locals
    assert "key" not in frame
