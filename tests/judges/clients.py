"""The judges as tests use them: each is a program with an environment, which is all that it knows of the daemon.

Rule 1: a judge gets nothing of this process's environment but PATH, and has a home of its own.
Rule 2: `call` takes and gives the members of AWS's model, whatever the judge: bytes are bytes. A refusal is `Refused`.
"""

import base64
import json
import os
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

from tests.judges.python_client import Value, plain, rich
from tests.servers.process import ROOT

REGION: Final = "us-east-1"
PATIENCE: Final = 60.0
NODE_PACKAGE: Final = "@aws-sdk/client-secrets-manager"
INSTALL_SECONDS: Final = 180.0


class Refused(Exception):
    """The judge was told no. *classes* are those of its own error classes that it would be caught by."""

    def __init__(self, code: str, message: str, status: int, classes: list[str]) -> None:
        super().__init__(f"{code} ({status}): {message}")
        self.code, self.message, self.status, self.classes = code, message, status, classes


class Judge(Protocol):
    """One client of AWS's."""

    def read(self, name: str) -> Value:
        """The current value, in the judge's own way."""

    def write(self, name: str, value: Value) -> None:
        """A new value; of a secret that may be new, too."""

    def call(self, operation: str, **given: Any) -> Any:
        """The output of one of AWS's operations. Raises `Refused`."""

    def pages(self, operation: str, **given: Any) -> list[Any]:
        """The outputs of all pages."""


def environment(home: Path, endpoint: str, access: Mapping[str, str]) -> dict[str, str]:
    """What a judge knows. *access* is how it comes by credentials."""
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": REGION,  # the others'
        "AWS_DEFAULT_REGION": REGION,  # boto3's
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint,
        **access,
    }


class LineProgram:
    """A judge that runs for as long as the test does, and is asked by lines of JSON."""

    def __init__(self, command: list[str], known: Mapping[str, str], errors: Path) -> None:
        self._errors = errors
        with errors.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=dict(known),
                cwd=known["HOME"],
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, **command: Any) -> Any:
        """The answer to *command*. Raises `Refused`."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(plain(command)).encode() + b"\n")
        stdin.flush()
        readable, _, _ = select.select([stdout], [], [], PATIENCE)
        line = stdout.readline() if readable else b""
        assert line, f"the judge says nothing more, but: {self._errors.read_text()[-2000:]}"
        answer = json.loads(line)
        if "error" in answer:
            told = answer["error"]
            raise Refused(told["code"], told["message"], told["status"], told["classes"])
        return rich(answer["ok"])

    def read(self, name: str) -> Value:
        found = self.ask(do="read", name=name)
        assert isinstance(found, str | bytes)
        return found

    def write(self, name: str, value: Value) -> None:
        self.ask(do="write", name=name, value=value)

    def call(self, operation: str, **given: Any) -> Any:
        return self.ask(do="call", operation=operation, input=given)

    def pages(self, operation: str, **given: Any) -> list[Any]:
        return list(self.ask(do="pages", operation=operation, input=given))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def python_judge(kind: str, known: Mapping[str, str]) -> LineProgram:
    """boto3, caching or powertools."""
    return LineProgram(
        [sys.executable, "-m", "tests.judges.python_client", kind], known, Path(known["HOME"], f"{kind}.err")
    )


def node_judge(installed: Path, known: Mapping[str, str]) -> LineProgram:
    """The SDK for JavaScript, which is in the folder *installed*."""
    script = Path(__file__).with_name("node_client.js")
    return LineProgram(["node", str(script), str(installed)], known, Path(known["HOME"], "node.err"))


def install_node_sdk(folder: Path) -> str | None:
    """Install it from the npm registry; if that cannot be, why."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node and npm are not here"
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", NODE_PACKAGE]
    try:
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        return f"npm did not install {NODE_PACKAGE} within {INSTALL_SECONDS:g} s"
    return None if done.returncode == 0 else f"npm cannot install {NODE_PACKAGE}: {done.stderr[-300:]}"


_CLI_REFUSAL: Final = re.compile(
    r"An error occurred \((\w+)\) when calling the \w+ operation(?: \(.*\))?: (.*)", re.DOTALL
)


@dataclass(frozen=True)
class AwsCli:
    """The AWS command line: a process for each call."""

    known: Mapping[str, str]

    def read(self, name: str) -> Value:
        found = self.call("GetSecretValue", SecretId=name)
        return found["SecretString"] if "SecretString" in found else found["SecretBinary"]  # type: ignore[no-any-return]

    def write(self, name: str, value: Value) -> None:
        given = {"SecretString": value} if isinstance(value, str) else {"SecretBinary": value}
        try:
            self.call("PutSecretValue", SecretId=name, **given)
        except Refused as refused:
            if refused.code != "ResourceNotFoundException":
                raise
            self.call("CreateSecret", Name=name, **given)

    def call(self, operation: str, **given: Any) -> Any:
        output = json.loads(self._run(operation, given) or "{}")
        if "SecretBinary" in output:
            output["SecretBinary"] = base64.b64decode(output["SecretBinary"])
        return output

    def pages(self, operation: str, **given: Any) -> list[Any]:
        """All pages as one: the command line puts them together."""
        size = ["--page-size", str(given.pop("MaxResults"))] if "MaxResults" in given else []
        return [json.loads(self._run(operation, given, *size))]

    def _run(self, operation: str, given: dict[str, Any], *more: str) -> str:
        command = [sys.executable, "-m", "awscli", "secretsmanager", _dashed(operation), "--output", "json", *more]
        home = Path(self.known["HOME"])
        binary = given.pop("SecretBinary", None)
        if binary is not None:  # in the JSON it would be taken as text
            (home / "binary").write_bytes(binary)
            command += ["--secret-binary", f"fileb://{home / 'binary'}"]
        (home / "input.json").write_text(json.dumps(given))
        command += ["--cli-input-json", f"file://{home / 'input.json'}"]
        done = subprocess.run(
            command, env=dict(self.known), cwd=home, check=False, capture_output=True, text=True, timeout=PATIENCE
        )
        if done.returncode:
            refusal = _CLI_REFUSAL.search(done.stderr)
            assert refusal is not None, done.stderr
            raise Refused(refusal[1], refusal[2].strip(), 0, [refusal[1]])
        return done.stdout


def _dashed(operation: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", operation).lower()
