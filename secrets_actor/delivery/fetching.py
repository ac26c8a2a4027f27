"""Fetches all secrets that a program or a file wants, at once or not at all.

Rule 1: all that is missing is told together, in one error: nobody should have to start a program five times to hear of
        five names.
Rule 2: whether something has changed is told by `Fetched.versions`, and never by a comparison of values.
Rule 3: values stay masked here. What a caller takes out in clear, it has to guard.
Rule 4: a secret below a prefix that is deleted between the list and the read is not missing: nobody has named it.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final

from msgspec import Struct

from secrets_actor.actor.prefetch_plan import Search
from secrets_actor.client.secrets import Secrets
from secrets_actor.clock import now
from secrets_actor.domain.errors import AccessDenied, InvalidParameter, MissingSecrets, SecretDeleted, SecretNotFound
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.references import Reference, member_of
from secrets_actor.domain.secret import Secret, SecretValue

_CURRENT: Final = "AWSCURRENT"
# Of a secret that is wanted, what counts as missing: for an operator, one that is scheduled for deletion is gone, too.
_GONE: Final = (SecretNotFound, SecretDeleted)
_Key = tuple[str, str]


class Wanted(Struct, frozen=True):
    """The secrets that are wanted: those of *references*, and all whose names begin with one of *prefixes*."""

    references: tuple[Reference, ...] = ()
    prefixes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[SecretId, ...]:
        """The names and ARNs in the references, each once."""
        return tuple(dict.fromkeys(one.name for one in self.references))


class Fetched(Struct, frozen=True):
    """What was fetched for a `Wanted`. Its repr shows no value."""

    found: Mapping[_Key, Secret]  # by name and stage, as they were asked for
    listed: Mapping[str, tuple[str, ...]]  # by prefix: the names

    @property
    def versions(self) -> frozenset[tuple[str, str, str]]:
        """The name, the stage and the version id of each secret: another set means that something has changed."""
        return frozenset((name, stage, secret.version_id) for (name, stage), secret in self.found.items())

    @property
    def names(self) -> frozenset[str]:
        """The names of the secrets that were found, as they were asked for."""
        return frozenset(name for name, _ in self.found)

    def secret(self, reference: Reference) -> Secret | None:
        """Return the secret of *reference*; None if it is missing."""
        return self.found.get(_key(reference))

    def text(self, reference: Reference) -> str | None:
        """Return the text of *reference* in clear; None if it is optional and missing.

        A member that is a text is returned as it is, any other as JSON. Raises `InvalidSecretValue` for a binary secret
        without a member.
        """
        secret = self.secret(reference)
        if secret is None:
            return None
        return _member(secret, reference) if reference.member else secret.text()

    def bytes(self, reference: Reference) -> builtins.bytes | None:
        """Return what `text` returns, as bytes: of a binary secret its bytes, else UTF-8."""
        secret = self.secret(reference)
        if secret is None:
            return None
        if not reference.member:
            return secret.bytes()
        text = _member(secret, reference)
        return None if text is None else text.encode()

    def below(self, prefix: str) -> Mapping[str, SecretValue]:
        """Return the values of the secrets whose names begin with *prefix*, which was wanted, by their whole names."""
        return {name: self.found[name, _CURRENT].value for name in self.listed[prefix]}

    def values(self, references: Iterable[Reference] = ()) -> Iterator[builtins.bytes]:
        """Yield all values in clear, each once, and those of the members that *references* name: for masking."""
        seen = {secret.bytes() for secret in self.found.values()}
        for one in references:
            seen.add(self.bytes(one) or b"")
        seen.discard(b"")
        yield from seen


def fetch(secrets: Secrets, wanted: Wanted, timeout: float | None = None, *, refresh: bool = False) -> Fetched:
    """Return all that is *wanted*, from the cache where it is there; with *refresh*, and for other stages than
    AWSCURRENT, from the store.

    *timeout* is in seconds, for all of it (None: the setting `call_timeout_seconds`, for each question).

    Raises `MissingSecrets`, which names all that is missing; `AccessDenied`, `Unreachable` and other `SecretsError`s.
    """
    until = None if timeout is None else now() + timeout

    def left() -> float | None:
        return None if until is None else max(0.0, until - now())

    missing: list[str] = []
    listed = {prefix: _listed(secrets, prefix, left()) for prefix in wanted.prefixes}
    below = dict.fromkeys(name for names in listed.values() for name in names)
    current = dict.fromkeys(one.name for one in wanted.references if _key(one)[1] == _CURRENT)
    many = _many(secrets, dict.fromkeys((*current, *map(SecretId, below))), left(), refresh=refresh)
    found: dict[_Key, Secret] = {(name, _CURRENT): secret for name, secret in many.items()}
    for key in dict.fromkeys(_key(one) for one in wanted.references if _key(one)[1] != _CURRENT):
        with suppress(*_GONE):
            # Not from the cache, which does not hear that a stage has moved: a rotation moves AWSPREVIOUS, too.
            found[key] = secrets.get(key[0], stage=key[1], refresh=True, timeout=left())
    for one in wanted.references:
        if not one.optional and not _is_there(found, one):
            missing.append(str(one))
    listed = {prefix: tuple(name for name in names if (name, _CURRENT) in found) for prefix, names in listed.items()}
    missing += [f"{prefix} (no secret below it)" for prefix, names in listed.items() if not names]
    if missing:
        raise MissingSecrets(tuple(dict.fromkeys(missing)))
    return Fetched(found, listed)


def _key(reference: Reference) -> _Key:
    return str(reference.name), reference.stage or _CURRENT


def _is_there(found: Mapping[_Key, Secret], reference: Reference) -> bool:
    secret = found.get(_key(reference))
    return secret is not None and (not reference.member or _member(secret, reference) is not None)


def _member(secret: Secret, reference: Reference) -> str | None:
    try:
        return member_of(secret.reveal(), reference.member)
    except InvalidParameter:
        return None


def _listed(secrets: Secrets, prefix: str, timeout: float | None) -> tuple[str, ...]:
    search = Search.of_prefix(prefix)
    pages = secrets.iterate(search.page().filters, timeout=timeout)
    return tuple(sorted(info.name for info in pages if search.fits(info.name, info.tags)))


def _many(secrets: Secrets, names: Iterable[SecretId], timeout: float | None, *, refresh: bool) -> Mapping[str, Secret]:
    """Return the secrets with these *names* that there are. Raises what stands in the way of any of them."""
    names = tuple(names)
    if len(names) < 2:
        return _each(secrets, names, timeout, refresh=refresh)
    try:
        batch = secrets.get_many(names, refresh=refresh, timeout=timeout)
    except AccessDenied:  # in AWS, to get many is a right of its own
        return _each(secrets, names, timeout, refresh=refresh)
    for error in batch.errors.values():
        if not isinstance(error, _GONE):
            raise error
    return {str(name): secret for name, secret in batch.found.items()}


def _each(secrets: Secrets, names: Iterable[SecretId], timeout: float | None, *, refresh: bool) -> Mapping[str, Secret]:
    found = {}
    for name in names:
        with suppress(*_GONE):
            found[str(name)] = secrets.get(name, refresh=refresh, timeout=timeout)
    return found
