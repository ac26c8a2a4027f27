"""Our shapes and AWS's service model, member by member."""

import types
import typing
from typing import Any, Final

import msgspec
import pytest
from botocore.model import Shape

from secrets_actor.aws_json import errors, fields
from secrets_actor.aws_json.operations import FOREIGN, OPERATION_OF, OPERATIONS, operation_in, target_of
from tests.aws_json.model import LOADED, MODEL, NEWER, NEWER_MEMBERS, OPERATION_NAMES, shape_of

Limits = dict[str, Any]


def hints(shape: type[msgspec.Struct]) -> dict[str, Any]:
    return typing.get_type_hints(shape, include_extras=True)


def bare(hint: Any) -> Any:
    """*hint* without None."""
    if typing.get_origin(hint) not in (types.UnionType, typing.Union):
        return hint
    [found] = [one for one in typing.get_args(hint) if one is not types.NoneType]
    return found


def told(hint: Any) -> tuple[Any, Limits]:
    """Our type of a member, and its limits in the model's words."""
    if typing.get_origin(hint) is typing.Annotated:
        kind, meta = typing.get_args(hint)
        least = meta.min_length if meta.ge is None else meta.ge
        most = meta.max_length if meta.le is None else meta.le
        return kind, limits(least, most, meta.pattern)
    if typing.get_origin(hint) is typing.Literal:
        return str, {"enum": list(typing.get_args(hint))}
    if isinstance(hint, type) and issubclass(hint, fields.MASKED):
        least, most, pattern = hint.LIMITS
        return str, limits(least, most, pattern and pattern.pattern)
    return hint, {}


def limits(least: Any, most: Any, pattern: str | None) -> Limits:
    """Whole matches, and digits of ASCII: AWS's service matches so, whatever its pattern says of ends."""
    plain = None if pattern is None else pattern.removeprefix("^").removesuffix(r"\Z")
    found = {"min": least or None, "max": most, "pattern": plain}
    return {name: limit for name, limit in found.items() if limit is not None}


def modelled(shape: Shape) -> Limits:
    found = {name: shape.metadata.get(name) for name in ("min", "max", "pattern", "enum")}
    if found["pattern"]:
        found["pattern"] = found["pattern"].strip("^$").replace(r"\d", "[0-9]").replace(r"\_", "_")
    if found["min"] == 0:
        found["min"] = None
    return {name: limit for name, limit in found.items() if limit is not None}


