"""The router hands a request to the face that takes it; whatever goes wrong there is answered, and tells nothing."""

from dataclasses import dataclass

import pytest

from secrets_actor.domain.metrics import FACE_REQUESTS
from secrets_actor.faces.events import HandlerFailed
from secrets_actor.faces.exchange import Request, Response
from secrets_actor.faces.guard import refusal
from secrets_actor.faces.router import Router
from secrets_actor.otp import LifecycleEvent
from secrets_actor.telemetry.meters import Meters
from tests.faces.requests import answer, json_of, request

CANARY = "hunter2-must-not-show"


@dataclass
class Words:
    """A face that answers one path with its name."""

    name: str
    path: str

    def takes(self, request: Request) -> bool:
        return request.path == self.path

    async def answer(self, request: Request) -> Response:
        return Response(200, body=self.name.encode())


class Broken(Words):
    async def answer(self, request: Request) -> Response:
        raise ValueError(CANARY)


class BrokenInItsOwnWords(Broken):
    def broken(self, request: Request) -> Response:
        return Response(500, body=b"InternalFailure")


@dataclass
class No:
    status: int
    text: str


def nobody_is_refused(_request: Request) -> None:
    return None


def events_of(router_with: list[Words]) -> tuple[Router, list[LifecycleEvent]]:
    events: list[LifecycleEvent] = []
    return Router(router_with, nobody_is_refused, events.append), events


def test_the_first_face_that_takes_a_request_answers_it() -> None:
    router, events = events_of([Words("a", "/a"), Words("b", "/b"), Words("c", "/b")])

    assert answer(router, request("/b")).body == b"b"
    assert events == []


def test_a_request_that_no_face_takes_is_answered_with_404() -> None:
    router, _ = events_of([Words("a", "/a")])

    refused = answer(router, request("/none"))

    assert refused.status == 404
    assert json_of(refused) == {"message": "nothing is served at this path of this address"}


def test_what_the_guard_refuses_no_face_sees() -> None:
    router = Router([Broken("a", "/a")], lambda _: No(421, "no such host here"), pytest.fail)

    refused = answer(router, request("/a"))

    assert (refused.status, refused.body) == (421, b"no such host here")


def test_the_guards_word_for_a_forwarded_request_is_that_of_awss_agent() -> None:
    router = Router([Broken("a", "/a")], refusal, pytest.fail)
    asked = request("/a")
    asked.headers = (*asked.headers, ("x-forwarded-for", "10.0.0.1"))

    refused = answer(router, asked)

    assert (refused.status, refused.body) == (400, b"Forwarded")
    assert dict(refused.headers)["content-type"] == "text/plain; charset=utf-8"


def test_a_face_that_raises_is_answered_for_and_the_event_has_the_type_and_not_the_text() -> None:
    router, events = events_of([Broken("plain", "/a"), BrokenInItsOwnWords("own", "/b")])

    plain, own = answer(router, request("/a")), answer(router, request("/b"))

    assert (plain.status, own.status, own.body) == (500, 500, b"InternalFailure")
    assert json_of(plain) == {"message": "the daemon failed; its log says where"}
    assert [type(event) for event in events] == [HandlerFailed, HandlerFailed]
    assert [event.process for event in events] == ["plain", "own"]
    [first, _] = events
    assert isinstance(first, HandlerFailed)
    assert first.reason.startswith("ValueError at test_router.py:")
    assert CANARY not in f"{events}{plain}{plain.body!r}"


def test_each_answer_is_counted_by_its_face_and_its_status() -> None:
    meters = Meters()
    router = Router([Words("a", "/a"), Broken("b", "/b")], nobody_is_refused, lambda _: None, meters)

    for path in ("/a", "/a", "/b", "/none"):
        answer(router, request(path))

    [counted] = [one for one in meters.snapshot() if one.metric is FACE_REQUESTS]
    assert {sample.labels: sample.value for sample in counted.samples} == {
        ("a", "200"): 2,
        ("b", "500"): 1,
        ("none", "404"): 1,
    }
