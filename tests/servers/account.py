"""An emulated AWS account as its administrator sees it, through boto3: users, roles, their keys and policies."""

import functools
import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config

REGION: Final = "us-east-1"
VERSION: Final = "2012-10-17"
# A role that anyone who may call AssumeRole can assume.
_TRUST: Final = {
    "Version": VERSION,
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key pair, with a session token when it is temporary."""

    access_key_id: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


ROOT_KEYS: Final = Keys("AKIAROOTROOTROOTROOT", "root/secret+key/of/the/emulated/account0")

Policy = dict[str, Any]


def allow_everything() -> Policy:
    """Every operation of Secrets Manager on every secret."""
    return policy(statement("Allow", "secretsmanager:*", "*"))


def allow_only_get(arn: str) -> Policy:
    """GetSecretValue on the one secret *arn*."""
    return policy(statement("Allow", "secretsmanager:GetSecretValue", arn))


def policy(*statements: dict[str, Any]) -> Policy:
    """A policy document of *statements*."""
    return {"Version": VERSION, "Statement": list(statements)}


def statement(effect: str, action: str | list[str], resource: str | list[str]) -> dict[str, Any]:
    """One statement: `Allow` or `Deny`, actions, resources."""
    return {"Effect": effect, "Action": action, "Resource": resource}


@dataclass(frozen=True, slots=True)
class Account:
    """The account behind *endpoint*, with its root keys. *ca* is the PEM file that vouches for a TLS endpoint."""

    endpoint: str
    root: Keys = ROOT_KEYS
    region: str = REGION
    ca: Path | None = None

    def client(self, service: str, keys: Keys | None = None) -> Any:
        """A boto3 client: root's unless *keys* are given. One try a call, and no check of parameters, so that what
        AWS would refuse can be asked of an emulator."""
        return _client(self, service, keys or self.root)

    def user(self, allowed: Policy | None = None) -> Keys:
        """The keys of a new user who may do what *allowed* says; None: nothing at all."""
        iam, name = self.client("iam"), f"user-{uuid.uuid4().hex[:12]}"
        iam.create_user(UserName=name)
        if allowed is not None:
            iam.put_user_policy(UserName=name, PolicyName="allowed", PolicyDocument=json.dumps(allowed))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return Keys(made["AccessKeyId"], made["SecretAccessKey"])

    def role_session(self, allowed: Policy | None = None, *, seconds: int = 3600) -> Keys:
        """Temporary keys of a new role. *seconds* may be negative: such keys have expired when they are born (AWS
        gives no less than 900; the emulators do not look)."""
        iam, name = self.client("iam"), f"role-{uuid.uuid4().hex[:12]}"
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(_TRUST))["Role"]["Arn"]
        if allowed is not None:
            iam.put_role_policy(RoleName=name, PolicyName="allowed", PolicyDocument=json.dumps(allowed))
        sts = self.client("sts")
        made = sts.assume_role(RoleArn=arn, RoleSessionName="test", DurationSeconds=seconds)["Credentials"]
        return Keys(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


@functools.cache
def _session() -> boto3.session.Session:
    return boto3.session.Session()


@functools.lru_cache(maxsize=32)
def _client(account: Account, service: str, keys: Keys) -> Any:
    return _session().client(
        service,
        endpoint_url=account.endpoint,
        region_name=account.region,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_key,
        aws_session_token=keys.session_token,
        verify=str(account.ca) if account.ca else None,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=10,
            parameter_validation=False,
            proxies={},
        ),
    )
