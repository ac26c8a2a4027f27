"""Where an emulator differs from AWS, and what it does instead: by name, one line each.

A test that meets such a topic asks `store.diverges(topic)` and then asserts what the emulator does, so that we notice
when it is mended: the test fails, and the entry goes. Nothing is skipped. Our own stores, the example of a backend
among them, have no entry and get none: they are ours to mend. The end of a run of this suite prints the list.

The rows of OpenBao and Vault are no faults: a KV mount has no such meaning, and other programs read it, too. What it
cannot mean is refused by name.

Sources for AWS's side: botocore's model of Secrets Manager and AWS's API reference.
"""

from dataclasses import dataclass
from typing import Final

from tests.contract.backends import MINISTACK, MOTO, VAULT


@dataclass(frozen=True, slots=True)
class Divergence:
    """What the store does, and what AWS does. *of* are the messages it is about; none: refusals of any."""

    instead: str
    aws: str
    of: tuple[str, ...] = ()


DIVERGENCES: Final[dict[tuple[str, str], Divergence]] = {
    (MINISTACK, "token-is-version-id"): Divergence(
        "CreateSecret and UpdateSecret ignore ClientRequestToken and make up a version id",
        "the token becomes the version id",
        ("Set", "Create", "Update"),
    ),
    (MINISTACK, "same-token-same-value"): Divergence(
        "the same token and value again make another version", "nothing changes, the same version is answered", ("Set",)
    ),
    (MINISTACK, "same-token-other-value"): Divergence(
        "the same token with another value makes another version", "ResourceExistsException", ("Set",)
    ),
    (MINISTACK, "old-version-by-id"): Divergence(
        "a version that loses its last label is gone at once",
        "it stays readable by its id for a day at least",
        ("Get",),
    ),
    (MINISTACK, "version-and-stage-mismatch"): Divergence(
        "the stage is ignored when a version id is given", "InvalidRequestException", ("Get",)
    ),
    (MINISTACK, "force-delete-missing"): Divergence("ResourceNotFoundException", "success", ("Delete",)),
    (MINISTACK, "denied-status"): Divergence("AccessDeniedException with status 403", "with status 400"),
    (MINISTACK, "refusal-request-id"): Divergence(
        "a refusal for the keys' sake carries no request id", "every answer has an x-amzn-RequestId"
    ),
    (MINISTACK, "create-same-token"): Divergence(
        "a create repeated with its token is refused: ResourceExistsException",
        "nothing changes, the same is answered",
        ("Create",),
    ),
    (MINISTACK, "empty-has-a-version"): Divergence(
        "a secret that is created without a value has a version, with AWSCURRENT",
        "it has no version",
        ("CreateEmpty",),
    ),
    (MINISTACK, "put-same-token"): Divergence(
        "a put repeated with its token drops the version before it", "nothing changes, the same is answered", ("Put",)
    ),
    (MINISTACK, "put-same-token-other-value"): Divergence(
        "a put with a token that was used changes that version's value",
        "ResourceExistsException",
        ("Put", "Regenerate"),
    ),
    (MINISTACK, "negated-filter"): Divergence(
        "a `!` in a filter's value is a part of its text", "it negates the filter", ("ListPage",)
    ),
    (MINISTACK, "sort-by-name"): Divergence(
        "SortBy and SortOrder are ignored: always by name, ascending", "the list is sorted as asked for", ("ListPage",)
    ),
    (MINISTACK, "rotation-without-function"): Divergence(
        "a rotation without a function makes a version with the old value", "InvalidRequestException", ("Rotate",)
    ),
    (MINISTACK, "cancel-rotation"): Divergence(
        "CancelRotateSecret is not known", "rotation is turned off", ("CancelRotation",)
    ),
    (MINISTACK, "remove-regions"): Divergence(
        "RemoveRegionsFromReplication and StopReplicationToReplica are not known",
        "the copies are removed",
        ("RemoveRegions", "StopReplication"),
    ),
    (MOTO, "sort-by-name"): Divergence(
        "SortBy and SortOrder are ignored: in order of creation", "the list is sorted as asked for", ("ListPage",)
    ),
    (MOTO, "validate-policy"): Divergence(
        "ValidateResourcePolicy ends in an error 500", "the policy is looked over", ("ValidatePolicy",)
    ),
    (MOTO, "rotation-without-function"): Divergence(
        "a rotation without a function makes a version", "InvalidRequestException", ("Rotate",)
    ),
    (MINISTACK, "missing-function"): Divergence(
        "a rotation takes a function that is not there",
        "the function is tried, and one that is not there is refused",
        ("Rotate",),
    ),
    (MOTO, "replication-answers-id"): Divergence(
        "the ARN in the answer is the id that was sent", "it is the secret's ARN", ("Replicate",)
    ),
    (MINISTACK, "create-over-deleted"): Divergence(
        "a create over a secret that is scheduled for deletion: ResourceExistsException",
        "InvalidRequestException",
        ("Create",),
    ),
    (MINISTACK, "put-leaves-label"): Divergence(
        "a put with a label that is in use leaves it on the other version, too", "the label moves", ("Put",)
    ),
    (MINISTACK, "current-taken-off"): Divergence(
        "AWSCURRENT is taken off, and the secret has no current version", "InvalidParameterException", ("MoveStage",)
    ),
    (MINISTACK, "sort-by-creation"): Divergence(
        "a list asked for by creation is sorted by name", "by creation", ("ListPage",)
    ),
    (MINISTACK, "name-in-any-case"): Divergence(
        "a name is matched in any case of letters, and in its middle", "as written, by its beginning", ("ListPage",)
    ),
    (MINISTACK, "all-is-ignored"): Divergence(
        "a filter for `all` leaves every secret", "those with such words", ("ListPage",)
    ),
    (MINISTACK, "any-token-goes"): Divergence(
        "a NextToken that it did not give out is passed over",
        "InvalidNextTokenException",
        ("ListPage", "ListVersions"),
    ),
    (MOTO, "create-over-deleted"): Divergence(
        "a create over a secret that is scheduled for deletion: ResourceExistsException",
        "InvalidRequestException",
        ("Create",),
    ),
    (MOTO, "deleted-is-written"): Divergence(
        "a secret that is scheduled for deletion gets versions, labels and tags",
        "InvalidRequestException",
        ("Put", "MoveStage", "Tag", "Untag", "Regenerate"),
    ),
    (MOTO, "deprecated-versions"): Divergence(
        "versions without a label are listed and described", "only listed, when asked for", ("ListVersions", "Describe")
    ),
    (MOTO, "versions-in-pages"): Divergence(
        "all versions are on one page", "on pages of the size asked for", ("ListVersions",)
    ),
    (MOTO, "label-on-two-versions"): Divergence(
        "a label is moved without the version that has it named, and stays there, too",
        "InvalidParameterException",
        ("MoveStage",),
    ),
    (MOTO, "current-taken-off"): Divergence(
        "AWSCURRENT is taken off, and the secret has no current version", "InvalidParameterException", ("MoveStage",)
    ),
    (MOTO, "any-token-goes"): Divergence(
        "a NextToken that it did not give out is an error 500 or passed over",
        "InvalidNextTokenException",
        ("ListPage", "ListVersions"),
    ),
    (MINISTACK, "partial-arn-like-a-whole-one"): Divergence(
        "an ARN without suffix that ends in a hyphen and six characters finds its secret",
        "it is taken for a whole ARN: ResourceNotFoundException",
        ("Get", "Describe", "Put", "Delete"),
    ),
    (MOTO, "partial-arn-like-a-whole-one"): Divergence(
        "an ARN without suffix that ends in a hyphen and six characters finds its secret",
        "it is taken for a whole ARN: ResourceNotFoundException",
        ("Get", "Describe", "Put", "Delete"),
    ),
    (MINISTACK, "put-leaves-pending"): Divergence(
        "a version that loses AWSCURRENT to a new one keeps AWSPENDING",
        "it loses that, too",
        ("Put", "Update", "Set", "Regenerate"),
    ),
    (MOTO, "put-takes-labels"): Divergence(
        "a version that loses AWSCURRENT to a new one loses all of its labels",
        "labels of one's own stay",
        ("Put", "Update", "Set", "Regenerate"),
    ),
    (MINISTACK, "deleted-date-is-the-end"): Divergence(
        "DeletedDate is the end of the recovery window",
        "it is when the delete was asked for",
        ("List", "ListPage", "Describe"),
    ),
    (MOTO, "deleted-date-is-the-end"): Divergence(
        "DeletedDate is the end of the recovery window",
        "it is when the delete was asked for",
        ("List", "ListPage", "Describe"),
    ),
    (MOTO, "not-found-status"): Divergence("ResourceNotFoundException with status 404", "with status 400"),
    (MINISTACK, "list-policies"): Divergence(
        "ListResourcePolicies is not known", "the names of the policies are listed", ("ListPolicies",)
    ),
    (MINISTACK, "account-replicas"): Divergence(
        "AssociateCrossAccountReplica and DisassociateCrossAccountReplica are not known",
        "they look for the replica",
        ("AssociateReplica", "DisassociateReplica"),
    ),
    (MOTO, "list-policies"): Divergence(
        "ListResourcePolicies is not known", "the names of the policies are listed", ("ListPolicies",)
    ),
    (MOTO, "account-replicas"): Divergence(
        "AssociateCrossAccountReplica and DisassociateCrossAccountReplica are not known",
        "they look for the replica",
        ("AssociateReplica", "DisassociateReplica"),
    ),
    (VAULT, "no-labels-of-ones-own"): Divergence(
        "a put with labels, and a move of any label but AWSCURRENT, are InvalidRequests: the newest version is current",
        "a version has any labels",
        ("Put", "MoveStage"),
    ),
    (VAULT, "moved-current-is-a-new-version"): Divergence(
        "to move AWSCURRENT to an older version writes its value as a new one, as `bao kv rollback` does",
        "the label moves",
        ("MoveStage",),
    ),
    (VAULT, "ten-versions"): Divergence(
        "the server keeps ten versions of a secret, unless `max_versions` says otherwise",
        "about a hundred are kept",
        ("Get", "ListVersions"),
    ),
    (VAULT, "empty-reads-as-missing"): Divergence(
        "a get of a secret that was created without a value names no stage, as for one that is not there",
        "the refusal names AWSCURRENT",
        ("Get",),
    ),
}
