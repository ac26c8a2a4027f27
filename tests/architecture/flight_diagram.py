"""The life of a flight as a diagram, drawn from the table: `python -m tests.architecture.flight_diagram` prints it."""

from secrets_actor.actor.flights import TABLE, State


def diagram() -> str:
    """The text of a mermaid diagram of TABLE. READY is a choice: no flight stays there."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.QUEUED}"]
    for state, events in TABLE.items():
        arrows: dict[State, list[str]] = {}
        for event, row in events.items():
            arrows.setdefault(row.state, []).append(event.replace("_", " "))
        lines += [f"    {state} --> {after}: {', '.join(events)}" for after, events in arrows.items()]
    lines.append(f"    {State.LANDED} --> [*]")
    return "\n".join(lines)


if __name__ == "__main__":
    print(diagram())
