"""The state that the live page and `secrets-actor top` show, and how it is made of what the daemon knows. PURE.

Rule 1: there is no value, no key and no token in it, and no text of an exception: of a crash there is the type, of an
        event its kind, its process, and such fields as are words of ours (`_DETAILS`). What is wrong with a file, and
        what is degraded, is told as `secrets-actor status` tells it.
Rule 2: every time is a moment, in seconds since 1970, and never an age: so the state of a daemon in which nothing
        happens stays equal, and nothing has to be sent. `now` alone moves on; `changed` leaves it out.
Rule 3: everything has a bound: secrets, callers, events, the names of processes that have crashed.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.domain import metrics
from secrets_actor.domain.metrics import Metric, Metrics
from secrets_actor.otp import (
    ChildRestarted,
    LifecycleEvent,
    ProcessCrashed,
    ProcessEnded,
    ProcessStarted,
    Restart,
    Tree,
    TreeNode,
)

# How many secrets, and how many callers, one state has at most.
MOST_SECRETS: Final = 500
MOST_CALLERS: Final = 200
# How many events are kept, and of how many processes the last crash is.
MOST_EVENTS: Final = 50
_MOST_CRASHES: Final = 500
# Seconds over which a rate is reckoned.
WINDOW: Final = 10.0
# Seconds by which a reckoned moment may differ from the one told before and still be told as the same: two clocks are
# read one after the other, and the difference must not look like news (rule 2).
_SAME: Final = 0.5
_ROOT: Final = "The root is the daemon itself: restart that by its service manager."
_TEMPORARY: Final = "It is temporary: its supervisor would not start it again."
_GONE: Final = "It has no process now."
# A restart by hand counts as one after a crash does: one more than a supervisor may make ends the supervisor, and one
# of the root's ends the daemon. So the last one is left for a crash.
_OFTEN: Final = "Its supervisor has restarted so often lately that it would soon give up: wait a minute."


class LiveProcess(Struct, frozen=True):
    """One process of the tree, as `otp.TreeNode` has it. *last_crash* is the type of its last crash, or `killed`.
    *disowned*: how many threads of its former processes still run. *restartable*: why nobody may restart it from here;
    None: it can be."""

    id: str
    kind: str
    state: str
    restart: str
    strategy: str | None
    serial: int | None
    started_at: float | None
    restarts: int
    restarts_in_window: int
    mailbox: int
    open_calls: int
    status: str
    last_crash: str | None
    last_crash_at: float | None
    disowned: int
    restartable: str | None
    children: tuple["LiveProcess", ...] = ()


class LiveGauge(Struct, frozen=True):
    """One number, or one word. *rate* is per second, over the last seconds; None: it has none, or is not known yet."""

    name: str
    value: float | str
    rate: float | None = None


class LiveSecret(Struct, frozen=True):
    """One secret in memory. *fetched_at*: when the store was asked for it. *source*: the endpoint that gave it, or
    None. *stale*: its time is over, so it is served only while the store cannot answer. *next_refresh*: from when on a
    get has it fetched anew."""

    name: str
    version: str
    stages: tuple[str, ...]
    fetched_at: float
    source: str | None
    stale: bool
    next_refresh: float


class LiveCaller(Struct, frozen=True):
    """One caller: its requests that were answered or refused, and those that the policy refused. *last*: when the last
    one was."""

    caller: str
    requests: int
    rate: float | None
    refusals: int
    last: float


class LiveListener(Struct, frozen=True):
    """One listener. *connections* there are now; *requests* were answered since it was started."""

    address: str
    faces: tuple[str, ...]
    up: bool
    connections: int
    requests: int


class LiveCredentials(Struct, frozen=True):
    """Credentials of the store: when they end (None: they do not), and from when on they are renewed."""

    what: str
    ends: float | None
    renews: float | None


class LiveFile(Struct, frozen=True):
    """A file that the daemon renders: its *state*, when it was rendered, and what is wrong with it."""

    path: str
    state: str
    rendered_at: float | None = None
    problem: str | None = None


class LiveEvent(Struct, frozen=True):
    """One life-cycle event: its kind in words, the process that it is about, and *detail*, words and numbers of
    ours."""

    at: float
    what: str
    process: str
    detail: str


class LiveFact(Struct, frozen=True):
    """One thing that is not as it should be, as `health.Degradation` has it."""

    what: str
    detail: str


class LiveState(Struct, frozen=True):
    """The daemon at one moment, *now*. `secrets_total` is the number of secrets in memory, of which `secrets` has the
    most recently used ones."""

    now: float
    started_at: float
    version: str
    pid: int
    status: str
    backend: str
    configuration: str
    waits_for: tuple[str, ...]
    degraded: tuple[LiveFact, ...]
    tree: LiveProcess | None
    gauges: tuple[LiveGauge, ...]
    secrets: tuple[LiveSecret, ...]
    secrets_total: int
    callers: tuple[LiveCaller, ...]
    listeners: tuple[LiveListener, ...]
    credentials: tuple[LiveCredentials, ...]
    files: tuple[LiveFile, ...]
    events: tuple[LiveEvent, ...]


def changed(before: LiveState, state: LiveState) -> bool:
    """Whether *state* is another one than *before*, apart from the time (rule 2)."""
    return replace(before, now=state.now) != state


def as_json(state: LiveState) -> bytes:
    """Return *state* as JSON, on one line."""
    return msgspec.json.encode(state)


# --- what is remembered -----------------------------------------------------------------------------------------------

# The fields of events that hold words or numbers of ours (rule 1). `reason` is cut to its type; `problem`, `mistakes`
# and what else there may be hold texts, and are left out.
_DETAILS: Final = ("child", "subject", "endpoint", "disowned", "fetched", "missed", "count", "seconds")
_TYPE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# They come with each worker or job, and would push out the others.
_ROUTINE: Final = frozenset({ProcessStarted.__name__, ProcessEnded.__name__, "JobStarted"})
_MOST_DETAIL: Final = 200


def type_in(reason: str) -> str:
    """Return the first word of *reason*, the text of an `ExitReason`: the type of an error, or a word such as `killed`.
    What follows may quote anything."""
    found = _TYPE.match(reason)
    return found.group() if found else "unknown"


def in_words(kind: str) -> str:
    """Return the name of an event's class in words, such as `child restarted`."""
    return _CAPITAL.sub(" ", kind).lower()


