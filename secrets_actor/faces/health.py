"""The face `health`: is the daemon alive, is it ready, and what is wrong with it.

- `GET /health/live`: 200 while a question still goes through the whole tree and back. 503: start it anew.
- `GET /health/ready`: 200 when it can do its work: its listeners are up, and the configured prefetch is over. 503 until
  then, and while it drains: send nothing here now.
- `GET /health`: the same as JSON, with all that is degraded. A daemon that is degraded is ready: it answers, though
  perhaps with older values, and a restart would mend nothing.

Rule 1: anybody may ask, so nothing here names a secret, a caller, a version or a place.
Rule 2: to look costs no question to a process or a store: a probe must not wait behind what it is to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from secrets_actor.actor.breaker import Circuit
from secrets_actor.actor.flights import RenewalFailed
from secrets_actor.actor.prefetcher import PrefetchDone
from secrets_actor.domain import metrics
from secrets_actor.domain.errors import (
    KeyFileError,
    KeySourceError,
    StoreDamaged,
    StoreFailure,
    StoreUnavailable,
    WrongKey,
)
from secrets_actor.domain.metrics import Metrics
from secrets_actor.faces.exchange import Request, Response
from secrets_actor.faces.router import json_response, refused
from secrets_actor.otp import LifecycleEvent, TreeNode
from secrets_actor.telemetry.audit_process import AuditLogFails, AuditRecordsLost

# Seconds for which something that has happened counts as `lately`. A failed renewal of credentials is tried again after
# a minute at most, so one that goes on failing is always among the latest.
LATELY: Final = 120.0
# Seconds without an answer of the tree after which the daemon counts as dead. The watchdog asks every few seconds.
DEAD_AFTER: Final = 30.0
# Seconds in which records wait and none is written, after which the log counts as hanging. It writes each few
# milliseconds.
HANGS_AFTER: Final = 10.0
_PATHS: Final = ("/health", "/health/live", "/health/ready")


class Degradation(Struct, frozen=True):
    """One thing that is not as it should be: *what*, a word of ours, and *detail*, a few more."""

    what: str
    detail: str


class Condition(Struct, frozen=True):
    """The state of the daemon at one moment."""

    alive: bool
    waits_for: tuple[str, ...]
    degraded: tuple[Degradation, ...]

    @property
    def ready(self) -> bool:
        """Whether it can do its work."""
        return self.alive and not self.waits_for

    @property
    def status(self) -> str:
        """The state in one word: `dead`, `unready`, `degraded` or `ok`."""
        if not self.alive:
            return "dead"
        return "unready" if self.waits_for else "degraded" if self.degraded else "ok"


class Memory:
    """An observer that remembers of the life-cycle events what health is about. *now* returns clock seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._renewal_failed_at: float | None = None
        self._audit_fails = False
        self._stale, self._failures, self._written = _Growth(now), _Growth(now), _Growth(now)
        self._wrote_at = now()
        self.beaten_at = now()
        self.prefetch: PrefetchDone | None = None

    def __call__(self, event: LifecycleEvent, /) -> None:
        """Take notice of *event*."""
        if isinstance(event, RenewalFailed):
            self._renewal_failed_at = self._now()  # its problem may name a file or a role (rule 1)
        elif isinstance(event, PrefetchDone):
            self.prefetch = event
        elif isinstance(event, AuditLogFails | AuditRecordsLost):
            self._audit_fails = isinstance(event, AuditLogFails)

    def beat(self) -> None:
        """Take notice that a question has gone through the tree and back."""
        self.beaten_at = self._now()

    @property
    def beats(self) -> bool:
        """Whether a question has gone through the tree and back lately."""
        return self._now() - self.beaten_at < DEAD_AFTER

    def condition(self, found: Metrics, root: TreeNode | None, waits_for: tuple[str, ...]) -> Condition:
        """Return the condition, by the metrics and the tree of this moment. *root*: None if there is no tree."""
        alive = root is not None and root.state == "running" and self.beats
        return Condition(alive, waits_for, tuple(self._degraded(found, root)))

    def _degraded(self, found: Metrics, root: TreeNode | None) -> Iterator[Degradation]:
        for state in (Circuit.OPEN, Circuit.HALF_OPEN):
            if found.value(metrics.BREAKER.name, state.value):
                yield Degradation("breaker", f"{state.value}: the store was out of reach")
        if self._failures.lately(_failures(found)):
            yield Degradation("store", "it could not carry out what it was asked: its files, disk or key are the cause")
        if self._stale.lately(found.value(metrics.STALE.name)):
            yield Degradation("stale", "values past their time were served, because the store could not answer")
        if self._renewal_failed_at is not None and self._now() - self._renewal_failed_at < LATELY:
            yield Degradation("credentials", "cannot be renewed: the log says why")
        if self.prefetch is not None and self.prefetch.missed:
            yield Degradation("prefetch", f"{self.prefetch.missed} secrets could not be fetched")
        if self._audit_fails:
            yield Degradation("audit", "records cannot be written")
        elif self._log_hangs(found):
            yield Degradation("audit", "records wait, and none is written: nobody reads the log, or its disk hangs")
        restarted = sorted(set() if root is None else _restarted(root))
        if restarted:
            yield Degradation("restarts", f"lately below {', '.join(restarted)}")
        disowned = found.value(metrics.DISOWNED.name)
        if disowned:
            yield Degradation("threads", f"{disowned:g} hang and were cut off")

    def _log_hangs(self, found: Metrics) -> bool:
        """Whether audit records wait, and none was written between looks for a while. Nobody can tell of it: the
        process that writes them hangs in that."""
        if not found.value(metrics.AUDIT_WAITING.name) or self._written.has_grown(
            found.value(metrics.AUDIT.name, "written")
        ):
            self._wrote_at = self._now()
        return self._now() - self._wrote_at > HANGS_AFTER


