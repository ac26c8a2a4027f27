"""Lists in pages that a server does not end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from secrets_actor import AwsSettings, InvalidAnswer, Secrets, Settings, System, start
from tests.servers.behaviours import Behaviour, answer_json
from tests.servers.faulty import FaultyServer

ARN: Final = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"


@contextmanager
def served(face: Callable[[System], System], *script: Behaviour) -> Iterator[tuple[Secrets, FaultyServer]]:
    with FaultyServer(*script) as server:
        aws = AwsSettings(region="us-east-1", endpoint_url=server.url, access_key="AKIDEXAMPLE", secret_key="secret")
        with start(Settings(backend="aws_secrets_manager", aws=aws)) as system:
            yield face(system).secrets, server


def page(token: str | None) -> Behaviour:
    """One page of either list, and the end of the connection."""
    listed = {"SecretList": [{"Name": "a", "ARN": ARN}], "Versions": [{"VersionId": "v" * 32}]}
    return answer_json({"Name": "a", "ARN": ARN, "NextToken": token, **listed}, last=True)


LISTS: Final[list[Callable[[Secrets], list[Any]]]] = [
    lambda secrets: list(secrets.iterate()),
    lambda secrets: list(secrets.versions("a")),
]


@pytest.mark.parametrize("listed", LISTS, ids=["iterate", "versions"])
@pytest.mark.parametrize("tokens", ["AA", "ABA", "ABCDBCDBCD"])
def test_a_list_that_goes_round_in_circles_is_told(
    listed: Callable[[Secrets], list[Any]], tokens: str, face: Callable[[System], System]
) -> None:
    with served(face, *map(page, tokens), page(None)) as (secrets, server):
        with pytest.raises(InvalidAnswer, match="in circles"):
            listed(secrets)

        assert len(server.requests) <= len(tokens)


@pytest.mark.parametrize("listed", LISTS, ids=["iterate", "versions"])
def test_a_list_that_ends_is_whole(listed: Callable[[Secrets], list[Any]], face: Callable[[System], System]) -> None:
    with served(face, *map(page, "ABCDEFG"), page(None)) as (secrets, _):
        assert len(listed(secrets)) == 8
