"""Secret identifiers: parsed once where they enter, trusted after."""

import re
from typing import Final, Self

from secrets_actor.domain.errors import InvalidSecretName

# Limits and alphabet: AWS Secrets Manager API reference, CreateSecret `Name` and GetSecretValue `SecretId`. The `!` is
# in the names that AWS's services give to the secrets they manage (user guide, "Secrets managed by other services").
MAX_NAME_LENGTH: Final = 512
MAX_ID_LENGTH: Final = 2048
_NAME: Final = re.compile(r"[A-Za-z0-9/_+=.@!-]+")
_ARN: Final = re.compile(
    r"arn:(?P<partition>[a-z0-9-]+):secretsmanager:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12})"
    r":secret:(?P<name>[A-Za-z0-9/_+=.@!-]+)"
)
# AWS appends a hyphen and six random characters to the name in an ARN.
_ARN_SUFFIX: Final = re.compile(r"-[A-Za-z0-9]{6}$")


def plain(text: str) -> str:
    """*text* as a `str` and nothing else. A subclass may hash, compare and print as it likes, and what a caller gives
    becomes a key, and a part of a line, in processes that everybody leans on."""
    return text if type(text) is str else str.__str__(text)


class SecretId(str):
    """The name or the ARN of a secret, checked. A `str`, so that it prints and serialises as what it is.

    `SecretId("db/password")` raises `InvalidSecretName` for anything that AWS would not accept.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if type(text) is cls:
            return text
        if not isinstance(text, str):
            raise InvalidSecretName(f"a secret name is text, not {type(text).__name__}")
        text = plain(text)
        if not text:
            raise InvalidSecretName("a secret name is empty; give 1 to 512 characters")
        if text.startswith("arn:"):
            if len(text) > MAX_ID_LENGTH or _ARN.fullmatch(text) is None:
                raise InvalidSecretName(
                    "a secret ARN reads arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX, "
                    f"{MAX_ID_LENGTH} characters at most"
                )
            return super().__new__(cls, text)
        if len(text) > MAX_NAME_LENGTH:
            raise InvalidSecretName(f"a secret name has {MAX_NAME_LENGTH} characters at most, this one {len(text)}")
        if _NAME.fullmatch(text) is None:
            raise InvalidSecretName(
                "a secret name is made of ASCII letters, digits and /_+=.@- only, and of ! in those that AWS gives"
            )
        return super().__new__(cls, text)

    @property
    def is_arn(self) -> bool:
        """Whether this is an ARN rather than a name."""
        return self.startswith("arn:")

    @property
    def is_managed(self) -> bool:
        """Whether another service made this secret, such as rds!db-...: it can be read, but none is created so."""
        return "!" in self

    @property
    def lane(self) -> str:
        """The name whose operations must be kept in order with this one's.

        An ARN lands in the lane of the name inside it. A partial ARN (without the suffix) of a name that itself ends
        in a hyphen and six characters may share a lane with another name: that only makes the two wait for each other.
        """
        found = _ARN.fullmatch(self)
        return str(self) if found is None else _ARN_SUFFIX.sub("", found["name"])
