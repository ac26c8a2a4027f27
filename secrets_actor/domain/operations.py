"""The public messages: frozen, checked when made, typed by their answer.

Whoever makes one gets the error for bad input at once, in his own thread: nothing malformed enters the tree.
"""

import re
from dataclasses import dataclass, field
from typing import ClassVar, Final, Generic, TypeVar

from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.secret import DeleteReceipt, RestoreReceipt, Secret, SecretInfo, SecretValue, SetReceipt

T_co = TypeVar("T_co", covariant=True)

AWSCURRENT: Final = "AWSCURRENT"
AWSPREVIOUS: Final = "AWSPREVIOUS"
AWSPENDING: Final = "AWSPENDING"
# Days. AWS Secrets Manager API reference, DeleteSecret `RecoveryWindowInDays`: 7 to 30, 30 when not given.
MIN_RECOVERY_WINDOW: Final = 7
MAX_RECOVERY_WINDOW: Final = 30
# AWS Secrets Manager API reference: ClientRequestToken and VersionId have 32 to 64 characters, VersionStage 1 to 256.
_TOKEN: Final = re.compile(r"[A-Za-z0-9-]{32,64}")
MAX_STAGE_LENGTH: Final = 256


class Operation(Generic[T_co]):
    """Base of the public messages; the type argument is the answer's type."""

    __slots__ = ()
    kind: ClassVar[str]
    writes: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Get(Operation[Secret]):
    """Read one version of a secret: AWSCURRENT unless *version_id* or *stage* says otherwise.

    *refresh* asks the backend even when the cache could answer.
    """

    kind: ClassVar[str] = "get"
    secret_id: str
    version_id: str | None = None
    stage: str | None = None
    refresh: bool = False

    def __post_init__(self) -> None:
        _check_secret_id(self)
        if self.version_id is not None:
            _check_token("version_id", self.version_id)
        if self.stage is not None and not (_is_text(self.stage) and 1 <= len(self.stage) <= MAX_STAGE_LENGTH):
            raise InvalidParameter("stage", f"1 to {MAX_STAGE_LENGTH} characters of valid Unicode")

    @property
    def version(self) -> tuple[str | None, str | None]:
        """(version id, stage) as the cache and the flights tell versions apart."""
        return self.version_id, self.stage or (AWSCURRENT if self.version_id is None else None)


@dataclass(frozen=True, slots=True, init=False)
class Set(Operation[SetReceipt]):
    """Make *value* the current version of a secret, creating the secret if there is none.

    *token* makes the set idempotent (AWS: ClientRequestToken): a second set with the same token and value changes
    nothing, one with another value is refused. It becomes the version id. The client fills it in when it is None.
    """

    kind: ClassVar[str] = "set"
    writes: ClassVar[bool] = True
    secret_id: str
    value: SecretValue = field(repr=False)
    token: str | None = None
    description: str | None = None

    def __init__(
        self,
        secret_id: str,
        value: str | bytes | SecretValue,
        token: str | None = None,
        description: str | None = None,
    ) -> None:
        # Not a generated one: its frame would keep a raw value in clear while an error is raised.
        object.__setattr__(self, "secret_id", secret_id)
        object.__setattr__(self, "token", token)
        object.__setattr__(self, "description", description)
        try:
            object.__setattr__(self, "value", SecretValue(value))
        finally:
            del value
        _check_secret_id(self)
        if token is not None:
            _check_token("token", token)
        if description is not None and not (_is_text(description) and len(description) <= 2048):
            raise InvalidParameter("description", "2,048 characters of valid Unicode at most")


@dataclass(frozen=True, slots=True)
class Delete(Operation[DeleteReceipt]):
    """Delete a secret: softly, restorable for *recovery_window* days (7 to 30; None: as configured), or by *force* at
    once and for good."""

    kind: ClassVar[str] = "delete"
    writes: ClassVar[bool] = True
    secret_id: str
    recovery_window: int | None = None
    force: bool = False

    def __post_init__(self) -> None:
        _check_secret_id(self)
        window = self.recovery_window
        if window is not None and self.force:
            raise InvalidParameter("recovery_window", "no recovery window together with force")
        if window is not None and not MIN_RECOVERY_WINDOW <= window <= MAX_RECOVERY_WINDOW:
            raise InvalidParameter("recovery_window", f"{MIN_RECOVERY_WINDOW} to {MAX_RECOVERY_WINDOW} days")


@dataclass(frozen=True, slots=True)
class Restore(Operation[RestoreReceipt]):
    """Call off a soft delete while its recovery window lasts."""

    kind: ClassVar[str] = "restore"
    writes: ClassVar[bool] = True
    secret_id: str

    def __post_init__(self) -> None:
        _check_secret_id(self)


@dataclass(frozen=True, slots=True)
class List(Operation[tuple[SecretInfo, ...]]):
    """All secrets, through all pages, without values; those scheduled for deletion only when asked for.

    *page_size* (1 to 100) is how many the backend is asked for at a time.
    """

    kind: ClassVar[str] = "list"
    include_deleted: bool = False
    page_size: int = 100

    def __post_init__(self) -> None:
        if not 1 <= self.page_size <= 100:
            raise InvalidParameter("page_size", "1 to 100")


def _check_secret_id(operation: Get | Set | Delete | Restore) -> None:
    object.__setattr__(operation, "secret_id", SecretId(operation.secret_id))


def _is_text(text: object) -> bool:
    return isinstance(text, str) and not any("\ud800" <= character <= "\udfff" for character in text)


def _check_token(what: str, token: str) -> None:
    if _TOKEN.fullmatch(token) is None:
        raise InvalidParameter(what, "32 to 64 characters: letters, digits and hyphens, such as a UUID")
