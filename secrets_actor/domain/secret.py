"""The masked value, and the `Secret` that callers get. PURE.

Rule 1: a value has one type, `SecretValue`. Every printable form of it is the mask.
Rule 2: a value cannot be pickled, and its copy is the value itself: no second holder comes about unseen.
Rule 3: `reveal()`, `text()`, `bytes()` and `json()` are the only ways to the clear value. Each is a call, because
        inspectors and debuggers read every attribute of an object, and must not find the value in one. The caller has
        to guard what they return.
Rule 4: the attribute that holds the value has no name. Inspectors, serialisers and debuggers find the attributes of an
        object by their names (`dir`, `__slots__`, the class), and must not find a value. Only a program that asks the
        interpreter itself, such as by `gc.get_referents`, can reach it.
Rule 5: errors raised here never hold the value, and no frame of ours that raises them has it in a local variable: error
        reporters print the locals of frames.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NoReturn, Self

from msgspec import Struct

from secrets_actor.domain import packed_secret
from secrets_actor.domain.errors import InvalidSecretValue
from secrets_actor.json_text import NestedTooDeeply, read_json


def hide(cls: type, name: str) -> tuple[Callable[[Any], Any], Callable[[Any, Any], None]]:
    """Remove the slot *name* from the class *cls*, and return two functions: one reads the slot of an object, the other
    sets it (rule 4).

    Only the module that keeps these functions can reach the slot. Reading one that was never set raises
    `AttributeError`.
    """
    slot = cls.__dict__[name]
    delattr(cls, name)
    slots: Any = cls.__dict__["__slots__"]
    cls.__slots__ = tuple(one for one in slots if one != name)  # type: ignore[attr-defined]
    return slot.__get__, slot.__set__


class NewVersion(Struct, frozen=True):
    """The news that a subscribed secret has another current version. It never holds a value: get the secret for that.

    *name* is the name or ARN as it was subscribed to. *old_version_id* is None if there was no such secret before.
    """

    name: str
    old_version_id: str | None
    new_version_id: str


MASK: Final = "****"
# AWS Secrets Manager: SecretString and SecretBinary hold 65,536 bytes at most (quota "Secret value size").
MAX_VALUE_BYTES: Final = 65_536


class SecretValue:
    """A secret text, or secret bytes, that prints as a mask. `reveal()` returns it in clear.

    Two values are equal if they have the same type and content. Raises `InvalidSecretValue` for another type, for an
    empty value, for text that is not valid Unicode, and past 65,536 bytes (text counted in UTF-8).
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | builtins.bytes | bytearray | SecretValue) -> None:
        if isinstance(value, SecretValue):
            value = _clear(value)
        _put_clear(self, builtins.bytes(value) if isinstance(value, bytearray) else value)
        del value  # rule 5: from here on something may raise
        problem = self._problem()
        if problem:
            _put_clear(self, b"")
            raise InvalidSecretValue(problem)

    def _problem(self) -> str | None:
        if not isinstance(_clear(self), (str, builtins.bytes)):
            return f"a secret value is str or bytes, not {type(_clear(self)).__name__}; encode objects as JSON text"
        try:
            size = len(_as_bytes(_clear(self)))
        except UnicodeEncodeError:
            return "a secret text must be valid Unicode (it holds a lone surrogate); give it as bytes"
        if size == 0:
            return "a secret value is empty; give at least one byte"
        if size > MAX_VALUE_BYTES:
            return f"a secret value has {MAX_VALUE_BYTES} bytes at most, this one {size}"
        return None

    def reveal(self) -> str | builtins.bytes:
        """Return the value in clear: `str` for a text secret, `bytes` for a binary one."""
        return _clear(self)

    def text(self) -> str:
        """Return the value of a text secret. Raises `InvalidSecretValue` if the secret is binary: its bytes may be text
        in any encoding, so none is guessed."""
        value = _clear(self)
        if isinstance(value, str):
            return value
        del value  # rule 5: the next line raises
        raise InvalidSecretValue("this secret is binary: read it with bytes()")

    def bytes(self) -> builtins.bytes:
        """Return the value of a binary secret; of a text secret, its text in UTF-8."""
        return _as_bytes(_clear(self))

    def json(self) -> Any:
        """Return the value, text or bytes, parsed as JSON. A byte order mark before it is skipped.

        Raises `InvalidSecretValue` if the value is not JSON, or is nested more than 500 deep.
        """
        try:
            return read_json(_without_mark(_clear(self)))
        except NestedTooDeeply:
            problem = "is JSON that is nested too deeply to be read here"
        except ValueError:
            problem = "is not JSON"  # the decoder's own error quotes the document
        raise InvalidSecretValue(f"this secret's value {problem}; read it with reveal()")

    @property
    def is_text(self) -> bool:
        """Whether the value is text (`SecretString`) rather than bytes (`SecretBinary`)."""
        return isinstance(_clear(self), str)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretValue):
            return NotImplemented
        if self.is_text != other.is_text:
            return False
        import hmac  # here, because it loads OpenSSL (3 ms), and few programs compare values

        # In constant time: how long a comparison takes must not tell how much of a guess is right.
        return hmac.compare_digest(_as_bytes(_clear(self)), _as_bytes(_clear(other)))

    __hash__ = None  # type: ignore[assignment]  # the hash of a short secret could be guessed back

    def __repr__(self) -> str:
        return f"<SecretValue {MASK}>"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a SecretValue cannot be pickled; pass the secret's name and get it where it is needed")


