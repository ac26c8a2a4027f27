"""Lists in pages that a server does not end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from secrets_actor import AwsSettings, Secrets, Settings, System, start
from secrets_actor.errors import InvalidAnswer
from tests.servers.behaviours import Behaviour, answer_json
from tests.servers.faulty import FaultyServer

ARN: Final = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"


@contextmanager
def served(face: Callable[[System], System], *script: Behaviour) -> Iterator[tuple[Secrets, FaultyServer]]:
    with FaultyServer(*script) as server:
        aws = AwsSettings(region="us-east-1", endpoint_url=server.url, access_key="AKIDEXAMPLE", secret_key="secret")
        with start(Settings(backend="aws_secrets_manager", aws=aws)) as system:
            yield face(system).secrets, server


SECRETS: Final = {"SecretList": [{"Name": "a", "ARN": ARN}]}
VERSIONS: Final = {"Name": "a", "ARN": ARN, "Versions": [{"VersionId": "v" * 32}]}
POLICIES: Final = {"ResourcePolicies": [{"PolicyName": "default"}]}


def page(token: str | None, content: dict[str, Any]) -> Behaviour:
    """One page of a list, and the end of the connection."""
    return answer_json({**content, "NextToken": token}, last=True)


Listed = Callable[[Secrets], list[Any]]
# What is asked for, and what is on each page.
LISTS: Final[list[tuple[Listed, dict[str, Any]]]] = [
    (lambda secrets: list(secrets.iterate()), SECRETS),
    (lambda secrets: list(secrets.versions("a")), VERSIONS),
    (lambda secrets: list(secrets.policies("a")), POLICIES),
]


@pytest.mark.parametrize(("listed", "content"), LISTS, ids=["iterate", "versions", "policies"])
@pytest.mark.parametrize("tokens", ["AA", "ABA", "ABCDBCDBCD"])
def test_a_list_that_goes_round_in_circles_is_told(
    listed: Listed, content: dict[str, Any], tokens: str, face: Callable[[System], System]
) -> None:
    with served(face, *(page(token, content) for token in tokens), page(None, content)) as (secrets, server):
        with pytest.raises(InvalidAnswer, match="in circles"):
            listed(secrets)

        assert len(server.requests) <= len(tokens)


@pytest.mark.parametrize(("listed", "content"), LISTS, ids=["iterate", "versions", "policies"])
def test_a_list_that_ends_is_whole(listed: Listed, content: dict[str, Any], face: Callable[[System], System]) -> None:
    with served(face, *(page(token, content) for token in "ABCDEFG"), page(None, content)) as (secrets, _):
        assert len(listed(secrets)) == 8
