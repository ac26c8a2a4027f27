"""A running system: start, stop, wait, look.

Rule 1: a tree that has ended by itself is not started again by us: that is for `on_give_up`, or for whoever called
        `wait`.
Rule 2: a signal handler, a finalizer or a log handler may call any of this in the middle of any of it. A stop finds the
        tree that is being started; one from a process of the tree has another thread do it, for it would wait for
        itself. A start that is cut off leaves no tree.
Rule 3: in the child of a fork there is no thread of ours. What callers hold goes on working: its first use starts a
        tree there, with an empty cache, or raises `ForkedProcess`, as `after_fork` says. A subscription is a use. A
        tree that another program's supervisor has started is that program's to start again.
Rule 4: the client for asyncio is made when it is first named, so that a program of threads never loads asyncio. What
        blocks runs in a thread of its own, and the loop goes on. A coroutine that is cancelled waits no longer; a start
        or a stop that has begun is carried to its end all the same.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from msgspec.structs import replace

from secrets_actor.actor.error_translation import NO_THREAD_HELP, translated
from secrets_actor.actor.messages import Drain, UseStore
from secrets_actor.client.background import Subscription
from secrets_actor.client.secrets import Secrets
from secrets_actor.clock import now, sleep
from secrets_actor.domain.callbacks import done, plain
from secrets_actor.domain.errors import ConfigurationError, SecretsError, StartFailed
from secrets_actor.domain.metrics import Metrics
from secrets_actor.domain.ports import BackendFactory
from secrets_actor.domain.secret import NewVersion
from secrets_actor.domain.tracing import Tracer
from secrets_actor.forks import loading, notice_fork, on_fork
from secrets_actor.otp import (
    FORKED,
    SHUTDOWN,
    CallingSelf,
    Clock,
    Down,
    ExitReason,
    Latch,
    LifecycleEvent,
    NamedRef,
    Observer,
    OtpError,
    Pid,
    StartError,
    Tree,
    alone,
    begin,
    call,
    current,
    lacks_thread,
    snapshot,
    spawn,
)
from secrets_actor.runtime import tree
from secrets_actor.runtime.backends import OF_THE_BACKEND
from secrets_actor.runtime.settings import Settings
from secrets_actor.runtime.settings_loader import load
from secrets_actor.runtime.tree import client_parts
from secrets_actor.runtime.wiring import SECRETS, assemble, assemble_afresh

if TYPE_CHECKING:
    from secrets_actor.client.async_secrets import AsyncSecrets


Source = str | os.PathLike[str] | Settings | None
# Seconds that a forked child has to become another program, before what is subscribed to is asked for there.
_EXEC_GRACE: Final = 0.2
# Seconds that `stop` waits, within its time, for the threads of processes that were cut off.
_THREADS_GRACE = 1.0


class CallbackFailed(LifecycleEvent, frozen=True):
    """`on_give_up` raised; `error_type` is what."""

    error_type: str


class System:
    """One supervision tree with its clients. Make it with `start` or `child_spec`.

    `secrets` is the client for threads, `async_secrets` that for asyncio, `ref` what other pykka actors `ask` and
    `tell`. They hold names, so they go on working after any restart.
    """

    _async_secrets: AsyncSecrets | None = None

    def __init__(
        self,
        settings: Source = None,
        *,
        observer: Observer | None = None,
        on_give_up: Callable[[ExitReason], object] | None = None,
        clock: Clock | None = None,
        factory: BackendFactory | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        plain("observer", observer)
        plain("on_give_up", on_give_up)
        plain("tracer", getattr(tracer, "begin", None))
        self._root: Pid | None = None
        self._coming: Pid | None = None  # a root that is being started
        self._observer, self._factory = observer, factory
        loaded = load(settings)
        self.settings = loaded.settings
        self._parts = assemble(loaded, observer=observer, clock=clock, factory=factory, tracer=tracer)
        self._on_give_up = on_give_up
        self._stopping = self._draining = False
        self._told_by: threading.Thread | None = None  # who runs on_give_up
        self._ended = Latch()
        self._reason: ExitReason | None = None
        self._hosted = False
        self._starting = threading.RLock()  # a signal handler may start it while its thread does
        self._is_starting = False
        on_fork(self)
        self._client_parts = client_parts(self._parts, self._takes_calls)
        self.secrets = Secrets(self._client_parts)
        self.ref = NamedRef(self._parts.node, SECRETS, translated, self._wake)

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the tree; touches no network. Nothing if it runs already; of several threads
        that start it at once, all return when it is up. Raises `StartFailed`."""
        with self._starting:
            if not (self._is_up() or self._is_starting):
                self._start_root(link=False)
        return self

    def start_linked(self) -> Pid:
        """Start the tree linked to the calling process, which is its parent. Raises `StartFailed`, and `StartError` if
        there was no thread for it: then a supervisor may try again."""
        self._hosted = True
        with self._starting:
            return self._start_root(link=True)

    def expect_end(self) -> None:
        """From now on the end of the tree is no news for `on_give_up`."""
        self._stopping = True

    def _start_root(self, *, link: bool) -> Pid:
        if self._parts.node.forked:
            self._parts = assemble_afresh(self._parts, observer=self._observer, factory=self._factory)
        parts = self._parts
        self._ended.shut()
        self._stopping = self._draining = False
        self._is_starting, lack = True, None
        try:
            if (prepare := parts.present.factory.prepare) is not None:
                prepare(now() + self.settings.call_timeout_seconds)
            if self._stopping:  # by a signal handler, or another thread
                raise StartFailed("it was stopped before it was there")
            self._root = root = spawn(
                parts.node, lambda: tree.root(parts), label=tree.ROOT, link=link, on_made=self._comes
            )
            parts.cache.show()
            root.monitor(self._on_end)
            return root
        except SecretsError as error:
            problem = str(error)
        except StartError as error:
            problem = str(error.reason)
            if lacks_thread(error.reason):
                problem, lack = f"{problem}: {NO_THREAD_HELP}", error
        except OtpError as error:  # forked, or its processes are there already
            problem = str(error)
        except BaseException:  # of a signal handler
            if self._coming is not None:
                self._coming.kill()
            parts.cache.hide()
            self._ended.open()
            raise
        finally:
            self._is_starting, self._coming = False, None
        parts.reports.close(_THREADS_GRACE)  # what went wrong stands in there
        self._ended.open()
        if link and lack is not None:
            raise lack
        raise StartFailed(f"the tree did not come up: {problem}")

    def _comes(self, root: Pid) -> None:
        self._coming = root

    def _on_end(self, down: Down) -> None:
        self._reason = down.reason if down.pid is None else down.pid.reason
        if down.pid is self._root:
            self._parts.cache.hide()  # first, for on_give_up may take its time, or start another tree
        if not self._stopping and self._on_give_up is not None:
            self._told_by = threading.current_thread()
            try:
                done("on_give_up", self._on_give_up(down.reason))
            except BaseException as error:  # noqa: BLE001  # the thread that ends the root has more to do
                self._parts.node.observe(CallbackFailed(tree.ROOT, type(error).__name__))
            finally:
                self._told_by = None
        if down.pid is self._root:  # else on_give_up has started another
            if not self._stopping:
                self._parts.reports.close(_THREADS_GRACE)  # whoever waits may leave the program at once
            self._ended.open()

    def configure(self, source: Source, *, factory: BackendFactory | None = None) -> None:
        """Use the store of another configuration, such as another region or other keys, without losing a call.

        Calls under way are finished by the store before, with its workers; the cache is emptied. Only `backend`,
        `local` and `aws` may differ from the present settings. *factory* takes the place of the configured store.
        Raises `ConfigurationError`, and `ServerDown` if the secrets actor is just being restarted: nothing has changed.
        """
        loaded = load(source)
        settings = loaded.settings
        fixed = (name for name in Settings.__struct_fields__ if name not in OF_THE_BACKEND)
        differing = [name for name in fixed if getattr(settings, name) != getattr(self.settings, name)]
        if differing:
            remedy = "not while the system runs: stop it, and start one with the new settings"
            raise ConfigurationError(tuple(f"{name}: {remedy}" for name in differing))
        found = factory or loaded.make_factory(self._parts.reports.from_worker)
        if self._is_ready():
            self._tell(UseStore(found))
        else:
            self._parts.present.replace(found)
            self._parts.cache.forget()
            self._parts.subscriptions.doubt()
        self.settings, self._factory = settings, factory
        self._parts = replace(self._parts, loaded=loaded)

    def subscribe(self, secret_id: str, callback: Callable[[NewVersion], object]) -> Subscription:
        """As `Secrets.subscribe`."""
        return self.secrets.subscribe(secret_id, callback)

    def _tell(self, request: UseStore | Drain, timeout: float | None = None) -> None:
        patience = self.settings.call_timeout_seconds if timeout is None else timeout
        try:
            call(self._parts.node.name(SECRETS), request, patience)
            return
        except OtpError as error:
            failure = translated(error)
        raise failure

    def stop(self, timeout: float = 10.0, *, drain: float = 0.0) -> None:
        """Stop the tree, last part first; what is not done in *timeout* seconds is cut off, and threads that hang are
        left behind. Nothing if it has ended. Never raises.

        With *drain*, new calls are refused at once (`ServerDown`), and those that are under way have so many seconds to
        finish first; whoever is not done then is told.

        Called by code that runs in a process of the tree, such as a subscription's callback, it returns at once: the
        tree ends as soon as that process lets it.
        """
        notice_fork()
        root = self._coming or self._root
        if self._is_starting and self._coming is None:
            self._stopping = True
            return
        if root is None or self._told_by is threading.current_thread() or alone():
            return
        if not self._is_within():
            self._stop(root, timeout, drain)
            return
        work = threading.Thread(target=self._stop, args=(root, timeout, drain), name="secrets_actor stop", daemon=True)
        if not begin(work):  # no thread is to be had: children have times of their own to end
            self._stopping = True
            root.exit(SHUTDOWN, sender=root.parent)

    def _is_within(self) -> bool:
        """Whether this is the thread of a process of ours, which the end of the tree waits for."""
        here = current()
        return here is not None and here.node is self._parts.node and here.is_alive()

    def _stop(self, root: Pid, timeout: float, drain: float) -> None:
        if drain > 0 and self._is_up():
            self._draining = True
            self._parts.cache.hide()
            with contextlib.suppress(SecretsError):  # time is up, or nobody is there: it ends all the same
                self._tell(Drain(), drain)
        self._stopping = True
        node, deadline = self._parts.node, now() + timeout
        root.exit(SHUTDOWN, sender=root.parent)
        root.wait(timeout)
        # None, unless time is up, or the root was killed: then orphans end by themselves. Supervisors come first. Those
        # below another root are of the next tree, which a host may have started already.
        for pid in sorted((pid for pid in node.live if _is_below(root, pid)), key=lambda pid: pid.serial):
            if pid.wait(max(0.0, deadline - now())) is None:
                pid.kill()
        grace = min(deadline, now() + _THREADS_GRACE)
        for pid in node.disowned:
            if pid.thread is not None and pid.thread is not threading.current_thread():
                pid.thread.join(max(0.0, grace - now()))
        if not (node.forked or self._is_up()):
            self._parts.reports.close(min(max(0.0, deadline - now()), _THREADS_GRACE))

    def wait(self, timeout: float | None = None) -> ExitReason | None:
        """Wait until the tree has ended: the reason, or None after *timeout* seconds. Raises `CalledFromWithin` in a
        process of the tree."""
        if self._told_by is threading.current_thread():
            return self._reason
        if self._is_within():
            raise translated(CallingSelf(tree.ROOT))
        self._is_ready()
        return self._reason if self._ended.wait(timeout) else None

    def _takes_calls(self) -> bool:
        return not self._draining and self._is_ready()

    def is_running(self) -> bool:
        """Whether the tree is up. This is a use as any other: in the child of a fork a tree is brought up first."""
        with contextlib.suppress(SecretsError):
            return self._is_ready()
        return False

    def _is_up(self) -> bool:
        notice_fork()
        return self._root is not None and self._root.is_alive() and not alone()

    # --- forks ----------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """In the child of a fork, before anything else runs there."""
        self._parts.cache.forget()
        self._parts.trail.forget()
        self._parts.subscriptions.forget()
        self._starting, self._ended = threading.RLock(), Latch()
        self._is_starting = False
        self._told_by = self._coming = None
        self._reason = FORKED if self._reason is None else self._reason
        self._ended.open()
        if self._parts.subscriptions.numbers and self._root is not None:
            begin(threading.Thread(target=self._go_on, name="after a fork", daemon=True))  # if not, the first use does

    def _go_on(self) -> None:
        """Subscriptions are a use that nobody repeats: they have the tree brought up by themselves. A while after the
        fork, for many a child does nothing but execute another program."""
        sleep(_EXEC_GRACE)
        self._wake()

    def _is_ready(self) -> bool:
        """Whether the tree is up; after a fork it is brought up first. Raises `StartFailed`."""
        if self._is_orphaned():
            with self._starting:
                if self._is_orphaned() and not self._is_starting:
                    self._start_root(link=False)
        return self._is_up()

    def _is_orphaned(self) -> bool:
        notice_fork()
        root = self._root
        forked = root is not None and root.reason is FORKED
        return forked and not self._hosted and not self._stopping and self.settings.after_fork == "restart"

    def _wake(self) -> bool:
        with contextlib.suppress(SecretsError):  # whoever asks is told that nobody is there
            return self._is_orphaned() and self._is_ready()
        return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        settings = getattr(self, "settings", None)  # none yet, if it is shown in the traceback of a bad configuration
        return f"<System {settings and settings.backend} {'running' if self._is_up() else 'stopped'}>"

    def tree(self) -> Tree:
        """The tree as it is now; its `str` is a drawing. Raises `StartFailed` if it was never started."""
        if self._root is None:
            raise StartFailed("the system has not been started")
        self._is_ready()
        return snapshot(self._root)

    def whereis(self, name: str) -> Pid | None:
        """The process that is registered as *name* now: `secrets`, `workers`, `audit`, `timers`."""
        self._is_ready()
        return self._parts.node.registry.whereis(name)

    def metrics(self) -> Metrics:
        """What was counted since the system was made, and what its gauges show now, as in
        `metrics().value("secrets_actor_cache_hits")`. The names are those of `domain/metrics.py`."""
        notice_fork()
        return self._parts.meters.picture()

    @property
    def async_secrets(self) -> AsyncSecrets:
        """The client for coroutines; any number of event loops may share it."""
        if self._async_secrets is None:
            with loading():
                from secrets_actor.client.async_secrets import AsyncSecrets

                self._async_secrets = self._async_secrets or AsyncSecrets(self._client_parts)
        return self._async_secrets

    async def start_async(self) -> Self:
        """As `start`, without blocking the loop."""
        with loading():
            from secrets_actor.client.aio import in_a_thread

        return await in_a_thread(self.start)

    async def stop_async(self, timeout: float = 10.0, *, drain: float = 0.0) -> None:
        """As `stop`, without blocking the loop: what is under way on it is finished within *drain* seconds. If it is
        cancelled, the system is stopped all the same."""
        with loading():
            from secrets_actor.client.aio import in_a_thread

        await in_a_thread(lambda: self.stop(timeout, drain=drain))

    async def __aenter__(self) -> Self:
        return await self.start_async()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_async()


def _is_below(root: Pid, pid: Pid | None) -> bool:
    while pid is not None and pid is not root:
        pid = pid.parent
    return pid is root


def start(
    source: Source = None,
    *,
    observer: Observer | None = None,
    on_give_up: Callable[[ExitReason], object] | None = None,
    tracer: Tracer | None = None,
) -> System:
    """Start a system from a configuration file's path, from `Settings`, or (None) from SECRETS_ACTOR_CONFIG or the
    defaults: the encrypted local store.

    *observer* is told every life-cycle event of the tree, in a thread of its own, so it may block; *on_give_up* that
    the root has given up, with the reason;
    *tracer*, such as `extras.opentelemetry.Tracing()`, of each call that the cache could not answer.
    Raises `ConfigurationError`, `StartFailed`.
    """
    return System(source, observer=observer, on_give_up=on_give_up, tracer=tracer).start()
