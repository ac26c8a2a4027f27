"""Generates random passwords and random values. PURE: the random numbers come from outside.

Source of the kinds of characters: AWS's service model, GetRandomPassword.
"""

from __future__ import annotations

import base64
import string
from collections.abc import Callable

from secrets_actor.domain.errors import InvalidRequest
from secrets_actor.domain.operations import GENERATED_BYTES, Generated, RandomPassword, Regenerate
from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.semantics.context import Context


def random_password(context: Context, operation: RandomPassword) -> SecretValue:
    """Return a random password. Raises `InvalidRequest` if `exclude` leaves no characters of a kind that is asked
    for."""
    kinds = _kinds(operation)
    alphabet = "".join(kinds) + " " * (operation.space and " " not in operation.exclude)
    if not alphabet or (operation.require_each and not all(kinds)):
        raise InvalidRequest("no characters are left of a kind that is asked for: exclude fewer, or leave the kind out")
    # Drawn anew until every kind is in it: so each password that fits is as likely as any other. To put one of each
    # kind in by force would not give that.
    while True:
        drawn = _drawn(alphabet, operation.length, context.choose)
        if not operation.require_each or all(not kind.isdisjoint(drawn) for kind in map(set, kinds)):
            return SecretValue(drawn)


def generated(context: Context, operation: Regenerate) -> SecretValue:
    """Return the new value that `Regenerate` asks for."""
    if operation.generate is Generated.PASSWORD:
        return random_password(context, operation.password)
    return SecretValue(base64.b64encode(bytes(context.choose(256) for _ in range(GENERATED_BYTES))).decode())


def _kinds(operation: RandomPassword) -> list[str]:
    """Return the characters of each kind that may be required, if it is asked for, without the excluded ones."""
    kinds = (
        (operation.lowercase, string.ascii_lowercase),
        (operation.uppercase, string.ascii_uppercase),
        (operation.numbers, string.digits),
        (operation.punctuation, string.punctuation),
    )
    excluded = set(operation.exclude)
    return ["".join(one for one in kind if one not in excluded) for asked, kind in kinds if asked]


def _drawn(alphabet: str, length: int, choose: Callable[[int], int]) -> str:
    return "".join(alphabet[choose(len(alphabet))] for _ in range(length))
