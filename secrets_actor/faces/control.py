"""The face `control`: what the command line asks a running daemon. Every Unix socket serves it, and no other listener.

- `GET /control/status`: to a caller who may `admin`, all of `Status`; to any other only that a daemon is there.
- `GET /control/tree`, `GET /control/metrics`: a picture of the tree, and all metrics. They need `admin`.
- `GET /control/live`: all that the live page shows, which has the names of secrets and callers. It needs `admin`.
- `POST /control/live/key`: the addresses of the live page, each with a key that lets one browser in. It needs `admin`.

The caller is the process at the other end of the socket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Raw, Struct, to_builtins

from secrets_actor.domain.errors import AccessDenied
from secrets_actor.domain.metrics import Metrics
from secrets_actor.faces.exchange import Request, Response
from secrets_actor.faces.health import Condition, Degradation
from secrets_actor.faces.identity import Identity
from secrets_actor.faces.router import json_response, refused
from secrets_actor.faces.service import Gate
from secrets_actor.otp import Tree

ADMIN = "admin"
_KEY = "/control/live/key"


class ListenerState(Struct, frozen=True):
    """One listener: its address, the faces that it serves, whether it is up, and its *traffic* in words."""

    address: str
    faces: tuple[str, ...]
    up: bool
    traffic: str


class FileLine(Struct, frozen=True):
    """One rendered file: its path, its state (`waiting`, `rendered` or `failing`), when its content became what it is
    (seconds since the epoch, or None), and what is wrong with it, or ""."""

    path: str
    state: str
    rendered_at: float | None
    problem: str


class Reload(Struct, frozen=True):
    """The last time that the configuration was read anew: when (ISO 8601), and what was wrong with it. If anything was,
    the one before is in force."""

    at: str
    mistakes: tuple[str, ...] = ()


class Status(Struct, frozen=True):
    """The state of the daemon, as `secrets-actor status` shows it."""

    version: str
    pid: int
    uptime: float
    status: str
    backend: str
    configuration: str
    listeners: tuple[ListenerState, ...]
    waits_for: tuple[str, ...]
    degraded: tuple[Degradation, ...]
    reload: Reload | None = None
    files: tuple[FileLine, ...] = ()


def metrics_facts(found: Metrics) -> list[dict[str, Any]]:
    """Return *found* as data: one object for each series."""
    return [
        {
            "name": family.metric.name,
            "kind": family.metric.kind.value,
            "help": family.metric.help,
            "samples": [
                {
                    "labels": dict(zip(family.metric.labels, sample.labels, strict=True)),
                    "value": sample.value,
                    **({"sum": sample.sum} if family.metric.bounds else {}),
                }
                for sample in family.samples
            ],
        }
        for family in found
    ]


class ControlFace:
    """The face `control`. *gate* is the policy; the others return the state of this moment."""

    name = "control"

    def __init__(
        self,
        gate: Gate,
        *,
        status: Callable[[], Status],
        tree: Callable[[], Tree],
        read: Callable[[], Metrics],
        look: Callable[[], Condition],
        live: Callable[[], bytes],
        enter: Callable[[Identity], tuple[str, ...]],
    ) -> None:
        self._gate, self._look = gate, look
        self._status, self._enter = status, enter
        self._pages: dict[str, Callable[[], object]] = {
            "/control/tree": lambda: to_builtins(tree()),
            "/control/metrics": lambda: metrics_facts(read()),
            "/control/live": lambda: Raw(live()),
        }

    def takes(self, request: Request) -> bool:
        """Whether the path is one of control's."""
        return request.path in self._pages or request.path in ("/control/status", _KEY)

    async def answer(self, request: Request) -> Response:
        """Answer in JSON."""
        if request.method not in (("POST",) if request.path == _KEY else ("GET", "HEAD")):
            return refused(405, f"ask by {'POST' if request.path == _KEY else 'GET'}")
        try:
            self._gate.check_any(Identity(request.peer), ADMIN)
        except AccessDenied as error:
            if request.path in self._pages or request.path == _KEY:
                return refused(403, str(error))
            return json_response(200, {"status": self._look().status, "refused": str(error)})
        if request.path == _KEY:
            return json_response(200, {"urls": self._enter(Identity(request.peer))})
        page = self._pages.get(request.path)
        return json_response(200, self._status() if page is None else page())