class LiveMemory:
    """An observer that remembers of the life-cycle events what the page shows. *now* returns seconds since 1970. One
    thread calls it, and any thread may read."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._events: deque[LiveEvent] = deque(maxlen=MOST_EVENTS)
        self._crashes: dict[str, tuple[str, float]] = {}

    def __call__(self, event: LifecycleEvent, /) -> None:
        """Take notice of *event*."""
        kind, at = type(event).__name__, round(self._now(), 3)
        if isinstance(event, ProcessCrashed):
            self._note_crash(event.process, event.reason, at)
        elif isinstance(event, ChildRestarted):
            self._note_crash(event.child, event.reason, at)
        if kind not in _ROUTINE:
            self._events.append(LiveEvent(at, in_words(kind), event.process, _detail(event)))

    def _note_crash(self, label: str, reason: str, at: float) -> None:
        self._crashes.pop(label, None)  # so that the newest comes last
        if len(self._crashes) >= _MOST_CRASHES:
            del self._crashes[next(iter(self._crashes))]
        self._crashes[label] = type_in(reason), at

    @property
    def events(self) -> tuple[LiveEvent, ...]:
        """The last events, the oldest first."""
        return tuple(self._events.copy())

    @property
    def crashes(self) -> Mapping[str, tuple[str, float]]:
        """The type and the moment of the last crash, by the labels of processes."""
        return self._crashes.copy()


def _detail(event: LifecycleEvent) -> str:
    reason = getattr(event, "reason", None)
    found = [
        f"{name.replace('_', ' ')}: {value}"
        for name in _DETAILS
        if isinstance(value := getattr(event, name, None), str | int | float)
    ]
    return "; ".join([*found, *([type_in(reason)] if isinstance(reason, str) else [])])[:_MOST_DETAIL]


class Rates:
    """How fast numbers grow, over the last `WINDOW` seconds in which somebody looked."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, Mapping[str, float]]] = deque()

    def look(self, now: float, found: Mapping[str, float]) -> Callable[[str], float | None]:
        """Take notice of the numbers *found* at *now*. Return a function that says how fast the number of this name
        grows, per second; None while that is not known. A name that was not there before began at 0."""
        looks = self._looks
        if looks and now - looks[-1][0] > WINDOW:  # nobody has looked for long: an average over that says nothing
            looks.clear()
        looks.append((now, found))
        while len(looks) > 2 and now - looks[1][0] >= WINDOW:
            looks.popleft()
        began, before = looks[0]
        seconds = now - began

        def rate(name: str) -> float | None:
            return round(max(0.0, found[name] - before.get(name, 0.0)) / seconds, 2) if seconds > 0 else None

        return rate


class Moments:
    """Moments that are reckoned from two clocks, each told as it was the first time, while it is the same."""

    def __init__(self) -> None:
        self._told: dict[object, float] = {}

    def steady(self, reckoned: Mapping[object, float]) -> Mapping[object, float]:
        """Return *reckoned*, with those moments as they were told before that are the same. Others are forgotten."""
        told = self._told
        self._told = {
            key: before if (before := told.get(key)) is not None and abs(before - at) < _SAME else round(at, 3)
            for key, at in reckoned.items()
        }
        return self._told


# --- the parts of a state ---------------------------------------------------------------------------------------------


