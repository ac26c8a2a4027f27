"""The one door to the semantics. PURE."""

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

# What makes no sense on one machine is not here: copies in other regions, resource policies, requests by AWS's name.
_KNOWN: Final[Mapping[type[Operation[Any]], Callable[[Context, Any], object]]] = {
    ops.Get: values.get,
    ops.GetMany: values.get_many,
    ops.Create: values.create,
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
) -> T:
    """The answer to *operation* at *now*, within one transaction of *records*: one that may write, if the operation
    `writes`.

    *new_id*: the id of the version that a write makes which brings no token. *recovery_window*: the days a soft delete
    lasts unless it says otherwise. *choose*: a random number below the one it is given, as `secrets.randbelow`.
    *repeated*: the operation may have taken effect before. *over*: recovery windows that end by then have ended (None:
    by *now*).

    Raises `SecretNotFound`, `SecretDeleted`, `SecretExists`, `InvalidRequest` and `LimitExceeded`, `UnknownMessage` for
    an operation that one machine does not know, and what the records raise. Whatever is raised by the semantics is
    raised before anything is changed.
    """
    carry_out = _KNOWN.get(type(operation))
    if carry_out is None:
        name = type(operation).__name__
        raise UnknownMessage(f"{records.store_name} does not know the operation {name}: ask for it where there is AWS")
    if operation.writes:
        values.purge(records, now if over is None else over)
    context = Context(records, now, new_id, recovery_window, repeated, choose, now if over is None else over)
    return cast(T, carry_out(context, operation))
