"""Tags of a secret."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.names import plain
from secrets_actor.domain.operations.base import Operation, assign
from secrets_actor.domain.operations.checks import MAX_TAGS, check_secret_id, check_tag_key, checked_tags
from secrets_actor.records import dataclass


@dataclass(frozen=True, slots=True)
class Tag(Operation[None]):
    """Set these tags; others stay as they are."""

    kind: ClassVar[str] = "tag"
    writes: ClassVar[bool] = True
    secret_id: str
    tags: Mapping[str, str]

    def __post_init__(self) -> None:
        check_secret_id(self)
        assign(self, tags=checked_tags(self.tags))
        if not self.tags:
            raise InvalidParameter("tags", "one tag at least")


@dataclass(frozen=True, slots=True, init=False)
class Untag(Operation[None]):
    """Take the tags with these keys off."""

    kind: ClassVar[str] = "untag"
    writes: ClassVar[bool] = True
    secret_id: str
    keys: tuple[str, ...]

    def __init__(self, secret_id: str, keys: Iterable[str]) -> None:
        assign(self, secret_id=secret_id, keys=())
        check_secret_id(self)
        if isinstance(keys, str):
            raise InvalidParameter("keys", "a list of keys, not one text")
        given = tuple(keys)
        for key in given:
            check_tag_key("keys", key)
        found = tuple(dict.fromkeys(map(plain, given)))
        if not 1 <= len(found) <= MAX_TAGS:
            raise InvalidParameter("keys", f"1 to {MAX_TAGS} keys")
        assign(self, keys=found)
