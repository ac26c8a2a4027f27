"""What a call asks for, and whether an answer is one to that. PURE.

A connection can get out of step: something between us and AWS sends an answer twice, or one that was meant for another
request. From then on every answer is well formed, and one to another question. So each is held against its question.

Rule 1: what an answer says of its secret is compared whole: the name letter by letter, the ARN with partition, region
        and account, and name and ARN with each other. What it leaves out is not compared here: `answers.py` demands
        what AWS always says.
Rule 2: AWS makes an ARN of the name, a hyphen, and six letters and digits; a partial ARN lacks these seven. An ARN that
        was asked by may be either, for a name may end like that, too: the answer tells which.
Rule 3: which operation an answer is one to, its members tell, as far as they can: those of some belong to few. A member
        that is in none of AWS's answers today may come tomorrow, and says nothing.
Rule 4: two answers of moto have an id where AWS has the ARN: the name, or what was asked by. It is taken for a name.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Self

from secrets_actor.records import dataclass

Json = Mapping[str, Any]

# What AWS appends to the name in an ARN: a hyphen, and six letters and digits.
SUFFIX_LENGTH: Final = 7
MAX_ARN_LENGTH: Final = 2048
_ARN: Final = re.compile(
    r"arn:[a-z0-9-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:(.+)-[A-Za-z0-9]{6}", re.DOTALL | re.ASCII
)
_READS_VALUE: Final = "GetSecretValue"
# Their ClientRequestToken becomes the VersionId. AWS promises that for CreateSecret and UpdateSecret, too, but
# ministack does not keep it there: see `writing.py`.
_MAKE_VERSION: Final = ("PutSecretValue", "RotateSecret")
_DEFAULT_STAGE: Final = "AWSCURRENT"
# The telling members of each operation's answer, from AWS's service model. Not those that all have, and not those of a
# secret's description: AWS may well tell these elsewhere, too, one day. Emulators tell of replicas where AWS does not.
_TELLING: Final[Mapping[str, frozenset[str]]] = {
    action: frozenset(members.split())
    for action, members in {
        "BatchGetSecretValue": "SecretValues Errors",
        "CancelRotateSecret": "VersionId",
        "CreateSecret": "VersionId ReplicationStatus",
        "DeleteResourcePolicy": "",
        "DeleteSecret": "DeletionDate",
        "DescribeSecret": "VersionIdsToStages ReplicationStatus",
        "GetRandomPassword": "RandomPassword",
        "GetResourcePolicy": "ResourcePolicy",
        "GetSecretValue": "VersionId VersionStages SecretString SecretBinary",
        "ListSecretVersionIds": "Versions",
        "ListSecrets": "SecretList",
        "PutResourcePolicy": "",
        "PutSecretValue": "VersionId VersionStages",
        "RemoveRegionsFromReplication": "ReplicationStatus",
        "ReplicateSecretToRegions": "ReplicationStatus",
        "RestoreSecret": "",
        "RotateSecret": "VersionId",
        "StopReplicationToReplica": "ReplicationStatus",
        "TagResource": "",
        "UntagResource": "",
        "UpdateSecret": "VersionId",
        "UpdateSecretVersionStage": "",
        "ValidateResourcePolicy": "PolicyValidationPassed ValidationErrors",
    }.items()
}
_FOREIGN: Final[Mapping[str, frozenset[str]]] = {
    action: frozenset[str]().union(*_TELLING.values()) - members for action, members in _TELLING.items()
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the answer to one call has to fit. None: nothing that could be compared.

    `secret_id` is a name or an ARN, `among` are those of a batch. `version_id` and `stage` are those of the version
    that is read, or made; `length` is the length of a password. `foreign` members are those
    of other operations' answers.
    """

    secret_id: str | None = None
    version_id: str | None = None
    stage: str | None = None
    among: tuple[str, ...] = ()
    length: int | None = None
    foreign: frozenset[str] = frozenset()

    @classmethod
    def of(cls, action: str, payload: Json) -> Self:
        """What AWS's operation *action* asks for with the members *payload*."""
        secret_id = payload.get("SecretId", payload.get("Name"))
        if not isinstance(secret_id, str):
            secret_id = None
        if action == _READS_VALUE:
            return cls._value(secret_id, _text(payload.get("VersionId")), _text(payload.get("VersionStage")))
        foreign = _FOREIGN.get(action, frozenset())
        # What RotateSecret tells when it only tries a rotation out, AWS does not say.
        makes = action in _MAKE_VERSION and payload.get("RotateImmediately") is not False
        token = payload.get("ClientRequestToken") if makes else None
        listed, length = payload.get("SecretIdList"), payload.get("PasswordLength")
        among = tuple(filter(_text, listed)) if isinstance(listed, list) else ()
        return cls(secret_id, _text(token), None, among, length if isinstance(length, int) else None, foreign)

    @classmethod
    @lru_cache(1024)  # the same few are asked for again and again
    def _value(cls, secret_id: str | None, version_id: str | None, stage: str | None) -> Self:
        if version_id is None and stage is None:
            stage = _DEFAULT_STAGE
        return cls(secret_id, version_id, stage, (), None, _FOREIGN[_READS_VALUE])

    def is_answered_by(self, answer: Json) -> bool:
        """Whether *answer*, the members of a JSON object, can be one to this."""
        said = answer.get("Name"), answer.get("ARN")
        if not self.foreign.isdisjoint(answer):
            return False
        if self.secret_id is not None and not is_about(self.secret_id, *said):
            return False
        if self.version_id is not None and answer.get("VersionId", self.version_id) != self.version_id:
            return False
        if self.stage is not None:
            stages = answer.get("VersionStages")
            if not isinstance(stages, list) or self.stage not in stages:
                return False
        if self.length is not None:
            password = answer.get("RandomPassword")
            if not isinstance(password, str) or len(password) != self.length:
                return False
        return not self.among or self._fits_batch(answer)

    def _fits_batch(self, answer: Json) -> bool:
        """Whether a batch tells of no other secret. Entries that do not say of which they are, are left aside."""
        for name in ("SecretValues", "Errors"):
            if len(_objects(answer.get(name))) > len(self.among):
                return False
        for entry in _objects(answer.get("SecretValues")):
            said = entry.get("Name"), entry.get("ARN")
            if said != (None, None) and not any(is_about(one, *said) for one in self.among):
                return False
        for entry in _objects(answer.get("Errors")):
            secret_id = entry.get("SecretId")
            if isinstance(secret_id, str) and not any(is_same(one, secret_id) for one in self.among):
                return False
        return True


