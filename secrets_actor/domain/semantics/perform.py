"""Carries out an operation on the records of a store: the one door to the semantics. PURE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar, cast

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import UnknownMessage
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.semantics import listing, passwords, values, versions
from secrets_actor.domain.semantics.context import Context
from secrets_actor.domain.semantics.records_port import Records

T = TypeVar("T")

# Operations that make no sense on one machine are left out: copies in other regions, changes of policies, requests by
# AWS's name.
_KNOWN: Final[Mapping[type[Operation[Any]], Callable[[Context, Any], object]]] = {
    ops.Get: values.get,
    ops.GetMany: values.get_many,
    ops.CurrentVersions: versions.current_versions,
    ops.Create: values.create,
    ops.CreateEmpty: values.create_empty,
    ops.Put: values.put,
    ops.Update: values.update,
    ops.Set: values.set_secret,
    ops.Regenerate: values.regenerate,
    ops.Delete: values.delete,
    ops.Restore: values.restore,
    ops.List: listing.list_all,
    ops.ListPage: listing.list_page,
    ops.Describe: listing.describe,
    ops.ListVersions: versions.list_versions,
    ops.MoveStage: versions.move_stage,
    ops.Tag: versions.tag,
    ops.Untag: versions.untag,
    ops.RandomPassword: passwords.random_password,
    ops.Rotate: versions.rotate,
    ops.CancelRotation: versions.cancel_rotation,
    ops.GetPolicy: listing.get_policy,
    ops.ListPolicies: listing.list_policies,
}


def perform(
    records: Records,
    operation: Operation[T],
    now: datetime,
    *,
    new_id: str,
    recovery_window: int,
    choose: Callable[[int], int],
    repeated: bool = False,
    over: datetime | None = None,
    former_arn_prefix: str | None = None,
) -> T:
    """Carry out *operation* at the moment *now*, within one transaction of *records*, and return its answer.

    The transaction must be able to write if the operation `writes`. *new_id*: the id of a new version whose operation
    has no token. *recovery_window*: the days that a scheduled deletion takes if the operation does not say. *choose*
    returns a random number from 0 to below its argument, as `secrets.randbelow` does. *repeated*: the operation may
    have taken effect before. *over*: recovery windows that end at this moment or earlier have ended (None: *now*).
    *former_arn_prefix*: how the store's ARNs began once, if they begin otherwise now; they still find their secrets.

    Raises `SecretNotFound`, `SecretDeleted`, `SecretExists`, `InvalidRequest`, `LimitExceeded`, `UnknownMessage` for an
    operation that one machine does not know, and what the records raise. The semantics raise before anything is
    changed.
    """
    carry_out = _KNOWN.get(type(operation))
    if carry_out is None:
        name = type(operation).__name__
        raise UnknownMessage(f"{records.store_name} does not know the operation {name}: ask for it where there is AWS")
    if operation.writes:
        values.purge(records, now if over is None else over)
    context = Context(
        records, now, new_id, recovery_window, repeated, choose, now if over is None else over, former_arn_prefix
    )
    return cast(T, carry_out(context, operation))
