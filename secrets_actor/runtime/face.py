"""What the faces for callers are made of."""

from __future__ import annotations

from collections.abc import Callable

from secrets_actor.client.background import Background
from secrets_actor.client.front import Parts as Face
from secrets_actor.runtime import tree
from secrets_actor.runtime.wiring import ERRANDS, SECRETS, SUBSCRIBERS, Parts


def face_of(parts: Parts, running: Callable[[], bool]) -> Face:
    """The face of the system that is made of *parts*. *running*: whether its tree is up, or could be brought up."""
    node = parts.node
    background = Background(
        subscriptions=parts.subscriptions,
        subscribers=node.name(SUBSCRIBERS),
        subscriber=lambda number: tree.subscriber_spec(parts, number),
        errands=node.name(ERRANDS),
        prefetcher=lambda wanted: tree.prefetch_spec(parts, wanted),
        observe=node.observe,
        cache=parts.cache,
        clock=node.clock,
        running=running,
    )
    return Face(
        server=node.name(SECRETS),
        cache=parts.cache,
        audit=parts.trail,
        clock=node.clock,
        call_timeout=parts.settings.call_timeout_seconds,
        running=running,
        background=background,
    )