# A call of which nothing is known.
ANYTHING: Final = Asked()


def is_about(asked: str, name: object, arn: object) -> bool:
    """Whether an answer with this *name* and *arn* is about the secret that was *asked* for by its name or ARN. None of
    the two is as good as any: it is not said."""
    if name is not None and not isinstance(name, str):
        return False
    if arn is None:
        return name is None or is_same(asked, name)
    if not isinstance(arn, str):
        return False
    if not arn.startswith("arn:"):  # rule 4
        return arn in (asked, name) and (name is None or is_same(asked, name))
    inside = name_in(arn)
    if inside is None or (name is not None and name != inside):
        return False
    return asked in (arn, arn[:-SUFFIX_LENGTH]) if asked.startswith("arn:") else asked == inside


def is_same(asked: str, said: str) -> bool:
    """Whether two ids, each a name or an ARN, can be of one secret."""
    if asked == said:
        return True
    if said.startswith("arn:"):
        return is_about(asked, None, said)
    if not asked.startswith("arn:"):
        return False
    return said == name_in(asked) or asked.endswith(f":secret:{said}")


@lru_cache(1024)
def name_in(arn: str) -> str | None:
    """The name in a whole ARN; None when it is none."""
    found = _ARN.fullmatch(arn) if len(arn) <= MAX_ARN_LENGTH else None
    return None if found is None else found[1]


def _text(found: object) -> str | None:
    return found if isinstance(found, str) else None


def _objects(found: object) -> list[Json]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
