"""Where an emulator differs from AWS, and what it does instead: by name, one line each.

A test that meets such a topic asks `store.diverges(topic)` and then asserts what the emulator does, so that we notice
when it is mended: the test fails, and the entry goes. Nothing is skipped. The local store and the fake have no entry
and get none: they are ours to mend. The end of a run of this suite prints the list.

Sources for AWS's side: botocore's model of Secrets Manager and AWS's API reference.
"""

from dataclasses import dataclass
from typing import Final

MINISTACK: Final = "aws-on-ministack"
MOTO: Final = "aws-on-moto"
LOCAL: Final = "local"
FAKE: Final = "fake"
BACKENDS: Final = (MINISTACK, MOTO, LOCAL, FAKE)


@dataclass(frozen=True, slots=True)
class Divergence:
    """What the emulator does, and what AWS does."""

    instead: str
    aws: str


DIVERGENCES: Final[dict[tuple[str, str], Divergence]] = {
    (MINISTACK, "token-is-version-id"): Divergence(
        "CreateSecret and UpdateSecret ignore ClientRequestToken and make up a version id",
        "the token becomes the version id",
    ),
    (MINISTACK, "same-token-same-value"): Divergence(
        "the same token and value again make another version", "nothing changes, the same version is answered"
    ),
    (MINISTACK, "same-token-other-value"): Divergence(
        "the same token with another value makes another version", "ResourceExistsException"
    ),
    (MINISTACK, "old-version-by-id"): Divergence(
        "a version that loses its last label is gone at once", "it stays readable by its id for a day at least"
    ),
    (MINISTACK, "version-and-stage-mismatch"): Divergence(
        "the stage is ignored when a version id is given", "InvalidRequestException"
    ),
    (MINISTACK, "force-delete-missing"): Divergence("ResourceNotFoundException", "success"),
    (MINISTACK, "denied-status"): Divergence("AccessDeniedException with status 403", "with status 400"),
    (MINISTACK, "refusal-request-id"): Divergence(
        "a refusal for the keys' sake carries no request id", "every answer has an x-amzn-RequestId"
    ),
    (MOTO, "not-found-status"): Divergence("ResourceNotFoundException with status 404", "with status 400"),
}
