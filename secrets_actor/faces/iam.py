"""The IAM policy that the daemon's own role needs, so that it can do for its callers what their rules allow. PURE.

Rule 1: it is never too narrow, and a little too wide: IAM has one wildcard, `*`, which does not stop at a slash.
Rule 2: AWS appends a hyphen and six characters to the name in an ARN. `-??????` stands for them, so that a rule for
        `db` does not let the daemon at `db-admin`. A secret whose name is `db-abcdef` has an ARN that ends in two
        suffixes, and is not meant.
Rule 3: what a KMS key of one's own needs (`kms:Decrypt`, `kms:GenerateDataKey`) is not in it: rules do not name keys.
"""

from collections.abc import Iterable
from typing import Any, Final

from secrets_actor.faces.policy import ACTION_OF, Rule

# AWS, Service Authorization Reference, AWS Secrets Manager: the actions without a resource type.
_ON_NO_SECRET: Final = frozenset(
    {"BatchGetSecretValue", "GetRandomPassword", "ListResourcePolicies", "ListSecrets", "ValidateResourcePolicy"}
)
# To create a secret with tags takes the permission to tag (API reference, CreateSecret).
_ALSO: Final = {"create": ("TagResource",)}
# For every secret in a rule: the daemon asks which secret an ARN means (permission.py), and whether a write took effect
# whose answer was lost.
_ALWAYS: Final = ("DescribeSecret",)
_SUFFIX: Final = "-??????"
_ANY: Final = "*"


def iam_policy(
    rules: Iterable[Rule], partition: str = "aws", region: str = _ANY, account: str = _ANY
) -> dict[str, Any]:
    """Return the IAM policy, as JSON has it, that all *rules* together need.

    *partition*, *region* and *account* are those of the store, or `*`. Without rules it has no statement, which IAM
    does not take.
    """
    per_resource: dict[str, set[str]] = {}
    anywhere: set[str] = set()
    for rule in rules:
        needed = needs(rule)
        anywhere |= needed & _ON_NO_SECRET
        for pattern in rule.secrets:
            name = pattern.replace("**", _ANY)
            resource = f"arn:{partition}:secretsmanager:{region}:{account}:secret:{name}{_SUFFIX}"
            per_resource.setdefault(resource, set()).update(needed - _ON_NO_SECRET)
    alike: dict[tuple[str, ...], list[str]] = {}
    for resource in sorted(per_resource):
        alike.setdefault(tuple(sorted(per_resource[resource])), []).append(resource)
    statements = [_statement(actions, resources) for actions, resources in sorted(alike.items())]
    if anywhere:
        statements.append(_statement(sorted(anywhere), _ANY))
    return {"Version": "2012-10-17", "Statement": statements}


def needs(rule: Rule) -> frozenset[str]:
    """Return the operations of AWS that *rule* may lead to."""
    allowed = rule.actions()
    operations = {operation for operation, action in ACTION_OF.items() if action in allowed}
    return frozenset(operations.union(_ALWAYS, *[more for action, more in _ALSO.items() if action in allowed]))


def _statement(actions: Iterable[str], resource: str | list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": [f"secretsmanager:{action}" for action in actions], "Resource": resource}