_clear: Callable[[SecretValue], str | bytes]
_put_clear: Callable[[SecretValue, str | bytes], None]
_clear, _put_clear = hide(SecretValue, "_value")


def _without_mark(value: str | bytes) -> str | bytes:
    return value.removeprefix("\ufeff") if isinstance(value, str) else value


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


class Source(StrEnum):
    """Where an answer came from: the store behind the backend, or the cache."""

    BACKEND = "backend"
    CACHE = "cache"


class Secret:
    """One version of a secret. It cannot be changed, so threads may share it; `reveal()` returns the value in clear.

    `created_at` is when this version was made (UTC). In the answer to a get of many, AWS documents it as when the
    secret was made. `age` is how many seconds ago the store gave this answer; `stale` is true if that is longer than
    the cache's TTL; `source` says whether it came from the store or from the cache, and `origin` which endpoint of the
    store gave it. The repr masks the value.
    """

    # A cached get makes one of these, so it has to be cheap: the block holds everything except the name, packed, and a
    # fact is unpacked when somebody asks for it.
    __slots__ = ("_block", "_name", "_seen_at", "_source")

    def __init__(
        self,
        name: str,
        arn: str,
        value: SecretValue,
        version_id: str,
        stages: tuple[str, ...],
        created_at: datetime,
        source: Source = Source.BACKEND,
        origin: str | None = None,
    ) -> None:
        self._name, self._seen_at, self._source = str(name), 0.0, source
        put_block(self, packed_secret.pack(self._name, arn, value, version_id, stages, created_at))
        if origin is not None:
            put_block(self, packed_secret.with_origin(block_of(self), origin))

    @property
    def name(self) -> str:
        """The name of the secret, such as `db/password`."""
        return self._name

    @property
    def source(self) -> Source:
        """Whether this came from the store (`backend`) or from the cache."""
        return getattr(self, "_source", Source.CACHE)  # a cached get does not set it, to save that time

    @property
    def origin(self) -> str | None:
        """The endpoint that gave this answer, also if it comes from the cache now: host, and port unless it is that of
        the scheme, such as `secretsmanager.eu-west-1.amazonaws.com` or `[::1]:4566`. For a local store it is its
        folder; for another store without an endpoint, its name. None in a secret that no store has answered with."""
        return packed_secret.origin_of(block_of(self))

    @property
    def arn(self) -> str:
        """The whole ARN of the secret."""
        return packed_secret.arn_of(block_of(self), self._name)

    @property
    def value(self) -> SecretValue:
        """The value, masked."""
        return SecretValue(packed_secret.value_of(block_of(self)))

    @property
    def version_id(self) -> str:
        """The id of this version."""
        return packed_secret.version_of(block_of(self))

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that this version has, such as AWSCURRENT."""
        return packed_secret.stages_of(block_of(self))

    @property
    def created_at(self) -> datetime:
        """When this version was made (UTC); see the class."""
        return packed_secret.created_of(block_of(self))

    @property
    def age(self) -> float:
        """Seconds since the store gave this answer; 0 if it comes from the store right now."""
        fetched_at: float = packed_secret.TIMES.unpack_from(block_of(self))[0]
        return max(0.0, self._seen_at - fetched_at)

    @property
    def stale(self) -> bool:
        """Whether the cache's TTL was over: an old value, returned because the store could not answer."""
        return self._seen_at > 0.0 and self._seen_at >= packed_secret.TIMES.unpack_from(block_of(self))[2]

    def reveal(self) -> str | builtins.bytes:
        """Return the value in clear: `str` for a text secret, `bytes` for a binary one."""
        return packed_secret.value_of(block_of(self))

    def text(self) -> str:
        """Return the value of a text secret. Raises `InvalidSecretValue` if the secret is binary."""
        return self.value.text()

    def bytes(self) -> builtins.bytes:
        """Return the value of a binary secret; of a text secret, its text in UTF-8."""
        return self.value.bytes()

    def json(self) -> Any:
        """Return the value parsed as JSON. Raises `InvalidSecretValue` if it is not JSON, or is nested more than 500
        deep."""
        return self.value.json()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # Not by origin: the same version is the same secret, whichever endpoint of the store it comes from.
        return self.value == other.value and self._shown() == other._shown()

    __hash__ = None  # type: ignore[assignment]  # its value has none, either

    def _shown(self) -> tuple[object, ...]:
        shown = self.name, self.arn, self.version_id, self.stages, self.created_at
        return (*shown, round(self.age, 6), self.stale, self.source)

    def __repr__(self) -> str:
        try:
            name, arn, version_id, stages, created_at, age, stale, source = self._shown()
        except AttributeError:  # __init__ has failed, and a traceback shows the half-made object
            return "<Secret that was not made>"
        return (
            f"Secret(name={name!r}, arn={arn!r}, value=<SecretValue {MASK}>, version_id={version_id!r}, "
            f"stages={stages!r}, created_at={created_at!r}, age={age!r}, stale={stale!r}, source={source!r}, "
            f"origin={self.origin!r})"
        )

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled; pass its name and get it where it is needed")


