"""What a sealed file is sealed with. PURE."""

from __future__ import annotations

from typing import ClassVar, Final

from secrets_actor.backends.local.keys import scrypt
from secrets_actor.backends.local.master_key import KEY_BYTES
from secrets_actor.structs import Opaque

KEY, PASSPHRASE = 1, 2
KINDS: Final = {KEY: "a key", PASSPHRASE: "a passphrase"}
# scrypt's N, r and p: those of a store.
COSTS: Final = (scrypt.N, scrypt.R, scrypt.P)


class ExportKey(Opaque):
    """What a file is sealed with, and opened: *kind* `KEY` with 32 bytes, or `PASSPHRASE` with one byte at least.
    *costs*: scrypt's N, r and p for a new file. Raises `ValueError` for other lengths."""

    __slots__ = ("costs", "kind", "secret")
    SHOWN: ClassVar = ("kind", "costs")

    def __init__(self, kind: int, secret: bytes, costs: tuple[int, int, int] = COSTS) -> None:
        good = len(secret) == KEY_BYTES if kind == KEY else len(secret) > 0
        self.kind, self.secret, self.costs = kind, secret if good else b"", costs
        del secret
        if not good:
            raise ValueError(f"a key has {KEY_BYTES} bytes, a passphrase one at least")
