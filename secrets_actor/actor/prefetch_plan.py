"""The plan of a prefetch: decides which question to ask the store next. PURE.

Rule 1: the known names are fetched first, 20 in a call. Then the store is asked for lists of more names, page by page.
        Secrets that the cache has are left out.
Rule 2: a secret or a list that cannot be fetched is reported. The rest of the prefetch goes on.
Rule 3: no more secrets are fetched than the cache has room for: more would push out those that were fetched first.
Rule 4: a store that cannot filter its list (the local one) is asked for the whole list. That works for a search by the
        beginning of names, but not for one by a tag, because that list has no tags.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final, Self

from msgspec import Struct, field
from msgspec.structs import replace

from secrets_actor.domain.errors import InvalidParameter, SecretsError, UnknownMessage
from secrets_actor.domain.names import SecretId, plain
from secrets_actor.domain.operations import BATCH_SIZE, Filter, FilterKey, GetMany, List, ListPage, Operation
from secrets_actor.domain.operations.limits import checked_list
from secrets_actor.domain.paging import SeenTokens

# What the error for an invalid tag asks for.
_TAG: Final = "a tag's key, or KEY=VALUE"


class Wanted(Struct, frozen=True):
    """The secrets to fetch: those with these *names* (or ARNs), and those that one of *searches* finds."""

    names: tuple[SecretId, ...] = ()
    searches: tuple[Search, ...] = ()

    @classmethod
    def of(cls, names: Iterable[str] = (), prefixes: Iterable[str] = (), tags: Iterable[str] = ()) -> Self:
        """Return the secrets with these *names* (or ARNs), those whose names begin with one of *prefixes*, and those
        that have one of *tags*, each a key or `key=value`. What is given twice counts once. Raises `InvalidSecretName`
        and `InvalidParameter`."""
        known = map(SecretId, checked_list("names", names, "names"))
        begin = map(Search.of_prefix, checked_list("prefixes", prefixes, "beginnings of names"))
        tagged = map(Search.of_tag, checked_list("tags", tags, "tags"))
        return cls(tuple(dict.fromkeys(known)), tuple(dict.fromkeys((*begin, *tagged))))

    def __bool__(self) -> bool:
        return bool(self.names or self.searches)


class Search(Struct, frozen=True):
    """One search for secrets: by the *prefix* of their names, or by a *tag*: a key and a value (None: any value)."""

    prefix: str = ""
    tag: tuple[str, str | None] | None = None

    @classmethod
    def of_prefix(cls, prefix: str) -> Search:
        """Return the search for names that begin with *prefix*. Raises `InvalidParameter`."""
        # In a filter of AWS, a "!" at the beginning means "not".
        if not isinstance(prefix, str) or SecretId(prefix).is_arn or SecretId(prefix).startswith("!"):
            raise InvalidParameter("prefixes", "what names begin with")
        return cls(prefix=plain(prefix))

    @classmethod
    def of_tag(cls, tag: str) -> Search:
        """Return the search for secrets with *tag*, a key or `key=value`. Raises `InvalidParameter`."""
        if not isinstance(tag, str) or not tag or plain(tag).startswith(("!", "=")):
            raise InvalidParameter("tags", _TAG)
        key, equals, value = plain(tag).partition("=")
        found = cls(tag=(key, value if equals else None))
        found.page()  # raises now, and not in the middle of the prefetch, if AWS takes no such filter
        return found

    def page(self) -> ListPage:
        """Return the question for the first page of the list. Raises `InvalidParameter`."""
        if self.tag is None:
            return ListPage((Filter(FilterKey.NAME, self.prefix),))
        key, value = self.tag
        filters = [Filter(FilterKey.TAG_KEY, key)]
        # A filter cannot look for an empty value, as every value begins with it, nor for one that begins with "!",
        # which means "not" there. In both cases `fits` alone looks at the value.
        if value and not value.startswith("!"):
            filters.append(Filter(FilterKey.TAG_VALUE, value))
        return ListPage(tuple(filters))

    def fits(self, name: str, tags: Any) -> bool:
        """Whether a secret with this *name* and *tags* is searched for. This is checked again here, because AWS's
        filters let more through: they compare beginnings only."""
        if self.tag is None:
            return name.startswith(self.prefix)
        key, value = self.tag
        return key in tags and value in (None, tags[key])

    def __str__(self) -> str:
        if self.tag is None:
            return f"names that begin with {self.prefix}"
        return f"tag {self.tag[0]}" + ("" if self.tag[1] is None else f"={self.tag[1]}")


class _SearchProgress(Struct):
    """One search that is under way: the question to ask next, and the page tokens seen so far."""

    search: Search
    asked: Operation[Any]
    seen_tokens: SeenTokens = field(default_factory=SeenTokens)


class Plan:
    """The plan of one prefetch. *room* is how many secrets the cache takes; *kept* tells whether the cache has the
    secret with a name already. `found`, `missed` and `left_out` count secrets: fetched, not to be had, and left out
    for want of room."""

    def __init__(self, wanted: Wanted, room: int, kept: Callable[[str], bool]) -> None:
        self._kept, self._room = kept, room
        self._progress = deque(_SearchProgress(search, search.page()) for search in wanted.searches)
        self._seen: set[str] = set()
        self._names: deque[str] = deque()
        self.found = self.missed = self.left_out = 0
        self._take(wanted.names)

    def next(self) -> Operation[Any] | None:
        """Return the question to ask now; None when all is done."""
        # Names from lists are collected until a call is full, or no list is left.
        if len(self._names) >= BATCH_SIZE or (self._names and not self._progress):
            return GetMany(islice(self._names, BATCH_SIZE))
        return self._progress[0].asked if self._progress else None

    def answered(self, asked: Operation[Any], answer: Any) -> list[tuple[str, str]]:
        """The store gave *answer* to the question *asked*. Return the subjects that are missing, each with the code of
        its error."""
        if isinstance(asked, GetMany):
            self._drop(asked)
            self.found += len(answer.found)
            self.missed += len(answer.errors)
            return [(name, error.code) for name, error in answer.errors.items()]
        progress = self._progress[0]
        if isinstance(asked, List):
            self._take(one.name for one in answer if progress.search.fits(one.name, {}))
            self._progress.popleft()
            return []
        self._take(one.name for one in answer.secrets if progress.search.fits(one.name, one.tags))
        if answer.next_token is None or self._is_full:
            self._progress.popleft()
            return []
        try:
            progress.asked = replace(
                progress.search.page(), next_token=progress.seen_tokens.first_seen(answer.next_token)
            )
        except SecretsError as error:
            return self.failed(asked, error)
        return []

    def failed(self, asked: Operation[Any], error: SecretsError) -> list[tuple[str, str]]:
        """The question *asked* has failed, and is not to be asked again. Return what is missing for that, as one
        subject with the code of *error*; nothing if the plan has another question to ask in its place (rule 4)."""
        if isinstance(asked, GetMany):
            self._drop(asked)
            self.missed += len(asked.secret_ids)
            more = len(asked.secret_ids) - 1
            return [(asked.secret_ids[0] + (f" and {more} more" if more else ""), error.code)]
        progress = self._progress[0]
        if isinstance(error, UnknownMessage) and isinstance(asked, ListPage) and progress.search.tag is None:
            progress.asked = List()
            return []
        self._progress.popleft()
        return [(str(progress.search), error.code)]

    def _take(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._seen:
                continue
            if self._is_full:
                self.left_out += 1
                continue
            self._seen.add(name)
            if not self._kept(name):
                self._names.append(name)

    @property
    def _is_full(self) -> bool:
        return len(self._seen) >= self._room

    def _drop(self, asked: GetMany) -> None:
        for _ in asked.secret_ids:
            self._names.popleft()
