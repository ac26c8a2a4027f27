"""capo-secrets-manager as a peer of tests.bench.aws, where it is installed."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def capo(url: str, workers: int) -> Iterator[Callable[[str], Any]]:
    """Its synchronous client."""
    from capo_secrets_manager import SecretsManagerClient

    client = SecretsManagerClient(
        region="us-east-1",
        endpoint=url,
        credentials={"access_key": "AKIDEXAMPLE", "secret_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"},
    )
    yield lambda name: client.get_secret_value(name)["secret_string"]
