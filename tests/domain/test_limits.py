"""What AWS would refuse is refused where a message is made, by the name of its parameter; the numbers are AWS's."""

from collections.abc import Callable
from typing import Final

import botocore.session
import pytest
from botocore.model import ServiceModel

from secrets_actor.domain import operations as ops
from secrets_actor.domain import results
from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.operations import administration, limits, listing
from secrets_actor.domain.results import ReplicaRegion, RotationRules
from secrets_actor.domain.secret import MAX_VALUE_BYTES

MODEL: Final = ServiceModel(
    botocore.session.get_session().get_component("data_loader").load_service_model("secretsmanager", "service-2")
)

# What is refused, and the parameter that the error names.
REPLICA: Final = "arn:aws:secretsmanager:us-east-1:210987654321:secret:b-AbCdEf"
REFUSED: Final[list[tuple[Callable[[], object], str]]] = [
    (lambda: ops.GetMany([]), "secret_ids"),
    (lambda: ops.GetMany("abc"), "secret_ids"),
    (lambda: ops.Create("a", "v", token="short"), "token"),
    (lambda: ops.Create("a", "v", token=7), "token"),  # type: ignore[arg-type]
    (lambda: ops.Create("a", "v", description="d" * 2049), "description"),
    (lambda: ops.Create("a", "v", kms_key_id="k" * 2049), "kms_key_id"),
    (lambda: ops.Create("a", "v", tags={"": "v"}), "tags"),
    (lambda: ops.Create("a", "v", tags={"k" * 129: "v"}), "tags"),
    (lambda: ops.Create("a", "v", tags={"k": "v" * 257}), "tags"),
    (lambda: ops.Create("a", "v", tags={"k;": "v"}), "tags"),
    (lambda: ops.Create("a", "v", tags={"k": "v#"}), "tags"),
    (lambda: ops.Create("a", "v", tags={"k": "one\ntwo"}), "tags"),
    (lambda: ops.Create("a", "v", tags={"one\ttwo": "v"}), "tags"),
    (lambda: ops.Create("a", "v", tags={"AWS:k": "v"}), "tags"),
    (lambda: ops.Create("a", "v", tags={f"k{n}": "v" for n in range(51)}), "tags"),
    (lambda: ops.Create("a", "v", tags=[("k", "v")]), "tags"),  # type: ignore[arg-type]
    (lambda: ops.Create("a", "v", replicas="eu-central-1"), "regions"),
    (lambda: ops.Create("a", "v", replicas=["eu-central-1", ReplicaRegion("eu-central-1", "k")]), "regions"),
    (lambda: ops.Create("a", "v", replicas=["Frankfurt"]), "region"),
    (lambda: ops.Set("a", "v", tags={"k": 7}), "tags"),  # type: ignore[dict-item]
    (lambda: ops.Set("a", "v", kms_key_id="k" * 2049), "kms_key_id"),
    (lambda: ops.Put("a", "v", []), "stages"),
    (lambda: ops.Put("a", "v", "mine"), "stages"),
    (lambda: ops.Put("a", "v", [""]), "stages"),
    (lambda: ops.Put("a", "v", ["s" * 257]), "stages"),
    (lambda: ops.Put("a", "v", [f"s{n}" for n in range(21)]), "stages"),
    (lambda: ops.Put("a", "v", token="short"), "token"),
    (lambda: ops.Update("a"), "update"),
    (lambda: ops.Update("a", "v", token="short"), "token"),
    (lambda: ops.Delete("a", recovery_window=True), "recovery_window"),
    (lambda: ops.Delete("a", recovery_window=7.5), "recovery_window"),  # type: ignore[arg-type]
    (lambda: ops.ListPage(page_size=0), "page_size"),
    (lambda: ops.ListPage(page_size=101), "page_size"),
    (lambda: ops.ListPage(next_token=""), "next_token"),
    (lambda: ops.ListPage(next_token="t" * 4097), "next_token"),
    (lambda: ops.ListPage(filters=tuple(ops.Filter("name", "a") for _ in range(11))), "filters"),
    (lambda: ops.ListPage(filters=("name",)), "filters"),  # type: ignore[arg-type]
    (lambda: ops.ListPage(sort_by="size"), "sort_by"),  # type: ignore[arg-type]
    (lambda: ops.Filter("colour", "red"), "filters"),
    (lambda: ops.Filter("name", []), "filters"),
    (lambda: ops.Filter("name", [f"v{n}" for n in range(11)]), "filters"),
    (lambda: ops.Filter("name", "v" * 513), "filters"),
    (lambda: ops.Filter("name", "a;b"), "filters"),
    (lambda: ops.Filter("name", [7]), "filters"),  # type: ignore[list-item]
    (lambda: ops.ListVersions("a", page_size=101), "page_size"),
    (lambda: ops.ListVersions("a", next_token=""), "next_token"),
    (lambda: ops.MoveStage("a", ""), "stage"),
    (lambda: ops.MoveStage("a", "s"), "to"),
    (lambda: ops.MoveStage("a", "s", to="short"), "to"),
    (lambda: ops.MoveStage("a", "s", remove_from="short"), "remove_from"),
    (lambda: ops.Tag("a", {}), "tags"),
    (lambda: ops.Tag("a", {"aws:k": "v"}), "tags"),
    (lambda: ops.Untag("a", []), "keys"),
    (lambda: ops.Untag("a", "key"), "keys"),
    (lambda: ops.Untag("a", ["k" * 129]), "keys"),
    (lambda: ops.Untag("a", [f"k{n}" for n in range(51)]), "keys"),
    (lambda: ops.Rotate("a", ""), "lambda_arn"),
    (lambda: ops.Rotate("a", "l" * 2049), "lambda_arn"),
    (lambda: ops.Rotate("a", token="short"), "token"),
    (lambda: ops.Rotate("a", rules={"AutomaticallyAfterDays": 3}), "rules"),  # type: ignore[arg-type]
    (lambda: ops.Rotate("a", rules=RotationRules(after_days=0)), "after_days"),
    (lambda: ops.Rotate("a", rules=RotationRules(after_days=1001)), "after_days"),
    (lambda: ops.Rotate("a", rules=RotationRules(after_days=1, schedule="rate(1 day)")), "schedule"),
    (lambda: ops.Rotate("a", rules=RotationRules(schedule="")), "schedule"),
    (lambda: ops.Rotate("a", rules=RotationRules(schedule="rate(1 day)!")), "schedule"),
    (lambda: ops.Rotate("a", rules=RotationRules(duration="3")), "duration"),
    (lambda: ops.Rotate("a", rules=RotationRules(duration="333h")), "duration"),
    (lambda: ops.RandomPassword(0), "length"),
    (lambda: ops.RandomPassword(4097), "length"),
    (lambda: ops.RandomPassword(3), "length"),
    (lambda: ops.RandomPassword(exclude="e" * 4097), "exclude"),
    (lambda: ops.RandomPassword(lowercase=False, uppercase=False, numbers=False, punctuation=False), "lowercase"),
    (lambda: ops.Regenerate("a", "dice"), "generate"),  # type: ignore[arg-type]
    (lambda: ops.Regenerate("a", password="length 3"), "password"),  # type: ignore[arg-type]
    (lambda: ops.Regenerate("a", token="short"), "token"),
    (lambda: ops.Replicate("a", []), "regions"),
    (lambda: ops.Replicate("a", "eu-central-1"), "regions"),
    (lambda: ops.Replicate("a", [ReplicaRegion("eu-central-1", "k" * 2049)]), "kms_key_id"),
    (lambda: ops.RemoveRegions("a", []), "regions"),
    (lambda: ops.RemoveRegions("a", "eu-central-1"), "regions"),
    (lambda: ops.RemoveRegions("a", ["x" * 128 + "-1"]), "regions"),
    (lambda: ops.RemoveRegions("a", ["Frankfurt"]), "regions"),
    (lambda: ops.AssociateReplica("a", "b"), "replica_arn"),
    (lambda: ops.AssociateReplica("a", f"{REPLICA}{'x' * 2048}"), "replica_arn"),
    (lambda: ops.AssociateReplica("a", REPLICA, role_arn=REPLICA), "role_arn"),
    (lambda: ops.AssociateReplica("a", 7), "replica_arn"),  # type: ignore[arg-type]
    (lambda: ops.DisassociateReplica("a", "arn:aws:iam::210987654321:role/replicates"), "replica_arn"),
    (lambda: ops.ListPolicies("a", page_size=0), "page_size"),
    (lambda: ops.ListPolicies("a", next_token=""), "next_token"),
    (lambda: ops.GetPolicy("a", ""), "name"),
    (lambda: ops.GetPolicy("a", "no blanks"), "name"),
    (lambda: ops.GetPolicy("a", "n" * 65), "name"),
    (lambda: ops.PutPolicy("a", ""), "policy"),
    (lambda: ops.PutPolicy("a", "p" * 20_481), "policy"),
    (lambda: ops.PutPolicy("a", {"a": object()}), "policy"),
    (lambda: ops.PutPolicy("a", 7), "policy"),  # type: ignore[arg-type]
    (lambda: ops.ValidatePolicy(""), "policy"),
    (lambda: ops.Request("get secret", {}), "operation"),
    (lambda: ops.Request("GetSecretValue", {"a": b"bytes"}), "payload"),
    (lambda: ops.Request("GetSecretValue", {"a": float("nan")}), "payload"),
    (lambda: ops.Request("GetSecretValue", ["a"]), "payload"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "parameter"), REFUSED)
