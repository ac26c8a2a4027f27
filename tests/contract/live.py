"""A real account, for `pytest -m live`: asked for with SECRETS_ACTOR_LIVE_PREFIX, and with keys that boto3 finds.

All names begin with the prefix, and what a test made is deleted by force at its end; a test that could not do so fails
and says what is left. Others may keep secrets in the account. It costs real calls, and minutes: AWS lists late.
AWS_ENDPOINT_URL_SECRETS_MANAGER and AWS_ENDPOINT_URL lead it elsewhere, such as to a VPC endpoint.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import boto3

from tests.servers.account import REGION, Keys

PREFIX_VARIABLE: Final = "SECRETS_ACTOR_LIVE_PREFIX"


@dataclass(frozen=True, slots=True)
class LiveAccount:
    """Where, with what keys, and under which prefix. *endpoint_url* is None for AWS's own."""

    prefix: str
    region: str
    keys: Keys
    endpoint_url: str | None = None


def initial_environment() -> Mapping[str, str]:
    """The environment with which this process was started: tests take AWS's variables out of the present one."""
    entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    pairs = (entry.decode(errors="replace").partition("=") for entry in entries if b"=" in entry)
    return {name: value for name, _, value in pairs}


def live_account(environment: Mapping[str, str]) -> LiveAccount | str:
    """The account that *environment* leads to, or why there is none."""
    prefix = environment.get(PREFIX_VARIABLE, "").strip("/")
    if not prefix:
        return f"no {PREFIX_VARIABLE}: name the prefix under which secrets may be made and deleted in a real account"
    with _environment(environment):
        session = boto3.session.Session()
        found = session.get_credentials()
        if found is None:
            return f"{PREFIX_VARIABLE} is set, but boto3 finds no AWS keys"
        frozen = found.get_frozen_credentials()
        keys = Keys(frozen.access_key, frozen.secret_key, frozen.token)
        return LiveAccount(prefix, session.region_name or REGION, keys, _endpoint(environment))


def _endpoint(environment: Mapping[str, str]) -> str | None:
    own = environment.get("AWS_ENDPOINT_URL_SECRETS_MANAGER") or environment.get("AWS_ENDPOINT_URL")
    return own or None


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    present = dict(os.environ)
    os.environ.clear()
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(present)
