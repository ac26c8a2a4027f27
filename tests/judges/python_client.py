"""python -m tests.judges.python_client boto3 | caching | powertools: a program that uses one of AWS's Python libraries,
as any program does: all that it knows of endpoint, region and credentials is in its environment.

It takes one JSON object a line, and answers each with one line; `clients.py` is the other side. CLOCK_SHIFT is by how
many seconds the clock that boto3 signs with is wrong.
"""

import base64
import datetime
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import boto3
import botocore.auth
from botocore import xform_name
from botocore.compat import get_current_datetime
from botocore.exceptions import ClientError

Value = str | bytes


def plain(given: Any) -> Any:
    """*given* as JSON can have it: bytes as `{"$bytes": base64}`, moments as text."""
    if isinstance(given, bytes):
        return {"$bytes": base64.b64encode(given).decode()}
    if isinstance(given, datetime.datetime):
        return given.isoformat()
    if isinstance(given, dict):
        return {name: plain(one) for name, one in given.items() if name != "ResponseMetadata"}
    if isinstance(given, list):
        return [plain(one) for one in given]
    return given


def rich(given: Any) -> Any:
    """The other way round."""
    if isinstance(given, dict):
        return base64.b64decode(given["$bytes"]) if set(given) == {"$bytes"} else {k: rich(v) for k, v in given.items()}
    return [rich(one) for one in given] if isinstance(given, list) else given


class Boto3:
    """boto3 itself."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def read(self, name: str) -> Value:
        """The current value."""
        found = self.client.get_secret_value(SecretId=name)
        return found["SecretString"] if "SecretString" in found else found["SecretBinary"]

    def write(self, name: str, value: Value) -> None:
        """A new value, of a secret that may be new, too."""
        given = {"SecretString": value} if isinstance(value, str) else {"SecretBinary": value}
        try:
            self.client.put_secret_value(SecretId=name, **given)
        except self.client.exceptions.ResourceNotFoundException:
            self.client.create_secret(Name=name, **given)


class Caching(Boto3):
    """aws-secretsmanager-caching: it only reads. What it was given once it would not ask for again: each read is by a
    new cache."""

    def read(self, name: str) -> Value:
        from aws_secretsmanager_caching import SecretCache

        cache = SecretCache(client=self.client)
        text = cache.get_secret_string(name)
        return text if text is not None else cache.get_secret_binary(name)


class Powertools(Boto3):
    """aws-lambda-powertools' provider of parameters."""

    def __init__(self, client: Any) -> None:
        from aws_lambda_powertools.utilities.parameters import SecretsProvider

        super().__init__(client)
        self.provider = SecretsProvider(boto3_client=client)

    def read(self, name: str) -> Value:
        found = self.provider.get(name, force_fetch=True)
        assert isinstance(found, str | bytes)
        return found

    def write(self, name: str, value: Value) -> None:
        self.provider.set(name, value)


KINDS: dict[str, Callable[[Any], Boto3]] = {"boto3": Boto3, "caching": Caching, "powertools": Powertools}


def perform(subject: Boto3, command: dict[str, Any]) -> Any:
    """What one *command* asks for."""
    match command["do"]:
        case "read":
            return subject.read(command["name"])
        case "write":
            return subject.write(command["name"], rich(command["value"]))
        case "call":
            return getattr(subject.client, xform_name(command["operation"]))(**rich(command["input"]))
        case "pages":
            paginator = subject.client.get_paginator(xform_name(command["operation"]))
            return list(paginator.paginate(**rich(command["input"])))
        case "presigned":
            method = xform_name(command["operation"])
            return subject.client.generate_presigned_url(method, Params=rich(command["input"]))
    raise AssertionError(command)


def caught_as(client: Any, error: ClientError) -> list[str]:
    """The classes of `client.exceptions` that would catch *error*."""
    names = [shape.name for shape in client.meta.service_model.error_shapes]
    return sorted(name for name in names if isinstance(error, getattr(client.exceptions, name)))


def told(client: Any, error: BaseException) -> dict[str, Any]:
    """*error* as the other side reads it. powertools wraps what boto3 raises."""
    cause = error
    while not isinstance(cause, ClientError) and cause.__context__ is not None:
        cause = cause.__context__
    if not isinstance(cause, ClientError):
        return {"code": type(error).__name__, "message": str(error), "status": 0, "classes": []}
    known, status = cause.response["Error"], cause.response["ResponseMetadata"]["HTTPStatusCode"]
    classes = caught_as(client, cause)
    return {"code": known["Code"], "message": known.get("Message", ""), "status": status, "classes": classes}


def main() -> None:
    """Until standard input ends."""
    shift = datetime.timedelta(seconds=float(os.environ.get("CLOCK_SHIFT", "0")))
    if shift:
        botocore.auth.get_current_datetime = lambda remove_tzinfo=True: get_current_datetime(remove_tzinfo) + shift
    client = boto3.client("secretsmanager")
    subject = KINDS[sys.argv[1]](client)
    for line in sys.stdin:
        try:
            answer = {"ok": plain(perform(subject, json.loads(line)))}
        except Exception as error:
            answer = {"error": told(client, error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