def test_what_aws_would_refuse_is_refused_by_the_name_of_its_parameter(
    make: Callable[[], object], parameter: str
) -> None:
    with pytest.raises(InvalidParameter, match=f"^{parameter}: ") as caught:
        make()

    assert caught.value.parameter == parameter
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


# --- the numbers are AWS's ----------------------------------------------------------------------------------------

NUMBERS: Final = [
    ("DescriptionType", "max", limits.MAX_DESCRIPTION_LENGTH),
    ("KmsKeyIdType", "max", limits.MAX_KMS_KEY_LENGTH),
    ("SecretVersionStageType", "max", limits.MAX_STAGE_LENGTH),
    ("SecretVersionStagesType", "max", limits.MAX_STAGES),
    ("MaxResultsType", "max", limits.MAX_PAGE_SIZE),
    ("SecretARNType", "min", limits.MIN_ARN_LENGTH),
    ("SecretARNType", "max", limits.MAX_ARN_LENGTH),
    ("NextTokenType", "max", limits.MAX_PAGE_TOKEN_LENGTH),
    ("TagKeyType", "max", limits.MAX_TAG_KEY_LENGTH),
    ("TagValueType", "max", limits.MAX_TAG_VALUE_LENGTH),
    ("RegionType", "max", results.MAX_REGION_LENGTH),
    ("AutomaticallyRotateAfterDaysType", "max", limits.MAX_ROTATION_DAYS),
    ("FiltersListType", "max", listing.MAX_FILTERS),
    ("FilterValuesStringList", "max", listing.MAX_FILTER_VALUES),
    ("FilterValueStringType", "max", listing.MAX_FILTER_VALUE_LENGTH),
    ("FilterNameStringType", "enum", list(listing.FilterKey)),
    ("SortByType", "enum", sorted(listing.SortBy)),
    ("RotationLambdaARNType", "max", administration.MAX_LAMBDA_ARN_LENGTH),
    ("PasswordLengthType", "max", administration.MAX_PASSWORD_LENGTH),
    ("ExcludeCharactersType", "max", administration.MAX_EXCLUDED),
    ("NonEmptyResourcePolicyType", "max", administration.MAX_POLICY_LENGTH),
    ("SecretIdListType", "max", ops.BATCH_SIZE),
    ("SecretStringType", "max", MAX_VALUE_BYTES),
    ("SecretBinaryType", "max", MAX_VALUE_BYTES),
]


@pytest.mark.parametrize(("shape", "limit", "ours"), NUMBERS)
def test_our_numbers_are_those_of_awss_model(shape: str, limit: str, ours: object) -> None:
    found = MODEL.shape_for(shape).metadata[limit]

    assert (sorted(found) if shape == "SortByType" else found) == ours


def test_raw_requests_take_every_name_that_aws_has() -> None:
    for name in MODEL.operation_names:
        assert administration.Request(name).operation == name