def pairs(ours: Any, shape: Shape, path: str) -> typing.Iterator[tuple[str, Any, Limits, Shape]]:
    """Every member, at its path: our type and limits, and the model's shape."""
    kind, found = told(bare(ours))
    if kind is not fields.Moment and not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        yield path, kind, found, shape
    if shape.type_name == "structure":
        for name, hint in hints(kind).items():
            if name in shape.members:
                yield from pairs(hint, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        yield from pairs(typing.get_args(kind)[0], shape.member, f"{path}[]")
    elif shape.type_name == "map":
        key, value = typing.get_args(kind)
        yield from pairs(key, shape.key, f"{path}{{}}")
        yield from pairs(value, shape.value, f"{path}{{}}")


def structures(ours: Any, shape: Shape, path: str) -> typing.Iterator[tuple[str, type[msgspec.Struct], Shape]]:
    """Every structure, at its path: ours and the model's."""
    kind = told(bare(ours))[0]
    if shape.type_name == "structure":
        yield path, kind, shape
        for name, hint in hints(kind).items():
            if name in shape.members:
                yield from structures(hint, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        yield from structures(typing.get_args(kind)[0], shape.member, f"{path}[]")


def all_of(way: str) -> typing.Iterator[tuple[str, type[msgspec.Struct], Shape]]:
    for name, ours in OPERATIONS.items():
        shape = shape_of(name, way)
        if shape is not None:
            yield name, ours.request if way == "in" else ours.answer, shape


REQUESTS: Final = [one for name, ours, shape in all_of("in") for one in pairs(ours, shape, name)]
ANSWERS: Final = [one for name, ours, shape in all_of("out") for one in pairs(ours, shape, name)]
TYPES: Final = {"string": str, "blob": str, "boolean": bool, "integer": int, "long": int, "timestamp": float}
# Emulators' members (see answers.py), and where they are.
NOT_AWSS: Final = {
    "DescribeSecret": {"SecretVersionsToStages"},
    "ListSecrets.SecretList[]": {"VersionIdsToStages", "ReplicationStatus"},
    "StopReplicationToReplica": {"ReplicationStatus"},
}
# What AWS always says, where its model does not call it required.
ALWAYS: Final = {
    **{name: {"ARN", "Name"} for name, _, shape in all_of("out") if {"ARN", "Name"} <= set(shape.members)},
    **{name: {"ARN"} for name, _, shape in all_of("out") if "ARN" in shape.members and "Name" not in shape.members},
}
ALWAYS_TOO: Final = {
    "AssociateCrossAccountReplica": {"CrossAccountReplicaARN"},
    "BatchGetSecretValue.Errors[]": {"SecretId", "ErrorCode"},
    "BatchGetSecretValue.SecretValues[]": {"ARN", "Name", "VersionId", "CreatedDate"},
    "DeleteSecret": {"DeletionDate"},
    "DisassociateCrossAccountReplica": {"CrossAccountReplicaARN"},
    "GetRandomPassword": {"RandomPassword"},
    "GetSecretValue": {"VersionId", "CreatedDate"},
    "ListSecretVersionIds.Versions[]": {"VersionId"},
    "ListSecrets": {"SecretList"},
    "ListSecrets.SecretList[]": {"ARN", "Name"},
    "PutSecretValue": {"VersionId"},
    "ValidateResourcePolicy": {"PolicyValidationPassed"},
}
TAGS: Final = {"TagListType", "ExternalSecretRotationMetadataType"}


def test_the_operations_are_those_of_the_model() -> None:
    assert sorted(OPERATIONS) == OPERATION_NAMES
    assert len(OPERATIONS) == 26
    assert MODEL.metadata["targetPrefix"] == "secretsmanager"


@pytest.mark.parametrize("name", OPERATION_NAMES)
def test_a_header_says_which_operation_is_asked_for(name: str) -> None:
    assert operation_in(target_of(name)) == name
    assert OPERATION_OF[OPERATIONS[name].request] == name


@pytest.mark.parametrize(
    "target", ["", "GetSecretValue", "secretsmanager.", "secretsmanager.MakeCoffee", "x.GetSecretValue"]
)
def test_no_other_header_does(target: str) -> None:
    assert operation_in(target) is None


@pytest.mark.parametrize(
    ("way", "name", "ours", "shape"), [(way, *one) for way in ("in", "out") for one in all_of(way)]
)
def test_the_members_are_those_of_the_model(way: str, name: str, ours: type[msgspec.Struct], shape: Shape) -> None:
    for path, kind, theirs in structures(ours, shape, name):
        extra = NOT_AWSS.get(path, set()) if way == "out" else set()
        assert set(kind.__struct_fields__) == set(theirs.members) | extra, path


def test_an_answer_that_says_nothing_has_no_members() -> None:
    silent = {name for name in OPERATIONS if shape_of(name, "out") is None}

    assert silent == {"TagResource", "UntagResource"}
    assert all(OPERATIONS[name].answer.__struct_fields__ == () for name in silent)


@pytest.mark.parametrize(
    ("path", "kind", "found", "shape"), REQUESTS, ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_request_has_the_models_limits(path: str, kind: Any, found: Limits, shape: Shape) -> None:
    assert found == modelled(shape), path
    assert shape.type_name in ("list", "map", "structure") or kind is TYPES[shape.type_name]


@pytest.mark.parametrize(
    ("path", "kind", "found", "shape"), ANSWERS, ids=lambda one: one if isinstance(one, str) else ""
)
def test_an_answer_has_no_limit_beyond_the_models(path: str, kind: Any, found: Limits, shape: Shape) -> None:
    theirs = modelled(shape)

    assert shape.type_name in ("list", "map", "structure") or kind is TYPES[shape.type_name]
    assert "enum" not in found
    assert "pattern" not in found
    if shape.name != "RandomPasswordType":  # the model's may be empty
        assert (found.get("min") or 0) <= max(theirs.get("min", 0), 1 if shape.name == "ErrorCode" else 0), path
    if shape.type_name != "timestamp":
        assert found.get("max", 2**40) >= theirs.get("max", 0), path


def test_where_a_client_depends_on_it_an_answer_has_a_limit() -> None:
    limited = {shape.name for _, _, found, shape in ANSWERS if "max" in found}

    assert limited == {
        *("SecretNameType", "NameType", "SecretARNType", "SecretVersionIdType"),
        *("SecretVersionStagesType", "SecretVersionStageType", "AutomaticallyRotateAfterDaysType"),
        *("SecretStringType", "SecretBinaryType", "RandomPasswordType", "NonEmptyResourcePolicyType"),
        "ResourcePolicySummaryListType",
    }


@pytest.mark.parametrize(("name", "ours", "shape"), list(all_of("in")))
def test_a_request_needs_what_the_model_requires(name: str, ours: type[msgspec.Struct], shape: Shape) -> None:
    for path, kind, theirs in structures(ours, shape, name):
        assert needed(kind) == set(theirs.required_members), path


@pytest.mark.parametrize(("name", "ours", "shape"), list(all_of("out")))
def test_an_answer_needs_what_aws_always_says(name: str, ours: type[msgspec.Struct], shape: Shape) -> None:
    for path, kind, theirs in structures(ours, shape, name):
        always = ALWAYS.get(path, set()) | ALWAYS_TOO.get(path, set()) | set(theirs.required_members)
        if theirs.name in ("Tag", "ExternalSecretRotationMetadataItem"):
            always = {"Key"}
        elif theirs.name == "ReplicationStatusType":
            always = {"Region"}
        assert needed(kind) == always, path


def needed(kind: type[msgspec.Struct]) -> set[str]:
    return {one.encode_name for one in msgspec.structs.fields(kind) if one.required}


def test_sensitive_members_are_masked() -> None:
    for way in ("in", "out"):
        for name, ours, shape in all_of(way):
            for path, kind, theirs in structures(ours, shape, name):
                for member, inner in theirs.members.items():
                    masked = isinstance(found := bare(hints(kind)[member]), type) and issubclass(found, fields.MASKED)
                    sensitive = inner.metadata.get("sensitive") or inner.name in (
                        "ErrorMessage",
                        "NonEmptyResourcePolicyType",
                    )
                    assert masked == bool(sensitive), (path, member)


def test_the_models_errors_are_known() -> None:
    assert {shape.name for shape in MODEL.error_shapes} == errors.MODELLED
    assert all(set(shape.members) == {"Message"} for shape in MODEL.error_shapes)


def test_what_tells_answers_apart_is_in_no_answer_of_the_operation() -> None:
    for name, foreign in FOREIGN.items():
        shape = shape_of(name, "out")
        assert foreign.isdisjoint(() if shape is None else shape.members)
        assert {"SecretString", "SecretBinary"} <= foreign or name == "GetSecretValue"


def plain(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: plain(one) for key, one in found.items() if not (key == "documentation" and isinstance(one, str))}
    return found


def test_what_is_newer_is_as_a_newer_botocore_has_it() -> None:
    for name, shape in NEWER.items():
        assert plain(LOADED["shapes"].get(name, shape)) == shape, name
    for name, members in NEWER_MEMBERS.items():
        for member, shape_name in members.items():
            assert plain(LOADED["shapes"][name]["members"].get(member, {"shape": shape_name})) == {"shape": shape_name}
