"""The IAM policy for the daemon's own role: all that the rules lead to, and as little beside it as IAM can say."""

import fnmatch
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.aws_json.operations import OPERATIONS
from secrets_actor.faces.iam import iam_policy
from secrets_actor.faces.policy import ACTION_OF, ACTIONS, Rule, matcher

READ = Rule(("user:a",), ("billing/**", "shared/smtp"), ("get", "describe"))


def test_each_operation_of_the_api_asks_for_an_action() -> None:
    assert set(ACTION_OF) == set(OPERATIONS)
    assert set(ACTION_OF.values()) == set(ACTIONS)


def test_rules_become_statements_on_the_arns_of_their_secrets() -> None:
    made = iam_policy([READ, Rule(("user:b",), ("shared/smtp",), ("put",))], "aws-cn", "cn-north-1", "123456789012")

    arn = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:"
    describing = [
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetResourcePolicy",
        "secretsmanager:GetSecretValue",
        "secretsmanager:ListSecretVersionIds",
    ]
    putting = [
        "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecret", "secretsmanager:UpdateSecretVersionStage",
    ]  # fmt: skip
    assert made == {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": describing, "Resource": [f"{arn}billing/*-??????"]},
            {"Effect": "Allow", "Action": [*describing, *putting], "Resource": [f"{arn}shared/smtp-??????"]},
            {
                "Effect": "Allow",
                "Action": [
                    "secretsmanager:BatchGetSecretValue",
                    "secretsmanager:GetRandomPassword",
                    "secretsmanager:ListResourcePolicies",
                ],
                "Resource": "*",
            },
        ],
    }
    assert json.loads(json.dumps(made)) == made


def test_without_rules_nothing_is_needed() -> None:
    assert iam_policy([]) == {"Version": "2012-10-17", "Statement": []}


def test_what_is_on_no_secret_is_left_out_if_no_rule_leads_to_it() -> None:
    [statement] = iam_policy([Rule(("user:a",), ("a",), ("delete",))])["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Action": ["secretsmanager:DeleteSecret", "secretsmanager:DescribeSecret"],
        "Resource": ["arn:aws:secretsmanager:*:*:secret:a-??????"],
    }


def test_to_create_takes_the_permission_to_tag() -> None:
    [statement] = iam_policy([Rule(("user:a",), ("a",), ("create",))])["Statement"]
    assert "secretsmanager:TagResource" in statement["Action"]


def test_an_admin_needs_every_operation() -> None:
    made = iam_policy([Rule(("user:a",), ("**",), ("admin",))])
    needed = {action for one in made["Statement"] for action in one["Action"]}
    assert needed == {f"secretsmanager:{name}" for name in OPERATIONS}


def allows(policy: dict[str, Any], operation: str, arn: str) -> bool:
    """Whether IAM would allow it. Its wildcards are those of fnmatch, without the brackets, which no ARN has."""
    return any(
        f"secretsmanager:{operation}" in one["Action"]
        and any(fnmatch.fnmatchcase(arn, resource) for resource in [one["Resource"]] for resource in _list(resource))
        for one in policy["Statement"]
    )


def _list(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given


patterns = st.text("ab/*", min_size=1, max_size=6).filter(lambda text: "***" not in text)


@given(
    st.lists(patterns, min_size=1, max_size=3).map(tuple),
    st.text("ab/", min_size=1, max_size=6),
    st.sampled_from(sorted(ACTION_OF)),
)
def test_it_is_never_too_narrow(given_patterns: tuple[str, ...], name: str, operation: str) -> None:
    policy = iam_policy([Rule(("user:a",), given_patterns, (ACTION_OF[operation],))])
    arn = f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{name}-AbC12x"

    if any(matcher(pattern)(name) for pattern in given_patterns):
        assert allows(policy, operation, arn)


@pytest.mark.parametrize("name", ["db-admin", "db2", "xdb", "db-", "db-abcdef"])
def test_the_name_of_a_secret_stands_for_no_longer_one(name: str) -> None:
    policy = iam_policy([Rule(("user:a",), ("db",), ("get",))])
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"

    assert allows(policy, "GetSecretValue", f"{arn}db-AbC12x")
    assert not allows(policy, "GetSecretValue", f"{arn}{name}-AbC12x")
