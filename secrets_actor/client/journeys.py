"""Journeys of a face's calls: begun before a call is sent, ended when its asker goes on. A tracer that raises is its
own affair."""

from __future__ import annotations

import contextlib
from typing import Any

from secrets_actor.actor.failures import translated
from secrets_actor.domain.journey import Journey, Tracer
from secrets_actor.domain.operations import Operation
from secrets_actor.otp import From


def set_out(tracer: Tracer, operation: Operation[Any], label: str | None, now: float) -> Journey:
    """The journey of *operation*, which begins *now*."""
    journey = Journey(operation.kind, getattr(operation, "secret_id", None), label, now)
    with contextlib.suppress(Exception):
        journey.on_end(tracer.begin(journey))
    return journey


def arrive(caller: From[Any], now: float, source: str | None = None) -> None:
    """What *caller* waits for is here, or will not come any more. With *source*, he was helped in another way."""
    journey: Journey | None = caller.note.journey
    if journey is None:
        return
    error = caller.error
    code = "ok" if error is None else translated(error).code
    if source is not None:
        journey.problem, journey.source, code = code, source, "ok"
    with contextlib.suppress(Exception):
        journey.end(code, now)
