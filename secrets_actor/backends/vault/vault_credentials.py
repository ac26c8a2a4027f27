"""The credentials of OpenBao and Vault: a token. PURE."""

from datetime import datetime
from typing import ClassVar, TypeAlias

from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.ports import CredentialSource
from secrets_actor.domain.secret import SecretValue
from secrets_actor.structs import SelectiveStruct


class VaultCredentials(SelectiveStruct, Credentials, frozen=True):
    """A token, its accessor, when it ends and when it has to be renewed (UTC; None: never).

    The accessor names the token in the server's audit log, and cannot be used in its place. Two are equal if their
    tokens are: a renewed token is the same one.
    """

    HIDDEN: ClassVar = frozenset({"accessor"})
    UNCOMPARED: ClassVar = frozenset({"accessor", "expires_at", "renew_at"})
    UNHASHED: ClassVar = frozenset({"token"})

    token: SecretValue
    accessor: str | None = None
    expires_at: datetime | None = None
    renew_at: datetime | None = None


VaultCredentialSource: TypeAlias = CredentialSource[VaultCredentials]
