"""boto3 against the AWS face: a real client, whose requests the face answers.

With `asked_in_process`, botocore hands each request that it has signed to the face itself, and parses the answer. The
same client with an `endpoint_url` asks a listener.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Self
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from secrets_actor import System
from secrets_actor.domain.metrics import NoMeter
from secrets_actor.domain.ports import AuditRecord
from secrets_actor.faces.aws_api import AwsApi
from secrets_actor.faces.exchange import Request, Response
from secrets_actor.faces.identity import Identity, Peer, caller_facts
from secrets_actor.faces.permission import PolicyGate
from secrets_actor.faces.policy import Policy, Rule
from secrets_actor.faces.service import Gate, Service
from secrets_actor.otp import SystemClock
from tests.faces.asking import UNIX

PATIENCE: Final = 30.0
REGION: Final = "us-east-1"
# The policy that allows the caller of these tests everything.
ANYTHING: Final = Rule(("unit:billing.service",), ("**",), ("admin",))


class Kept:
    """An audit log in a list."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []

    def record(self, record: AuditRecord) -> None:
        """Take *record*."""
        self.records.append(record)


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()

    def run(self, coroutine: Any) -> Any:
        """What *coroutine* returns, or raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)


class Rig:
    """The face over a running system, and a way to ask it."""

    def __init__(
        self,
        system: System,
        loop: Loop,
        rules: tuple[Rule, ...],
        authenticate: Callable[[Request], Identity],
        judge: Gate | None = None,
    ) -> None:
        self.system, self.loop, self.clock, self.audit = system, loop, SystemClock(), Kept()
        self.responses: list[Response] = []
        policy, client = Policy(rules), system.async_secrets
        gate = judge or PolicyGate(lambda: policy, client.describe, self.audit, self.clock)
        service = Service(
            lambda caller: client.for_caller(caller_facts(caller)), gate, self.audit, self.clock, NoMeter()
        )
        self.face = AwsApi(service, authenticate)

    def ask(self, request: Request) -> Response:
        """The face's answer to *request*."""
        response: Response = self.loop.run(self.face.answer(request))
        self.responses.append(response)
        return response

    def client(self, **more: Any) -> Any:
        """A boto3 client whose requests come here."""
        made = boto3.client(
            "secretsmanager",
            region_name=REGION,
            aws_access_key_id="AKLOCALTEST",
            aws_secret_access_key="a/secret/key",
            config=Config(retries={"total_max_attempts": 1}, **more),
        )
        made.meta.events.register("before-send.secretsmanager", self._send)
        return made

    def _send(self, request: Any, **_: Any) -> AWSResponse:
        response = self.ask(as_request(request, self.clock.now() + PATIENCE))
        raw = Raw(response.body)
        return AWSResponse(request.url, response.status, dict(response.headers), raw)


class Raw:
    """The body of an answer, as botocore reads one."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        """Give the body."""
        yield self._body


def as_request(prepared: Any, deadline: float, peer: Peer = UNIX) -> Request:
    """A request of botocore's, as a listener would make it."""
    parts = urlsplit(prepared.url)
    named = [
        (name.lower(), value.decode() if isinstance(value, bytes) else str(value))
        for name, value in prepared.headers.items()
    ]
    headers = (("host", parts.netloc), *named)
    body = prepared.body or b""
    body = body.encode() if isinstance(body, str) else bytes(body)
    return Request("POST", parts.path, parts.query, headers, body, peer, "unix:/run/api.sock", deadline)


def by_peer(request: Request) -> Identity:
    """The process at the other end, whatever it signed with."""
    return Identity(request.peer)


@contextmanager
def aws_face(
    system: System,
    *rules: Rule,
    authenticate: Callable[[Request], Identity] = by_peer,
    judge: Gate | None = None,
) -> Iterator[Rig]:
    """Give the face over *system*, with these rules, or else with none that matters. *judge*: a gate in their place."""
    with Loop() as loop:
        yield Rig(system, loop, rules or (ANYTHING,), authenticate, judge)


def refusal(call: Callable[[], object]) -> tuple[str, str, int]:
    """The code, the text and the status of the error that *call* ends with."""
    try:
        found = call()
    except ClientError as error:
        told = error.response
        return told["Error"]["Code"], told["Error"]["Message"], told["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError(f"nothing was refused: {found!r}")
