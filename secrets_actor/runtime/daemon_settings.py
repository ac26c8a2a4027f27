"""The settings of the daemon, `secrets-actor run`: where it listens, who may do what, and the mistakes in them.

Rule 1: a program that embeds a system pays nothing for this: the faces are loaded only to check a `[daemon]` that is
        there.
Rule 2: rows of a list are named by their number, from 0, as in `daemon.listen[2].mode`.
Rule 3: no token and no key is a text here. They are in a file or a variable, which is read anew when it changes.
"""

# Without `from __future__ import annotations`, which makes texts of the types: the validator reads the types.
import grp
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta
from msgspec.structs import force_setattr

from secrets_actor.backends.key_source import KeySource
from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.paths import NoPlace, expanded
from secrets_actor.runtime.section import Section, Text

if TYPE_CHECKING:
    from secrets_actor.faces.policy import Rule
    from secrets_actor.faces.systemd_credentials import CredentialRow

# The place of a token or a key: a variable or a file, never the text itself. The validator knows it by this type.
ElsewhereSource = Annotated[KeySource, Meta(title="not as text")]
FACES: Final = ("aws", "agent", "health", "metrics")
# The face of the live page. It is served only where it is named: it is for a person, and shows names.
LIVE: Final = "live"
# The face that is alone on its address, because it is no HTTP.
SYSTEMD: Final = "systemd"
_MODE: Final = re.compile(r"0?[0-7]{3}")
_MODE_IN_WORDS: Final = 'an octal mode as text, such as "0660"'
# What may stand behind `token:` and `key:` in a rule, and in a log line. A plus would part a rule's terms.
_NAME: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_ACCESS_KEY_ID: Final = re.compile(r"[A-Za-z0-9_]{4,128}")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9a-fA-F:.]+\]")
_SOCKET: Final = "secrets-actor/api.sock"


class TlsSettings(Section, frozen=True, kw_only=True):
    """`tls` of a `[[daemon.listen]]`: `cert` and `key` are PEM files, of the chain and of its key. With `client_ca`,
    the PEM file of those that sign the clients' certificates, each client must show one."""

    cert: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None


class ListenSettings(Section, frozen=True, kw_only=True):
    """A `[[daemon.listen]]`: one address that the daemon listens on.

    - `address`: `unix:PATH`, `HOST:PORT` or `[HOST]:PORT` (with an IP address, or localhost), or `systemd:NAME` for a
      socket that systemd has made (`FileDescriptorName=NAME`).
    - `faces`: what is served there: `aws`, `agent`, `health`, `metrics`; and `live`, only if it is named.
      A Unix socket also serves `control`, by which the command line looks at the daemon. Or `systemd` alone: there,
      systemd gets the credentials of units.
    - `mode`, `group`: of a Unix socket, such as `"0660"` and `"secrets"`. Without a mode, `"0600"`.
    - `tls`: a table with `cert`, `key` and `client_ca`. An address beyond loopback needs it.
    - `dialect`: how the agent's face words its answers: as AWS's `agent`, or as its `lambda` extension.
    """

    address: str = ""  # that it must be there is checked below, as all that is missing
    faces: tuple[str, ...] = FACES
    mode: Annotated[str, Meta(description=_MODE_IN_WORDS)] | None = None
    group: Text | None = None
    tls: TlsSettings | None = None
    dialect: Literal["agent", "lambda"] = "agent"

    def mode_bits(self) -> int:
        """Return `mode` as a number."""
        return int(self.mode or "0600", 8)


class TokenSettings(Section, frozen=True, kw_only=True):
    """A `[[daemon.token]]`: a token that callers of the agent's face show. `name` is what rules and the audit log call
    it; `value` is `{ file = "PATH" }` or `{ env = "NAME" }`."""

    name: str = ""
    value: ElsewhereSource | None = None

    def __post_init__(self) -> None:
        """Mask a token that was given as text. It is refused when the settings are checked (rule 3)."""
        if isinstance(self.value, str):
            force_setattr(self, "value", KeySource("text", self.value))


class AccessKeySettings(Section, frozen=True, kw_only=True):
    """A `[[daemon.key]]`: a key pair that AWS SDKs sign with. `name` is what rules and the audit log call it;
    `secret_key` is `{ file = "PATH" }` or `{ env = "NAME" }`."""

    name: str = ""
    access_key_id: str = ""
    secret_key: ElsewhereSource | None = None

    def __post_init__(self) -> None:
        """Mask a key that was given as text. It is refused when the settings are checked (rule 3)."""
        if isinstance(self.secret_key, str):
            force_setattr(self, "secret_key", KeySource("text", self.secret_key))


