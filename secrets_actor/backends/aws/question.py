"""Records what a call asks for, and decides whether an answer belongs to that question. PURE.

A connection can get out of step: a proxy between this machine and AWS sends an answer twice, or sends the answer to
another request. From then on every answer is well formed, but belongs to another question. So each answer is compared
with its question.

Rule 1: an answer's words about its secret are compared whole: the name letter by letter, the ARN with partition, region
        and account, and name and ARN with each other. A member that is absent is not compared here: `answer_readers.py`
        demands the members that AWS always sends.
Rule 2: AWS makes an ARN of the name, a hyphen, and six letters or digits; a partial ARN lacks these seven characters.
        An ARN in a question may be whole or partial, for a name may end in such seven characters, too. The answer
        tells which of the two it was.
Rule 3: the members of an answer tell, as far as they can, which operation it belongs to: some members occur in few
        operations (see `FOREIGN` in aws_json/operations.py). A member that occurs in none of AWS's answers today may
        be added by AWS tomorrow, and tells nothing.
Rule 4: two answers of moto have an id where AWS has the ARN: the name, or the id from the question. Such an id is
        taken for a name.
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

# AWS appends this many characters to the name in an ARN: a hyphen, and six letters or digits.
SUFFIX_LENGTH: Final = 7
MAX_ARN_LENGTH: Final = 2048
_ARN: Final = re.compile(
    r"arn:[a-z0-9-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:(.+)-[A-Za-z0-9]{6}", re.DOTALL | re.ASCII
)
_READS_VALUE: Final = "GetSecretValue"
# The ClientRequestToken of these two becomes the VersionId. AWS promises that for CreateSecret and UpdateSecret, too,
# but ministack does not keep that promise: see rule 2 of `writes.py`.
_MAKE_VERSION: Final = ("PutSecretValue", "RotateSecret")
_DEFAULT_STAGE: Final = "AWSCURRENT"


class Question(Struct, frozen=True):
    """One question, as far as its answer can be compared with it. A field that is None is not compared.

    `secret_id` is a name or an ARN; `among` are the ids of a batch. `version_id` and `stage` are those of the version
    that is read or made; `length` is the length of a password. `operation` is AWS's name of the operation.
    """

    secret_id: str | None = None
    version_id: str | None = None
    stage: str | None = None
    among: tuple[str, ...] = ()
    length: int | None = None
    operation: str | None = None

    @classmethod
    def of(cls, action: str, request: Json | Shape) -> Self:
        """Return the question that AWS's operation *action* asks with the members of *request*."""
        get = _getter(request)
        secret_id = _text(get("SecretId", get("Name", None)))
        if action == _READS_VALUE:
            version_id, stage = _text(get("VersionId", None)), _text(get("VersionStage", None))
            if version_id is None and stage is None:
                stage = _DEFAULT_STAGE
            return cls(secret_id, version_id, stage, (), None, action)
        # With RotateImmediately false, RotateSecret only tests the rotation. AWS does not document the VersionId of
        # that answer, so it is not compared.
        makes = action in _MAKE_VERSION and get("RotateImmediately", None) is not False
        token = get("ClientRequestToken", None) if makes else None
        listed, length = get("SecretIdList", None), get("PasswordLength", None)
        among = tuple(filter(_text, listed)) if isinstance(listed, list | tuple) else ()
        return cls(secret_id, _text(token), None, among, length if isinstance(length, int) else None, action)

    def is_answered_by(self, answer: Json) -> bool:
        """Whether *answer*, the members of a JSON object, can belong to this question.

        For answers without a shape, and for a batch, in which even an entry that cannot be read names its secret.
        """
        if not FOREIGN.get(self.operation or "", frozenset()).isdisjoint(answer):
            return False
        # `fits` takes None for absent, as a shape does. Here null was really sent, and no version is called that.
        if answer.get("VersionId", "") is None and self.version_id is not None:
            return False
        return self.fits(answer) and (not self.among or self._fits_batch(answer))

    def fits(self, answer: Json | Shape) -> bool:
        """Whether the secret, the version and the password in *answer* are those that were asked for."""
        get = _getter(answer)
        if self.secret_id is not None and not is_about(self.secret_id, get("Name", None), get("ARN", None)):
            return False
        if self.version_id is not None and get("VersionId", None) not in (None, self.version_id):
            return False
        if self.stage is not None:
            stages = get("VersionStages", None)
            if not isinstance(stages, list | tuple) or self.stage not in stages:
                return False
        if self.length is not None:
            password = get("RandomPassword", None)
            clear = password.reveal() if isinstance(password, SecretValue) else password
            return isinstance(clear, str) and len(clear) == self.length
        return True

    def _fits_batch(self, answer: Json) -> bool:
        """Whether a batch names only secrets that were asked for. Entries that name no secret are passed over."""
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


# The question of a call of which nothing is known: every answer fits.
ANYTHING: Final = Question()


def is_about(asked: str, name: object, arn: object) -> bool:
    """Whether an answer with this *name* and *arn* is about the secret that was *asked* for by its name or ARN.

    A *name* or *arn* of None was not told, and is not compared.
    """
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
    """Whether two ids, each a name or an ARN, can belong to the same secret."""
    if asked == said:
        return True
    if said.startswith("arn:"):
        return is_about(asked, None, said)
    if not asked.startswith("arn:"):
        return False
    return said == name_in(asked) or asked.endswith(f":secret:{said}")


@lru_cache(1024)
def name_in(arn: str) -> str | None:
    """Return the name in a whole ARN, or None when *arn* is not a whole ARN of a secret."""
    found = _ARN.fullmatch(arn) if len(arn) <= MAX_ARN_LENGTH else None
    return None if found is None else found[1]


def _getter(found: Json | Shape) -> Any:
    """Return a function (member, default) -> value: like `dict.get`, for a shape as well."""
    return partial(getattr, found) if isinstance(found, Shape) else found.get


def _text(found: object) -> str | None:
    return found if isinstance(found, str) else None


def _objects(found: object) -> list[Json]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
