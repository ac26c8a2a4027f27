"""The port to the places where a master key comes from. A master key opens nothing but the store keys."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from secrets_actor.domain.errors import KeyFileError

KEY_BYTES = 32  # AES-256


class Derivation(Struct, frozen=True):
    """The way a master key is made of a passphrase: scrypt with this salt and these costs (RFC 7914). It is kept in the
    store, beside each store key that such a master key wraps."""

    salt: bytes
    n: int
    r: int
    p: int


class MasterKeySource(Protocol):
    """One place that a master key comes from.

    Its methods may block on a file, a key ring, or a costly derivation, so only workers and the command line call them.
    They raise `KeyFileError` or a class of that family. The text names the place and says what to do; it never has the
    key.
    """

    @property
    def kind(self) -> str:
        """The kind of this place: `key_file`, `env`, `file`, `passphrase`, `keyring`."""

    @property
    def makes(self) -> bool:
        """Whether `create` makes a key where there is none."""

    def __str__(self) -> str:
        """The place, for messages: `the key file /home/ann/.local/share/secrets-actor/key`."""

    def identity(self) -> object:
        """Return a value that differs once the key may have been exchanged, such as the file's inode and time. Cheap:
        each operation asks for it."""

    def present(self) -> bool:
        """Whether this place has something that can serve as a key, as far as that can be told without the store."""

    def missing(self) -> KeyFileError:
        """Return the error for a store that has data but no key at this place. Its text says how to get the key
        back."""

    def load(self, derivation: Derivation | None) -> bytes | None:
        """Return the key of 32 bytes; None when this place has none. *derivation* is the one kept in the store; without
        it a passphrase makes no key. Raises `StoreDamaged` for a derivation that no store of ours has."""

    def load_next(self, derivation: Derivation | None) -> bytes | None:
        """Return the key that `replace` wrote and that `replaced` has not put in place yet; None when there is none.
        For a store that the present key does not fit, because a change of keys broke off."""

    def create(self) -> tuple[bytes, Derivation | None]:
        """Return the key for a new store, durably in place when this returns. A place that can hold a key makes one;
        any other gives the key that is there. Two processes that call this at once get the same key. With a passphrase,
        the store that is made first counts, and the other process loads with the derivation of that store."""

    def replace(self) -> tuple[bytes, Derivation | None]:
        """Return the key that is to follow the present one. It is written durably beside that one (a file:
        `NAME.next`), and not yet in its place. A second call after a crash returns the same key. A place that cannot
        hold two keys raises an error that tells how to rekey from one source to another."""

    def replaced(self) -> None:
        """Put the new key into the present one's place: the store knows it now. Does nothing when that has been
        done."""