class SystemdCredentialSettings(Section, frozen=True, kw_only=True):
    """A `[[daemon.systemd_credential]]`: which secret a systemd credential is. The first row that fits counts; if none
    does, the credential's id is the name, with `~` for `/`.

    - `unit`, `credential`: the names of the unit and of the credential; `*` is any run of characters.
    - `secret`: a name, with `#MEMBER` and `@STAGE` behind it, if need be. `{unit_name}`, `{instance}` and
      `{credential}` in it stand for what was asked for.
    """

    unit: str = "*"
    credential: str = "*"
    secret: str = ""


class AllowSettings(Section, frozen=True, kw_only=True):
    """A `[[daemon.allow]]`: a rule of the policy: each of `who` may do all of `may` with each of `secrets`.

    - `who`: `unit:NAME.service`, `user:NAME`, `uid:N`, `group:NAME`, `token:NAME`, `key:NAME` and others of
      `faces/identity.py`; with `+` between them, all of them at once.
    - `secrets`: names of secrets; `*` is any run of characters without a slash, `**` any run.
    - `may`: actions, such as `get`, or `read`, `write`, `admin`.
    """

    who: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


class DaemonSettings(Section, frozen=True, kw_only=True):
    """Table `[daemon]`: the daemon `secrets-actor run`. A program that embeds a system makes no use of it.

    - `drain_seconds`: how long requests that are under way have when the daemon ends, 0 to 3,600.
    - `hosts`: names by which clients call it, beside those of loopback: what may stand in a request's Host header.
    - `listen`, `token`, `key`, `systemd_credential`, `allow`: lists of tables. Without `listen`, there is one Unix
      socket for the same user. Without `allow`, the user that the daemon runs as may do all, and nobody else anything.

    In the environment, each list of tables is a JSON array of objects.
    """

    drain_seconds: Annotated[float, Meta(ge=0, le=3600)] = 20.0
    hosts: tuple[str, ...] = ()
    listen: tuple[ListenSettings, ...] = ()
    token: tuple[TokenSettings, ...] = ()
    key: tuple[AccessKeySettings, ...] = ()
    systemd_credential: tuple[SystemdCredentialSettings, ...] = ()
    allow: tuple[AllowSettings, ...] = ()


def default_socket(environ: Mapping[str, str], uid: int | None = None) -> Path:
    """Return where the daemon of this user listens if no `[[daemon.listen]]` says otherwise, and where clients look.

    As root, that is /run/secrets-actor/api.sock; for others it is in XDG_RUNTIME_DIR, which is the user's own, and is
    gone when the user is. Raises `ConfigurationError` without that: any other folder could be made by somebody else
    first.
    """
    if (os.geteuid() if uid is None else uid) == 0:
        return Path("/run") / _SOCKET
    folder = environ.get("XDG_RUNTIME_DIR", "")
    if not folder.startswith("/"):
        raise ConfigurationError(
            (
                "daemon.listen: there is no XDG_RUNTIME_DIR (an absolute path) for the socket of this user; set it, or "
                'give an address: [[daemon.listen]] address = "unix:/PATH/api.sock"',
            )
        )
    return Path(folder) / _SOCKET


def rules_of(daemon: DaemonSettings, uid: int) -> "tuple[Rule, ...]":
    """Return the rules of the policy of *daemon*, which runs as the user *uid*.

    Without `allow`, it is one: that user, who can read the store anyway, may do all. Raises `ConfigurationError` if the
    user is nobody, who is no one user, and so cannot be in a rule.
    """
    from secrets_actor.faces.identity import NOBODY
    from secrets_actor.faces.policy import EVERYTHING, Rule

    if not daemon.allow:
        if uid == NOBODY:
            raise ConfigurationError(("daemon.allow: missing; a daemon that runs as nobody needs rules",))
        return (Rule((f"uid:{uid}",), (EVERYTHING,), ("admin",)),)
    return tuple([Rule(row.who, row.secrets, row.may) for row in daemon.allow])


def credential_rows_of(daemon: DaemonSettings) -> "tuple[CredentialRow, ...]":
    """Return the rows of *daemon* that say which secret a systemd credential is."""
    from secrets_actor.faces.systemd_credentials import CredentialRow

    return tuple([CredentialRow(row.unit, row.credential, row.secret) for row in daemon.systemd_credential])


# --- the check --------------------------------------------------------------------------------------------------------


