"""A connection that is out of step: each caller gets the secret that was asked for, and the cache no other."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from secrets_actor.errors import InvalidAnswer
from tests.actor.rig import failure, running
from tests.actor.test_bad_server import system_at
from tests.servers.account import Keys
from tests.servers.behaviours import Connection
from tests.servers.faulty import FaultyServer

KEYS = Keys("AKIDEXAMPLE", "secret")
NAMES = [f"n{number}" for number in range(12)]


def answer(name: str) -> bytes:
    arn = f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-AbCdEf"
    found = {"Name": name, "ARN": arn, "VersionId": "v" * 36, "VersionStages": ["AWSCURRENT"], "CreatedDate": 1}
    body = json.dumps(found | {"SecretString": f"value of {name}"}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@dataclass(frozen=True)
class OneBehind:
    """Answers the *first* requests of a connection right, and from then on each with the answer to the one before."""

    first: int = 1

    def serve(self, connection: Connection) -> None:
        before = b""
        served = 0
        while (request := connection.next_request()) is not None:
            right = answer(json.loads(request.body)["SecretId"])
            connection.client.sendall(right if served < self.first else before)
            before, served = right, served + 1


@dataclass(frozen=True)
class Twice:
    """Answers each request twice at once: whole, or without the last bytes of the second."""

    cut: int = 0

    def serve(self, connection: Connection) -> None:
        while (request := connection.next_request()) is not None:
            right = answer(json.loads(request.body)["SecretId"])
            connection.client.sendall(right + right[: len(right) - self.cut])


@pytest.mark.parametrize("behaviour", [OneBehind(1), OneBehind(5)], ids=repr)
def test_whatever_comes_out_of_step_no_caller_gets_anothers_secret(behaviour: OneBehind, tmp_path: Path) -> None:
    with FaultyServer(behaviour) as server:
        with running(system_at(server.url, tmp_path, KEYS, max_workers=1)) as system:
            for _ in range(2):
                for name in NAMES:
                    found = system.secrets.get(name)
                    assert (found.name, found.reveal()) == (name, f"value of {name}")
            assert system.secrets.get(NAMES[0]).source == "cache"


@pytest.mark.parametrize("behaviour", [Twice(), Twice(7)], ids=repr)
def test_an_answer_with_more_behind_it_is_refused_and_not_kept(behaviour: Twice, tmp_path: Path) -> None:
    """Nobody knows which of the two is the answer."""
    with FaultyServer(behaviour) as server:
        with running(system_at(server.url, tmp_path, KEYS, max_workers=1)) as system:
            for name in (NAMES[0], NAMES[1], NAMES[0]):
                asked = len(server.requests)
                assert type(failure(lambda name=name: system.secrets.get(name))) is InvalidAnswer  # type: ignore[misc]
                assert len(server.requests) > asked, "the store is asked, and may be well again"


def test_an_answer_to_another_question_is_not_kept(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Always:
        """The secret `b`, whatever is asked for."""

        def serve(self, connection: Connection) -> None:
            while connection.next_request() is not None:
                connection.client.sendall(answer("b"))

    with FaultyServer(Always()) as server:
        with running(system_at(server.url, tmp_path, KEYS, max_workers=1)) as system:
            assert isinstance(failure(lambda: system.secrets.get("a")), InvalidAnswer)
            asked = len(server.requests)
            found = system.secrets.get("b")
            assert (found.source, len(server.requests)) == ("backend", asked + 1)
