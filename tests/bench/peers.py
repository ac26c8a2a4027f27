"""The clients that are measured beside ours, each where it is installed."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

from tests.bench.aws import boto_client

Get = Callable[[str], Any]
MODULES = {
    "aws-lambda-powertools": "aws_lambda_powertools",
    "aws-secretsmanager-caching": "aws_secretsmanager_caching",
    "capo-secrets-manager": "capo_secrets_manager",
}


def missing() -> list[str]:
    """Those that are not installed."""
    return [name for name, module in MODULES.items() if importlib.util.find_spec(module) is None]


def has(name: str) -> bool:
    """Whether this one is installed."""
    return name not in missing()


@contextlib.contextmanager
def powertools(url: str, workers: int = 1) -> Iterator[Get]:
    """aws-lambda-powertools' gets: a cache in a dict."""
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

    with boto_client(url, workers) as client:
        provider = SecretsProvider(boto3_client=client)
        yield lambda name: provider.get(name, max_age=3600)


@contextlib.contextmanager
def aws_caching(url: str, workers: int = 1) -> Iterator[Get]:
    """aws-secretsmanager-caching's gets."""
    from aws_secretsmanager_caching import SecretCache, SecretCacheConfig

    with boto_client(url, workers) as client:
        cache = SecretCache(SecretCacheConfig(max_cache_size=100_000), client)
        yield cache.get_secret_string
