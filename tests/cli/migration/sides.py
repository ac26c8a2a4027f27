"""The stores of a migration: each with a file that names it, and a boto3 that looks into it past our code."""

import json
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor import SecretNotFound, Secrets, System
from tests.servers.account import REGION, allow_everything
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer

# What two looks may tell apart though nothing was written.
_READS: Final = ("LastAccessedDate", "ResponseMetadata")


class AwsSide(Struct, frozen=True):
    """An emulated account."""

    config: Path
    theirs: Any

    def seed(self, name: str, *values: str | bytes, **more: Any) -> None:
        """A secret with these values, the last of which is the current one."""
        first, *rest = values
        self.theirs.create_secret(Name=name, **_value(first), **more)
        for value in rest:
            self.put(name, value)

    def put(self, name: str, value: str | bytes) -> None:
        """Another current version."""
        self.theirs.put_secret_value(SecretId=name, **_value(value))

    def schedule_deletion(self, name: str) -> None:
        """A soft delete."""
        self.theirs.delete_secret(SecretId=name)

    def value(self, name: str, stage: str = "AWSCURRENT") -> str | bytes | None:
        """The value with this label; None when there is none."""
        try:
            found = self.theirs.get_secret_value(SecretId=name, VersionStage=stage)
        except self.theirs.exceptions.ResourceNotFoundException:
            return None
        return found["SecretString"] if found.get("SecretString") is not None else found["SecretBinary"]

    def values(self, name: str) -> tuple[str | bytes | None, str | bytes | None]:
        """The current one and the one before."""
        return self.value(name), self.value(name, "AWSPREVIOUS")

    def ids(self, name: str) -> dict[str, str]:
        """The version ids, by label."""
        stages = self.theirs.describe_secret(SecretId=name)["VersionIdsToStages"]
        return {label: version for version, labels in stages.items() for label in labels}

    def facts(self, name: str) -> tuple[str | None, dict[str, str]]:
        """Description and tags."""
        found = self.theirs.describe_secret(SecretId=name)
        return found.get("Description"), {tag["Key"]: tag["Value"] for tag in found.get("Tags") or ()}

    def names(self) -> list[str]:
        """All live ones, sorted."""
        pages = self.theirs.get_paginator("list_secrets").paginate()
        return sorted(one["Name"] for page in pages for one in page["SecretList"])

    def state(self) -> str:
        """All that a write would change."""
        found = []
        for name in self.names():
            described = self.theirs.describe_secret(SecretId=name)
            found.append({key: value for key, value in described.items() if key not in _READS})
        return json.dumps(found, default=str, sort_keys=True)


class OwnSide(Struct, frozen=True):
    """A local store or a KV mount, looked into by our own client, which the contract suite holds to boto3's meaning."""

    config: Path
    theirs: System

    @property
    def _ours(self) -> Secrets:
        return self.theirs.secrets

    def seed(self, name: str, *values: str | bytes, **more: Any) -> None:
        tags = {tag["Key"]: tag["Value"] for tag in more.get("Tags", ())}
        self._ours.create(name, values[0], description=more.get("Description"), tags=tags)
        for value in values[1:]:
            self.put(name, value)

    def put(self, name: str, value: str | bytes) -> None:
        self._ours.put(name, value)

    def schedule_deletion(self, name: str) -> None:
        self._ours.delete(name)

    def value(self, name: str, stage: str = "AWSCURRENT") -> str | bytes | None:
        try:
            return self._ours.get(name, stage=stage, refresh=True).reveal()
        except SecretNotFound:
            return None

    def values(self, name: str) -> tuple[str | bytes | None, str | bytes | None]:
        return self.value(name), self.value(name, "AWSPREVIOUS")

    def ids(self, name: str) -> dict[str, str]:
        stages = self._ours.describe(name).versions
        return {label: version for version, labels in stages.items() for label in labels}

    def facts(self, name: str) -> tuple[str | None, dict[str, str]]:
        found = self._ours.describe(name)
        return found.description, dict(found.tags)

    def names(self) -> list[str]:
        return sorted(one.name for one in self._ours.iterate())

    def state(self) -> str:
        return repr([replace(self._ours.describe(name), accessed_at=None) for name in self.names()])


Side = AwsSide | OwnSide


def _value(value: str | bytes) -> dict[str, str | bytes]:
    return {"SecretString": value} if isinstance(value, str) else {"SecretBinary": value}


def aws_side(server: Ministack | MotoServer, config: Path, **settings: Any) -> AwsSide:
    """The account of *server*, and *config* written for it; *settings* come before its table."""
    keys = server.account.user(allow_everything())
    above = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    config.write_text(
        f'backend = "aws_secrets_manager"\n{above}[aws]\nregion = "{REGION}"\nendpoint_url = "{server.url}"\n'
        f'access_key = "{keys.access_key_id}"\nsecret_key = "{keys.secret_key}"\n'
    )
    return AwsSide(config, server.account.client("secretsmanager", keys))
