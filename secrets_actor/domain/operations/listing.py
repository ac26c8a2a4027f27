"""The messages that list and describe secrets and versions, and move stages. PURE."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Final

from msgspec import Struct
from msgspec.structs import force_setattr

from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.operations.limits import check_page, check_secret_id, check_stage, check_token, checked_list
from secrets_actor.domain.operations.operation import Operation, assign
from secrets_actor.domain.results import NamedReceipt, SecretDescription, SecretPage, VersionPage

# AWS's service model, ListSecrets `Filters`, and the pattern of their values.
MAX_FILTERS: Final = 10
MAX_FILTER_VALUES: Final = 10
MAX_FILTER_VALUE_LENGTH: Final = 512
_FILTER_VALUE: Final = re.compile(r"!?[a-zA-Z0-9 :_@/+=.!-]*")


class FilterKey(StrEnum):
    """The attribute that a filter looks at. `ALL`: every attribute except the value."""

    DESCRIPTION = "description"
    NAME = "name"
    TAG_KEY = "tag-key"
    TAG_VALUE = "tag-value"
    PRIMARY_REGION = "primary-region"
    OWNING_SERVICE = "owning-service"
    ALL = "all"


class SortBy(StrEnum):
    """The attribute by which a list is sorted."""

    CREATED = "created-date"
    ACCESSED = "last-accessed-date"
    CHANGED = "last-changed-date"
    NAME = "name"


class Filter(Struct, frozen=True):
    """A filter for lists: it fits secrets whose attribute *key* begins with one of *values* (1 to 10).

    A value that begins with `!` fits the secrets whose attribute does not begin with the rest of it. `ALL` compares
    word by word.
    """

    key: FilterKey
    values: tuple[str, ...]

    if TYPE_CHECKING:

        def __init__(self, key: FilterKey | str, values: Iterable[str] | str) -> None: ...

    def __post_init__(self) -> None:
        key, given = self.key, self.values
        assign(self, values=())
        if key not in list(FilterKey):
            raise InvalidParameter("filters", f"a key of {', '.join(FilterKey)}")
        found = (given,) if isinstance(given, str) else checked_list("filters", given, "values")
        if not 1 <= len(found) <= MAX_FILTER_VALUES:
            raise InvalidParameter("filters", f"1 to {MAX_FILTER_VALUES} values each")
        for value in found:
            if (
                not isinstance(value, str)
                or len(value) > MAX_FILTER_VALUE_LENGTH
                or _FILTER_VALUE.fullmatch(value) is None
            ):
                raise InvalidParameter(
                    "filters", f"values of {MAX_FILTER_VALUE_LENGTH} letters, digits, spaces and :_@/+=.!- at most"
                )
        assign(self, key=FilterKey(key), values=found)


class List(Operation[tuple[SecretDescription, ...]], Struct, frozen=True):
    """List all secrets, through all pages, without values.

    *include_deleted*: also those that are scheduled for deletion. *page_size* (1 to 100): how many secrets the backend
    asks the store for at a time.
    """

    kind: ClassVar[str] = "list"
    include_deleted: bool = False
    page_size: int = 100

    def __post_init__(self) -> None:
        check_page(self.page_size, None)


class ListPage(Operation[SecretPage], Struct, frozen=True):
    """List one page of the secrets that all *filters* (10 at most) fit: the first page, or the one of *next_token*."""

    kind: ClassVar[str] = "list_page"
    filters: tuple[Filter, ...] = ()
    sort_by: SortBy | None = None
    descending: bool | None = None
    include_deleted: bool = False
    page_size: int = 100
    next_token: str | None = None

    def __post_init__(self) -> None:
        check_page(self.page_size, self.next_token)
        force_setattr(self, "filters", checked_list("filters", self.filters, "Filters"))
        if len(self.filters) > MAX_FILTERS or not all(isinstance(one, Filter) for one in self.filters):
            raise InvalidParameter("filters", f"{MAX_FILTERS} Filters at most")
        if self.sort_by is not None:
            if self.sort_by not in list(SortBy):
                raise InvalidParameter("sort_by", ", ".join(SortBy))
            force_setattr(self, "sort_by", SortBy(self.sort_by))


class Describe(Operation[SecretDescription], Struct, frozen=True):
    """Ask for all that the store knows of a secret, except its values; also of one that is scheduled for deletion."""

    kind: ClassVar[str] = "describe"
    secret_id: str

    def __post_init__(self) -> None:
        check_secret_id(self)


class ListVersions(Operation[VersionPage], Struct, frozen=True):
    """List one page of the versions of a secret; with *include_deprecated* also those without a stage."""

    kind: ClassVar[str] = "list_versions"
    secret_id: str
    include_deprecated: bool = False
    page_size: int = 100
    next_token: str | None = None

    def __post_init__(self) -> None:
        check_secret_id(self)
        check_page(self.page_size, self.next_token)


class MoveStage(Operation[NamedReceipt], Struct, frozen=True):
    """Move *stage* from the version *remove_from* to the version *to*. One of the two version ids may be None."""

    kind: ClassVar[str] = "move_stage"
    writes: ClassVar[bool] = True
    secret_id: str
    stage: str
    to: str | None = None
    remove_from: str | None = None

    def __post_init__(self) -> None:
        check_secret_id(self)
        check_stage("stage", self.stage)
        if self.to is not None:
            check_token("to", self.to)
        if self.remove_from is not None:
            check_token("remove_from", self.remove_from)
        if self.to is None and self.remove_from is None:
            raise InvalidParameter("to", "a version to move the stage to, or one to remove_from")
