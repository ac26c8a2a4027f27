"""scrypt and its costs: those of a new store, and the bounds for the costs that a store or an export asks for. PURE.

OWASP asks for N = 2**17, r = 8, p = 1 (Password Storage Cheat Sheet). That takes 128 MiB, and 0.3 to 0.4 s on one core
of a server. A process pays that once, at its first operation, and so does each command. It is well within the ten
seconds of an operation, and within the memory of a small container. The tool age takes 2**18, which doubles both. The
example of RFC 7914 with 2**20 takes 1 GiB and 4 s.
"""

import hashlib
from typing import Final

from secrets_actor.backends.local.master_key_source import KEY_BYTES, Derivation

N: Final = 2**17
R: Final = 8
P: Final = 1
SALT_BYTES: Final = 16
# Bounds for costs that were read: they are in clear, and anybody who can write the file can change them. The least N is
# the one that scrypt's paper (2009) gives for a login. The most memory is in bytes, the most work in bytes that are
# mixed; a machine of today can still bear both.
LEAST_N: Final = 2**14
MOST_MEMORY: Final = 2**30
MOST_WORK: Final = 2**32
_SALTS: Final = range(SALT_BYTES, 65)


def memory(derivation: Derivation) -> int:
    """Return how many bytes of memory scrypt takes: N blocks of 128 r bytes for V, p blocks for B (RFC 7914, 5), and
    two more in OpenSSL."""
    return 128 * derivation.r * (derivation.n + derivation.p + 2)


def derived(secret: bytes, derivation: Derivation) -> bytes | None:
    """Return the key of 32 bytes that scrypt makes of *secret*; None when there is not enough `memory`."""
    n, r, p = derivation.n, derivation.r, derivation.p
    try:
        return hashlib.scrypt(secret, salt=derivation.salt, n=n, r=r, p=p, maxmem=memory(derivation), dklen=KEY_BYTES)
    except (ValueError, MemoryError):  # ValueError is what Python makes of OpenSSL's "no memory"
        return None


def objection(derivation: Derivation) -> str | None:
    """Return what is wrong with a *derivation* that was read; None when scrypt may run with it."""
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
