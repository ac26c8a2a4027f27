"""The limits of requests to Secrets Manager, checked when a message is made. PURE.

Source of every number and pattern, unless noted: AWS's service model of Secrets Manager, version 2017-10-17 (botocore's
`secretsmanager/2017-10-17/service-2.json`).

Rule 1: a `check_...` function returns nothing, a `checked_...` function returns the argument in its final type. Both
        raise `InvalidParameter`, unless they say otherwise.
Rule 2: the error names the parameter and its limit. It never quotes the argument, which may be a secret in the wrong
        place.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from unicodedata import category

from msgspec import Struct
from msgspec.structs import force_setattr

from secrets_actor.domain.errors import InvalidParameter, InvalidSecretName
from secrets_actor.domain.names import SecretId, plain
from secrets_actor.domain.results import MAX_KMS_KEY_LENGTH, ReplicaRegion, RotationRules, is_region

# Days. API reference, DeleteSecret `RecoveryWindowInDays`; 30 if it is not given.
MIN_RECOVERY_WINDOW: Final = 7
MAX_RECOVERY_WINDOW: Final = 30
MAX_STAGE_LENGTH: Final = 256
MAX_STAGES: Final = 20
MAX_DESCRIPTION_LENGTH: Final = 2048
MAX_PAGE_SIZE: Final = 100
MAX_PAGE_TOKEN_LENGTH: Final = 4096
MAX_TAG_KEY_LENGTH: Final = 128
MAX_TAG_VALUE_LENGTH: Final = 256
MAX_TAGS: Final = 50  # API reference, TagResource: tags per secret
# The service model has only the lengths; the API reference says that a UUID is meant.
_TOKEN: Final = re.compile(r"[A-Za-z0-9-]{32,64}")
# SecretARNType and RoleARNType have these lengths and no pattern.
MIN_ARN_LENGTH: Final = 20
MAX_ARN_LENGTH: Final = 2048
_SECRET_ARN: Final = re.compile(r"arn:[^:\s]+:secretsmanager:[^:\s]+:[0-9]{12}:secret:[^:\s]+")
_ROLE_ARN: Final = re.compile(r"arn:[^:\s]+:iam::[0-9]{12}:role/[^:\s]+")
_POLICY_NAME: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
MAX_ROTATION_DAYS: Final = 1000
_DURATION: Final = re.compile(r"[0-9]{1,2}h")
_SCHEDULE: Final = re.compile(r"[0-9A-Za-z()#?*\-/, ]{1,256}")
# API reference, TagResource: letters, digits and spaces of any language, and + - = . _ : / @. AWS's own pattern for
# tags says this in Unicode categories: L, N and Z. A line end is in none of them.
_TAG_MARKS: Final = frozenset("+-=._:/@")
_TAG_CATEGORIES: Final = ("L", "N", "Z")


def check_secret_id(operation: Struct) -> None:
    """Replace the message's `secret_id` by a `SecretId` of it. Raises `InvalidSecretName`."""
    force_setattr(operation, "secret_id", SecretId(getattr(operation, "secret_id")))  # noqa: B009


def check_new_name(operation: Struct) -> None:
    """Check that `secret_id` is the name of a secret that can be created: no ARN, no `!`. Raises
    `InvalidSecretName`."""
    check_secret_id(operation)
    secret_id = SecretId(getattr(operation, "secret_id"))  # noqa: B009
    if secret_id.is_arn:
        raise InvalidSecretName("a new secret is given a name; AWS makes its ARN")
    if secret_id.is_managed:
        raise InvalidSecretName("a new secret has no ! in its name: AWS keeps it for secrets that its services manage")


def is_text(text: object) -> bool:
    """Whether *text* is a `str` that UTF-8 can encode."""
    return isinstance(text, str) and not any("\ud800" <= character <= "\udfff" for character in text)


def check_text(what: str, text: object, longest: int, shortest: int = 0) -> None:
    """Check that *text* has *shortest* to *longest* characters of valid Unicode. *what* is the parameter's name."""
    if not is_text(text) or not isinstance(text, str) or not shortest <= len(text) <= longest:
        least = f"{shortest} to {longest:,} characters of valid Unicode"
        raise InvalidParameter(what, least if shortest else f"{longest:,} characters of valid Unicode at most")


def checked_list(what: str, given: object, members: str) -> tuple[Any, ...]:
    """Return the members of *given* as a tuple. *members*: what they are, in the error's text.

    A single text is refused. It is a list of its letters, too, but most likely the caller forgot the brackets.
    """
    if isinstance(given, str):
        raise InvalidParameter(what, f"a list of {members}, not one text")
    if not isinstance(given, Iterable):
        raise InvalidParameter(what, f"a list of {members}")
    return tuple(given)


def check_number(what: str, number: object, least: int, most: int, unit: str = "") -> None:
    """Check that *number* is an int from *least* to *most*. *unit* is a word for the error's text."""
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
        raise InvalidParameter(what, f"{least} to {most:,}{unit}")


