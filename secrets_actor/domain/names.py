"""Secret identifiers: parsed once where they enter, trusted after. PURE.

Rule 1: which secret an id means, only the store's answer tells: it has the name and the whole ARN. A name means another
        secret in each account.
Rule 2: AWS appends a hyphen and six random characters to the name in an ARN, and finds a secret by its ARN without
        them, too. An ARN that ends in a hyphen and six characters may therefore be the whole ARN of one secret, or that
        of another one, whose name ends so, without its suffix. AWS takes it for whole (API reference, `SecretId`, and
        user guide, "Finding a secret from a partial ARN"); other stores may not. So it has two lanes.
"""

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
_NAME_FOLLOWS: Final = ":secret:"
# A hyphen and six characters: what AWS appends to the name in an ARN.
SUFFIX_LENGTH: Final = 7


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
    def lanes(self) -> tuple[str, ...]:
        """The names that this may mean: operations on them are kept in order with those on this. One of a name; one or
        two of an ARN, that of the whole ARN first."""
        if not self.is_arn:
            return (str(self),)
        tail = self.partition(_NAME_FOLLOWS)[2]
        shorter = name_without_suffix(tail)
        return (tail,) if shorter is None else (shorter, tail)

    @property
    def looks_whole(self) -> bool:
        """Whether this is an ARN that ends as whole ones do, in a hyphen and six characters behind a name."""
        return self.is_arn and name_without_suffix(self.partition(_NAME_FOLLOWS)[2]) is not None

    def fits(self, name: str, arn: str) -> bool:
        """Whether a store that answers with this *name* and this *arn* may have been asked for this: by that name, by
        that ARN, or by that ARN without its suffix."""
        if not self.is_arn:
            return name == self
        return self.may_mean(arn) and name_without_suffix(arn.partition(_NAME_FOLLOWS)[2]) == name

    def may_mean(self, arn: str) -> bool:
        """Whether this is an ARN that may be meant for the secret with this whole *arn*: that ARN, with or without its
        suffix."""
        return self in (arn, without_suffix(arn))

    def means(self, arn: str) -> bool:
        """Whether this is an ARN of the secret with this whole *arn*, and no other secret's: that very ARN, or it
        without its suffix, if it does not look whole then."""
        return self == arn or (self == without_suffix(arn) and not self.looks_whole)


def without_suffix(arn: str) -> str | None:
    """The whole *arn* of a secret without what AWS appends; None if it does not end so."""
    beginning, infix, tail = arn.partition(_NAME_FOLLOWS)
    name = name_without_suffix(tail)
    return None if name is None else f"{beginning}{infix}{name}"


def name_without_suffix(tail: str) -> str | None:
    """The name in the last part of a whole ARN; None if that does not end in a hyphen and six characters."""
    return tail[:-SUFFIX_LENGTH] if len(tail) > SUFFIX_LENGTH and tail[-SUFFIX_LENGTH] == "-" else None
