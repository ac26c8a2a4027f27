"""Tags of a secret. PURE."""

from __future__ import annotations

from collections.abc import Mapping

from secrets_actor.domain.errors import InvalidRequest
from secrets_actor.domain.operations import Tag, Untag
from secrets_actor.domain.operations.checks import MAX_TAGS
from secrets_actor.domain.semantics.case import Case
from secrets_actor.domain.semantics.entry import Entry
from secrets_actor.records import replace


def tag(case: Case, operation: Tag) -> None:
    """Set tags beside those there are. Raises `InvalidRequest` when they are too many."""
    entry = case.live(operation.secret_id)
    tags = {**entry.tags, **operation.tags}
    if len(tags) > MAX_TAGS:
        raise InvalidRequest(f"secret {entry.name} would have more than {MAX_TAGS} tags: take some off first")
    _keep(case, entry, tags)


def untag(case: Case, operation: Untag) -> None:
    """Take tags off; those that are not there make no difference."""
    entry = case.live(operation.secret_id)
    _keep(case, entry, {key: value for key, value in entry.tags.items() if key not in operation.keys})


def _keep(case: Case, entry: Entry, tags: Mapping[str, str]) -> None:
    if tags != entry.tags:
        case.shelf.keep(replace(entry, tags=tags, changed_at=case.now))
