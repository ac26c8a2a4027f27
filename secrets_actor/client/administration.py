"""The methods of a client that administer secrets: versions, stages, tags, rotation, replicas, resource policies.

Each method sends one message to the secrets actor and waits for the answer; `versions` sends one for each page. Every
method takes *timeout* in seconds, and raises what `ask` raises.

Rule 1: a raw value is masked before anything can raise, so that no traceback shows it in a frame of ours.
Rule 2: a write whose outcome is unknown raises an error with a `token`. To repeat that write, give the token to the
        method, if the method takes one: then the write takes effect once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, overload

from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.masked import MaskedObject
from secrets_actor.domain.operations import (
    AssociateReplica,
    CancelRotation,
    Create,
    CreateEmpty,
    DeletePolicy,
    Describe,
    DisassociateReplica,
    Generated,
    GetPolicy,
    ListPolicies,
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
from secrets_actor.domain.paging import SeenTokens
from secrets_actor.domain.results import (
    AccountReplicaReceipt,
    ChangeReceipt,
    NamedReceipt,
    PolicyVerdict,
    ReplicaRegion,
    ReplicationReceipt,
    ResourcePolicy,
    RotationRules,
    SecretDescription,
    VersionInfo,
    VersionReceipt,
)
from secrets_actor.domain.secret import SecretValue, SetReceipt

T = TypeVar("T")
Generate = Generated | Literal["password", "bytes"]


class Administration(ABC):
    """The part of `Secrets` that administers secrets: versions, stages, tags, rotation, replicas, policies."""

    @abstractmethod
    def ask(self, operation: Operation[T], *, timeout: float | None = None) -> T:
        """Have the secrets actor perform *operation*, wait, and return its answer."""

    # --- secrets and versions -------------------------------------------------------------------------------------

    @overload
    def create(
        self,
        secret_id: str,
        value: str | bytes | SecretValue,
        *,
        token: str | None = ...,
        description: str | None = ...,
        tags: Mapping[str, str] | None = ...,
        kms_key_id: str | None = ...,
        replicas: Iterable[ReplicaRegion | str] = ...,
        overwrite_replicas: bool = ...,
        timeout: float | None = ...,
    ) -> SetReceipt: ...

    @overload
    def create(
        self,
        secret_id: str,
        value: None = ...,
        *,
        token: str | None = ...,
        description: str | None = ...,
        tags: Mapping[str, str] | None = ...,
        kms_key_id: str | None = ...,
        replicas: Iterable[ReplicaRegion | str] = ...,
        overwrite_replicas: bool = ...,
        timeout: float | None = ...,
    ) -> NamedReceipt: ...

    def create(
        self,
        secret_id: str,
        value: str | bytes | SecretValue | None = None,
        *,
        token: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        kms_key_id: str | None = None,
        replicas: Iterable[ReplicaRegion | str] = (),
        overwrite_replicas: bool = False,
        timeout: float | None = None,
    ) -> SetReceipt | NamedReceipt:
        """Create a secret named *secret_id* with this first value; None: without one, which `put` adds later.

        *token* (32 to 64 characters; None: a new UUID) makes a repetition safe, and becomes the version id.
        *kms_key_id*: the KMS key that encrypts the value (None: AWS's own). *replicas*: the regions that get a copy;
        with *overwrite_replicas* a copy may replace a secret of the same name there.

        Raises `SecretExists` if there is a secret of this name, `SecretDeleted` if that one is scheduled for deletion,
        and `InvalidRequest` for a KMS key or replicas that the store does not have.
        """
        if value is None:
            empty = CreateEmpty(secret_id, token, description, tags, kms_key_id, replicas, overwrite_replicas)
            return self.ask(empty, timeout=timeout)
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
    ) -> VersionReceipt:
        """Add a version to an existing secret.

        Without *stages* the version becomes AWSCURRENT, and the one before it AWSPREVIOUS. With *stages* (20 at most)
        the version gets those stages and no other; but the first version of a secret becomes AWSCURRENT in any case.
        *token* (32 to 64 characters; None: a new UUID) makes a repetition safe, and becomes the version id.

        Raises `SecretNotFound`; `SecretDeleted`; `SecretExists` if the token was used before with another value; and
        `LimitExceeded` for too many stages.
        """
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
    ) -> ChangeReceipt:
        """Change an existing secret: its value, its description, its KMS key. What is None stays as it is.

        A new *value* becomes the AWSCURRENT version; *token* (32 to 64 characters; None: a new UUID) is its version id
        and makes a repetition safe. An empty *kms_key_id* means AWS's own key. The answer's `version_id` is None if the
        value stayed. Raises `SecretNotFound`, `SecretDeleted`, and `InvalidParameter` if nothing is to be changed.
        """
        try:
            masked = None if value is None else SecretValue(value)
        finally:
            del value
        return self.ask(Update(secret_id, masked, description, kms_key_id, token), timeout=timeout)

    def describe(self, secret_id: str, *, timeout: float | None = None) -> SecretDescription:
        """Return all that the store knows of the secret, except its values. A secret that is scheduled for deletion is
        described, too. Raises `SecretNotFound`."""
        return self.ask(Describe(secret_id), timeout=timeout)

    def versions(
        self, secret_id: str, *, include_deprecated: bool = False, timeout: float | None = None
    ) -> tuple[VersionInfo, ...]:
        """Return all versions of the secret that have a stage; with *include_deprecated* also those without one.

        The store is asked for pages of 100, and *timeout* is for each page. Raises `SecretNotFound`, and
        `InvalidAnswer` if the pages of the store go round in circles.
        """
        found: tuple[VersionInfo, ...] = ()
        token, seen_tokens = None, SeenTokens()
        while True:
            page = self.ask(ListVersions(secret_id, include_deprecated, next_token=token), timeout=timeout)
            found += page.versions
            if page.next_token is None:
                return found
            token = seen_tokens.first_seen(page.next_token)

    def move_stage(
        self,
        secret_id: str,
        stage: str,
        *,
        to: str | None = None,
        remove_from: str | None = None,
        timeout: float | None = None,
    ) -> NamedReceipt:
        """Move *stage* from the version *remove_from* to the version *to*; both are version ids.

        Without *remove_from* the stage must not be on another version yet; without *to* it is only taken off. When
        AWSCURRENT moves, AWSPREVIOUS goes to the version that it comes from.

        Raises `SecretNotFound` for a version that does not exist, and `InvalidRequest` if the stage is on another
        version than *remove_from* says.
        """
        return self.ask(MoveStage(secret_id, stage, to, remove_from), timeout=timeout)

    def tag(self, secret_id: str, tags: Mapping[str, str], *, timeout: float | None = None) -> None:
        """Add these tags to the secret, or change their values. Its other tags stay as they are."""
        self.ask(Tag(secret_id, tags), timeout=timeout)

    def untag(self, secret_id: str, keys: Iterable[str], *, timeout: float | None = None) -> None:
        """Remove the tags with these *keys* from the secret. A key that it does not have makes no difference."""
        self.ask(Untag(secret_id, keys), timeout=timeout)

    # --- rotation -------------------------------------------------------------------------------------------------

    @overload
    def rotate(
        self,
        secret_id: str,
        *,
        lambda_arn: str | None = ...,
        rules: RotationRules | None = ...,
        immediately: bool = ...,
        generate: None = ...,
        token: str | None = ...,
        timeout: float | None = ...,
    ) -> ChangeReceipt: ...

    @overload
    def rotate(
        self,
        secret_id: str,
        *,
        generate: Generate,
        password: RandomPassword | None = ...,
        token: str | None = ...,
        timeout: float | None = ...,
    ) -> VersionReceipt: ...

    def rotate(
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
    ) -> ChangeReceipt | VersionReceipt:
        """Rotate the secret: by its rotation function in AWS, or, with *generate*, to a value that is made for it.

        Without *generate*, AWS runs the rotation function, and the answer says that the rotation has begun.
        *lambda_arn* sets that function, *rules* set its schedule; with *immediately* false, the next rotation is the
        next one of the schedule.

        With *generate*, the secret needs no rotation function: it gets a new current value, and the answer names the
        new version. `"password"` is a random password as *password* describes it (None: 32 characters); `"bytes"` is 32
        random bytes, as base64 text.

        *token* (32 to 64 characters; None: a new UUID) makes a repetition safe. Raises `SecretNotFound`;
        `InvalidRequest` without *generate* if the secret has no rotation function; and `InvalidParameter` for arguments
        that do not go together.
        """
        if generate is None:
            if password is not None:
                raise InvalidParameter("password", "only together with generate")
            return self.ask(Rotate(secret_id, lambda_arn, rules, immediately, token), timeout=timeout)
        if lambda_arn is not None or rules is not None or not immediately:
            raise InvalidParameter("generate", "no rotation function or rules together with it")
        how = RandomPassword() if password is None else password
        return self.ask(Regenerate(secret_id, Generated.of(generate), how, token), timeout=timeout)

    def cancel_rotation(self, secret_id: str, *, timeout: float | None = None) -> ChangeReceipt:
        """Turn automatic rotation off, and cancel a rotation that is under way. Raises `SecretNotFound`."""
        return self.ask(CancelRotation(secret_id), timeout=timeout)

    def random_password(self, password: RandomPassword | None = None, *, timeout: float | None = None) -> SecretValue:
        """Return a random password from the store's generator (None: 32 characters). The store does not keep it."""
        return self.ask(RandomPassword() if password is None else password, timeout=timeout)

    # --- replicas -------------------------------------------------------------------------------------------------

    def replicate(
        self,
        secret_id: str,
        regions: Iterable[ReplicaRegion | str],
        *,
        overwrite: bool = False,
        timeout: float | None = None,
    ) -> ReplicationReceipt:
        """Have AWS copy the secret to *regions*, and keep the copies up to date. With *overwrite*, a copy may replace a
        secret of the same name there. The answer has the state of each copy."""
        return self.ask(Replicate(secret_id, regions, overwrite), timeout=timeout)

    def remove_regions(
        self, secret_id: str, regions: Iterable[str], *, timeout: float | None = None
    ) -> ReplicationReceipt:
        """Delete the copies of the secret in *regions*. The answer has the copies that are left."""
        return self.ask(RemoveRegions(secret_id, regions), timeout=timeout)

    def stop_replication(self, secret_id: str, *, timeout: float | None = None) -> ReplicationReceipt:
        """Turn a copy into a secret of its own. The system must be configured for the region of that copy: AWS takes
        this request there only."""
        return self.ask(StopReplication(secret_id), timeout=timeout)

    def associate_replica(
        self,
        secret_id: str,
        replica_arn: str,
        *,
        any_organization: bool = False,
        role_arn: str | None = None,
        timeout: float | None = None,
    ) -> AccountReplicaReceipt:
        """Have AWS copy the secret to *replica_arn*, a secret in another account, and keep that up to date.

        That account has created the replica for this secret, in the same region (AWS: CreateSecret with
        CrossAccountPrimaryARN). It has to belong to the same organization, unless *any_organization* is true. AWS
        assumes the IAM role *role_arn* to replicate (None: it uses the credentials of whoever writes the secret).
        Repeated, this repairs the replication.
        """
        return self.ask(AssociateReplica(secret_id, replica_arn, any_organization, role_arn), timeout=timeout)

    def disassociate_replica(
        self, secret_id: str, replica_arn: str, *, timeout: float | None = None
    ) -> AccountReplicaReceipt:
        """End the replication to *replica_arn*, a secret in another account. The replica stays there as it is; until
        this is done, AWS does not delete the secret."""
        return self.ask(DisassociateReplica(secret_id, replica_arn), timeout=timeout)

    # --- resource policies ----------------------------------------------------------------------------------------

    def policies(self, secret_id: str, *, timeout: float | None = None) -> tuple[str, ...]:
        """Return the names of all resource policies of the secret: `default` first, the others sorted.

        The store is asked for pages of 100, and *timeout* is for each page. Raises `SecretNotFound`, and
        `InvalidAnswer` if the pages of the store go round in circles.
        """
        found: tuple[str, ...] = ()
        token, seen_tokens = None, SeenTokens()
        while True:
            page = self.ask(ListPolicies(secret_id, next_token=token), timeout=timeout)
            found += page.names
            if page.next_token is None:
                return found
            token = seen_tokens.first_seen(page.next_token)

    def get_policy(self, secret_id: str, name: str | None = None, *, timeout: float | None = None) -> ResourcePolicy:
        """Return a resource policy of the secret by its *name* (None: `default`, the one that `put_policy` attaches);
        its `policy` is None if the secret has none."""
        return self.ask(GetPolicy(secret_id, name), timeout=timeout)

    def put_policy(
        self,
        secret_id: str,
        policy: str | Mapping[str, Any],
        *,
        block_public: bool | None = None,
        timeout: float | None = None,
    ) -> NamedReceipt:
        """Attach a resource policy to the secret, as JSON text or as a mapping. It replaces the one before. With
        *block_public*, AWS refuses a policy that lets everybody in."""
        return self.ask(PutPolicy(secret_id, policy, block_public), timeout=timeout)

    def delete_policy(self, secret_id: str, *, timeout: float | None = None) -> NamedReceipt:
        """Remove the resource policy from the secret."""
        return self.ask(DeletePolicy(secret_id), timeout=timeout)

    def validate_policy(
        self, policy: str | Mapping[str, Any], secret_id: str | None = None, *, timeout: float | None = None
    ) -> PolicyVerdict:
        """Have AWS check a resource policy without attaching it; *secret_id* names the secret that it is meant for."""
        return self.ask(ValidatePolicy(policy, secret_id), timeout=timeout)

    # --- anything -------------------------------------------------------------------------------------------------

    def request(
        self, operation: str, payload: Mapping[str, Any] | MaskedObject | None = None, *, timeout: float | None = None
    ) -> MaskedObject:
        """Send any operation of AWS Secrets Manager by AWS's name for it, such as `"DescribeSecret"`.

        *payload* has the members of the request; bytes go as base64 text. Nothing is added to it: a write that is to be
        safe to repeat needs its own `ClientRequestToken`. The answer is masked; `reveal()` returns its members. Raises
        `UnknownMessage` with a store that is not AWS.
        """
        try:
            message = Request(operation, payload)
        finally:
            del payload
        return self.ask(message, timeout=timeout)
