"""The process that says when something of what is wanted has changed: for a program to restart, or a file to write.

Rule 1: only another set of versions is a change (`Fetched.versions`). It is told with all that was fetched, at the pace
        that is configured, and once.
Rule 2: a store that is away, and a secret that is missing, change nothing: the last that was told stays in force. The
        log has one line for each such time, and it is tried again after pauses that grow to a minute.
Rule 3: a change is seen by a subscription to each secret. Subscriptions hear of AWSCURRENT only, of names that are
        known, and not that a secret is deleted. So every *every* seconds all is looked at: prefixes are listed, other
        stages got, and what is missing by now is told as rule 2 says.
Rule 4: a process that is started again goes on with what was told last: it keeps that in `Told`, outside of itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct

from secrets_actor.client.background import Subscription
from secrets_actor.client.secrets import Secrets
from secrets_actor.delivery.fetching import Fetched, Wanted, fetch
from secrets_actor.delivery.pace import Pace, Pending
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.secret import NewVersion
from secrets_actor.otp import Backoff, ExitReason, GenServer, Handled, InitResult, LifecycleEvent, Ok, Timer

# Seconds between two looks at all that is wanted, if nothing is configured: the default TTL.
LOOK: Final = 300.0
_AGAIN: Final = Backoff(initial=1.0, maximum=60.0, jitter=0.5)


class ChangesFailed(LifecycleEvent, frozen=True):
    """What the process wants could not be fetched anew, with the error *code*: what was told last stays in force, and
    it is tried again."""

    code: str


class _Changed(Struct, frozen=True):
    """A subscription has heard of another version."""


class _Act(Struct, frozen=True):
    """It may be time to act on what has changed."""


class _Look(Struct, frozen=True):
    """It is time to look at all that is wanted."""


class Told:
    """What was told last (None: nothing yet), and the subscriptions. It outlives the process that writes it (rule 4):
    of one that is killed, the next process ends the subscriptions."""

    def __init__(self, fetched: Fetched | None = None) -> None:
        self.fetched = fetched
        self.subscriptions: dict[str, Subscription] = {}


class Changes(GenServer):
    """Calls *tell* with all that is *wanted* when another set of versions is current; at the start, if *last* is empty.

    *tell* is called in this process, and must not block: have it cast to the process that is concerned. *last* has what
    the program has already. *every*: seconds between two questions to the store about all that is wanted, whatever the
    cache has (None: the store is asked about once a TTL, as for any subscription, and all is looked at, through the
    cache, every 300 seconds). *chance* returns random numbers, 0 to 1. *on_failure* is called, as *tell* is, with why
    all that is wanted cannot be fetched, and with None when it can again.
    """

    trap_exit = True

    def __init__(
        self,
        secrets: Secrets,
        wanted: Wanted,
        pace: Pace,
        tell: Callable[[Fetched], object],
        *,
        last: Told,
        every: float | None = None,
        timeout: float | None = None,
        chance: Callable[[], float] = random.random,
        on_failure: Callable[[SecretsError | None], object] = lambda _: None,
    ) -> None:
        self._secrets, self._wanted, self._pace, self._tell = secrets, wanted, pace, tell
        self._last, self._every, self._timeout, self._chance = last, every, timeout, chance
        self._on_failure = on_failure
        self._subscriptions = last.subscriptions
        self._pending = Pending()
        self._timer: Timer | None = None
        self._tries, self._failed = 0, False

    def init(self) -> InitResult:
        """Begin when the starter has its answer: what is wanted may have changed since it was fetched."""
        return Ok(then=_Changed())

    def handle_continue(self, _message: Any) -> Handled:
        """Look for the first time: at once, if nothing was told yet."""
        self._unsubscribe()  # they call a process that was here before
        self._subscribe(self._wanted.names)
        if self._last.fetched is None:
            self._pending = self._pending.changed(self._now() - self._pace.debounce, 0.0)
            self._act()
        else:
            self._subscribe(self._last.fetched.names)
            self._look(refresh=False)
        self._look_later()
        return None

    def handle_info(self, message: Any) -> Handled:
        """Take a change, or act on it when it is time."""
        match message:
            case _Changed():
                self._note_change()
            case _Act():
                self._act()
            case _Look():
                self._look(refresh=self._every is not None)
                self._look_later()
        return None

    def terminate(self, _reason: ExitReason) -> None:
        """End the subscriptions."""
        self._unsubscribe()

    def status(self) -> str:
        """Say what is watched, and whether something waits."""
        pending = ", a change waits" if self._pending.first is not None else ""
        return f"{len(self._subscriptions)} secrets{pending}"

    def _now(self) -> float:
        return self.node.clock.now()

    def _subscribe(self, names: Iterable[str]) -> None:
        me = self.me

        def heard(_news: NewVersion) -> None:
            me.post(_Changed())

        for name in names:
            if name not in self._subscriptions:
                self._subscriptions[name] = self._secrets.subscribe(SecretId(name), heard)

    def _unsubscribe(self) -> None:
        while self._subscriptions:
            self._subscriptions.popitem()[1].cancel()

    def _note_change(self) -> None:
        self._pending = self._pending.changed(self._now(), self._chance())
        self._wait()

    def _wait(self, at_least: float = 0.0) -> None:
        """Wait for the time to act: that of the pace, and *at_least* so many seconds."""
        due = self._pending.due(self._pace)
        if self._timer is not None:
            self.cancel_timer(self._timer)
            self._timer = None
        if due is not None:
            self._timer = self.send_after(max(due - self._now(), at_least), _Act())

    def _look_later(self) -> None:
        self.send_after(self._every or LOOK, _Look())

    def _look(self, *, refresh: bool) -> None:
        """Note a change if there is one: asked is the store with *refresh*, else the cache where it has the answer."""
        found = self._fetch(refresh=refresh)
        if found is not None and self._is_new(found):
            self._note_change()

    def _act(self) -> None:
        due = self._pending.due(self._pace)
        if due is None or due > self._now():
            self._wait()
            return
        found = self._fetch(refresh=False)
        if found is None:
            self._tries += 1
            self._wait(_AGAIN.delay(self._tries, self._chance()))
            return
        self._tries = 0
        if not self._is_new(found):
            self._pending = self._pending.dropped()
            return
        self._pending, self._last.fetched = self._pending.done(self._now()), found
        self._subscribe(found.names)
        for gone in self._subscriptions.keys() - found.names - set(self._wanted.names):
            self._subscriptions.pop(gone).cancel()
        self._tell(found)

    def _is_new(self, found: Fetched) -> bool:
        return self._last.fetched is None or self._last.fetched.versions != found.versions

    def _fetch(self, *, refresh: bool) -> Fetched | None:
        try:
            found = fetch(self._secrets, self._wanted, self._timeout, refresh=refresh)
        except SecretsError as error:
            if not self._failed:
                self.node.observe(ChangesFailed(self.me.label, error.code))
            self._failed = True
            self._on_failure(error.clone())
            return None
        if self._failed:
            self._on_failure(None)
        self._failed = False
        return found
