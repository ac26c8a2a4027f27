"""Bad weather between us and an emulator: a behaviour of the bad server that delays, resets and answers 5xx at random.

Rule 1: the dice are seeded. Which request meets which throw is up to the threads.
Rule 2: a request may be lost before the emulator has it, or its answer after: then it has taken effect.
Rule 3: a write whose client has hung up is delivered all the same, late, as a network does. Not so one without a token,
        a delete or a restore: delivered late, it would take effect twice where its client has sent it again, and of
        that no client can be kept, for AWS gives such calls no token.
Rule 4: a token makes one write, as with AWS: who comes with it again gets the first answer. ministack does not look at
        tokens (tests/contract/divergences.py).
"""

import json
import random
import select
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tests.servers.behaviours import GATE_SECONDS, Connection
from tests.servers.http_messages import Message, Stream, hang_up

_ERROR: Final = b'{"__type":"InternalServiceError","message":"bad weather"}'
_TOKENLESS: Final = (b"secretsmanager.DeleteSecret", b"secretsmanager.RestoreSecret")


class Fate(StrEnum):
    """What becomes of a request. The first half of a name says what; the second, before or after it took effect."""

    FAIR = "fair"
    RESET_BEFORE = "reset before"
    RESET_AFTER = "reset after"
    ERROR_BEFORE = "5xx before"
    ERROR_AFTER = "5xx after"


@dataclass(frozen=True, slots=True)
class Climate:
    """Shares of requests: each kind of mishap has *mishap*; *breeze* are delayed by up to 20 ms, *calm* by up to half a
    second."""

    mishap: float = 0.015
    breeze: float = 0.2
    calm: float = 0.005


class Weather:
    """Forwards to the server at *port*; `counts` tells what it did."""

    def __init__(self, port: int, seed: int, climate: Climate = Climate()) -> None:  # it is frozen
        self._port, self._random, self._climate = port, random.Random(seed), climate
        self._lock = threading.Lock()
        self._tokens: dict[str, _Token] = {}
        self.counts: Counter[str] = Counter()

    def serve(self, connection: Connection) -> None:
        """Forward until one side ends."""
        upstream = socket.create_connection(("127.0.0.1", self._port), timeout=GATE_SECONDS)
        connection.adopt(upstream)
        try:
            answers = Stream(upstream)
            while (request := connection.next_request()) is not None:
                fate, delay = self._throw()
                gone = delay > 0 and _hangs_up(connection.client, delay)
                if gone and any(one in request.head for one in _TOKENLESS):
                    self._count("dropped with its client")
                    return
                self._count("delivered late" if gone else fate)
                if fate is Fate.RESET_BEFORE:
                    _reset(connection.client)
                    return
                if fate is Fate.ERROR_BEFORE:
                    connection.client.sendall(_server_error())
                    continue
                answer = self._forward(request, upstream, answers)
                if fate is Fate.RESET_AFTER:
                    _reset(connection.client)
                    return
                connection.client.sendall(_server_error() if fate is Fate.ERROR_AFTER else answer.raw)
        finally:
            hang_up(upstream)

    def _throw(self) -> tuple[Fate, float]:
        with self._lock:
            dice, climate = self._random.random(), self._climate
            fates = list(Fate)[1:]
            place = int(dice / climate.mishap) if climate.mishap else len(fates)
            fate = fates[place] if place < len(fates) else Fate.FAIR
            wind = self._random.random()
            span = 0.5 if wind < climate.calm else 0.02 if wind < climate.calm + climate.breeze else 0.0
            return fate, self._random.uniform(0.0, span)

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def _forward(self, request: Message, upstream: socket.socket, answers: Stream) -> Message:
        token = json.loads(request.body).get("ClientRequestToken")
        if token is None:
            upstream.sendall(request.raw)
            return answers.response()
        with self._lock:
            known = self._tokens.setdefault(token, _Token())
        with known.lock:
            if known.answer is not None:
                self._count("token met again")
                return known.answer
            upstream.sendall(request.raw)
            answer = answers.response()
            if answer.head.startswith(b"HTTP/1.1 200"):
                known.answer = answer
            return answer


@dataclass(slots=True)
class _Token:
    lock: threading.Lock = field(default_factory=threading.Lock)
    answer: Message | None = None


def _server_error() -> bytes:
    head = (
        f"HTTP/1.1 500 Bad Weather\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {len(_ERROR)}\r\n\r\n"
    )
    return head.encode() + _ERROR


def _hangs_up(client: socket.socket, seconds: float) -> bool:
    """Wait; whether the client has hung up by then."""
    readable, _, _ = select.select([client], [], [], seconds)
    try:
        return bool(readable) and not client.recv(1, socket.MSG_PEEK)
    except OSError:
        return True


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
