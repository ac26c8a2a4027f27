"""The export key: a key or a passphrase that seals and opens an export. PURE."""

from __future__ import annotations

from typing import ClassVar, Final

from secrets_actor.backends.local.keys import scrypt
from secrets_actor.backends.local.master_key_source import KEY_BYTES
from secrets_actor.structs import Opaque

KEY, PASSPHRASE = 1, 2
KINDS: Final = {KEY: "a key", PASSPHRASE: "a passphrase"}
# scrypt's N, r and p: the same as for the passphrase of a store.
COSTS: Final = (scrypt.N, scrypt.R, scrypt.P)


class ExportKey(Opaque):
    """A key or passphrase that seals and opens a file: *kind* `KEY` with 32 bytes, or `PASSPHRASE` with at least one
    byte. *costs* are scrypt's N, r and p for a new file. Raises `ValueError` for other lengths."""

    __slots__ = ("costs", "kind", "secret")
    SHOWN: ClassVar = ("kind", "costs")

    def __init__(self, kind: int, secret: bytes, costs: tuple[int, int, int] = COSTS) -> None:
        good = len(secret) == KEY_BYTES if kind == KEY else len(secret) > 0
        self.kind, self.secret, self.costs = kind, secret if good else b"", costs
        del secret  # the frame that raises must not hold it
        if not good:
            raise ValueError(f"a key has {KEY_BYTES} bytes, a passphrase one at least")
