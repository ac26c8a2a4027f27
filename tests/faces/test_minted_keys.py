"""The mint: keys that carry their caller, which nobody else can make or change."""

import base64
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from secrets_actor.backends.sigv4 import SigningKeys
from secrets_actor.domain.secret import SecretValue
from secrets_actor.faces.identity import Identity, Peer
from secrets_actor.faces.minted_keys import KEPT, LIFETIME, Mint, Minted
from secrets_actor.faces.sigv4_check import EXPIRED, FoundKey, KeyOwner, SignatureRefused, identity_of
from tests.faces.asking import TCP, UNIX
from tests.faces.test_sigv4_check import signed

NOW: Final = datetime(2026, 11, 30, 4, 20, 22, tzinfo=UTC)
KEY: Final = SecretValue(b"k" * 32)
NONCE: Final = b"12345678"


def found(minted: Minted, mint: Mint | None = None, now: datetime = NOW) -> FoundKey | None:
    return (mint or Mint(KEY)).find(minted.access_key_id, minted.session_token, now)


def test_a_minted_key_tells_who_it_was_minted_for() -> None:
    minted = Mint(KEY).mint(Identity(UNIX), NOW, NONCE)

    known = found(minted)

    assert known is not None
    assert known.owner == KeyOwner("minted", replace(UNIX, pid=None))
    assert known.secret_keys == (minted.secret_key,)
    assert minted.expiration == NOW + LIFETIME


def test_a_request_signed_with_it_by_botocore_is_its_callers() -> None:
    mint = Mint(KEY)
    minted = mint.mint(Identity(UNIX), NOW, NONCE)
    asked = signed(key=(minted.access_key_id, minted.secret_key.text(), minted.session_token), at=NOW)

    assert identity_of(asked, mint, NOW, SigningKeys()) == Identity(replace(UNIX, pid=None), None, "minted")


def test_a_caller_on_tcp_is_known_by_its_token() -> None:
    mint = Mint(KEY)
    minted = mint.mint(Identity(Peer(address="127.0.0.1:1"), "ci"), NOW, NONCE)
    asked = signed(key=(minted.access_key_id, minted.secret_key.text(), minted.session_token), at=NOW)

    assert identity_of(asked, mint, NOW, SigningKeys()) == Identity(TCP, "ci", "minted")


def test_the_name_in_a_certificate_stays_with_the_key() -> None:
    known = found(Mint(KEY).mint(Identity(Peer(address="10.0.0.1:1", certificate="spiffe://x")), NOW, NONCE))

    assert known is not None
    assert known.owner.peer == Peer(certificate="spiffe://x")


def test_it_ends_after_an_hour() -> None:
    mint = Mint(KEY)
    minted = mint.mint(Identity(UNIX), NOW, NONCE)

    assert found(minted, mint, NOW + LIFETIME - timedelta(seconds=1)) is not None
    with pytest.raises(SignatureRefused) as caught:
        found(minted, mint, NOW + LIFETIME)
    assert caught.value.code == EXPIRED


def test_another_mint_does_not_know_it() -> None:
    assert found(Mint(KEY).mint(Identity(UNIX), NOW, NONCE), Mint(SecretValue(b"x" * 32))) is None


@given(st.data())
def test_a_token_in_which_a_bit_is_changed_is_unknown(data: st.DataObject) -> None:
    minted = Mint(KEY).mint(Identity(UNIX, "ci"), NOW, NONCE)
    content = bytearray(minted.session_token.encode())
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << bit % 8

    assert Mint(KEY).find(minted.access_key_id, content.decode("latin-1"), NOW) is None


@example("!")
@given(st.text() | st.binary().map(lambda made: made.decode("latin-1")))
def test_any_other_text_is_no_token(text: str) -> None:
    assert Mint(KEY).find("ASIA", text, NOW) is None


def test_a_token_is_good_with_its_own_key_id_alone() -> None:
    one, other = (Mint(KEY).mint(Identity(UNIX), NOW, nonce) for nonce in (b"1", b"2"))

    assert Mint(KEY).find(other.access_key_id, one.session_token, NOW) is None
    assert Mint(KEY).find(one.access_key_id, None, NOW) is None


def test_two_keys_for_one_caller_differ_in_all_parts() -> None:
    one, other = (Mint(KEY).mint(Identity(UNIX), NOW, nonce) for nonce in (b"1", b"2"))

    assert one.access_key_id != other.access_key_id
    assert one.secret_key != other.secret_key


def test_the_parts_look_as_those_of_aws() -> None:
    minted = Mint(KEY).mint(Identity(UNIX), NOW, NONCE)

    assert len(minted.access_key_id) == 20
    assert minted.access_key_id.startswith("ASIA")
    assert minted.access_key_id.isalnum()


def test_few_of_the_keys_that_were_found_are_kept() -> None:
    mint = Mint(KEY)
    all_of_them = [mint.mint(Identity(UNIX), NOW, bytes([number % 256, number // 256])) for number in range(KEPT + 5)]

    assert all(found(minted, mint) is not None for minted in all_of_them)
    assert repr(mint) == f"<Mint [{KEPT} keys kept]>"
    assert found(all_of_them[0], mint) is not None


def derived(use: bytes, content: bytes) -> bytes:
    """What the mint makes of *content* for one use."""
    return hmac.digest(hmac.digest(KEY.bytes(), use, "sha256"), content, "sha256")


@pytest.mark.parametrize("sealed", [True, False])
def test_a_token_of_another_form_or_with_another_seal_is_unknown(sealed: bool) -> None:
    """It has the right key id, so that nothing else can be the reason."""
    minted = Mint(KEY).mint(Identity(UNIX), NOW, NONCE)
    rest = base64.urlsafe_b64decode(minted.session_token)[32:]
    content = derived(b"session token", b"[1]") + b"[1]" if sealed else bytes(32) + rest
    token = base64.urlsafe_b64encode(content).decode()
    key_id = "ASIA" + base64.b32encode(derived(b"key id", token.encode())).decode()[:16]

    assert Mint(KEY).find(key_id, token, NOW) is None


def test_no_repr_shows_a_key() -> None:
    minted = Mint(KEY).mint(Identity(UNIX), NOW, NONCE)

    shown = f"{minted!r} {found(minted)!r}"

    assert [one for one in (minted.secret_key.text(), minted.session_token) if one in shown] == []