def check_seconds(what: str, seconds: object) -> None:
    """Check that *seconds* is a finite number, 0 or more."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < float("inf"):
        raise InvalidParameter(what, "seconds, 0 or more")


def check_token(what: str, token: object) -> None:
    """Check a ClientRequestToken or a version id: 32 to 64 characters."""
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
        raise InvalidParameter(what, "32 to 64 characters: letters, digits and hyphens, such as a UUID")


def check_stage(what: str, stage: object) -> None:
    """Check a stage: 1 to 256 characters of valid Unicode."""
    if not isinstance(stage, str) or not is_text(stage) or not 1 <= len(stage) <= MAX_STAGE_LENGTH:
        raise InvalidParameter(what, f"1 to {MAX_STAGE_LENGTH} characters of valid Unicode")


def checked_stages(stages: Iterable[str]) -> tuple[str, ...]:
    """Return *stages* as a tuple in which each occurs once; there are 1 to 20."""
    given = checked_list("stages", stages, "stages")
    for stage in given:
        check_stage("stages", stage)
    found = tuple(dict.fromkeys(map(plain, given)))
    if not 1 <= len(found) <= MAX_STAGES:
        raise InvalidParameter("stages", f"1 to {MAX_STAGES} stages")
    return found


def check_kms_key(key: object) -> None:
    """Check a KMS key: its id, ARN or alias. An empty text means AWS's own key for Secrets Manager."""
    check_text("kms_key_id", key, MAX_KMS_KEY_LENGTH)


def check_page(page_size: object, next_token: object) -> None:
    """Check a page size (AWS: MaxResults) and the token of a page (AWS: NextToken; None: the first page)."""
    check_number("page_size", page_size, 1, MAX_PAGE_SIZE)
    if next_token is not None:
        check_text("next_token", next_token, MAX_PAGE_TOKEN_LENGTH, 1)


def check_region(what: str, region: object) -> None:
    """Check that *region* looks like a region, such as eu-central-1."""
    if not is_region(region):
        raise InvalidParameter(what, "a region such as eu-central-1")


def checked_regions(regions: Iterable[ReplicaRegion | str]) -> tuple[ReplicaRegion, ...]:
    """Return the regions that are to get copies. The same region twice is refused."""
    found = tuple(map(ReplicaRegion.of, checked_list("regions", regions, "regions")))
    if len({one.region for one in found}) < len(found):
        raise InvalidParameter("regions", "each region once")
    return found


def check_secret_arn(what: str, arn: object) -> None:
    """Check the ARN of a secret, which names its region and its account."""
    _check_arn(what, arn, _SECRET_ARN, "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX")


def check_role_arn(what: str, arn: object) -> None:
    """Check the ARN of an IAM role."""
    _check_arn(what, arn, _ROLE_ARN, "arn:aws:iam::ACCOUNT:role/NAME")


def _check_arn(what: str, arn: object, form: re.Pattern[str], example: str) -> None:
    fits = isinstance(arn, str) and MIN_ARN_LENGTH <= len(arn) <= MAX_ARN_LENGTH and form.fullmatch(arn) is not None
    if not fits:
        raise InvalidParameter(what, f"an ARN such as {example}, {MAX_ARN_LENGTH:,} characters at most")


def check_policy_name(what: str, name: object) -> None:
    """Check the name of a resource policy."""
    if not isinstance(name, str) or _POLICY_NAME.fullmatch(name) is None:
        raise InvalidParameter(what, "1 to 64 letters, digits, hyphens and underscores")


def check_rules(rules: object) -> None:
    """Check the rules of a rotation: days or a schedule, not both."""
    if not isinstance(rules, RotationRules):
        raise InvalidParameter("rules", "a RotationRules")
    if rules.after_days is not None:
        check_number("after_days", rules.after_days, 1, MAX_ROTATION_DAYS, " days")
        if rules.schedule is not None:
            raise InvalidParameter("schedule", "no schedule together with after_days")
    if rules.schedule is not None and _SCHEDULE.fullmatch(rules.schedule) is None:
        raise InvalidParameter("schedule", "rate(...) or cron(...), 256 characters at most")
    if rules.duration is not None and _DURATION.fullmatch(rules.duration) is None:
        raise InvalidParameter("duration", "hours, such as 3h")


def check_tag_key(what: str, key: object) -> None:
    """Check the key of a tag: 1 to 128 characters, not beginning with `aws:`."""
    check_text(what, key, MAX_TAG_KEY_LENGTH, 1)
    _check_tag_characters(what, key)
    if str(key).lower().startswith("aws:"):
        raise InvalidParameter(what, "no key that begins with aws: (AWS keeps those for itself)")


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return *tags* as a new dictionary: the caller may change its own mapping later."""
    if not isinstance(tags, Mapping):
        raise InvalidParameter("tags", "a mapping of keys to values")
    if len(tags) > MAX_TAGS:
        raise InvalidParameter("tags", f"{MAX_TAGS} tags at most")
    for key, value in tags.items():
        check_tag_key("tags", key)
        check_text("tags", value, MAX_TAG_VALUE_LENGTH)
        _check_tag_characters("tags", value)
    return {plain(key): plain(value) for key, value in tags.items()}


def _check_tag_characters(what: str, text: object) -> None:
    if not all(one in _TAG_MARKS or category(one).startswith(_TAG_CATEGORIES) for one in str(text)):
        raise InvalidParameter(what, "letters, digits, spaces and + - = . _ : / @ only")
