"""scrypt, and what it may cost: the costs of a new store, and the bounds of those that a header asks for. PURE.

N = 2**17, r = 8, p = 1 is what OWASP asks for (Password Storage Cheat Sheet): 128 MiB, and 0.3 to 0.4 s on one core of
a server. A process pays it once, at its first operation, and so does each command: well within a call's ten seconds,
and within the memory of a small container. age's 2**18 doubles both; RFC 7914's sample of 2**20 takes 1 GiB and 4 s.
"""

import hashlib
from typing import Final

from secrets_actor.backends.local.master_key import KEY_BYTES, Derivation

N: Final = 2**17
R: Final = 8
P: Final = 1
SALT_BYTES: Final = 16
# A header is in clear, and anybody who can write the file can write it: not less than scrypt's paper has for a login
# (2009), and no more than a machine bears.
LEAST_N: Final = 2**14
MOST_MEMORY: Final = 2**30
MOST_WORK: Final = 2**32
_SALTS: Final = range(SALT_BYTES, 65)


def memory(derivation: Derivation) -> int:
    """Bytes that scrypt takes (RFC 7914, 5: V, and B of p blocks of 128 r bytes each; OpenSSL has two more)."""
    return 128 * derivation.r * (derivation.n + derivation.p + 2)


def derived(secret: bytes, derivation: Derivation) -> bytes | None:
    """The key of 32 bytes that scrypt makes of *secret*; None where there is not the `memory` for it."""
    n, r, p = derivation.n, derivation.r, derivation.p
    try:
        return hashlib.scrypt(secret, salt=derivation.salt, n=n, r=r, p=p, maxmem=memory(derivation), dklen=KEY_BYTES)
    except (ValueError, MemoryError):  # OpenSSL's word for no memory is a ValueError
        return None


def objection(derivation: Derivation) -> str | None:
    """What is wrong with the *derivation* of a header."""
    n, r, p = derivation.n, derivation.r, derivation.p
    if len(derivation.salt) not in _SALTS:
        return f"a salt of {len(derivation.salt)} bytes"
    if n < LEAST_N or n & (n - 1):
        return f"a cost N of {n}, and not a power of two from {LEAST_N} on"
    if r < 1 or p < 1:
        return f"a block size of {r} and {p} blocks"
    if memory(derivation) > MOST_MEMORY + 128 * r * (p + 2):
        return f"{memory(derivation) // 2**20:,} MiB of memory, more than {MOST_MEMORY // 2**20:,}"
    if 128 * n * r * p > MOST_WORK:
        return f"{128 * n * r * p // 2**20:,} MiB of mixing, more than {MOST_WORK // 2**20:,}"
    return None
