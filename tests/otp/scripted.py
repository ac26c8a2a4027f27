"""Scenarios in words: short ways to write and to read them."""

from typing import Any

from tests.otp.replay.canonical import canonical
from tests.otp.replay.runner import run

Event = dict[str, Any]


def play(family: str, **scenario: Any) -> list[Event]:
    """The canonical trace of a scenario, without step events."""
    trace = run({"family": family, "scenario": scenario}).trace
    return [event for event in canonical(trace, scenario) if event["ev"] != "step"]


def servers(*steps: Event) -> list[Event]:
    return play("gen_server/x", steps=list(steps))


def start(name: str, **more: Any) -> Event:
    link = {"link": more.pop("link")} if "link" in more else {}
    return {"op": "start", "server": {"id": name, **more}, **link}


def cast(to: Any, label: str, *do: list[Any]) -> Event:
    return {"op": "cast", "to": to, "label": label, "do": list(do)}


def call(to: Any, label: str, *do: list[Any], **more: Any) -> Event:
    return {"op": "call", "to": to, "label": label, "do": list(do), **more}


def values(trace: list[Event], ev: str = "result") -> list[Any]:
    return [event["value"] for event in trace if event["ev"] == ev]


def handled(trace: list[Event], name: str, callback: str = "info") -> list[Any]:
    return [e["msg"] for e in trace if e["ev"] == "handle" and e["id"] == name and e["cb"] == callback]


def supervisor(*steps: Event, **flags: Any) -> list[Event]:
    return play("supervisor/x", steps=list(steps), **flags)


def child(name: str, **more: Any) -> Event:
    return {"id": name, **more}
