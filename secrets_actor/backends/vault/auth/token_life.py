"""The life of a token: what a server grants, when to renew it, and when to log in anew. PURE: times and dice are
arguments.

Rule 1: a token that can be renewed is renewed at two thirds of the life that it has left, or a little earlier, so that
        many processes that were started together do not all come at once.
Rule 2: a login is had anew only if no renewal helps: the token cannot be renewed, or its life has reached the maximum,
        which shows in a renewal that does not make it longer. An outage is no reason for a login: the server, and not
        our clock, says that a token has ended. (Logins may be limited in number; and agents that logged in over each
        lost connection have locked out users, and revoked the tokens of others: hashicorp/vault#10918, #6837.)
Rule 3: the same login is not tried again at once after it has failed; the pauses grow. Where a server counts wrong
        logins, and locks a user out after 5 within 15 minutes, the first pause is short, because a node that is behind
        knows nobody who was just made, and the others are longer than those 15 minutes: so two processes with the same
        wrong password lock nobody out.
"""

from enum import Enum
from typing import Any, ClassVar, Final

from msgspec import Struct

from secrets_actor.domain.secret import MAX_VALUE_BYTES, SecretValue
from secrets_actor.structs import SelectiveStruct

# As OpenBao's and Vault's own clients do (api/lifetime_watcher.go).
RENEWAL_SHARE: Final = 2 / 3
# The share of the life by which a renewal may come earlier (rule 1).
SPREAD: Final = 1 / 15
# Seconds that a renewal must add to the life. The server counts in whole seconds.
GROWTH: Final = 1.0
# Seconds: a token that lasts longer than a century counts as one that does not end. Servers cannot grant so much (292
# years are what their clocks can count), and a date must not leave the years that Python knows.
ENDLESS: Final = 100 * 365 * 86_400
# Seconds: the pauses after a refusal that the server counts, and the first and the longest one after all others (rule
# 3). Precedent for the longest: OpenBao's agent.
COUNTED_PAUSES: Final = (5.0, 960.0)
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 300.0
_DOUBLINGS: Final = 9  # 2 ** 9 s is more than the longest pause


class Granted(SelectiveStruct, frozen=True):
    """A token as the server grants it. *accessor* is its name in the audit log of the server. *lasts*: seconds until it
    ends; None: it does not. *is_batch*: it cannot be renewed or revoked. *uses*: how many requests it is good for; 0:
    any number."""

    HIDDEN: ClassVar = frozenset({"accessor"})
    UNHASHED: ClassVar = frozenset({"token"})

    token: SecretValue
    accessor: str | None = None
    lasts: float | None = None
    renewable: bool = False
    is_batch: bool = False
    uses: int = 0


class Step(Enum):
    """What a fetch does with the token that it has."""

    CHECK = "ask the server whether it is alive"
    RENEW = "renew it"
    LOG_IN = "log in anew"
    KEEP = "use it on"


class TokenLife(Struct, frozen=True):
    """The life of one token by the clock: it was granted, renewed or looked up at *since* (clock seconds), and lasts
    for so many seconds from then on; None: without end. *grows*: whether a renewal may make that longer. *uses* is as
    in `Granted`."""

    since: float
    lasts: float | None
    grows: bool
    uses: int = 0

    def renew_at(self, dice: float) -> float | None:
        """Return when to renew it (clock seconds). *dice* is from 0 to 1. None: no renewal is of use, or needed."""
        if not self.grows or self.lasts is None:
            return None
        return self.since + self.lasts * (RENEWAL_SHARE - SPREAD * dice)

    def left(self, now: float) -> float:
        """Return the seconds until its end; infinity if it has none."""
        return float("inf") if self.lasts is None else self.since + self.lasts - now

    def next_step(self, now: float) -> Step:
        """Return what a fetch at *now* does.

        A fetch comes when the token is due. If it comes before, the server has refused the token, or the secrets actor
        was started anew: ask then, but not if that costs one of few uses.
        """
        if self.lasts is None or now < self.since + self.lasts * (RENEWAL_SHARE - SPREAD):
            return Step.KEEP if self.uses else Step.CHECK
        return Step.RENEW if self.grows else Step.LOG_IN

    def renewed(self, lasts: float | None, *, renewable: bool, asked: float) -> "TokenLife":
        """Return the life after a renewal, for which the server was *asked* then (clock seconds), and after which it
        *lasts* for so many seconds."""
        grows = renewable and (lasts is None or lasts > self.left(asked) + GROWTH)
        return TokenLife(asked, lasts, grows, self.uses)

    def looked_up(self, found: Granted, asked: float) -> "TokenLife":
        """Return the life of a token that the server was *asked* about then, and has *found*. If its end is the one
        that is known, nothing changes: else each look at it would put off its renewal."""
        life = TokenLife(asked, found.lasts, self.grows, found.uses)
        known = self.lasts is None if found.lasts is None else abs(life.left(asked) - self.left(asked)) <= GROWTH
        return self if known else life

    def fixed(self) -> "TokenLife":
        """Return the life of a token that cannot be renewed after all."""
        return TokenLife(self.since, self.lasts, False, self.uses)


def life_of(granted: Granted, asked: float) -> TokenLife:
    """Return the life of a token that was *granted* to a request that was sent at *asked* (clock seconds)."""
    return TokenLife(asked, granted.lasts, granted.renewable and not granted.is_batch, granted.uses)


def pause_after(failures: int, *, counted: bool) -> float:
    """Return the seconds until a login is tried again that has failed so many times in a row. *counted*: the server
    counts it as a wrong login of a user (rule 3)."""
    if counted:
        return COUNTED_PAUSES[min(failures, len(COUNTED_PAUSES)) - 1]
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, _DOUBLINGS))


# --- what a server says of a token --------------------------------------------------------------------------------


def granted_in(body: object) -> Granted | None:
    """Return the token in the answer to a login or a renewal; None if there is none."""
    auth = body.get("auth") if isinstance(body, dict) else None
    if not isinstance(auth, dict):
        return None
    token = token_of(auth.get("client_token"))
    return None if token is None else _granted(auth, token, auth.get("lease_duration"), auth.get("token_type"))


def looked_up(body: object, token: SecretValue) -> Granted | None:
    """Return *token* as the answer to `auth/token/lookup-self` describes it; None if it does not."""
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict) or "ttl" not in data:
        return None
    return _granted(data, token, data["ttl"], data.get("type"))


def token_of(text: object) -> SecretValue | None:
    """Return *text* as a token; None if it is none, or cannot be sent in a header."""
    sendable = (
        isinstance(text, str)
        and 0 < len(text) <= MAX_VALUE_BYTES
        and text.isascii()
        and text.isprintable()
        and " " not in text
    )
    return SecretValue(text) if sendable and isinstance(text, str) else None


def _granted(found: dict[str, Any], token: SecretValue, seconds: object, kind: object) -> Granted | None:
    accessor, uses = found.get("accessor"), found.get("num_uses")
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        return None
    return Granted(
        token,
        accessor if isinstance(accessor, str) and accessor else None,
        float(seconds) if 0 < seconds < ENDLESS else None,
        found.get("renewable") is True,
        kind == "batch",
        uses if isinstance(uses, int) else 0,
    )
