"""Sealed for one place only; any other place, key or byte does not open."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.local.envelope import NONCE_BYTES, Envelope, associated_data
from secrets_actor.domain.errors import DecryptionFailed
from secrets_actor.domain.secret import SecretValue

KEY = bytes(range(32))
VERSION = "0123456789abcdef0123456789abcdef"
values = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.binary(min_size=1))


@given(value=values, name=st.text(min_size=1, alphabet="ab/-"))
def test_what_is_sealed_opens_again_with_its_type(value: str | bytes, name: str) -> None:
    envelope = Envelope(KEY)
    kind, sealed = envelope.seal(SecretValue(value), name=name, version_id=VERSION)

    opened = Envelope(KEY).open(sealed, name=name, version_id=VERSION, kind=kind)

    assert opened.reveal() == value
    assert type(opened.reveal()) is type(value)


def test_two_seals_of_one_value_have_nothing_in_common() -> None:
    envelope = Envelope(KEY)
    seals = [envelope.seal(SecretValue("same"), name="a", version_id=VERSION)[1] for _ in range(100)]

    assert len({sealed[1 : 1 + NONCE_BYTES] for sealed in seals}) == 100
    assert len({sealed[1 + NONCE_BYTES :] for sealed in seals}) == 100


@pytest.mark.parametrize(
    "place",
    [
        {"name": "b", "version_id": VERSION, "kind": "text"},
        {"name": "a", "version_id": VERSION[::-1], "kind": "text"},
        {"name": "a", "version_id": VERSION, "kind": "binary"},
        {"name": "a", "version_id": VERSION, "kind": "other"},
        {"name": "a0", "version_id": VERSION[1:], "kind": "text"},
    ],
)
def test_a_record_does_not_open_in_another_place(place: dict[str, str]) -> None:
    envelope = Envelope(KEY)
    _, sealed = envelope.seal(SecretValue("hunter2"), name="a", version_id=VERSION)

    with pytest.raises(DecryptionFailed) as caught:
        envelope.open(sealed, **place)

    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


@given(position=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_record_with_any_byte_changed_does_not_open(position: int, flip: int) -> None:
    envelope = Envelope(KEY)
    kind, sealed = envelope.seal(SecretValue("hunter2"), name="a", version_id=VERSION)
    position %= len(sealed)
    changed = sealed[:position] + bytes((sealed[position] ^ flip,)) + sealed[position + 1 :]

    with pytest.raises(DecryptionFailed):
        envelope.open(changed, name="a", version_id=VERSION, kind=kind)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" * 29, b"\x01" * 30, "text", None, 7])
def test_what_is_no_record_does_not_open(sealed: object) -> None:
    with pytest.raises(DecryptionFailed):
        Envelope(KEY).open(sealed, name="a", version_id=VERSION, kind="text")


def test_the_key_check_tells_keys_apart_and_is_no_value() -> None:
    envelope = Envelope(KEY)
    check = envelope.key_check()

    assert envelope.passes(check)
    assert not Envelope(os.urandom(32)).passes(check)
    assert not envelope.passes(envelope.seal(SecretValue(b"x"), name="", version_id="")[1])
    with pytest.raises(DecryptionFailed):
        envelope.open(check, name="", version_id="", kind="binary")


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33])
def test_a_key_of_another_length_is_refused_and_stays_out_of_the_frames(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes") as caught:
        Envelope(b"k" * length)

    frame = caught.traceback[-1].frame.f_locals
    assert "key" not in frame


@given(
    left=st.lists(st.text(max_size=4), max_size=4),
    right=st.lists(st.text(max_size=4), max_size=4),
)
def test_other_parts_give_other_associated_data(left: list[str], right: list[str]) -> None:
    assert (associated_data(*left, "") == associated_data(*right, "")) == (left == right)
