"""Lists of secrets, their filters and orders, descriptions, and the policies that no secret here has. PURE.

Source: AWS's service model, ListSecrets `Filters`. A secret must fit all filters, and of each filter at least one
value.

Rule 1: a name, tag key, tag value, region or service fits a value that it begins with, in the same case of letters.
Rule 2: `all` breaks a value into words. For each of them, some word of the secret's attributes must begin with it, in
        any case of letters. The authors of moto found by trial on AWS where words end: at what is no letter or digit,
        before a capital with a small letter after it (`COMPAN`, `Ythings`), and behind a small letter before a capital
        (`Secret`, `F`, `Tag`).
Rule 3: a description is matched as `all` is. AWS documents that it is matched by its beginning in any case; the authors
        of moto found by trial that it is matched by words, which includes that.

Where AWS's documentation says nothing, we decided:

Rule 4: a list in pages is sorted by the date of creation unless another order is asked for (documented), the oldest
        first. Equal dates are sorted by name. A secret that was never read comes before those that were.
Rule 5: a value that begins with `!` fits the secrets that the rest of the value does not fit, also those that have no
        such attribute. Where words are compared, a value without a letter or digit fits nothing.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from secrets_actor.domain.operations import (
    Describe,
    Filter,
    FilterKey,
    GetPolicy,
    List,
    ListPage,
    ListPolicies,
    SortBy,
)
from secrets_actor.domain.results import PolicyPage, ResourcePolicy, SecretDescription, SecretPage
from secrets_actor.domain.semantics import page_tokens
from secrets_actor.domain.semantics.context import Context
from secrets_actor.domain.semantics.entry import Entry

# Where words end (rule 2).
_BETWEEN: Final = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])|(?=[A-Z][a-z])")


def fits(entry: Entry, filters: Iterable[Filter]) -> bool:
    """Whether the secret fits all *filters*."""
    return all(any(_fits_value(entry, one.key, value) for value in one.values) for one in filters)


def _fits_value(entry: Entry, key: FilterKey, value: str) -> bool:
    texts = [text for text in _ATTRIBUTES[key](entry) if text is not None]
    wanted = value.removeprefix("!")
    if key in (FilterKey.ALL, FilterKey.DESCRIPTION):
        found = _has_words(texts, wanted)
    else:
        found = any(text.startswith(wanted) for text in texts)
    return found is not value.startswith("!")


def _has_words(texts: list[str], wanted: str) -> bool:
    words = _words(wanted)
    theirs = [one for text in texts for one in _words(text)]
    return bool(words) and all(any(one.startswith(word) for one in theirs) for word in words)


def _words(text: str) -> list[str]:
    return [word.lower() for word in _BETWEEN.split(text) if word]


def _nothing(_entry: Entry) -> Iterable[str | None]:
    return ()


_ATTRIBUTES: Final[Mapping[FilterKey, Callable[[Entry], Iterable[str | None]]]] = {
    FilterKey.NAME: lambda entry: (entry.name,),
    FilterKey.DESCRIPTION: lambda entry: (entry.description,),
    FilterKey.TAG_KEY: lambda entry: entry.tags,
    FilterKey.TAG_VALUE: lambda entry: entry.tags.values(),
    # A store of our own has no copies from other regions, and no secrets that belong to a service of AWS.
    FilterKey.PRIMARY_REGION: _nothing,
    FilterKey.OWNING_SERVICE: _nothing,
    FilterKey.ALL: lambda entry: (entry.name, entry.description, *entry.tags, *entry.tags.values()),
}


def list_all(context: Context, operation: List) -> tuple[SecretDescription, ...]:
    """Return all secrets, sorted by name."""
    found = sorted(context.every(include_deleted=operation.include_deleted), key=lambda entry: entry.name)
    return tuple([entry.described for entry in found])


def list_page(context: Context, operation: ListPage) -> SecretPage:
    """Return one page of the filtered and sorted list. Raises `InvalidRequest` for a token of another list."""
    descending, by = bool(operation.descending), operation.sort_by or SortBy.CREATED
    filters = [(str(one.key), one.values) for one in operation.filters]
    this_list = ("secrets", context.records.arn_prefix, filters, str(by), descending, operation.include_deleted)
    fitting = (one for one in context.every(include_deleted=operation.include_deleted) if fits(one, operation.filters))
    if operation.next_token is not None:
        place = page_tokens.place(this_list, operation.next_token)
        if place is None:
            raise context.misplaced()
        fitting = (one for one in fitting if (_key(one, by) < place if descending else _key(one, by) > place))
    # A heap keeps one page in memory, not the whole store. One more than a page is looked for, to know whether more
    # follow.
    first = heapq.nlargest if descending else heapq.nsmallest
    found = first(operation.page_size + 1, fitting, key=lambda entry: _key(entry, by))
    page, more = found[: operation.page_size], len(found) > operation.page_size
    token = page_tokens.token(this_list, *_key(page[-1], by)) if more else None
    return SecretPage(tuple([entry.described for entry in page]), token)


def describe(context: Context, operation: Describe) -> SecretDescription:
    """Return all that is known of a secret, scheduled for deletion or not. Raises `SecretNotFound`."""
    return context.there(operation.secret_id).described


# A store of our own lets no resource policy be attached, so that no secret has one is the truth. Terraform asks for the
# policy of every secret that it manages, and would fail at a refusal.


def get_policy(context: Context, operation: GetPolicy) -> ResourcePolicy:
    """Return that the secret has no resource policy. Raises `SecretNotFound`."""
    entry = context.there(operation.secret_id)
    return ResourcePolicy(entry.name, entry.arn)


def list_policies(context: Context, operation: ListPolicies) -> PolicyPage:
    """Return that the secret has no resource policies. Raises `SecretNotFound`."""
    context.there(operation.secret_id)
    return PolicyPage(())


def _key(entry: Entry, by: SortBy) -> tuple[str, str]:
    if by is SortBy.NAME:
        return "", entry.name
    moments = {
        SortBy.CREATED: entry.created_at,
        SortBy.CHANGED: entry.changed_at,
        SortBy.ACCESSED: entry.accessed_at,
    }
    return page_tokens.sortable(moments[by]), entry.name
