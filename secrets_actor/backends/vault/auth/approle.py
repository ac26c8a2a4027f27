"""Login with an AppRole: a role id, and a secret id, which may come wrapped.

Rule 1: a secret id is kept in memory once it was read, because its file may be removed after that, and a wrapping
        token opens once. Another one in its place counts from the next login on.
Rule 2: a wrapped secret id is opened only if it was made by the path that is configured. Somebody who can write the
        file could put another wrapping token there, and have us work with another secret id. If it was opened already,
        somebody else may have read it: that is told, and not tried again.
"""

import contextlib
import os
from typing import Any, Final

from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.vault.auth.login import LoginClient, body_of, login_path, part_of, read_part
from secrets_actor.backends.vault.auth.token_life import Granted, token_of
from secrets_actor.backends.vault.protocol import VaultCall
from secrets_actor.domain.errors import AccessDenied, ExpiredToken, InvalidRequest, LoginIncomplete, LoginRefused
from secrets_actor.domain.secret import SecretValue
from secrets_actor.paths import expanded

_REFUSED: Final = (
    "the server refuses this role id with this secret id: one is wrong, or the secret id has ended or was used up; "
    "make a new secret id, and see vault.role_id"
)
_OPENED: Final = (
    "the wrapping token in {} is not valid: it has ended, an earlier start of this program has opened it, or SOMEBODY "
    "ELSE MAY HAVE OPENED IT. Look into the audit log of the server, destroy the secret id, and wrap a new one"
)
_FOREIGN: Final = (
    "SECURITY: the wrapping token in {} was not made by {} (vault.secret_id_wrapped_path): somebody may have put "
    "another one there. It was not opened. See who can write there, and wrap a new secret id"
)


class AppRoleLogin:
    """An AppRole at *mount*. With *wrapped_path*, the place of the secret id has a wrapping token for it, which must
    have been made by that path, such as `auth/approle/role/web/secret-id`. With *remove*, a file with the secret id is
    removed after it was read. *secret_id* is None for a role that asks for none (`bind_secret_id=false`)."""

    makes_tokens = True
    locks_out = True

    def __init__(
        self,
        role_id: KeySource | None,
        secret_id: KeySource | None,
        *,
        mount: str = "approle",
        wrapped_path: str | None = None,
        remove: bool = False,
    ) -> None:
        self._role_id, self._secret_id = role_id, secret_id
        self._path = login_path(mount)
        self._wrapped_path = None if wrapped_path is None else wrapped_path.strip("/")
        self._remove = remove and secret_id is not None and secret_id.kind == "file"
        self._read: SecretValue | None = None  # what was read last in the place of the secret id (rule 1)
        self._unwrapped: tuple[SecretValue, SecretValue] | None = None  # a wrapping token, and what was in it

    def material(self, deadline: float) -> SecretValue:  # noqa: ARG002  nothing here waits
        """Return role id and secret id (or the wrapping token). Raises `LoginIncomplete`."""
        fields = {"role_id": read_part("vault.role_id", self._role_id)}
        if self._secret_id is not None:
            fields["secret_id"] = self._read_secret_id(self._secret_id)
        return body_of(fields)

    def _read_secret_id(self, source: KeySource) -> SecretValue:
        if self._read is None or not self._remove or os.path.exists(expanded(source.reveal())):
            self._read = read_part("vault.secret_id", source)
        if self._remove:
            try:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(expanded(source.reveal()))
                return self._read
            except OSError as exc:
                problem = exc.strerror
            raise LoginIncomplete(
                f"vault.secret_id: the {source.description} cannot be removed ({problem}): let this user write in its "
                "folder, or unset vault.remove_secret_id"
            )
        return self._read

    def log_in(self, material: SecretValue, client: LoginClient) -> Granted:
        """Log in."""
        role_id, wrapping = part_of(material, "role_id"), part_of(material, "secret_id")
        if self._wrapped_path is not None and role_id is not None and wrapping is not None:
            material = body_of({"role_id": role_id, "secret_id": self._opened(wrapping, client)})
        return client.log_in(self._path, material, _REFUSED)

    def _opened(self, wrapping: SecretValue, client: LoginClient) -> SecretValue:
        """Return the secret id that *wrapping* holds (rule 2)."""
        if self._unwrapped is not None and self._unwrapped[0] == wrapping:
            return self._unwrapped[1]
        place = self._secret_id.description if self._secret_id is not None else "vault.secret_id"
        if token_of(wrapping.text()) is None:
            raise LoginIncomplete(
                f"the wrapping token in {place} has a character that no token has: wrap a new secret id"
            )
        made_by = None
        with contextlib.suppress(InvalidRequest, AccessDenied, ExpiredToken):
            found = client.run(VaultCall("POST", "sys/wrapping/lookup", body_of({"token": wrapping}).bytes()))
            made_by = _data(found.body).get("creation_path")
        if made_by is None:
            raise LoginRefused(_OPENED.format(place), status=400)
        if not isinstance(made_by, str) or made_by.strip("/") != self._wrapped_path:
            raise LoginRefused(_FOREIGN.format(place, self._wrapped_path))
        secret_id = None
        with contextlib.suppress(InvalidRequest, AccessDenied, ExpiredToken):
            answer = client.run(VaultCall("POST", "sys/wrapping/unwrap", b"{}", writes=True), wrapping)
            secret_id = _data(answer.body).get("secret_id")
        if not isinstance(secret_id, str) or not secret_id:
            del secret_id
            raise LoginRefused(_OPENED.format(place), status=400)
        self._unwrapped = wrapping, SecretValue(secret_id)
        return self._unwrapped[1]

    def __repr__(self) -> str:
        return f"<AppRoleLogin {self._path}>"


def _data(body: Any) -> dict[str, Any]:
    found = body.get("data")
    return found if isinstance(found, dict) else {}
