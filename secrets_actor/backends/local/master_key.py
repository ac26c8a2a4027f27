"""Where the master key comes from: the port. The master key opens nothing but the store's own keys."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from secrets_actor.domain.errors import KeyFileError

KEY_BYTES = 32  # AES-256


class Derivation(Struct, frozen=True):
    """How a master key is made of a passphrase: scrypt with these costs (RFC 7914). Kept in the store's header."""

    salt: bytes
    n: int
    r: int
    p: int


class MasterKeySource(Protocol):
    """One place that a master key comes from. May block on a file, a key ring, or a costly derivation: only workers and
    the command line ask it. Raises `KeyFileError` or a kin, whose text names the place and says what to do, and never
    the key.
    """

    @property
    def kind(self) -> str:
        """What sort of place it is, for the store's header: `key_file`, `env`, `file`, `passphrase`, `keyring`."""

    @property
    def makes(self) -> bool:
        """Whether `create` makes a key where there is none."""

    def __str__(self) -> str:
        """The place, for messages: `the key file /home/ann/.local/share/secrets-actor/key`."""

    def identity(self) -> object:
        """Changes when the key may have been exchanged (such as the file's inode and time); cheap."""

    def present(self) -> bool:
        """Whether there is something at this place that will do for a key, as far as can be told without the store."""

    def missing(self) -> KeyFileError:
        """The error for a store that has data and no key at this place; says how to get it back."""

    def load(self, derivation: Derivation | None) -> bytes | None:
        """The key of 32 bytes; None when there is none at this place. *derivation* is that of the store's header;
        without one, a passphrase makes no key. Raises `StoreDamaged` for one that no store of ours has."""

    def load_next(self, derivation: Derivation | None) -> bytes | None:
        """The key that `replace` wrote and `replaced` has not put in place yet; None when there is none. For a store
        that the present key does not fit: the change of keys broke off."""

    def create(self) -> tuple[bytes, Derivation | None]:
        """The key for a new store, durably in place when this returns: made, where the place can hold one; else what is
        there. Of two processes that create at once, both get the same; with a passphrase, whose header comes first
        counts, and the other loads with that one's derivation."""

    def replace(self) -> tuple[bytes, Derivation | None]:
        """The key that takes the present one's place, durably written beside it (a file: `NAME.next`), not yet in it. A
        second call after a crash gives the same one. A place that cannot hold two raises an error that tells how to
        rekey from one source to another."""

    def replaced(self) -> None:
        """The store knows the new key: let it take the present one's place. Nothing to do when it has."""