class _Growth:
    """Whether a counter has grown lately, or since the last look: the counter has no times."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._seen = now, 0.0
        self._at: float | None = None

    def has_grown(self, count: float) -> bool:
        """Look: the counter is at *count* now. Return whether that is more than at the last look."""
        grown = count > self._seen
        if grown:
            self._seen, self._at = count, self._now()
        return grown

    def lately(self, count: float) -> bool:
        """Look, and return whether it has grown lately."""
        self.has_grown(count)
        return self._at is not None and self._now() - self._at < LATELY


def _failures(found: Metrics) -> float:
    """Return how many operations have failed for a reason of the store's own, which no other request would not meet.
    A store that is out of reach is the breaker's, and credentials have an event."""
    return sum(
        sample.value
        for family in found
        if family.metric is metrics.UPSTREAM
        for sample in family.samples
        if sample.labels[1] in _OF_THE_STORE
    )


_OF_THE_STORE: Final = frozenset(
    kind.code for kind in (StoreFailure, StoreUnavailable, StoreDamaged, KeyFileError, KeySourceError, WrongKey)
)


def _restarted(node: TreeNode) -> Iterator[str]:
    """Yield the supervisors below *node* that have restarted a child within the period of their intensity."""
    if node.restarts_in_window:
        yield node.id
    for child in node.children:
        yield from _restarted(child)


class HealthFace:
    """The face `health`. *look* returns the condition of the daemon; *alive*, which costs next to nothing, only whether
    it is alive."""

    name = "health"

    def __init__(self, look: Callable[[], Condition], alive: Callable[[], bool]) -> None:
        self._look, self._alive = look, alive

    def takes(self, request: Request) -> bool:
        """Whether the path is one of health's."""
        return request.path in _PATHS

    async def answer(self, request: Request) -> Response:
        """Answer with 200 or 503, and JSON."""
        if request.method not in ("GET", "HEAD"):
            return refused(405, "ask by GET")
        if request.path == "/health/live":
            alive = self._alive()
            return json_response(200 if alive else 503, {"alive": alive})
        condition = self._look()
        if request.path == "/health/ready":
            facts = {"ready": condition.ready, "waits_for": condition.waits_for}
            return json_response(200 if condition.ready else 503, facts)
        facts = {"status": condition.status, "waits_for": condition.waits_for, "degraded": condition.degraded}
        return json_response(200 if condition.ready else 503, facts)
