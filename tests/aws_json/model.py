"""AWS's service model of Secrets Manager, as botocore has it, with what is newer than the botocore that is installed;
and values that are made by it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import botocore.loaders
from botocore.model import ServiceModel, Shape
from hypothesis import strategies as st

LOADED: Final[dict[str, Any]] = botocore.loaders.Loader().load_service_model("secretsmanager", "service-2")
# What botocore 1.44.8 (2026-11) has: ministack, which the contract suite runs against, asks for an older one.
NEWER: Final[dict[str, dict[str, Any]]] = {
    "AssociateCrossAccountReplicaRequest": {
        "type": "structure",
        "required": ["SecretId", "CrossAccountReplicaARN"],
        "members": {
            "SecretId": {"shape": "SecretIdType"},
            "CrossAccountReplicaARN": {"shape": "SecretARNType"},
            "ReplicaRestriction": {"shape": "ReplicaRestrictionType"},
            "ReplicationRoleARN": {"shape": "RoleARNType"},
        },
    },
    "AssociateCrossAccountReplicaResponse": {
        "type": "structure",
        "members": {
            "ARN": {"shape": "SecretARNType"},
            "CrossAccountReplicaARN": {"shape": "SecretARNType"},
            "ReplicationStatus": {"shape": "StatusType"},
        },
    },
    "CrossAccountPrimaryType": {
        "type": "structure",
        "members": {
            "PrimarySecretARN": {"shape": "SecretARNType"},
            "ReplicationStatus": {"shape": "StatusType"},
            "StatusMessage": {"shape": "StatusMessageType"},
        },
    },
    "CrossAccountReplicaEntry": {
        "type": "structure",
        "members": {
            "ReplicaSecretARN": {"shape": "SecretARNType"},
            "ReplicationRoleARN": {"shape": "RoleARNType"},
            "ReplicationStatus": {"shape": "StatusType"},
            "StatusMessage": {"shape": "StatusMessageType"},
        },
    },
    "CrossAccountReplicaListType": {
        "type": "list",
        "member": {"shape": "CrossAccountReplicaEntry"},
        "max": 100,
        "min": 1,
    },
    "DisassociateCrossAccountReplicaRequest": {
        "type": "structure",
        "required": ["SecretId", "CrossAccountReplicaARN"],
        "members": {"SecretId": {"shape": "SecretIdType"}, "CrossAccountReplicaARN": {"shape": "SecretARNType"}},
    },
    "DisassociateCrossAccountReplicaResponse": {
        "type": "structure",
        "members": {"ARN": {"shape": "SecretARNType"}, "CrossAccountReplicaARN": {"shape": "SecretARNType"}},
    },
    "ListResourcePoliciesRequest": {
        "type": "structure",
        "required": ["SecretId"],
        "members": {
            "SecretId": {"shape": "SecretIdType"},
            "MaxResults": {"shape": "MaxResultsType", "box": True},
            "NextToken": {"shape": "NextTokenType"},
        },
    },
    "ListResourcePoliciesResponse": {
        "type": "structure",
        "required": ["ResourcePolicies"],
        "members": {
            "ResourcePolicies": {"shape": "ResourcePolicySummaryListType"},
            "NextToken": {"shape": "NextTokenType"},
        },
    },
    "ReplicaRestrictionType": {"type": "string", "enum": ["SameOrg", "NoRestriction"]},
    "ResourcePolicyNameType": {"type": "string", "max": 64, "min": 1, "pattern": "[0-9A-Za-z\\-\\_]+"},
    "ResourcePolicySummary": {"type": "structure", "members": {"PolicyName": {"shape": "ResourcePolicyNameType"}}},
    "ResourcePolicySummaryListType": {
        "type": "list",
        "member": {"shape": "ResourcePolicySummary"},
        "max": 100,
        "min": 0,
    },
}
NEWER_MEMBERS: Final = {
    "CreateSecretRequest": {"CrossAccountPrimaryARN": "SecretARNType"},
    "DescribeSecretResponse": {
        "CrossAccountPrimary": "CrossAccountPrimaryType",
        "CrossAccountReplicas": "CrossAccountReplicaListType",
    },
    "DeleteResourcePolicyRequest": {"PolicyName": "ResourcePolicyNameType"},
    "DeleteResourcePolicyResponse": {"PolicyName": "ResourcePolicyNameType"},
    "GetResourcePolicyRequest": {"PolicyName": "ResourcePolicyNameType"},
    "GetResourcePolicyResponse": {"PolicyName": "ResourcePolicyNameType"},
    "PutResourcePolicyRequest": {"PolicyName": "ResourcePolicyNameType"},
    "PutResourcePolicyResponse": {"PolicyName": "ResourcePolicyNameType"},
}
NEWER_OPERATIONS: Final = (
    "AssociateCrossAccountReplica",
    "DisassociateCrossAccountReplica",
    "ListResourcePolicies",
)


def completed() -> dict[str, Any]:
    """The model that is installed, and what it lacks."""
    shapes = {**NEWER, **LOADED["shapes"]}
    for name, members in NEWER_MEMBERS.items():
        told = {member: {"shape": shape} for member, shape in members.items()}
        shapes[name] = {**shapes[name], "members": {**told, **shapes[name]["members"]}}
    operations = {
        name: {
            "name": name,
            "http": {"method": "POST", "requestUri": "/"},
            "input": {"shape": f"{name}Request"},
            "output": {"shape": f"{name}Response"},
        }
        for name in NEWER_OPERATIONS
    }
    return {**LOADED, "shapes": shapes, "operations": {**operations, **LOADED["operations"]}}


MODEL: Final = ServiceModel(completed())
OPERATION_NAMES: Final = sorted(MODEL.operation_names)


def shape_of(operation: str, way: str) -> Shape | None:
    """The model's shape of a request ("in") or of an answer ("out"); None where an answer says nothing."""
    model = MODEL.operation_model(operation)
    return model.input_shape if way == "in" else model.output_shape


