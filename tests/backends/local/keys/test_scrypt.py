"""What a header may ask of scrypt."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.local.keys import scrypt
from secrets_actor.backends.local.master_key_source import Derivation

SALT = b"s" * 16


def test_our_own_costs_pass() -> None:
    assert scrypt.objection(Derivation(SALT, scrypt.N, scrypt.R, scrypt.P)) is None


@pytest.mark.parametrize(
    ("derivation", "told"),
    [
        (Derivation(b"s" * 15, 2**17, 8, 1), "a salt of 15 bytes"),
        (Derivation(b"s" * 65, 2**17, 8, 1), "a salt of 65 bytes"),
        (Derivation(SALT, 2**13, 8, 1), "a cost N of 8192"),
        (Derivation(SALT, 2**17 + 1, 8, 1), "power of two"),
        (Derivation(SALT, 0, 8, 1), "a cost N of 0"),
        (Derivation(SALT, -(2**17), 8, 1), "a cost N of -"),
        (Derivation(SALT, 2**17, 0, 1), "a block size of 0"),
        (Derivation(SALT, 2**17, 8, 0), "0 blocks"),
        (Derivation(SALT, 2**17, 8, -1), "-1 blocks"),
        (Derivation(SALT, 2**26, 8, 1), "65,536 MiB of memory"),
        (Derivation(SALT, 2**21, 8, 1), "of memory, more than 1,024"),
        (Derivation(SALT, 2**17, 8, 33), "MiB of mixing"),
        (Derivation(SALT, 2**14, 8, 2**20), "MiB of mixing"),
    ],
)
def test_costs_out_of_bounds_are_objected_to(derivation: Derivation, told: str) -> None:
    assert told in str(scrypt.objection(derivation))


@pytest.mark.parametrize("derivation", [Derivation(SALT, 2**14, 8, 1), Derivation(SALT, 2**20, 8, 1)])
def test_the_bounds_themselves_pass(derivation: Derivation) -> None:
    assert scrypt.objection(derivation) is None


@given(st.integers(14, 30), st.integers(1, 2**20), st.integers(1, 2**20))
def test_what_passes_fits_into_the_memory_and_the_time_of_a_machine(n: int, r: int, p: int) -> None:
    derivation = Derivation(SALT, 2**n, r, p)
    if scrypt.objection(derivation) is None:
        assert 128 * r * 2**n <= 2**30
        assert 128 * r * 2**n * p <= 2**32
        assert scrypt.memory(derivation) <= 2**30 + 2**19


def test_the_memory_is_what_openssl_takes() -> None:
    for n, r, p in ((2**14, 8, 1), (2**14, 1, 3)):
        exact = scrypt.memory(Derivation(SALT, n, r, p))
        assert hashlib.scrypt(b"p", salt=SALT, n=n, r=r, p=p, maxmem=exact, dklen=32)
        with pytest.raises(ValueError, match="memory"):
            hashlib.scrypt(b"p", salt=SALT, n=n, r=r, p=p, maxmem=exact - 1, dklen=32)


def test_no_key_comes_of_more_memory_than_there_is() -> None:
    assert scrypt.derived(b"p", Derivation(SALT, 2**40, 8, 1)) is None
    assert scrypt.derived(b"p", Derivation(SALT, 2**14, 8, 1)) == hashlib.scrypt(
        b"p", salt=SALT, n=2**14, r=8, p=1, maxmem=2**26, dklen=32
    )
