"""The one door to the semantics. PURE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar, cast

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import UnknownMessage
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.semantics import deletion, listing, passwords, reading, rotation, tags, versions, writing
from secrets_actor.domain.semantics.case import Case
from secrets_actor.domain.semantics.shelf import Shelf

T = TypeVar("T")

# What makes no sense on one machine is not here: copies in other regions, resource policies, requests by AWS's name.
_KNOWN: Final[Mapping[type[Operation[Any]], Callable[[Case, Any], object]]] = {
    ops.Get: reading.get,
    ops.GetMany: reading.get_many,
    ops.Create: writing.create,
    ops.Put: writing.put,
    ops.Update: writing.update,
    ops.Set: writing.set_secret,
    ops.Regenerate: writing.regenerate,
    ops.Delete: deletion.delete,
    ops.Restore: deletion.restore,
    ops.List: listing.list_all,
    ops.ListPage: listing.list_page,
    ops.Describe: listing.describe,
    ops.ListVersions: versions.list_versions,
    ops.MoveStage: versions.move_stage,
    ops.Tag: tags.tag,
    ops.Untag: tags.untag,
    ops.RandomPassword: passwords.random_password,
    ops.Rotate: rotation.rotate,
    ops.CancelRotation: rotation.cancel_rotation,
}


def perform(
    shelf: Shelf,
    operation: Operation[T],
    now: datetime,
    *,
    new_id: str,
    recovery_window: int,
    choose: Callable[[int], int],
    repeated: bool = False,
    over: datetime | None = None,
) -> T:
    """The answer to *operation* at *now*, within one transaction of *shelf*: one that may write, if the operation
    `writes`.

    *new_id*: the id of the version that a write makes which brings no token. *recovery_window*: the days a soft delete
    lasts unless it says otherwise. *choose*: a random number below the one it is given, as `secrets.randbelow`.
    *repeated*: the operation may have taken effect before. *over*: recovery windows that end by then have ended (None:
    by *now*).

    Raises `SecretNotFound`, `SecretDeleted`, `SecretExists`, `InvalidRequest` and `LimitExceeded`, `UnknownMessage` for
    an operation that one machine does not know, and what the shelf raises. Whatever is raised by the semantics is
    raised before anything is changed.
    """
    carry_out = _KNOWN.get(type(operation))
    if carry_out is None:
        name = type(operation).__name__
        raise UnknownMessage(f"{shelf.label} does not know the operation {name}: ask for it where there is AWS")
    if operation.writes:
        deletion.purge(shelf, now if over is None else over)
    case = Case(shelf, now, new_id, recovery_window, repeated, choose, now if over is None else over)
    return cast(T, carry_out(case, operation))
