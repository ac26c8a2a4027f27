"""python -m tests.bench.newborn SUBJECT WHAT URL: a process that is measured from its execution on.

It prints seconds of CPU, and bytes. Nothing is imported here that the subject need not have.
"""

import gc
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

KEPT, WARM = 10_000, 500
KEY, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1"
Get = Callable[[str], object]


def ours(url: str, kept: int) -> Get:
    """A ready system's get."""
    import secrets_actor

    aws: Any = {"region": REGION, "access_key": KEY, "secret_key": SECRET, "endpoint_url": url}
    settings: Any = {"cache_entries": 2 * kept, "cache_bytes": 2**30} if kept else {}
    made = secrets_actor.Settings(backend="aws_secrets_manager", aws=secrets_actor.AwsSettings(**aws), **settings)
    return secrets_actor.start(made).secrets.get


def _boto_client(url: str) -> Any:
    import boto3

    return boto3.client(
        "secretsmanager", endpoint_url=url, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET
    )


def boto3(url: str, kept: int) -> Get:
    """A client's get."""
    client = _boto_client(url)
    return lambda name: client.get_secret_value(SecretId=name)["SecretString"]


def powertools(url: str, kept: int) -> Get:
    """A SecretsProvider's get."""
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

    provider = SecretsProvider(boto3_client=_boto_client(url))
    return lambda name: provider.get(name, max_age=3600)


def resident(pid: int | str = "self") -> int:
    """Bytes in memory now, of this process or of that with *pid*."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: the most there ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def cpu() -> float:
    """Seconds, of all threads, since the process was executed."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """The measured process."""
    subject, what, url = sys.argv[1:]
    get = globals()[subject](url, KEPT if what == "kept" else 0)
    if what == "ready":
        print(cpu(), resident())
    elif what == "secret":
        get("bench/0")
        print(cpu(), resident())
    else:
        for at in range(WARM):
            get(f"bench/warm{at}")
        gc.collect()
        before = resident()
        for at in range(KEPT):
            get(f"bench/{at}")
        gc.collect()
        print(cpu(), (resident() - before) / KEPT)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
