"""Hands each request to the face that serves it, and has an answer for whatever goes wrong there.

Rule 1: the guard looks first: what it refuses, no face sees. Its answer is bare text, as from AWS's agent, whose
        clients may look for the word `Forwarded`; SDKs of AWS take any text for the message of an error.
Rule 2: a face that raises has a mistake of ours in it. The caller gets a 500 in the words of that face; the log gets
        the type of the error and its place. Its text may quote a secret, and goes nowhere.
Rule 3: an answer of ours has no CORS header and is never a redirect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from secrets_actor.domain import metrics
from secrets_actor.domain.metrics import NO_METER, Meter
from secrets_actor.faces.events import HandlerFailed
from secrets_actor.faces.exchange import Face, Request, Response
from secrets_actor.otp import Crashed, Observer

_TEXT: Final = (("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store"))
# What stands for the face, in the metrics, of a request that came to none.
NO_FACE: Final = "none"
JSON: Final = (("content-type", "application/json"), ("cache-control", "no-store"))


class Refusal(Protocol):
    """Why the guard refuses a request. `guard.py` has it."""

    @property
    def status(self) -> int:
        """The status of the answer."""

    @property
    def text(self) -> str:
        """What is wrong, and what to do."""


# Returns why a request is refused before any face sees it; None if it is not.
Guard = Callable[[Request], Refusal | None]


def json_response(status: int, facts: object) -> Response:
    """Return an answer with *facts* as JSON."""
    return Response(status, JSON, msgspec.json.encode(facts))


def refused(status: int, message: str) -> Response:
    """Return an answer that says in JSON why nothing else is answered."""
    return json_response(status, {"message": message})


class Router:
    """The handler of a listener: asks *guard*, and then the first of *faces* that takes the request."""

    def __init__(self, faces: Sequence[Face], guard: Guard, observe: Observer, meter: Meter = NO_METER) -> None:
        self._faces, self._guard, self._observe, self._meter = tuple(faces), guard, observe, meter

    async def __call__(self, request: Request) -> Response:
        """Answer *request*, and count it. Raises nothing but cancellation."""
        face, response = await self._answered(request)
        self._meter.count(metrics.FACE_REQUESTS, face, str(response.status))
        return response

    async def _answered(self, request: Request) -> tuple[str, Response]:
        """Return the name of the face that answers *request*, and its answer."""
        refusal = self._guard(request)
        if refusal is not None:
            return NO_FACE, Response(refusal.status, _TEXT, refusal.text.encode())
        for face in self._faces:
            if face.takes(request):
                break
        else:
            return NO_FACE, refused(404, "nothing is served at this path of this address")
        try:
            return face.name, await face.answer(request)
        except Exception as error:  # noqa: BLE001  # rule 2
            self._observe(HandlerFailed(face.name, str(Crashed.by(error))))
        broken: Callable[[Request], Response] | None = getattr(face, "broken", None)
        if broken is None:
            return face.name, refused(500, "the daemon failed; its log says where")
        return face.name, broken(request)
