"""The 26 operations: the shapes of their requests and answers, and the members that tell their answers apart. PURE."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from secrets_actor.aws_json import answers, requests
from secrets_actor.aws_json.fields import Shape

TARGET_PREFIX: Final = "secretsmanager."


class Shapes(NamedTuple):
    """The shapes of an operation's request and answer."""

    request: type[Shape]
    answer: type[Shape]


OPERATIONS: Final[Mapping[str, Shapes]] = {
    name: Shapes(getattr(requests, f"{name}Request"), getattr(answers, f"{name}Answer"))
    for name in (
        "AssociateCrossAccountReplica",
        "BatchGetSecretValue",
        "CancelRotateSecret",
        "CreateSecret",
        "DeleteResourcePolicy",
        "DeleteSecret",
        "DescribeSecret",
        "DisassociateCrossAccountReplica",
        "GetRandomPassword",
        "GetResourcePolicy",
        "GetSecretValue",
        "ListResourcePolicies",
        "ListSecretVersionIds",
        "ListSecrets",
        "PutResourcePolicy",
        "PutSecretValue",
        "RemoveRegionsFromReplication",
        "ReplicateSecretToRegions",
        "RestoreSecret",
        "RotateSecret",
        "StopReplicationToReplica",
        "TagResource",
        "UntagResource",
        "UpdateSecret",
        "UpdateSecretVersionStage",
        "ValidateResourcePolicy",
    )
}
OPERATION_OF: Final[Mapping[type[Shape], str]] = {shapes.request: name for name, shapes in OPERATIONS.items()}


def target_of(operation: str) -> str:
    """Return the X-Amz-Target header of a request for *operation*."""
    return TARGET_PREFIX + operation


def operation_in(target: str) -> str | None:
    """Return the operation that an X-Amz-Target header names, or None if it is not one of `OPERATIONS`."""
    name = target.removeprefix(TARGET_PREFIX)
    return name if name in OPERATIONS and target == target_of(name) else None


# --- answers that can be told apart -----------------------------------------------------------------------------------

# Members that do not tell which operation an answer belongs to: those of lists, and those of a secret's description,
# which AWS may add to other answers one day. Two members of a description are so special that they do tell.
_SHARED: Final = frozenset((*answers.DescribeSecretAnswer.__struct_fields__, "NextToken")) - {
    "VersionIdsToStages",
    "ReplicationStatus",
}
_TELLING: Final = frozenset(
    member for shapes in OPERATIONS.values() for member in shapes.answer.__struct_fields__ if member not in _SHARED
)
# By operation: the members that only answers to other operations have.
FOREIGN: Final[Mapping[str, frozenset[str]]] = {
    name: _TELLING.difference(shapes.answer.__struct_fields__) for name, shapes in OPERATIONS.items()
}
