"""Reads the answers of a KV mount. PURE.

Rule 1: an answer is not trusted: a part that is missing or of another type is an `InvalidAnswer`, which quotes nothing.
Rule 2: no error here is raised while another one is handled: the other one may quote the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from secrets_actor.backends.vault.layout import KvSecret, KvVersion, id_of, moment
from secrets_actor.backends.vault.names import Mount, is_sound
from secrets_actor.backends.vault.protocol import VaultAnswer
from secrets_actor.backends.vault.requests import page_limit
from secrets_actor.backends.vault.values import value_of
from secrets_actor.domain.errors import InvalidAnswer, InvalidSecretName
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import AWSCURRENT
from secrets_actor.domain.secret import Secret

T = TypeVar("T")
_NOTHING: Final[Mapping[str, Any]] = {}


# The servers count versions in 64 bits. A longer number would make the id of a version longer than ids may be.
MAX_NUMBER: Final = 2**63 - 1


class _Version(Struct):
    created_time: str
    deletion_time: str = ""
    destroyed: bool = False


class _Metadata(Struct):
    created_time: str
    updated_time: str
    current_version: Annotated[int, Meta(ge=0, le=MAX_NUMBER)]  # 0: only metadata was written
    versions: dict[str, _Version] = field(default_factory=dict)
    custom_metadata: dict[str, str] | None = None
    current_metadata_version: int | None = None


class _OneVersion(_Version, kw_only=True):
    version: Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
    custom_metadata: dict[str, str] | None = None


class _Read(Struct):
    metadata: _OneVersion
    # Not typed further, so that no error of the decoder is about the value.
    data: Any = None


class _Names(Struct):
    keys: list[str] = field(default_factory=list)
    key_info: dict[str, Any] = field(default_factory=dict)


def _data(answer: VaultAnswer, kind: type[T]) -> T:
    return _converted(answer.body.get("data"), kind, answer)


def _converted(found: object, kind: type[T], answer: VaultAnswer) -> T:
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError:
        pass
    raise strange(answer)


def strange(answer: VaultAnswer) -> InvalidAnswer:
    """Return the error for an *answer* that is not one of a KV mount of version 2."""
    return InvalidAnswer(
        "the answer is not that of a KV mount of version 2: check vault.addresses and vault.mount",
        status=answer.status,
        request_id=answer.request_id,
    )


def secret_of(mount: Mount, name: str, answer: VaultAnswer) -> Secret:
    """Return the current version, out of an answer with success to a read of the latest one."""
    found = _data(answer, _Read)
    version = _version(found.metadata.version, found.metadata)
    custom = found.metadata.custom_metadata or {}
    return Secret(
        name, mount.arn(name), value_of(found.data), id_of(version, custom), (AWSCURRENT,), moment(version.created)
    )


def value_in(answer: VaultAnswer) -> object:
    """Return the fields of a version, out of an answer with success to a read of it."""
    return _data(answer, _Read).data


def version_read(name: str, answer: VaultAnswer) -> KvSecret | None:
    """Return what an answer to a read of a version tells of the secret, as if that version were the only one. None if
    there is no such secret or version. A deleted version answers 404, with its times."""
    if answer.status == 404 and not answer.body.get("data"):
        return None
    found = _data(answer, _Read).metadata
    version = _version(found.version, found)
    made = moment(version.created)
    return KvSecret(name, version.number, (version,), found.custom_metadata or {}, made, made, None, True)


def version_made(answer: VaultAnswer) -> KvVersion:
    """Return the version that a write has made."""
    found = _data(answer, _OneVersion)
    return _version(found.version, found)


def metadata(name: str, answer: VaultAnswer) -> KvSecret | None:
    """Return the secret; None if there is none."""
    if answer.status == 404:
        return None
    return _secret(name, _data(answer, _Metadata), answer)


def all_secrets(folder: str, answer: VaultAnswer) -> Iterator[KvSecret]:
    """Iterate over the secrets in an answer to a scan of *folder*, without those whose names no message of ours can
    have."""
    for key, found in _listed(answer).key_info.items():
        name = f"{folder}{key}"
        if is_name(name):
            yield _secret(name, _converted(found, _Metadata, answer), answer)


def details_in(
    folder: str, names: Sequence[str], answer: VaultAnswer
) -> tuple[dict[str, KvSecret | None], int, list[str]]:
    """Return what an answer to `details_call` tells of the secrets *names* in *folder*, by whole name (None: there is
    no such secret); how many entries it lists; and those of *names* of which it tells nothing."""
    listed = _listed(answer)
    last = listed.keys[-1] if len(listed.keys) >= page_limit(names) else None  # None: it is the last page
    told: dict[str, KvSecret | None] = {}
    untold: list[str] = []
    there = frozenset(listed.keys)
    for name in names:
        details = listed.key_info.get(name)
        if details is not None:
            told[f"{folder}{name}"] = _secret(f"{folder}{name}", _converted(details, _Metadata, answer), answer)
        elif name in there or (last is not None and name > last):
            untold.append(name)
        else:
            told[f"{folder}{name}"] = None
    return told, len(listed.keys), untold


def names_in(folder: str, answer: VaultAnswer) -> tuple[list[str], list[str]]:
    """Return the names of the secrets in a *folder*, and those of its folders, out of an answer to a list. Those are
    left out that no message of ours can have."""
    found = [f"{folder}{key}" for key in _listed(answer).keys if key]
    names = [one for one in found if is_name(one)]
    return names, [one for one in found if one.endswith("/") and is_name(one[:-1])]


def is_name(text: str) -> bool:
    """Whether a message of ours can be about a secret of this name."""
    try:
        return not SecretId(text).is_arn and is_sound(text)
    except InvalidSecretName:
        return False


def mount_version(answer: VaultAnswer) -> str | None:
    """Return the version of the KV mount, such as `2`; None if the answer does not tell, or it is no KV mount."""
    data = answer.body.get("data")
    options = data.get("options") if isinstance(data, Mapping) else None
    version = options.get("version") if isinstance(options, Mapping) else None
    return version if isinstance(version, str) else None


def _listed(answer: VaultAnswer) -> _Names:
    if answer.status == 404:  # an empty folder
        return _Names()
    return _converted(answer.body.get("data") or _NOTHING, _Names, answer)


def _version(number: int, found: _Version) -> KvVersion:
    return KvVersion(number, found.created_time, found.deletion_time, found.destroyed)


def _secret(name: str, found: _Metadata, answer: VaultAnswer) -> KvSecret:
    if not all(number.isascii() and number.isdigit() and int(number[:20]) <= MAX_NUMBER for number in found.versions):
        raise strange(answer)
    versions = sorted(found.versions.items(), key=lambda each: int(each[0]))
    return KvSecret(
        name,
        found.current_version,
        tuple([_version(int(number), one) for number, one in versions]),
        found.custom_metadata or {},
        moment(found.created_time),
        moment(found.updated_time),
        found.current_metadata_version,
    )
