"""The public messages to the secrets actor: frozen, checked when they are made, typed by their answer. PURE.

Bad input is an error at once, in the thread that makes the message, so nothing malformed enters the tree.
"""

from typing import Any, Final

from secrets_actor.domain.operations.administration import (
    GENERATED_BYTES,
    CancelRotation,
    DeletePolicy,
    Generated,
    GetPolicy,
    PutPolicy,
    RandomPassword,
    Regenerate,
    RemoveRegions,
    Replicate,
    Request,
    Rotate,
    StopReplication,
    Tag,
    Untag,
    ValidatePolicy,
)
from secrets_actor.domain.operations.limits import MAX_RECOVERY_WINDOW, MAX_STAGE_LENGTH, MIN_RECOVERY_WINDOW
from secrets_actor.domain.operations.listing import (
    Describe,
    Filter,
    FilterKey,
    List,
    ListPage,
    ListVersions,
    MoveStage,
    SortBy,
)
from secrets_actor.domain.operations.operation import (
    AWSCURRENT,
    AWSPENDING,
    AWSPREVIOUS,
    Operation,
    token_of,
    with_token,
)
from secrets_actor.domain.operations.values import (
    BATCH_SIZE,
    Create,
    Delete,
    Get,
    GetMany,
    Invalidate,
    Put,
    Restore,
    Set,
    Update,
)

# All messages that a store answers. `Invalidate` is answered by the secrets actor alone.
MESSAGES: Final[tuple[type[Operation[Any]], ...]] = (
    *(Get, GetMany),
    *(Create, Put, Update, Set),
    *(Delete, Restore),
    *(List, ListPage, Describe),
    *(ListVersions, MoveStage),
    *(Tag, Untag),
    *(Rotate, CancelRotation, Regenerate, RandomPassword),
    *(Replicate, RemoveRegions, StopReplication),
    *(GetPolicy, PutPolicy, DeletePolicy, ValidatePolicy),
    Request,
)

__all__ = [
    "AWSCURRENT",
    "AWSPENDING",
    "AWSPREVIOUS",
    "BATCH_SIZE",
    "GENERATED_BYTES",
    "MAX_RECOVERY_WINDOW",
    "MAX_STAGE_LENGTH",
    "MESSAGES",
    "MIN_RECOVERY_WINDOW",
    "CancelRotation",
    "Create",
    "Delete",
    "DeletePolicy",
    "Describe",
    "Filter",
    "FilterKey",
    "Generated",
    "Get",
    "GetMany",
    "GetPolicy",
    "Invalidate",
    "List",
    "ListPage",
    "ListVersions",
    "MoveStage",
    "Operation",
    "Put",
    "PutPolicy",
    "RandomPassword",
    "Regenerate",
    "RemoveRegions",
    "Replicate",
    "Request",
    "Restore",
    "Rotate",
    "Set",
    "SortBy",
    "StopReplication",
    "Tag",
    "Untag",
    "Update",
    "ValidatePolicy",
    "token_of",
    "with_token",
]
