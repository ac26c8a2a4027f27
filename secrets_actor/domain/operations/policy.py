"""Resource policies: who else may use a secret. Nobody's business: not in a repr, not in a log."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from secrets_actor.domain.descriptions import NamedReceipt, PolicyVerdict, ResourcePolicy
from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations.base import Operation, assign
from secrets_actor.domain.operations.checks import check_secret_id, check_text
from secrets_actor.records import dataclass, field

# AWS's service model, ResourcePolicy: characters.
MAX_POLICY_LENGTH: Final = 20_480


@dataclass(frozen=True, slots=True)
class GetPolicy(Operation[ResourcePolicy]):
    """The resource policy of a secret, if it has one."""

    kind: ClassVar[str] = "get_policy"
    secret_id: str

    def __post_init__(self) -> None:
        check_secret_id(self)


@dataclass(frozen=True, slots=True, init=False)
class PutPolicy(Operation[NamedReceipt]):
    """Attach *policy*, as JSON text or as a mapping. *block_public* has AWS refuse one that lets everybody in."""

    kind: ClassVar[str] = "put_policy"
    writes: ClassVar[bool] = True
    secret_id: str
    policy: str = field(repr=False)
    block_public: bool | None = None

    def __init__(self, secret_id: str, policy: str | Mapping[str, Any], block_public: bool | None = None) -> None:
        assign(self, secret_id=secret_id, policy="", block_public=block_public)
        check_secret_id(self)
        assign(self, policy=_checked(policy))


@dataclass(frozen=True, slots=True)
class DeletePolicy(Operation[NamedReceipt]):
    """Take the resource policy off."""

    kind: ClassVar[str] = "delete_policy"
    writes: ClassVar[bool] = True
    secret_id: str

    def __post_init__(self) -> None:
        check_secret_id(self)


@dataclass(frozen=True, slots=True, init=False)
class ValidatePolicy(Operation[PolicyVerdict]):
    """Have AWS look a policy over, for a secret or for none. Nothing changes."""

    kind: ClassVar[str] = "validate_policy"
    policy: str = field(repr=False)
    secret_id: str | None = None

    def __init__(self, policy: str | Mapping[str, Any], secret_id: str | None = None) -> None:
        assign(self, policy="", secret_id=None)
        assign(self, policy=_checked(policy), secret_id=None if secret_id is None else SecretId(secret_id))


def _checked(policy: str | Mapping[str, Any]) -> str:
    text = policy
    if isinstance(policy, Mapping):
        try:
            text = json.dumps(policy)
        except (TypeError, ValueError):
            text = ""
    if not isinstance(text, str) or not text:
        raise InvalidParameter("policy", "a JSON document, as text or as a mapping")
    check_text("policy", text, MAX_POLICY_LENGTH, 1)
    return text
