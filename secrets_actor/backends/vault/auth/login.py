"""Logging in: what all methods have in common.

Rule 1: a login is a POST without a token; its body holds secrets, and no error quotes it, nor what the server said.
Rule 2: HTTP 400 is the server's verdict that the login is wrong. HTTP 403 is none: an auth method answers so, too, if
        it cannot ask somebody else (Kubernetes), if the user is locked out, and if nothing is mounted there.
Rule 3: the active node is asked. A standby may not know yet of a role or a secret id that was made a moment ago, and
        refuses them (OpenBao 2.7.2, observed).
Rule 4: what has no answer is as with any other call: an outage.
Rule 5: no frame of ours that raises has a secret in clear: parts of a login are `SecretValue`s, and errors are raised
        outside of the `except` blocks, so that they carry no other frames.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from urllib.parse import quote

import msgspec

from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.vault.auth.token_life import Granted, granted_in, looked_up
from secrets_actor.backends.vault.call_runner import CallRunner, Connection
from secrets_actor.backends.vault.protocol import LOOKUP_SELF, VaultAnswer, VaultCall
from secrets_actor.clock import now
from secrets_actor.domain.errors import (
    AccessDenied,
    CredentialsError,
    InvalidAnswer,
    InvalidParameter,
    InvalidRequest,
    InvalidSecretValue,
    LoginIncomplete,
    LoginRefused,
    LoginUnavailable,
    SecretsError,
)
from secrets_actor.domain.secret import MAX_VALUE_BYTES, SecretValue
from secrets_actor.small_files import Problem

RENEW_SELF: Final = VaultCall("POST", "auth/token/renew-self", b"{}", writes=True)
REVOKE_SELF: Final = VaultCall("POST", "auth/token/revoke-self", b"{}", writes=True)
_NO_VERDICT: Final = (
    "{}: the server answers 403, which says nothing about the login itself: it could not "
    "ask the service that knows (Kubernetes), the user is locked out for a while, or nothing is mounted there "
    "(vault.auth_mount, vault.namespace)"
)
_NOTHING_THERE: Final = "there is no such auth method: check vault.auth_mount, and vault.namespace"


class LoginClient:
    """Asks the server about logins and tokens over *connection*, by *deadline* (clock seconds)."""

    def __init__(self, connection: Connection, deadline: float) -> None:
        self._connection, self.deadline = connection, deadline

    def run(self, call: VaultCall, token: SecretValue | None = None) -> VaultAnswer:
        """Run *call* with *token*. Raises only `SecretsError`s."""
        return CallRunner(self._connection, self.deadline, token).run(call)

    def log_in(self, path: str, body: SecretValue, refused: str) -> Granted:
        """Log in at *path* with the JSON in *body*, and return the token. *refused* says what to mend after a refusal.

        Raises `LoginRefused` and `LoginUnavailable` (rule 2); `InvalidAnswer`; and the errors of a server that cannot
        be reached.
        """
        answer: VaultAnswer | None = None
        error: SecretsError
        try:
            answer = self.run(VaultCall("POST", path, body.bytes(), writes=True, fresh=True))
            error = _unknown(path, answer.status)
        except InvalidRequest as exc:
            error = LoginRefused(f"{path}: {_NOTHING_THERE if exc.status == 404 else refused}", status=exc.status)
            error.origin = exc.origin
        except AccessDenied as exc:
            error = LoginUnavailable(_NO_VERDICT.format(path), status=exc.status)
            error.origin = exc.origin
        granted = None if answer is None else granted_in(answer.body)
        if granted is not None:
            return granted
        raise error

    def look_up(self, token: SecretValue) -> Granted:
        """Return what the server knows of *token*. Raises `ExpiredToken` for one that is not alive, and `AccessDenied`
        for one that is, but may not ask that."""
        answer = self.run(LOOKUP_SELF, token)
        found = looked_up(answer.body, token)
        if found is None:
            raise _unknown(LOOKUP_SELF.path, answer.status)
        return found

    def is_dead(self, token: SecretValue) -> bool:
        """Whether a call with *token*, over any connection to this cluster, has found that it is not alive."""
        return self._connection.cluster.is_alive(token, now()) is False

    def renew(self, token: SecretValue) -> Granted:
        """Renew *token*, and return what it is then. Raises as `look_up`, and `InvalidRequest` if it cannot be
        renewed."""
        answer = self.run(RENEW_SELF, token)
        found = granted_in(answer.body)
        if found is None:
            raise _unknown(RENEW_SELF.path, answer.status)
        return found

    def revoke(self, token: SecretValue) -> None:
        """Revoke *token*, and everything that was made with it."""
        self.run(REVOKE_SELF, token)


class LoginMethod(Protocol):
    """A way to come by a token."""

    @property
    def makes_tokens(self) -> bool:
        """Whether a login makes a token, which is ours to revoke then."""

    @property
    def locks_out(self) -> bool:
        """Whether the server counts wrong logins, and locks out whoever has too many."""

    def material(self, deadline: float) -> SecretValue:
        """Return what the login is made with, as it is now: a file may have been written since. A login that was
        refused is not tried again at once with equal material. Raises a `CredentialsError` if a part of it is
        missing."""

    def log_in(self, material: SecretValue, client: LoginClient) -> Granted:
        """Log in with *material*. Raises as `LoginClient.log_in`."""


def body_of(fields: Mapping[str, str | SecretValue]) -> SecretValue:
    """Return *fields* as JSON. Raises `LoginIncomplete` if it is too long for a login."""
    text = msgspec.json.encode(
        {name: one.text() if isinstance(one, SecretValue) else one for name, one in fields.items()}
    )
    if len(text) > MAX_VALUE_BYTES:
        del text
        raise LoginIncomplete(f"what the login is made with is longer than {MAX_VALUE_BYTES} bytes: see what is in it")
    return SecretValue(text)


def part_of(body: SecretValue, name: str) -> SecretValue | None:
    """Return the field *name* that `body_of` has put into *body*; None if it is empty or was not put in."""
    found = msgspec.json.decode(body.bytes(), type=dict[str, str]).get(name)
    return SecretValue(found) if found else None


def read_part(setting: str, source: KeySource | None) -> SecretValue:
    """Return the text of *setting* from its place. Raises `LoginIncomplete`."""
    if source is None:
        raise LoginIncomplete(f"{setting} is missing: set it")
    found = _read(setting, source)
    if found is None:
        raise LoginIncomplete(f"{setting}: nothing in {source.description}: write it, or name another place")
    return found


def first_part(setting: str, sources: Sequence[KeySource], *, or_else: str) -> tuple[SecretValue, KeySource]:
    """Return the text of the first of *sources* that has one, and that source. Raises `LoginIncomplete`."""
    for source in sources:
        found = _read(setting, source)
        if found is not None:
            return found, source
    tried = ", ".join([one.description for one in sources])
    raise LoginIncomplete(f"no {setting} in {tried or 'any place'}: {or_else}")


def _read(setting: str, source: KeySource) -> SecretValue | None:
    found = source.read()
    if isinstance(found, Problem):
        raise LoginIncomplete(f"{setting}: the {source.description} {found}")
    if found is None:
        return None
    with contextlib.suppress(InvalidSecretValue):
        return SecretValue(found)
    del found  # rule 5
    raise LoginIncomplete(f"{setting}: what is in {source.description} is too long, or no text: write it anew")


def login_path(mount: str, *more: str) -> str:
    """Return the path of the login at *mount*, with the segments *more* behind it. Raises `InvalidParameter` for what
    would lead to another path: `..` is resolved on the way, and cannot be quoted."""
    segments = mount.strip("/").split("/")
    if any(one in ("", ".", "..") for one in segments):
        raise InvalidParameter(
            "auth_mount", "the path of an auth method below auth/, without empty parts, `.` and `..`"
        )
    if {"", ".", ".."} & set(more):
        raise InvalidParameter("username", "a name other than `.` and `..`")
    return "/".join(
        ["auth", *[quote(one, safe="") for one in segments], "login", *[quote(one, safe="") for one in more]]
    )


def _unknown(path: str, status: int) -> CredentialsError | InvalidAnswer:
    if status == 404:
        return LoginUnavailable(f"{path}: {_NOTHING_THERE}", status=status)
    return InvalidAnswer(
        f"the answer to {path} has no token: check vault.addresses, and what stands between", status=status
    )
