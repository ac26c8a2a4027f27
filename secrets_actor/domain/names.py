"""Names and ARNs of secrets: checked once, where they enter, and trusted after that. PURE.

Rule 1: only the store's answer tells which secret an id means: it has the name and the whole ARN. The same name means
        another secret in each account and region.
Rule 2: AWS appends a hyphen and six random characters, the suffix, to the name in an ARN, and also finds a secret by
        its ARN without the suffix. So an ARN that ends in a hyphen and six characters may be the whole ARN of one
        secret, or the ARN without suffix of another secret, whose name ends like that. AWS takes it for whole (API
        reference, `SecretId`; user guide, "Finding a secret from a partial ARN"); other stores may not. Therefore such
        an ARN has two lanes.
"""

import re
from typing import Final, Self

from secrets_actor.domain.errors import InvalidSecretName

# Limits and alphabet: AWS Secrets Manager API reference, CreateSecret `Name` and GetSecretValue `SecretId`. The `!`
# occurs in the names of secrets that AWS's services manage (user guide, "Secrets managed by other services").
MAX_NAME_LENGTH: Final = 512
MAX_ID_LENGTH: Final = 2048
_NAME: Final = re.compile(r"[A-Za-z0-9/_+=.@!-]+")
_ARN: Final = re.compile(
    r"arn:(?P<partition>[a-z0-9-]+):secretsmanager:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12})"
    r":secret:(?P<name>[A-Za-z0-9/_+=.@!-]+)"
)
_NAME_FOLLOWS: Final = ":secret:"
# Characters: a hyphen and the six that AWS appends to the name in an ARN.
SUFFIX_LENGTH: Final = 7


def plain(text: str) -> str:
    """Return *text* as a plain `str`.

    A subclass of `str` may hash, compare and print as it likes. The caller's text becomes a dictionary key and a part
    of log lines in processes that serve all callers, so it must not bring code of its own.
    """
    return text if type(text) is str else str.__str__(text)


class SecretId(str):
    """The checked name or ARN of a secret. It is a `str`, so it prints and serialises like one.

    Making one raises `InvalidSecretName` for a text that AWS would not accept. The error does not quote the text, which
    may be a value in the wrong place.
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
        """Whether a service of AWS made this secret, such as rds!db-...: it can be read, but such a name cannot be
        created."""
        return "!" in self

    @property
    def lanes(self) -> tuple[str, ...]:
        """The names that this id may mean; operations on one of these names keep their order with operations on this.

        A name has one lane, itself. An ARN has one or two, because its last seven characters may or may not belong
        to the name; the name in it, taken as a whole ARN, comes first.
        """
        if not self.is_arn:
            return (str(self),)
        tail = name_part(self)
        shorter = name_without_suffix(tail)
        return (tail,) if shorter is None else (shorter, tail)

    @property
    def looks_whole(self) -> bool:
        """Whether this is an ARN that ends as whole ones do, in a hyphen and six characters behind a name."""
        return self.is_arn and name_without_suffix(name_part(self)) is not None

    def fits(self, name: str, arn: str) -> bool:
        """Whether the secret with this *name* and whole *arn* is a right answer to a request for this id: it is that
        name, that ARN, or that ARN without its suffix."""
        if not self.is_arn:
            return name == self
        return self.may_mean(arn) and name_without_suffix(name_part(arn)) == name

    def may_mean(self, arn: str) -> bool:
        """Whether this is an ARN that may mean the secret with this whole *arn*: the ARN with or without its suffix."""
        return self in (arn, without_suffix(arn))

    def means(self, arn: str) -> bool:
        """Whether this is an ARN that can only mean the secret with this whole *arn*: that very ARN, or the ARN without
        its suffix, unless what is left looks like a whole ARN again."""
        return self == arn or (self == without_suffix(arn) and not self.looks_whole)


def arn_prefix_of(partition: str, region: str, account: str) -> str:
    """Return how the ARNs of all secrets with this partition, region and account begin, up to the name."""
    return f"arn:{partition}:secretsmanager:{region}:{account}{_NAME_FOLLOWS}"


def name_part(arn: str) -> str:
    """Return the last part of *arn*, the name with its suffix if there is one; empty if *arn* is no ARN of a secret.

    It is looked for from the end. A name has no colon, but a region may be called `secret`, as many KV mounts are.
    """
    _, infix, tail = arn.rpartition(_NAME_FOLLOWS)
    return tail if infix else ""


def without_suffix(arn: str) -> str | None:
    """Return the whole *arn* of a secret without its suffix; None if it has no suffix."""
    tail = name_part(arn)
    name = name_without_suffix(tail)
    return None if name is None else arn.removesuffix(tail) + name


def name_without_suffix(tail: str) -> str | None:
    """Return the name in the last part of a whole ARN; None if that part does not end in a hyphen and six
    characters."""
    return tail[:-SUFFIX_LENGTH] if len(tail) > SUFFIX_LENGTH and tail[-SUFFIX_LENGTH] == "-" else None
