"""What a call asks for, and whether an answer is one to that. PURE.

A connection can get out of step: something between us and AWS sends an answer twice, or one that was meant for another
request. From then on every answer is well formed, and one to another question. So each is held against its question.

Rule 1: what an answer says of its secret is compared whole: the name letter by letter, the ARN with partition, region
        and account, and name and ARN with each other. What it leaves out is not compared here: `answers.py` demands
        what AWS always says.
Rule 2: AWS makes an ARN of the name, a hyphen, and six letters and digits; a partial ARN lacks these seven. An ARN that
        was asked by may be either, for a name may end like that, too: the answer tells which.
Rule 3: which operation an answer is one to, its members tell, as far as they can: those of some belong to few (see
        `FOREIGN` in aws_json/operations.py). A member that is in none of AWS's answers today may come tomorrow, and
        says nothing.
Rule 4: two answers of moto have an id where AWS has the ARN: the name, or what was asked by. It is taken for a name.
"""

import re
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, Final, Self

from msgspec import Struct

from secrets_actor.aws_json.fields import Shape
from secrets_actor.aws_json.operations import FOREIGN
from secrets_actor.domain.secret import SecretValue

Json = Mapping[str, Any]

# What AWS appends to the name in an ARN: a hyphen, and six letters and digits.
SUFFIX_LENGTH: Final = 7
MAX_ARN_LENGTH: Final = 2048
_ARN: Final = re.compile(
    r"arn:[a-z0-9-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:(.+)-[A-Za-z0-9]{6}", re.DOTALL | re.ASCII
)
_READS_VALUE: Final = "GetSecretValue"
# Their ClientRequestToken becomes the VersionId. AWS promises that for CreateSecret and UpdateSecret, too, but
# ministack does not keep it there: see `writes.py`.
_MAKE_VERSION: Final = ("PutSecretValue", "RotateSecret")
_DEFAULT_STAGE: Final = "AWSCURRENT"


class Asked(Struct, frozen=True):
    """What the answer to one call has to fit. None: nothing that could be compared.

    `secret_id` is a name or an ARN, `among` are those of a batch. `version_id` and `stage` are those of the version
    that is read, or made; `length` is the length of a password. `operation` is AWS's name of what is asked for.
    """

    secret_id: str | None = None
    version_id: str | None = None
    stage: str | None = None
    among: tuple[str, ...] = ()
    length: int | None = None
    operation: str | None = None

    @classmethod
    def of(cls, action: str, request: Json | Shape) -> Self:
        """What AWS's operation *action* asks for with the members of *request*."""
        told = _teller(request)
        secret_id = _text(told("SecretId", told("Name", None)))
        if action == _READS_VALUE:
            version_id, stage = _text(told("VersionId", None)), _text(told("VersionStage", None))
            if version_id is None and stage is None:
                stage = _DEFAULT_STAGE
            return cls(secret_id, version_id, stage, (), None, action)
        # What RotateSecret tells when it only tries a rotation out, AWS does not say.
        makes = action in _MAKE_VERSION and told("RotateImmediately", None) is not False
        token = told("ClientRequestToken", None) if makes else None
        listed, length = told("SecretIdList", None), told("PasswordLength", None)
        among = tuple(filter(_text, listed)) if isinstance(listed, list | tuple) else ()
        return cls(secret_id, _text(token), None, among, length if isinstance(length, int) else None, action)

    def is_answered_by(self, answer: Json) -> bool:
        """Whether *answer*, the members of a JSON object, can be one to this: for what has no shape, and for a batch,
        in which even an entry that cannot be read tells whose it is."""
        if not FOREIGN.get(self.operation or "", frozenset()).isdisjoint(answer):
            return False
        if answer.get("VersionId", "") is None and self.version_id is not None:  # a shape takes null for absent
            return False
        return self.fits(answer) and (not self.among or self._fits_batch(answer))

    def fits(self, answer: Json | Shape) -> bool:
        """Whether what *answer* says of its secret, its version and its password is what was asked for."""
        told = _teller(answer)
        if self.secret_id is not None and not is_about(self.secret_id, told("Name", None), told("ARN", None)):
            return False
        if self.version_id is not None and told("VersionId", None) not in (None, self.version_id):
            return False
        if self.stage is not None:
            stages = told("VersionStages", None)
            if not isinstance(stages, list | tuple) or self.stage not in stages:
                return False
        if self.length is not None:
            password = told("RandomPassword", None)
            clear = password.reveal() if isinstance(password, SecretValue) else password
            return isinstance(clear, str) and len(clear) == self.length
        return True

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


def _teller(found: Json | Shape) -> Any:
    """What tells a member by its name, or else what it is given."""
    return partial(getattr, found) if isinstance(found, Shape) else found.get


def _text(found: object) -> str | None:
    return found if isinstance(found, str) else None


def _objects(found: object) -> list[Json]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