def started_at(tree: Tree, now: float) -> dict[object, float]:
    """Return when each process of *tree*, which was looked at at *now*, was started, by its serial."""
    return {one.serial: now - one.uptime for one in tree.root.walk() if one.serial is not None}


def tree_of(
    tree: Tree,
    began: Mapping[object, float],
    crashes: Mapping[str, tuple[str, float]],
    without_status: Collection[str] = (),
) -> LiveProcess:
    """Return *tree* as the page shows it. *began*: when each process was started, by its serial. *without_status*: the
    ids of processes whose status only counts on, and would be news all the time (rule 2)."""
    disowned = Counter(label.rpartition("#")[0] for label in tree.disowned)

    def shown(node: TreeNode, supervisor: TreeNode | None) -> LiveProcess:
        crash, crashed_at = crashes.get(node.id, (None, None))
        return LiveProcess(
            id=node.id,
            kind=node.kind,
            state=node.state,
            restart=node.restart,
            strategy=node.strategy,
            serial=node.serial,
            started_at=began.get(node.serial) if node.state == "running" else None,
            restarts=node.restarts,
            restarts_in_window=node.restarts_in_window,
            mailbox=node.mailbox,
            open_calls=node.open_calls,
            status="" if node.id in without_status else node.status,
            last_crash=crash,
            last_crash_at=crashed_at,
            disowned=disowned[node.id],
            restartable=why_not(node, supervisor),
            children=tuple(shown(child, node) for child in node.children),
        )

    return shown(tree.root, None)


def why_not(node: TreeNode, supervisor: TreeNode | None) -> str | None:
    """Return why *node*, a child of *supervisor* (None: the root), cannot be restarted by hand; None if it can."""
    if supervisor is None:
        return _ROOT
    if node.serial is None or node.state != "running":
        return _GONE
    if node.restart == Restart.TEMPORARY:
        return _TEMPORARY
    left = supervisor.restarts_left
    return _OFTEN if left is not None and left <= 1 else None


_COUNTED: Final[tuple[tuple[str, Metric], ...]] = (
    ("hits", metrics.HITS),
    ("misses", metrics.MISSES),
    ("joined", metrics.JOINED),
    ("stale", metrics.STALE),
)
_BUSY: Final = "busy"


def gauges_of(found: Metrics, rates: Rates, now: float) -> tuple[LiveGauge, ...]:
    """Return the numbers of the page: what was counted, with its rate, and what is so at this moment."""
    counted = {name: found.value(metric.name) for name, metric in _COUNTED}
    rate = rates.look(now, counted)
    open_states = [state for state in ("open", "half_open") if found.value(metrics.BREAKER.name, state)]
    return (
        *[LiveGauge(name, value, rate(name)) for name, value in counted.items()],
        LiveGauge("in_flight", found.value(metrics.WORKERS.name, _BUSY)),
        LiveGauge("waiting", found.value(metrics.WAITING.name)),
        LiveGauge("breaker", open_states[0] if open_states else "closed"),
        LiveGauge("disowned", found.value(metrics.DISOWNED.name)),
    )


def credentials_of(found: Metrics, backend: str) -> tuple[LiveCredentials, ...]:
    """Return when the credentials of the store end, as the secrets actor tells the metrics; nothing if it has none."""
    moments = {
        sample.labels[0]: sample.value
        for family in found
        if family.metric is metrics.CREDENTIALS
        for sample in family.samples
    }
    if not moments:
        return ()
    return (LiveCredentials(f"of the store {backend}", moments.get("end"), moments.get("renewal")),)


class Tallied(Struct, frozen=True):
    """The requests of one caller so far, its refusals among them, and when the last one was (seconds since 1970)."""

    requests: int
    refusals: int
    last: float


def callers_of(tallied: Mapping[str, Tallied], rates: Rates, now: float) -> tuple[LiveCaller, ...]:
    """Return the callers of *tallied*, the busiest first."""
    rate = rates.look(now, {name: one.requests for name, one in tallied.items()})
    found = [LiveCaller(name, one.requests, rate(name), one.refusals, one.last) for name, one in tallied.items()]
    return tuple(sorted(found, key=lambda one: (-one.requests, one.caller))[:MOST_CALLERS])


_TRAFFIC: Final = re.compile(r"(\d+) connections, (\d+) requests")


def listeners_of(rows: Iterable[tuple[str, tuple[str, ...], bool, str]]) -> tuple[LiveListener, ...]:
    """Return the listeners of *rows*: address, faces, whether it is up, and its status in words."""
    found = []
    for address, faces, up, traffic in rows:
        numbers = _TRAFFIC.match(traffic)
        connections, requests = map(int, numbers.groups()) if numbers else (0, 0)
        found.append(LiveListener(address, faces, up, connections, requests))
    return tuple(found)
