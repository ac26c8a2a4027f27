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

from secrets_actor.faces.events import HandlerFailed
from secrets_actor.faces.exchange import Face, Request, Response
from secrets_actor.otp import Crashed, Observer

_TEXT: Final = (("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store"))
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

    def __init__(self, faces: Sequence[Face], guard: Guard, observe: Observer) -> None:
        self._faces, self._guard, self._observe = tuple(faces), guard, observe

    async def __call__(self, request: Request) -> Response:
        """Answer *request*. Raises nothing but cancellation."""
        refusal = self._guard(request)
        if refusal is not None:
            return Response(refusal.status, _TEXT, refusal.text.encode())
        for face in self._faces:
            if face.takes(request):
                break
        else:
            return refused(404, "nothing is served at this path of this address")
        try:
            return await face.answer(request)
        except Exception as error:  # noqa: BLE001  # rule 2
            self._observe(HandlerFailed(face.name, str(Crashed.by(error))))
        broken: Callable[[Request], Response] | None = getattr(face, "broken", None)
        return refused(500, "the daemon failed; its log says where") if broken is None else broken(request)
