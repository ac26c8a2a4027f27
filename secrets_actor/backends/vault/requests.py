"""The calls to a KV mount of version 2. PURE.

Source: OpenBao's and Vault's API documentation, "KV secrets engine, version 2"; what OpenBao 2.7.2 answers was
observed. A number of a version is 1 or more; *fresh* is as in `VaultCall`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from secrets_actor.backends.vault.names import Mount
from secrets_actor.backends.vault.protocol import VaultCall

# A page of a folder has so many entries for each that is wanted. An entry takes about as much room in it as an answer
# about that secret alone does, and less time.
PAGE_SHARE: Final = 4


def _body(**members: Any) -> bytes:
    return json.dumps(members, ensure_ascii=False).encode()


def read_call(mount: Mount, name: str, number: int | None = None, *, fresh: bool = False) -> VaultCall:
    """Read a version (None: the latest one) with its value, its times, and the secret's `custom_metadata`."""
    query = "" if number is None else f"?version={number}"
    return VaultCall("GET", mount.call_path("data", name) + query, fresh=fresh)


def write_call(mount: Mount, name: str, fields: Mapping[str, Any], follows: int) -> VaultCall:
    """Write the version behind *follows* (0: the first one). Another latest version than that is refused."""
    body = _body(data=fields, options={"cas": follows})
    return VaultCall("POST", mount.call_path("data", name), body, writes=True)


def metadata_call(mount: Mount, name: str, *, fresh: bool = False) -> VaultCall:
    """Read all that is known of a secret, without values."""
    return VaultCall("GET", mount.call_path("metadata", name), fresh=fresh)


def create_call(mount: Mount, name: str, custom: Mapping[str, str], follows: int | None) -> VaultCall:
    """Make a key without a version, or replace the whole `custom_metadata` of one. *follows* is its metadata version,
    0 if there is no such key, None if the server does not count. (Vault ignores that member.)"""
    cas = {} if follows is None else {"metadata_cas": follows}
    return VaultCall("POST", mount.call_path("metadata", name), _body(custom_metadata=custom, **cas), writes=True)


def patch_call(mount: Mount, name: str, patch: Mapping[str, str | None], follows: int | None) -> VaultCall:
    """Change the `custom_metadata` by a merge patch. A secret that is not there answers 404. *follows* as above."""
    cas = {} if follows is None else {"metadata_cas": follows}
    body = _body(custom_metadata=patch, **cas)
    return VaultCall("PATCH", mount.call_path("metadata", name), body, writes=True, patch=True)


def delete_call(mount: Mount, name: str, numbers: Iterable[int]) -> VaultCall:
    """Delete versions, so that they can be brought back. Those that are not there make no difference."""
    return VaultCall("POST", mount.call_path("delete", name), _body(versions=sorted(numbers)), writes=True)


def undelete_call(mount: Mount, name: str, numbers: Iterable[int]) -> VaultCall:
    """Bring deleted versions back. Those that were destroyed stay so."""
    return VaultCall("POST", mount.call_path("undelete", name), _body(versions=sorted(numbers)), writes=True)


def remove_call(mount: Mount, name: str) -> VaultCall:
    """Remove a secret with all that belongs to it, for good."""
    return VaultCall("DELETE", mount.call_path("metadata", name), writes=True)


def scan_call(mount: Mount, folder: str = "") -> VaultCall:
    """List all secrets in *folder* and below with all that is known of them, without values (OpenBao only)."""
    return VaultCall("GET", mount.folder_path("detailed-metadata", folder) + "?scan=true")


def details_call(mount: Mount, folder: str, names: Sequence[str]) -> VaultCall:
    """Ask, at the active node, for all that is known of the secrets *names* in *folder*, without values (OpenBao only).

    *names* are sorted, and without the folder. The server lists in the order of bytes, also from a name on that it does
    not have: the page begins a little before the first one, and is long enough for others between them."""
    after = names[0][:-1]
    query = f"?list=true&limit={page_limit(names)}" + (f"&after={quote(after, safe='')}" if after else "")
    return VaultCall("GET", mount.folder_path("detailed-metadata", folder) + query, fresh=True)


def page_limit(names: Sequence[str]) -> int:
    """Return how many entries a page for *names* has at most."""
    return PAGE_SHARE * len(names)


def list_call(mount: Mount, folder: str = "") -> VaultCall:
    """List the names in *folder*; those that end with a slash are folders."""
    return VaultCall("GET", mount.folder_path("metadata", folder) + "?list=true")


def mount_call(mount: Mount) -> VaultCall:
    """Ask what is mounted there. Every token may ask this that may do anything in the mount."""
    return VaultCall("GET", f"sys/internal/ui/mounts/{mount.quoted}")
