"""Which secrets there are, and what is known of them but their values. PURE.

What we read out of AWS's silence: a list of pages is sorted by creation unless asked otherwise (documented), the oldest
first, and by name where that is equal; a secret that was never read is before those that were.
"""

from __future__ import annotations

import heapq

from secrets_actor.domain.descriptions import SecretDescription, SecretPage
from secrets_actor.domain.operations import Describe, List, ListPage, SortBy
from secrets_actor.domain.secret import SecretInfo
from secrets_actor.domain.semantics import pages
from secrets_actor.domain.semantics.case import Case
from secrets_actor.domain.semantics.entry import Entry
from secrets_actor.domain.semantics.filters import fits


def list_all(case: Case, operation: List) -> tuple[SecretInfo, ...]:
    """All secrets by name."""
    return tuple(
        SecretInfo(one.name, one.arn, one.description, one.created_at, one.changed_at, one.deleted_at)
        for one in sorted(case.every(include_deleted=operation.include_deleted), key=lambda entry: entry.name)
    )


def list_page(case: Case, operation: ListPage) -> SecretPage:
    """One page, filtered and sorted."""
    descending, by = bool(operation.descending), operation.sort_by or SortBy.CREATED
    filters = [(str(one.key), one.values) for one in operation.filters]
    this_list = ("secrets", case.shelf.arn_prefix, filters, str(by), descending, operation.include_deleted)
    fitting = (one for one in case.every(include_deleted=operation.include_deleted) if fits(one, operation.filters))
    if operation.next_token is not None:
        place = pages.place(this_list, operation.next_token)
        if place is None:
            raise case.misplaced()
        fitting = (one for one in fitting if (_key(one, by) < place if descending else _key(one, by) > place))
    first = heapq.nlargest if descending else heapq.nsmallest
    found = first(operation.page_size + 1, fitting, key=lambda entry: _key(entry, by))
    page, more = found[: operation.page_size], len(found) > operation.page_size
    token = pages.token(this_list, *_key(page[-1], by)) if more else None
    return SecretPage(tuple(map(described, page)), token)


def describe(case: Case, operation: Describe) -> SecretDescription:
    """All that is known of a secret, scheduled for deletion or not."""
    return described(case.there(operation.secret_id))


def described(entry: Entry) -> SecretDescription:
    """A secret as `Describe` and `ListPage` tell it."""
    labelled = {one.id: entry.stages_of(one.id) for one in entry.versions}
    return SecretDescription(
        name=entry.name,
        arn=entry.arn,
        description=entry.description,
        created_at=entry.created_at,
        changed_at=entry.changed_at,
        accessed_at=entry.accessed_at,
        deleted_at=entry.deleted_at,
        tags=dict(entry.tags),
        versions={version_id: stages for version_id, stages in labelled.items() if stages},
    )


def _key(entry: Entry, by: SortBy) -> tuple[str, str]:
    if by is SortBy.NAME:
        return "", entry.name
    moments = {
        SortBy.CREATED: entry.created_at,
        SortBy.CHANGED: entry.changed_at,
        SortBy.ACCESSED: entry.accessed_at,
    }
    return pages.sortable(moments[by]), entry.name
