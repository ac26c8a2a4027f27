"""Lists the versions of a secret, moves their stages, changes tags, and refuses rotation by AWS Lambda. PURE.

A store on one machine runs no rotation function. `Regenerate` (values.py) rotates a secret without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from msgspec.structs import replace

from secrets_actor.domain.errors import InvalidRequest, SecretNotFound, SecretsError, StoreError
from secrets_actor.domain.operations import (
    AWSCURRENT,
    AWSPREVIOUS,
    CancelRotation,
    CurrentVersions,
    ListVersions,
    MoveStage,
    Rotate,
    Tag,
    Untag,
)
from secrets_actor.domain.operations.limits import MAX_TAGS
from secrets_actor.domain.results import CurrentVersion, NamedReceipt, VersionBatch, VersionInfo, VersionPage
from secrets_actor.domain.semantics import page_tokens
from secrets_actor.domain.semantics.context import Context
from secrets_actor.domain.semantics.entry import Entry, Version
from secrets_actor.domain.semantics.stages import moved
from secrets_actor.domain.semantics.values import check_stages


def list_versions(context: Context, operation: ListVersions) -> VersionPage:
    """Return one page of the versions of a secret, scheduled for deletion or not. Raises `SecretNotFound`."""
    entry = context.there(operation.secret_id)
    this_list = ("versions", entry.arn, operation.include_deprecated)
    left = entry.versions
    if operation.next_token is not None:
        place = page_tokens.place(this_list, operation.next_token)
        if place is None:
            raise context.misplaced()
        left = _after(entry, *place)
    infos = [VersionInfo(one.id, entry.stages_of(one.id), one.created_at) for one in left]
    listed = [one for one in infos if one.stages or operation.include_deprecated]
    page, more = listed[: operation.page_size], len(listed) > operation.page_size
    last = next((one for one in left if more and one.id == page[-1].version_id), None)
    token = None if last is None else page_tokens.token(this_list, _moment(last), last.id)
    return VersionPage(entry.name, entry.arn, tuple(page), token)


def current_versions(context: Context, operation: CurrentVersions) -> VersionBatch:
    """Tell which version of each secret is the current one, or the error that a get of it would raise. No value is
    read, so this does not count as an access."""
    found: dict[str, CurrentVersion] = {}
    errors: dict[str, SecretsError] = {}
    for secret_id in operation.secret_ids:
        try:
            entry = context.live(secret_id)
            version_id = entry.stages.get(AWSCURRENT)
            if version_id is None:
                raise SecretNotFound(f"secret {entry.name} has no current version in {context.records.store_name}")
            found[secret_id] = CurrentVersion(entry.name, entry.arn, version_id)
        except StoreError as error:
            errors[secret_id] = error.clone()
    return VersionBatch(found, errors)


def _after(entry: Entry, moment: str, version_id: str) -> tuple[Version, ...]:
    """Return the versions behind this one; if it has been removed meanwhile, those that were made after *moment*."""
    for position, one in enumerate(entry.versions):
        if one.id == version_id:
            return entry.versions[position + 1 :]
    return tuple(one for one in entry.versions if _moment(one) > moment)


def _moment(version: Version) -> str:
    return page_tokens.sortable(version.created_at)


def move_stage(context: Context, operation: MoveStage) -> NamedReceipt:
    """Move a stage, or put it on a version, or take it off.

    If the operation may have taken effect before (`repeated`), and the stage is where it should be, nothing is done.
    """
    entry = context.live(operation.secret_id)
    receipt = NamedReceipt(entry.name, entry.arn)
    if context.repeated and _is_done(entry, operation):
        return receipt
    _check_move(context, entry, operation)
    stage, to = operation.stage, operation.to
    if to is None:
        stages = {one: at for one, at in entry.stages.items() if one != stage}
    else:
        stages = moved(entry.stages, (stage,), to)
    if stages != entry.stages:
        context.records.keep(replace(entry, stages=stages, changed_at=context.now))
    return receipt


def _is_done(entry: Entry, operation: MoveStage) -> bool:
    holder = entry.stages.get(operation.stage)
    return holder == operation.to if operation.to is not None else holder != operation.remove_from


def _check_move(context: Context, entry: Entry, operation: MoveStage) -> None:
    """Raise `SecretNotFound` for a version that does not exist, and `InvalidRequest` or `LimitExceeded` for a move that
    is not allowed."""
    stage, to, remove_from = operation.stage, operation.to, operation.remove_from
    for version_id in (to, remove_from):
        if version_id is not None and entry.version(version_id) is None:
            absent = SecretNotFound(f"secret {entry.name} has no version {version_id} in {context.records.store_name}")
            absent.version_id = version_id
            raise absent
    holder = entry.stages.get(stage)
    if remove_from is not None and remove_from != holder:
        raise InvalidRequest(f"version {remove_from} of secret {entry.name} does not have stage {stage}; see versions")
    if to is None:
        if stage == AWSCURRENT:
            raise InvalidRequest(f"stage {AWSCURRENT} is moved to another version, not taken off; say to which")
        return
    if holder not in (None, to) and remove_from is None:
        held = InvalidRequest(
            f"stage {stage} of secret {entry.name} is on version {holder}: remove_from must name that version"
        )
        held.stage_holder = holder
        raise held
    if stage == AWSPREVIOUS and to == entry.stages.get(AWSCURRENT):
        raise InvalidRequest(f"version {to} of secret {entry.name} is the current one; it cannot be {AWSPREVIOUS} too")
    check_stages(entry, (stage,))


def tag(context: Context, operation: Tag) -> None:
    """Add tags, or change their values. Raises `InvalidRequest` if the secret would have too many."""
    entry = context.live(operation.secret_id)
    tags = {**entry.tags, **operation.tags}
    if len(tags) > MAX_TAGS:
        raise InvalidRequest(f"secret {entry.name} would have more than {MAX_TAGS} tags: take some off first")
    _keep(context, entry, tags)


def untag(context: Context, operation: Untag) -> None:
    """Remove tags. Keys that the secret does not have make no difference."""
    entry = context.live(operation.secret_id)
    _keep(context, entry, {key: value for key, value in entry.tags.items() if key not in operation.keys})


def _keep(context: Context, entry: Entry, tags: Mapping[str, str]) -> None:
    if tags != entry.tags:
        context.records.keep(replace(entry, tags=tags, changed_at=context.now))


def rotate(context: Context, operation: Rotate) -> NoReturn:
    """Raise `InvalidRequest`, as AWS does for a secret without a rotation function."""
    entry = context.live(operation.secret_id)
    raise InvalidRequest(
        f"secret {entry.name} has no rotation function, and {context.records.store_name} runs none: regenerate it "
        "instead (rotate with generate), or set a value that you made"
    )


def cancel_rotation(context: Context, operation: CancelRotation) -> NoReturn:
    """Raise `InvalidRequest`, as AWS does for a secret without a rotation function."""
    entry = context.live(operation.secret_id)
    raise InvalidRequest(f"secret {entry.name} has no rotation function: there is no rotation to cancel")