def daemon_mistakes(daemon: DaemonSettings) -> Iterator[str]:
    """Yield the mistakes in *daemon* that no field shows by itself, each as `KEY: what is allowed`."""
    for number, host in enumerate(daemon.hosts):
        if not _HOST.fullmatch(host):
            yield f"daemon.hosts[{number}]: the name of a host or an IP address, without a port"
    yield from _listen_mistakes(daemon.listen)
    for number, token in enumerate(daemon.token):
        yield from _named(f"daemon.token[{number}]", token.name)
        if token.value is None:
            yield f'daemon.token[{number}].value: missing; {{ file = "PATH" }} or {{ env = "NAME" }}'
    yield from _twice("daemon.token", "name", [one.name for one in daemon.token])
    for number, key in enumerate(daemon.key):
        yield from _named(f"daemon.key[{number}]", key.name)
        if not _ACCESS_KEY_ID.fullmatch(key.access_key_id):
            yield f"daemon.key[{number}].access_key_id: 4 to 128 letters, digits and _"
        if key.secret_key is None:
            yield f'daemon.key[{number}].secret_key: missing; {{ file = "PATH" }} or {{ env = "NAME" }}'
    yield from _twice("daemon.key", "name", [one.name for one in daemon.key])
    yield from _twice("daemon.key", "access_key_id", [one.access_key_id for one in daemon.key])
    if daemon.systemd_credential:
        from secrets_actor.faces.systemd_credentials import all_mistakes  # here, by rule 1

        yield from all_mistakes(credential_rows_of(daemon))
    if daemon.allow:
        from secrets_actor.faces.policy import Rule, mistakes_in  # here, by rule 1

        for number, row in enumerate(daemon.allow):
            for mistake in mistakes_in(Rule(row.who, row.secrets, row.may)):
                yield f"daemon.allow[{number}].{mistake}"


def _named(where: str, name: str) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield f"{where}.name: 1 to 64 letters, digits and . _ @ -"


def _twice(where: str, field: str, given: list[str]) -> Iterator[str]:
    for number, one in enumerate(given):
        if one and one in given[:number]:
            yield f"{where}[{number}].{field}: the same as that of {where}[{given.index(one)}]"


def _listen_mistakes(rows: tuple[ListenSettings, ...]) -> Iterator[str]:
    if rows:
        from secrets_actor.faces.address import (  # here, by rule 1
            InvalidAddress,
            TcpAddress,
            UnixAddress,
            parse_address,
        )

    for number, row in enumerate(rows):
        where = f"daemon.listen[{number}]"
        try:
            address = parse_address(row.address)
        except InvalidAddress as error:
            yield f"{where}.address: {error}"
        else:
            if isinstance(address, TcpAddress) and not address.is_loopback and row.tls is None:
                yield f"{where}.tls: missing; other machines can reach this address"
            if row.tls is not None and not isinstance(address, TcpAddress):
                yield f"{where}.tls: only for an address of TCP"
            if SYSTEMD in row.faces and isinstance(address, TcpAddress):
                yield f"{where}.faces: {SYSTEMD} only at unix:PATH or systemd:NAME"
            for name in ("mode", "group"):
                if getattr(row, name) is not None and not isinstance(address, UnixAddress):
                    yield f"{where}.{name}: only for an address unix:PATH"
        wrong = [one for one in row.faces if one not in (*FACES, LIVE)]
        if row.faces != (SYSTEMD,) and (wrong or len(set(row.faces)) != len(row.faces)):
            yield f"{where}.faces: some of {', '.join((*FACES, LIVE))}, each once; or {SYSTEMD} alone"
        if row.mode is not None and not _MODE.fullmatch(row.mode):
            yield f"{where}.mode: {_MODE_IN_WORDS}"
        yield from _group_mistakes(where, row.group)
        yield from _tls_mistakes(f"{where}.tls", row.tls)
    yield from _twice("daemon.listen", "address", [row.address for row in rows])


def _tls_mistakes(where: str, tls: TlsSettings | None) -> Iterator[str]:
    if tls is None:
        return
    for name in ("cert", "key", "client_ca"):
        path = getattr(tls, name)
        if path is not None:
            yield from _path_mistakes(f"{where}.{name}", path)
        elif name != "client_ca":
            yield f"{where}.{name}: missing; the path of a PEM file"


def _path_mistakes(where: str, path: Path) -> Iterator[str]:
    try:
        expanded(path)
    except NoPlace as error:
        yield f"{where}: {error}"


def _group_mistakes(where: str, group: str | None) -> Iterator[str]:
    if group is not None and not group.isdecimal():
        try:
            grp.getgrnam(group)
        except KeyError:
            yield f"{where}.group: this machine knows no group of that name"
