"""The names of secrets in a KV mount: which are refused, how they become paths and ARNs. PURE.

Rule 1: a name is checked before a path is made of it. A path with a segment `.` or `..` leads elsewhere, even out of
        the mount: HTTP clients and servers resolve it (httpx does, before it sends anything). The server redirects from
        an empty segment, and refuses a `/` at the end. AWS allows all of these, so `SecretId` does, too.
Rule 2: each segment is percent-encoded by itself, so that what is sent means the same to every server and proxy.
Rule 3: an ARN here is made up of the mount and the name alone. So every machine gives a secret the same ARN, without
        asking for it. It does not tell a secret that was made anew from the one before; the version ids do.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from secrets_actor.domain.errors import InvalidSecretName
from secrets_actor.domain.names import SecretId, arn_prefix_of

_NO_SLUG: Final = re.compile(r"[^a-z0-9-]")
# An ARN has an account of twelve digits; a KV mount belongs to none.
_ACCOUNT: Final = "0" * 12
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SUFFIX: Final = 6


class Mount(Struct, frozen=True):
    """A KV mount of version 2: its *path*, such as `secret` or `team/kv`, and the namespace that it is in."""

    path: str
    namespace: str | None = None

    @property
    def store_name(self) -> str:
        """What errors call this store."""
        return f"the KV mount {self.path}" + (f" of namespace {self.namespace}" if self.namespace else "")

    @property
    def quoted(self) -> str:
        """The path, percent-encoded (rule 2)."""
        return _quoted(self.path)

    @property
    def arn_prefix(self) -> str:
        """How the ARNs of all secrets in this mount begin, up to the name."""
        return arn_prefix_of("vault", _NO_SLUG.sub("-", self.path.lower()), _ACCOUNT)

    def arn(self, name: str) -> str:
        """Return the ARN of the secret *name* (rule 3)."""
        return f"{self.arn_prefix}{name}-{self.suffix(name)}"

    def suffix(self, name: str) -> str:
        """Return the six characters at the end of the ARN of the secret *name*."""
        return _suffix(f"{self.namespace or ''}|{self.path}|{name}")

    def name_of(self, secret_id: str) -> str | None:
        """Return the name of the secret that *secret_id* means; None for an ARN that none in this mount can have.

        As in AWS, an ARN that ends in a hyphen and six characters is taken for a whole one. Raises `InvalidSecretName`
        (rule 1).
        """
        asked = SecretId(secret_id)
        if not asked.is_arn:
            return checked(asked)
        if not asked.startswith(self.arn_prefix):
            return None
        if not asked.looks_whole:
            return checked(asked.removeprefix(self.arn_prefix))
        name = asked.lanes[0]
        return checked(name) if self.arn(name) == asked else None

    def call_path(self, room: str, name: str) -> str:
        """Return the path of the secret *name* in a *room* of the mount, such as `data` or `metadata`."""
        return f"{self.quoted}/{room}/{_quoted(checked(name))}"

    def folder_path(self, room: str, folder: str) -> str:
        """Return the path of a *folder* in a *room* of the mount. *folder* ends with a slash, or is empty: the root."""
        return f"{self.quoted}/{room}/" + (f"{_quoted(checked(folder[:-1]))}/" if folder else "")


def is_sound(name: str) -> bool:
    """Whether a secret can have this *name* here (rule 1)."""
    return all(segment not in ("", ".", "..") for segment in name.split("/"))


def folder_of(name: str) -> str:
    """Return the folder of the secret *name*, with a slash at its end; empty for the root."""
    return name[: name.rfind("/") + 1]


def checked(name: str) -> str:
    """Return *name*. Raises `InvalidSecretName` if no secret can have it here (rule 1)."""
    if not is_sound(name):
        raise InvalidSecretName(
            "OpenBao and Vault cannot have a secret of this name: no slash may be at either end, and between slashes "
            "there must be something else than . and ..; take another name"
        )
    return name


def common_folder(beginnings: Iterable[str]) -> str:
    """Return the folder in which all names are that begin with one of *beginnings*; it ends with a slash, or is empty:
    the root."""
    folders = [one[: one.rfind("/") + 1] for one in beginnings]
    first, last = min(folders, default=""), max(folders, default="")
    same = next((place for place, one in enumerate(first) if not last.startswith(first[: place + 1])), len(first))
    folder = first[: first.rfind("/", 0, same) + 1]
    return folder if folder and is_sound(folder[:-1]) else ""


def _quoted(path: str) -> str:
    return "/".join([quote(segment, safe="") for segment in path.split("/")])


@lru_cache(maxsize=4096)
def _suffix(place: str) -> str:
    number, digits = int.from_bytes(hashlib.sha256(place.encode()).digest()), ""
    for _ in range(_SUFFIX):
        number, digit = divmod(number, len(_DIGITS))
        digits += _DIGITS[digit]
    return digits
