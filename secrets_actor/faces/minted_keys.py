"""Key pairs for AWS's SDKs that tell who signs with them: minted for a caller, and good for an hour. PURE.

Rule 1: the mint keeps no list. The session token carries the caller and the end, and a seal (HMAC-SHA-256) under the
        mint's key; the access key id and the secret key are derived from the token under the same key. So the keys are
        good after a restart of the daemon, in all its listeners, and no caller can make or change one.
Rule 2: the caller is as it was when the key was minted: user, groups and unit of the process that asked. Its pid is
        left out: a `credential_process` has ended by the time at which its key is used. So is the address of a caller
        on TCP: it says nothing of who asks.
Rule 3: a token is read only after its seal was found right, in constant time.
"""

import base64
import binascii
import hmac
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.domain.secret import SecretValue
from secrets_actor.faces.identity import MINTED, Identity, Peer
from secrets_actor.faces.sigv4_check import ENDED, EXPIRED, FoundKey, KeyOwner, SignatureRefused
from secrets_actor.structs import Opaque

LIFETIME: Final = timedelta(hours=1)
# How many keys that were found right are kept, so that their next use is cheaper: as many as callers are busy at once.
KEPT: Final = 256
_SEAL_BYTES: Final = 32
# AWS gives ids of temporary keys this beginning and 20 characters (IAM User Guide, "unique ID prefixes").
_ID_BEGINNING: Final = "ASIA"
_ID_LENGTH: Final = 20


class Minted(Opaque):
    """A key pair with its session token, as an SDK needs it. It ends at *expiration* (UTC)."""

    __slots__ = ("access_key_id", "expiration", "secret_key", "session_token")
    SHOWN: ClassVar = ("expiration",)

    def __init__(self, access_key_id: str, secret_key: SecretValue, session_token: str, expiration: datetime) -> None:
        self.access_key_id = access_key_id
        self.secret_key = secret_key
        self.session_token = session_token
        self.expiration = expiration


class _Carried(Struct, frozen=True, array_like=True):
    """What a session token carries. *end* is in seconds since 1970. *nonce* makes each token another one."""

    end: int
    nonce: bytes
    peer: Peer
    token: str | None


class Mint:
    """Mints keys under *key*, and finds those that it has minted. For any thread."""

    def __init__(self, key: SecretValue) -> None:
        # One key for each use, so that what is made for one use is good for no other.
        self._seal, self._id, self._secret = (
            SecretValue(hmac.digest(key.bytes(), use, "sha256")) for use in (b"session token", b"key id", b"secret key")
        )
        self._found: dict[str, tuple[str, int, FoundKey]] = {}

    def mint(self, identity: Identity, now: datetime, nonce: bytes) -> Minted:
        """Mint a key pair for *identity* at *now* (UTC). *nonce*: some random bytes."""
        end = int((now + LIFETIME).timestamp())
        carried = _Carried(end, nonce, replace(identity.peer, pid=None, address=None), identity.token)
        payload = msgspec.msgpack.encode(carried)
        token = base64.urlsafe_b64encode(self._sealed(payload) + payload).decode()
        secret_key = SecretValue(self._secret_for(token))
        return Minted(self._id_for(token), secret_key, token, datetime.fromtimestamp(end, UTC))

    def find(self, access_key_id: str, session_token: str | None, now: datetime) -> FoundKey | None:
        """Return the key that was minted with this id and token; None if there is none. Raises `SignatureRefused` for
        one that has ended by *now* (UTC)."""
        if session_token is None:
            return None
        known = self._found.get(session_token)
        if known is None:
            known = self._opened(session_token)
            if known is None:
                return None
            for oldest in list(self._found)[: max(0, len(self._found) - KEPT + 1)]:
                self._found.pop(oldest, None)
            self._found[session_token] = known
        right_id, end, found = known
        if not hmac.compare_digest(right_id.encode(), access_key_id.encode()):
            return None
        if now.timestamp() >= end:
            raise SignatureRefused(EXPIRED, ENDED)
        return found

    def _opened(self, token: str) -> tuple[str, int, FoundKey] | None:
        """Return the access key id, the end and the key of a session token; None if it was not made here."""
        try:
            content = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        except binascii.Error:
            return None
        payload = content[_SEAL_BYTES:]
        if not hmac.compare_digest(self._sealed(payload), content[:_SEAL_BYTES]):
            return None
        try:
            carried = msgspec.msgpack.decode(payload, type=_Carried)
        except msgspec.MsgspecError:  # made by another version of this program
            return None
        # Of a caller on TCP, only its token or key is known: then the other end of the connection counts.
        peer = None if carried.peer == Peer() else carried.peer
        owner = KeyOwner(MINTED, peer, carried.token)
        return self._id_for(token), carried.end, FoundKey(owner, (SecretValue(self._secret_for(token)),))

    def _sealed(self, payload: bytes) -> bytes:
        return hmac.digest(self._seal.bytes(), payload, "sha256")

    def _id_for(self, token: str) -> str:
        digest = hmac.digest(self._id.bytes(), token.encode(), "sha256")
        return _ID_BEGINNING + base64.b32encode(digest).decode()[: _ID_LENGTH - len(_ID_BEGINNING)]

    def _secret_for(self, token: str) -> str:
        return base64.b64encode(hmac.digest(self._secret.bytes(), token.encode(), "sha256")).decode().rstrip("=")

    def __repr__(self) -> str:
        return f"<Mint [{len(self._found)} keys kept]>"
