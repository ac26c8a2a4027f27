# Made from administration.py by `python -m tests.async_twin`. Change that file, not this one.
"""What `AsyncSecrets` has for those who look after secrets: one method a message.

Every method takes *timeout* in seconds, and raises what `AsyncSecrets.ask` raises. A raw value is masked before anything can
raise. A write whose outcome is unknown raises an error with a `token`: repeat it with that, where it takes one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Literal, TypeVar, overload

from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.masked import MaskedObject
from secrets_actor.domain.operations import (
    CancelRotation,
    Create,
    DeletePolicy,
    Describe,
    Generated,
    GetPolicy,
    ListVersions,
    MoveStage,
    Operation,
    Put,
    PutPolicy,
    RandomPassword,
    Regenerate,
    RemoveRegions,
    Replicate,
    Request,
    Rotate,
    StopReplication,
    Tag,
    Untag,
    Update,
    ValidatePolicy,
)
from secrets_actor.domain.paging import Trail
from secrets_actor.domain.results import (
    NamedReceipt,
    PolicyVerdict,
    ReplicaRegion,
    ReplicationReceipt,
    ResourcePolicy,
    RotationReceipt,
    RotationRules,
    SecretDescription,
    UpdateReceipt,
    VersionInfo,
    VersionReceipt,
)
from secrets_actor.domain.secret import SecretValue, SetReceipt

T = TypeVar("T")
Generate = Generated | Literal["password", "bytes"]


class AsyncAdministration(ABC):
    """The part of `AsyncSecrets` that looks after secrets."""

    @abstractmethod
    async def ask(self, operation: Operation[T], *, timeout: float | None = None) -> T:
        """Have the secrets actor perform *operation*, and wait for its answer."""

    # --- secrets and versions -------------------------------------------------------------------------------------

    def create(
        self,
        secret_id: str,
        value: str | bytes | SecretValue,
        *,
        token: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        kms_key_id: str | None = None,
        replicas: Iterable[ReplicaRegion | str] = (),
        overwrite_replicas: bool = False,
        timeout: float | None = None,
    ) -> Coroutine[None, None, SetReceipt]:
        """Make a new secret. Raises `SecretExists` for one that is there."""
        try:
            masked = SecretValue(value)
        finally:
            del value
        message = Create(secret_id, masked, token, description, tags, kms_key_id, replicas, overwrite_replicas)
        return self.ask(message, timeout=timeout)

    def put(
        self,
        secret_id: str,
        value: str | bytes | SecretValue,
        *,
        stages: Iterable[str] | None = None,
        token: str | None = None,
        timeout: float | None = None,
    ) -> Coroutine[None, None, VersionReceipt]:
        """Add a version to a secret that is there; with *stages* it gets those labels and not AWSCURRENT."""
        try:
            masked = SecretValue(value)
        finally:
            del value
        return self.ask(Put(secret_id, masked, stages, token), timeout=timeout)

    def update(
        self,
        secret_id: str,
        value: str | bytes | SecretValue | None = None,
        *,
        description: str | None = None,
        kms_key_id: str | None = None,
        token: str | None = None,
        timeout: float | None = None,
    ) -> Coroutine[None, None, UpdateReceipt]:
        """Change what is given of a secret that is there."""
        try:
            masked = None if value is None else SecretValue(value)
        finally:
            del value
        return self.ask(Update(secret_id, masked, description, kms_key_id, token), timeout=timeout)

    async def describe(self, secret_id: str, *, timeout: float | None = None) -> SecretDescription:
        """All that is known of the secret but its values; of one that is scheduled for deletion, too."""
        return await self.ask(Describe(secret_id), timeout=timeout)

    async def versions(
        self, secret_id: str, *, include_deprecated: bool = False, timeout: float | None = None
    ) -> tuple[VersionInfo, ...]:
        """All versions of the secret that have a label; with *include_deprecated* the others, too. *timeout* is for
        each page of 100."""
        found: tuple[VersionInfo, ...] = ()
        token, trail = None, Trail()
        while True:
            page = await self.ask(ListVersions(secret_id, include_deprecated, next_token=token), timeout=timeout)
            found += page.versions
            if page.next_token is None:
                return found
            token = trail.on_to(page.next_token)

    async def move_stage(
        self,
        secret_id: str,
        stage: str,
        *,
        to: str | None = None,
        remove_from: str | None = None,
        timeout: float | None = None,
    ) -> NamedReceipt:
        """Put the label *stage* on the version *to*, and take it off the version *remove_from*."""
        return await self.ask(MoveStage(secret_id, stage, to, remove_from), timeout=timeout)

    async def tag(self, secret_id: str, tags: Mapping[str, str], *, timeout: float | None = None) -> None:
        """Set these tags; others stay."""
        await self.ask(Tag(secret_id, tags), timeout=timeout)

    async def untag(self, secret_id: str, keys: Iterable[str], *, timeout: float | None = None) -> None:
        """Take the tags with these keys off."""
        await self.ask(Untag(secret_id, keys), timeout=timeout)

    # --- rotation -------------------------------------------------------------------------------------------------

    @overload
    async def rotate(
        self,
        secret_id: str,
        *,
        lambda_arn: str | None = ...,
        rules: RotationRules | None = ...,
        immediately: bool = ...,
        generate: None = ...,
        token: str | None = ...,
        timeout: float | None = ...,
    ) -> RotationReceipt: ...

    @overload
    async def rotate(
        self,
        secret_id: str,
        *,
        generate: Generate,
        password: RandomPassword | None = ...,
        token: str | None = ...,
        timeout: float | None = ...,
    ) -> VersionReceipt: ...

    async def rotate(
        self,
        secret_id: str,
        *,
        lambda_arn: str | None = None,
        rules: RotationRules | None = None,
        immediately: bool = True,
        generate: Generate | None = None,
        password: RandomPassword | None = None,
        token: str | None = None,
        timeout: float | None = None,
    ) -> RotationReceipt | VersionReceipt:
        """Have AWS rotate the secret by its rotation function; or, for one that has none, *generate* a value: a
        `"password"` as *password* has it, or 32 random `"bytes"` in base64. Then the answer is the new version."""
        if generate is None:
            if password is not None:
                raise InvalidParameter("password", "only together with generate")
            return await self.ask(Rotate(secret_id, lambda_arn, rules, immediately, token), timeout=timeout)
        if lambda_arn is not None or rules is not None or not immediately:
            raise InvalidParameter("generate", "no rotation function or rules together with it")
        how = RandomPassword() if password is None else password
        return await self.ask(Regenerate(secret_id, Generated.of(generate), how, token), timeout=timeout)

    async def cancel_rotation(self, secret_id: str, *, timeout: float | None = None) -> RotationReceipt:
        """Turn automatic rotation off."""
        return await self.ask(CancelRotation(secret_id), timeout=timeout)

    async def random_password(self, password: RandomPassword | None = None, *, timeout: float | None = None) -> SecretValue:
        """A password by the store's generator; kept nowhere."""
        return await self.ask(RandomPassword() if password is None else password, timeout=timeout)

    # --- replicas -------------------------------------------------------------------------------------------------

    async def replicate(
        self,
        secret_id: str,
        regions: Iterable[ReplicaRegion | str],
        *,
        overwrite: bool = False,
        timeout: float | None = None,
    ) -> ReplicationReceipt:
        """Copy the secret to *regions*, and keep the copies alike."""
        return await self.ask(Replicate(secret_id, regions, overwrite), timeout=timeout)

    async def remove_regions(
        self, secret_id: str, regions: Iterable[str], *, timeout: float | None = None
    ) -> ReplicationReceipt:
        """Remove the copies in *regions*."""
        return await self.ask(RemoveRegions(secret_id, regions), timeout=timeout)

    async def stop_replication(self, secret_id: str, *, timeout: float | None = None) -> ReplicationReceipt:
        """Make a copy a secret of its own; asked in the copy's region."""
        return await self.ask(StopReplication(secret_id), timeout=timeout)

    # --- resource policies ----------------------------------------------------------------------------------------

    async def get_policy(self, secret_id: str, *, timeout: float | None = None) -> ResourcePolicy:
        """The resource policy of the secret, if it has one."""
        return await self.ask(GetPolicy(secret_id), timeout=timeout)

    async def put_policy(
        self,
        secret_id: str,
        policy: str | Mapping[str, Any],
        *,
        block_public: bool | None = None,
        timeout: float | None = None,
    ) -> NamedReceipt:
        """Attach *policy*, as JSON text or as a mapping."""
        return await self.ask(PutPolicy(secret_id, policy, block_public), timeout=timeout)

    async def delete_policy(self, secret_id: str, *, timeout: float | None = None) -> NamedReceipt:
        """Take the resource policy off."""
        return await self.ask(DeletePolicy(secret_id), timeout=timeout)

    async def validate_policy(
        self, policy: str | Mapping[str, Any], secret_id: str | None = None, *, timeout: float | None = None
    ) -> PolicyVerdict:
        """Have AWS look *policy* over."""
        return await self.ask(ValidatePolicy(policy, secret_id), timeout=timeout)

    # --- anything -------------------------------------------------------------------------------------------------

    def request(
        self, operation: str, payload: Mapping[str, Any] | MaskedObject | None = None, *, timeout: float | None = None
    ) -> Coroutine[None, None, MaskedObject]:
        """Any operation by AWS's name for it. Its answer is masked: `reveal()` gives the members."""
        try:
            message = Request(operation, payload)
        finally:
            del payload
        return self.ask(message, timeout=timeout)
