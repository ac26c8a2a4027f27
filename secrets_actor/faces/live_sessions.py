"""Who may look at the live page: keys that let a browser in once, and the sessions that come of them. PURE.

Rule 1: a browser can prove nothing to a listener on TCP. So a process that the kernel names, at the Unix socket, gets a
        key; whoever brings the key within a minute has a session in that process's name. A key is good once.
Rule 2: a session is not kept here. Its cookie carries the caller and the end, and a seal (HMAC-SHA-256), so it is good
        after a restart of the daemon, and no number of them takes memory. What the caller may do is asked of the policy
        each time, so a rule that is taken away ends what it allowed.
Rule 3: what changes anything needs the session's token as well, which only the page has: it is derived from the cookie
        under another key, so a cookie alone is not enough to make it.
Rule 4: everything that a client brings is compared in constant time, or looked up by its digest.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.domain.secret import SecretValue
from secrets_actor.faces.identity import Identity, Peer

# Seconds for which a key can be used: as long as it takes to open a browser.
KEY_SECONDS: Final = 60.0
# Seconds that a session lasts: a day's work.
SESSION_SECONDS: Final = 8 * 3600.0
# Keys that may wait to be used. For one more, the oldest is forgotten.
MOST_KEYS: Final = 64
_SEAL_BYTES: Final = 32
_MOST_COOKIE: Final = 2000
_NONCE_BYTES: Final = 16


class _Carried(Struct, frozen=True, array_like=True):
    """What a cookie carries. *end* is in seconds since 1970."""

    end: float
    nonce: bytes
    peer: Peer


class Session(Struct, frozen=True):
    """A session of *identity*, until *end* (seconds since 1970)."""

    identity: Identity
    end: float


class LiveSessions:
    """The keys and sessions of one daemon. *key* is the daemon's own; *now* returns seconds since 1970, and *random* so
    many random bytes. For any thread."""

    def __init__(self, key: SecretValue, now: Callable[[], float], random: Callable[[int], bytes]) -> None:
        # One key for each use, so that what is made for one use is good for no other.
        self._seal, self._token = (
            SecretValue(hmac.digest(key.bytes(), use, "sha256")) for use in (b"live session", b"live token")
        )
        self._now, self._random = now, random
        self._waiting: dict[bytes, tuple[Peer, float]] = {}

    def new_key(self, identity: Identity) -> str:
        """Return a key that lets in one browser, as *identity* (rule 1). It is url-safe."""
        key = base64.urlsafe_b64encode(self._random(32)).decode().rstrip("=")
        while len(self._waiting) >= MOST_KEYS:
            self._waiting.pop(next(iter(self._waiting)), None)
        self._waiting[_digest(key)] = identity.peer, self._now() + KEY_SECONDS
        return key

    def enter(self, key: str) -> str | None:
        """Use *key*. Return the cookie of a new session; None if the key is not good, or no more."""
        peer, until = self._waiting.pop(_digest(key), (None, 0.0))
        if peer is None or self._now() >= until:
            return None
        # The process that asked for the key has ended by now, and its number may become another's.
        carried = _Carried(self._now() + SESSION_SECONDS, self._random(_NONCE_BYTES), replace(peer, pid=None))
        payload = msgspec.msgpack.encode(carried)
        return base64.urlsafe_b64encode(self._sealed(payload) + payload).decode().rstrip("=")

    def find(self, cookie: str) -> Session | None:
        """Return the session of *cookie*; None if it was not made here, or is over."""
        if len(cookie) > _MOST_COOKIE:
            return None
        try:
            content = base64.b64decode(cookie + "=" * (-len(cookie) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):  # ValueError: it is not ASCII
            return None
        payload = content[_SEAL_BYTES:]
        if not hmac.compare_digest(self._sealed(payload), content[:_SEAL_BYTES]):
            return None
        try:
            carried = msgspec.msgpack.decode(payload, type=_Carried)
        except msgspec.MsgspecError:  # made by another version of this program
            return None
        return Session(Identity(carried.peer), carried.end) if self._now() < carried.end else None

    def token_of(self, proof: str) -> str:
        """Return the token for *proof*: the cookie of a session; or, on a Unix socket, what stands for one."""
        return hmac.digest(self._token.bytes(), proof.encode(), "sha256").hex()

    def is_token(self, given: str, proof: str) -> bool:
        """Whether *given* is the token for *proof*."""
        return hmac.compare_digest(given.encode(), self.token_of(proof).encode())

    def _sealed(self, payload: bytes) -> bytes:
        return hmac.digest(self._seal.bytes(), payload, "sha256")

    def __repr__(self) -> str:
        return f"<LiveSessions [{len(self._waiting)} keys wait]>"


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def cookie_in(headers: tuple[str, ...], name: str) -> str | None:
    """Return the cookie *name* of the Cookie *headers*; None if it is not there, or twice: of two, nobody knows which
    one the browser meant for us."""
    found = [
        value.strip()
        for header in headers
        for given, _, value in (part.partition("=") for part in header.split(";"))
        if given.strip() == name
    ]
    return found[0] if len(found) == 1 else None
