"""The canonical form of a trace, in which two traces of one scenario are equal. PURE.

Rule 1: a step event opens a segment. A step with "settle": false does not wait, so events drift: it and the steps after
        it, up to and including the first that settles, are one group. The group's step events come first.
Rule 2: the result of a step with result_first, and of a cast, follows its own step event at once.
Rule 3: the result of a step with result_last, of a gen_server's stop, and in an unordered group, comes last.
Rule 4: in an unordered group all other events are sorted, by their JSON; with down_last its `down` events come last.
Rule 5: a list of children in an unordered step, and a mailbox in any_order, is sorted.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Event = dict[str, Any]
LATE = ": took "  # in the text of a problem that is one of time only


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def canonical(trace: Iterable[Event], scenario: Mapping[str, Any]) -> list[Event]:
    """*trace* in canonical form."""
    flags: dict[int, Mapping[str, Any]] = dict(enumerate(scenario.get("steps", []), 1))
    segments = _segments(trace, flags)
    found: list[Event] = []
    while segments:
        size = 1
        while _drifts(flags, segments[size - 1][0]) and size < len(segments):
            size += 1
        found += _group(segments[:size], flags)
        segments = segments[size:]
    return found


def _drifts(flags: Mapping[int, Mapping[str, Any]], step: Event) -> bool:
    return flags.get(step["step"], {}).get("settle") is False


def _segments(trace: Iterable[Event], flags: Mapping[int, Mapping[str, Any]]) -> list[tuple[Event, list[Event]]]:
    segments: list[tuple[Event, list[Event]]] = []
    for event in trace:
        if event["ev"] == "step":
            segments.append((event, []))
            continue
        step, events = segments[-1]
        events.append(_sorted_lists(event, flags.get(step["step"], {})))
    return segments


def _sorted_lists(event: Event, flags: Mapping[str, Any]) -> Event:
    value = event.get("value")
    if isinstance(value, dict):
        for name, flag in (("children", "unordered"), ("list", "any_order")):
            if name in value and flags.get(flag):
                return {**event, "value": {name: sorted(value[name], key=_key)}}
    return event


def _group(segments: Sequence[tuple[Event, list[Event]]], flags: Mapping[int, Mapping[str, Any]]) -> list[Event]:
    mine = {step["step"]: flags.get(step["step"], {}) for step, _ in segments}
    body = [event for _, events in segments for event in events]
    unordered = any(one.get("unordered") for one in mine.values())
    first = {number for number, one in mine.items() if one.get("result_first") or one.get("op") == "cast"}
    last = {
        number for number, one in mine.items() if unordered or one.get("result_last") or one.get("op") == "stop"
    } - first
    head: list[Event] = []
    for step, _ in segments:
        head.append(step)
        if step["step"] in first:
            head += [event for event in body if event["ev"] == "result" and event["step"] == step["step"]]
    rest = [event for event in body if not (event["ev"] == "result" and event["step"] in first | last)]
    if unordered:
        rest.sort(key=_key)
    elif any(one.get("down_last") for one in mine.values()):
        rest.sort(key=lambda event: event["ev"] == "down")  # stable
    tail = [event for event in body if event["ev"] == "result" and event["step"] in last]
    return head + rest + sorted(tail, key=lambda event: event["step"])


def differences(
    trace: Iterable[Event], document: Mapping[str, Any], elapsed: Mapping[int, float], slack: float = 0.0
) -> list[str]:
    """Where *trace* and the *elapsed* milliseconds of each step differ from the recording; empty if nowhere.

    *slack*: milliseconds by which a step may exceed its max_ms.
    """
    got, want = canonical(trace, document["scenario"]), document["trace"]
    problems = []
    for index in range(max(len(got), len(want))):
        mine = got[index] if index < len(got) else None
        theirs = want[index] if index < len(want) else None
        if not _same_event(mine, theirs):
            problems.append(f"{document['name']}[{index}]: got {json.dumps(mine)}, want {json.dumps(theirs)}")
            break
    for number, step in enumerate(document["scenario"].get("steps", []), 1):
        took = elapsed.get(number)
        low, high = step.get("min_ms", 0), step.get("max_ms", float("inf"))
        if took is not None and not low <= took <= high + slack:
            problems.append(f"{document['name']} step {number}{LATE}{took:.0f} ms, want {low} to {high} ms")
    return problems


# Events of which the README names one field only; what else the recording has of them is compared with ours.
LOOSE = ("info", "work")


def _same_event(mine: Event | None, theirs: Event | None) -> bool:
    if mine is not None and theirs is not None and theirs["ev"] in LOOSE:
        mine = {name: value for name, value in mine.items() if name in theirs}
    return _same(mine, theirs)


def _same(mine: Any, theirs: Any) -> bool:
    """Equality, but for OTP's internal record of a child, `{"child": {...}}`, and for the specs of a simple_one_for_one
    that has several: the reason beside them says all."""
    if isinstance(theirs, dict) and set(theirs) == {"child"} and isinstance(theirs["child"], dict):
        return isinstance(mine, dict) and set(mine) == {"child"}
    if isinstance(theirs, list) and isinstance(mine, list) and theirs[:1] == mine[:1] == ["bad_start_spec"]:
        return True
    if isinstance(theirs, dict) and isinstance(mine, dict):
        return mine.keys() == theirs.keys() and all(_same(mine[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list) and isinstance(mine, list):
        return len(mine) == len(theirs) and all(map(_same, mine, theirs))
    return bool(mine == theirs) and type(mine) is type(theirs)
