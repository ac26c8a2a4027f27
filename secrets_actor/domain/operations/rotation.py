"""New values made by others: AWS's rotation, and passwords out of the air."""

from enum import StrEnum
from typing import ClassVar, Final

from secrets_actor.domain.descriptions import RotationReceipt, RotationRules, VersionReceipt
from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.operations.base import Operation, assign
from secrets_actor.domain.operations.checks import check_number, check_rules, check_secret_id, check_text, check_token
from secrets_actor.domain.secret import SecretValue
from secrets_actor.records import dataclass, field

# AWS's service model: RotationLambdaARN, PasswordLength, ExcludeCharacters.
MAX_LAMBDA_ARN_LENGTH: Final = 2048
MAX_PASSWORD_LENGTH: Final = 4096
MAX_EXCLUDED: Final = 4096
# Bytes of a value that is made of bytes, before base64.
GENERATED_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Rotate(Operation[RotationReceipt]):
    """Have AWS rotate the secret with its rotation function (*lambda_arn*, where it is to be set or changed).

    *rules* set the schedule; with *immediately* false nothing happens before its next date. *token* becomes the id of
    the new version.
    """

    kind: ClassVar[str] = "rotate"
    writes: ClassVar[bool] = True
    secret_id: str
    lambda_arn: str | None = None
    rules: RotationRules | None = None
    immediately: bool = True
    token: str | None = None

    def __post_init__(self) -> None:
        check_secret_id(self)
        if self.lambda_arn is not None:
            check_text("lambda_arn", self.lambda_arn, MAX_LAMBDA_ARN_LENGTH, 1)
        if self.rules is not None:
            check_rules(self.rules)
        if self.token is not None:
            check_token("token", self.token)


@dataclass(frozen=True, slots=True)
class CancelRotation(Operation[RotationReceipt]):
    """Turn automatic rotation off, and call off one that is under way."""

    kind: ClassVar[str] = "cancel_rotation"
    writes: ClassVar[bool] = True
    secret_id: str

    def __post_init__(self) -> None:
        check_secret_id(self)


@dataclass(frozen=True, slots=True)
class RandomPassword(Operation[SecretValue]):
    """A password by the store's generator: of *length* characters (1 to 4,096), with each kind that is not left out,
    and with *require_each*, at least one of each."""

    kind: ClassVar[str] = "random_password"
    length: int = 32
    exclude: str = field(default="", repr=False)
    lowercase: bool = True
    uppercase: bool = True
    numbers: bool = True
    punctuation: bool = True
    space: bool = False
    require_each: bool = True

    def __post_init__(self) -> None:
        check_number("length", self.length, 1, MAX_PASSWORD_LENGTH)
        check_text("exclude", self.exclude, MAX_EXCLUDED)
        kinds = sum((self.lowercase, self.uppercase, self.numbers, self.punctuation, self.space))
        if not kinds:
            raise InvalidParameter("lowercase", "one kind of characters at least")
        if self.require_each and self.length < kinds:
            raise InvalidParameter("length", f"{kinds} at least, for one character of each kind")


class Generated(StrEnum):
    """How a value is made: AWS's random password, or 32 random bytes in base64."""

    PASSWORD = "password"  # noqa: S105  the name of a way
    BYTES = "bytes"

    @classmethod
    def of(cls, name: str) -> "Generated":
        """The way of this name. Raises `InvalidParameter`."""
        if name not in list(cls):
            raise InvalidParameter("generate", " or ".join(cls))
        return cls(name)


@dataclass(frozen=True, slots=True)
class Regenerate(Operation[VersionReceipt]):
    """Give a secret without rotation function a new value that is made here, and make it current.

    *password* says how, for `Generated.PASSWORD`. Repeated with its *token*, it makes one version.
    """

    kind: ClassVar[str] = "regenerate"
    writes: ClassVar[bool] = True
    secret_id: str
    generate: Generated = Generated.PASSWORD
    password: RandomPassword = RandomPassword()
    token: str | None = None

    def __post_init__(self) -> None:
        check_secret_id(self)
        assign(self, generate=Generated.of(self.generate))
        if not isinstance(self.password, RandomPassword):
            raise InvalidParameter("password", "a RandomPassword")
        if self.token is not None:
            check_token("token", self.token)