class BlankSecret(Secret):
    """A `Secret` that is made without arguments. That takes two thirds of the time, which a cached get notices. In all
    else it is a `Secret`, down to the name of its class."""

    __slots__ = ()
    __init__ = object.__init__


BlankSecret.__name__ = BlankSecret.__qualname__ = Secret.__name__
# Read and set a secret's packed block, which has the value in clear: for the cache, and for the audit of cached gets.
block_of: Callable[[Secret], bytes]
put_block: Callable[[Secret, bytes], None]
block_of, put_block = hide(Secret, "_block")


def from_origin(secret: Secret, origin: str) -> Secret:
    """Return *secret* as *origin* has given it. One that names its origin already is returned as it is."""
    block = block_of(secret)
    placed = packed_secret.with_origin(block, origin)
    if placed is block:
        return secret
    found: Secret = BlankSecret()
    found._name, found._seen_at, found._source = secret._name, 0.0, secret.source
    put_block(found, placed)
    return found


def secret_of_block(name: str, kept: bytes, now: float) -> Secret:
    """Return the secret whose packed block is *kept*, a copy of the cache's, as it is at clock time *now*.

    This is no method of `Secret`, because a program has no use for it.
    """
    found: Secret = BlankSecret()
    found._name, found._seen_at = name, now
    put_block(found, kept)
    return found


class SetReceipt(Struct, frozen=True):
    """The receipt of a set. `created`: whether the secret is new; if not, it got a new version."""

    name: str
    arn: str
    version_id: str
    created: bool


class DeleteReceipt(Struct, frozen=True):
    """The receipt of a delete. `deletion_date` (UTC) is when the recovery window ends: until then `restore` works, and
    soon after it the secret is gone for good."""

    name: str
    arn: str
    deletion_date: datetime
