"""The versions of a secret, and moving the labels on them. PURE.

AWS's rules for a move (service model, UpdateSecretVersionStage): a label that is on another version is taken off it
only by who names that version, AWSCURRENT is moved and never taken off, and AWSPREVIOUS follows it.

What we read out of AWS's silence: AWSPREVIOUS is not put on the current version; versions are listed the oldest first.
"""

from __future__ import annotations

from secrets_actor.domain.descriptions import NamedReceipt, VersionInfo, VersionPage
from secrets_actor.domain.errors import InvalidRequest, SecretNotFound
from secrets_actor.domain.operations import AWSCURRENT, AWSPREVIOUS, ListVersions, MoveStage
from secrets_actor.domain.semantics import pages
from secrets_actor.domain.semantics.case import Case
from secrets_actor.domain.semantics.entry import Entry, Version
from secrets_actor.domain.semantics.labels import moved
from secrets_actor.domain.semantics.writing import check_labels
from secrets_actor.records import replace


def list_versions(case: Case, operation: ListVersions) -> VersionPage:
    """One page of the versions of a secret, scheduled for deletion or not."""
    entry = case.there(operation.secret_id)
    this_list = ("versions", entry.arn, operation.include_deprecated)
    left = entry.versions
    if operation.next_token is not None:
        place = pages.place(this_list, operation.next_token)
        if place is None:
            raise case.misplaced()
        left = _after(entry, *place)
    infos = [VersionInfo(one.id, entry.stages_of(one.id), one.created_at) for one in left]
    listed = [one for one in infos if one.stages or operation.include_deprecated]
    page, more = listed[: operation.page_size], len(listed) > operation.page_size
    last = next((one for one in left if more and one.id == page[-1].version_id), None)
    token = None if last is None else pages.token(this_list, _moment(last), last.id)
    return VersionPage(entry.name, entry.arn, tuple(page), token)


def _after(entry: Entry, moment: str, version_id: str) -> tuple[Version, ...]:
    """The versions behind this one; behind its moment, when it is gone meanwhile."""
    for position, one in enumerate(entry.versions):
        if one.id == version_id:
            return entry.versions[position + 1 :]
    return tuple(one for one in entry.versions if _moment(one) > moment)


def _moment(version: Version) -> str:
    return pages.sortable(version.created_at)


def move_stage(case: Case, operation: MoveStage) -> NamedReceipt:
    """Move a label, put it on or take it off. One that may have taken effect already (`repeated`), and has, is done."""
    entry = case.live(operation.secret_id)
    receipt = NamedReceipt(entry.name, entry.arn)
    if case.repeated and _is_done(entry, operation):
        return receipt
    _check_move(case, entry, operation)
    stage, to = operation.stage, operation.to
    if to is None:
        stages = {label: at for label, at in entry.stages.items() if label != stage}
    else:
        stages = moved(entry.stages, (stage,), to)
    if stages != entry.stages:
        case.shelf.keep(replace(entry, stages=stages, changed_at=case.now))
    return receipt


def _is_done(entry: Entry, operation: MoveStage) -> bool:
    holder = entry.stages.get(operation.stage)
    return holder == operation.to if operation.to is not None else holder != operation.remove_from


def _check_move(case: Case, entry: Entry, operation: MoveStage) -> None:
    """Raise `SecretNotFound` for a version that is not there, `InvalidRequest` and `LimitExceeded` for a move that
    does not go."""
    stage, to, remove_from = operation.stage, operation.to, operation.remove_from
    for version_id in (to, remove_from):
        if version_id is not None and entry.version(version_id) is None:
            raise SecretNotFound(f"secret {entry.name} has no version {version_id} in {case.shelf.label}")
    holder = entry.stages.get(stage)
    if remove_from is not None and remove_from != holder:
        raise InvalidRequest(f"version {remove_from} of secret {entry.name} does not have stage {stage}; see versions")
    if to is None:
        if stage == AWSCURRENT:
            raise InvalidRequest(f"stage {AWSCURRENT} is moved to another version, not taken off; say to which")
        return
    if holder not in (None, to) and remove_from is None:
        raise InvalidRequest(
            f"stage {stage} of secret {entry.name} is on version {holder}: remove_from must name that version"
        )
    if stage == AWSPREVIOUS and to == entry.stages[AWSCURRENT]:
        raise InvalidRequest(f"version {to} of secret {entry.name} is the current one; it cannot be {AWSPREVIOUS} too")
    check_labels(entry, (stage,))