# --- values that the model allows -------------------------------------------------------------------------------------

# So much longer than it has to be is a text or list at most: limits are tried elsewhere.
SLACK: Final = 3
MOMENTS: Final = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
TEXT: Final = st.characters(exclude_categories=("Cs",))
REGIONS: Final = st.sampled_from(["us-east-1", "eu-central-12", "us-gov-west-1"])
# Texts of a pattern, by the model's name of the shape: quicker than those that hypothesis makes of the pattern.
PATTERNED: Final = {
    "DurationType": st.integers(0, 99).map(lambda hours: f"{hours}h"),
    "FilterValueStringType": st.text("aZ0 :_@/+=.-!", max_size=8).map(lambda text: text.removeprefix("!")),
    "RegionType": REGIONS,
    "ResourcePolicyNameType": st.text("aZ09-_", min_size=1, max_size=64),
    "RotationTokenType": st.text("aZ09-", min_size=36, max_size=50),
    "ScheduleExpressionType": st.text("rate(10 days)?*-/,#", min_size=1, max_size=20),
}


def values(shape: Shape, always: Mapping[str, frozenset[str]]) -> st.SearchStrategy[Any]:
    """What botocore takes for *shape*. *always*: by a structure's name, more members that it has to have."""
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", 10_000)
    if shape.type_name == "structure":
        needed = set(shape.required_members) | always.get(shape.name, frozenset())
        parts = {name: values(member, always) for name, member in shape.members.items()}
        return st.fixed_dictionaries(
            {name: part for name, part in parts.items() if name in needed},
            optional={name: part for name, part in parts.items() if name not in needed},
        )
    if shape.type_name == "list":
        return st.lists(values(shape.member, always), min_size=least, max_size=min(most, least + 2))
    if shape.type_name == "map":
        return st.dictionaries(values(shape.key, always), values(shape.value, always), max_size=2)
    if shape.type_name == "string":
        return strings(shape, max(least, 1) if shape.name == "RandomPasswordType" else least, most)
    return {
        "blob": st.binary(min_size=least, max_size=least + SLACK),
        "boolean": st.booleans(),
        "integer": st.integers(least, most),
        "long": st.integers(least, most),
        "timestamp": MOMENTS,
    }[shape.type_name]


def strings(shape: Shape, least: int, most: int) -> st.SearchStrategy[str]:
    if shape.enum:
        return st.sampled_from(shape.enum)
    if "pattern" in shape.metadata:
        return PATTERNED[shape.name]
    return st.text(TEXT, min_size=least, max_size=min(most, least + SLACK))
