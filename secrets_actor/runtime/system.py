"""The `System`: one supervision tree with its clients. It starts, stops and waits for the tree, and looks into it.

Rule 1: a tree that has ended by itself is not started again here. The program decides that, in `on_give_up` or after
        `wait`.
Rule 2: a signal handler, a finalizer or a log handler may call any method in the middle of any method. So a stop also
        finds the tree that is just being started, and a start that is cut off leaves no tree behind. A stop that is
        called in a process of the tree is done by another thread, because it would wait for itself.
Rule 3: in the child of a fork there are no threads of ours. The clients and the ref that the program holds go on
        working: their first use starts a tree there, with an empty cache, or raises `ForkedProcess`, as the setting
        `after_fork` says. A subscription counts as a use. A tree below another program's supervisor is not started
        here: that is the supervisor's work.
Rule 4: the client for asyncio is made when it is first named, so that a program without asyncio never loads it. Methods
        that block run in a thread of their own for a coroutine, and its loop goes on. A coroutine that is cancelled
        waits no longer; the start or stop that it began is still carried to its end. Only one that is cancelled on its
        way into `async with` has the tree stopped before it ends, because nobody else would.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from weakref import ref

from msgspec.structs import replace

from secrets_actor.actor.error_translation import NO_THREAD_HELP, translated
from secrets_actor.actor.messages import Drain, UseBackend
from secrets_actor.client.background import Subscription
from secrets_actor.client.base_client import MAX_TIMEOUT
from secrets_actor.client.secrets import Secrets
from secrets_actor.clock import now, sleep
from secrets_actor.domain.callbacks import done, optional
from secrets_actor.domain.errors import ConfigurationError, InvalidParameter, SecretsError, StartFailed
from secrets_actor.domain.metrics import Metrics
from secrets_actor.domain.ports import BackendFactory, checked_factory
from secrets_actor.domain.secret import NewVersion
from secrets_actor.domain.tracing import Tracer
from secrets_actor.forks import loading, notice_fork, on_fork
from secrets_actor.otp import (
    FORKED,
    SHUTDOWN,
    CallingSelf,
    ChildSpec,
    Clock,
    Crashed,
    Down,
    ExitReason,
    Latch,
    Name,
    NamedRef,
    Observer,
    OtpError,
    Pid,
    StartError,
    Tree,
    alone,
    begin,
    below,
    call,
    failed_start,
    lacks_thread,
    snapshot,
    spawn,
    waiting_process,
)
from secrets_actor.pickling import START_THERE, LivesHere
from secrets_actor.runtime import tree
from secrets_actor.runtime.backends import OF_THE_BACKEND
from secrets_actor.runtime.settings import Settings
from secrets_actor.runtime.settings_loader import load
from secrets_actor.runtime.tree import client_parts
from secrets_actor.runtime.wiring import SECRETS, SystemParts, assemble, assemble_afresh
from secrets_actor.telemetry.callbacks import CallbackFailed

if TYPE_CHECKING:
    from secrets_actor.client.async_secrets import AsyncSecrets


Source = str | os.PathLike[str] | Settings | None
# Takes the client of the system, and returns what is to run in its tree.
Children = Callable[[Secrets], Iterable[ChildSpec]]
# Seconds that a forked child has to execute another program, before a tree is started there for its subscriptions. Most
# children do nothing else, and do not need the tree.
_EXEC_GRACE: Final = 0.2
# Seconds that `stop` waits at most, within its timeout, for the threads of processes that were cut off.
_THREADS_GRACE = 1.0
# Seconds that `stop` waits for processes to end. A worker that has its connection closed takes far less, and a
# supervisor gives a worker 5.
STOP_TIMEOUT: Final = 10.0
# Seconds of a drain for which nobody is left who asks, so that only the credentials of the store are given back.
RELEASE_SECONDS: Final = 4.0


class System(LivesHere):
    """One supervision tree with its clients. `secrets_actor.start` and `child_spec` make it.

    - `secrets` is the client for threads (`Secrets`), `async_secrets` the client for asyncio (`AsyncSecrets`).
    - `ref` is a reference that other pykka actors can `ask` and `tell`, with messages such as `Get`; `address` is what
      servers of `secrets_actor.otp` `call`.
    - `settings` are the settings in force. Their `backend` is not, if the program gave a backend of its own.

    They all go on working after any restart of a process, because they find the secrets actor by its name. A System is
    a context manager, for `with` and `async with`: it starts the tree, and stops it at the end of the block. Any thread
    may call any method.

    Arguments: see `secrets_actor.start`. *clock* replaces the machine's clock; it is for tests. Raises
    `ConfigurationError`. The tree is not started yet.
    """

    _advice = "its tree runs in this process: " + START_THERE
    _async_secrets: AsyncSecrets | None = None

    def __init__(
        self,
        settings: Source = None,
        *,
        observer: Observer | None = None,
        on_give_up: Callable[[ExitReason], object] | None = None,
        clock: Clock | None = None,
        backend: BackendFactory | None = None,
        tracer: Tracer | None = None,
        children: Children | None = None,
    ) -> None:
        optional("observer", observer)
        optional("on_give_up", on_give_up)
        if tracer is not None and not callable(getattr(tracer, "begin", None)):
            raise InvalidParameter("tracer", f"an object with a method begin, not {type(tracer).__name__}")
        optional("tracer", getattr(tracer, "begin", None))
        checked_factory(backend)
        optional("children", children)
        self._root: Pid | None = None
        self._coming: Pid | None = None  # the root process while it is being started (rule 2)
        self._observer, self._backend = observer, backend
        loaded = load(settings)
        self.settings = loaded.settings
        self._parts = assemble(loaded, observer=observer, clock=clock, factory=backend, tracer=tracer)
        self._on_give_up = on_give_up
        self._stopping = self._draining = False
        self._on_give_up_thread: threading.Thread | None = None  # the thread that runs on_give_up, while it does
        self._ended = Latch()
        self._reason: ExitReason | None = None
        self._hosted = False
        self._starting = threading.RLock()  # re-entrant: a signal handler may call start in the thread that is starting
        self._is_starting = False
        self._in_child = _InChild(self)
        on_fork(self._in_child)
        self._client_parts = client_parts(self._parts, self._takes_calls)
        self.secrets = Secrets(self._client_parts)
        self.ref = NamedRef(self._parts.node, SECRETS, translated, self._wake)
        # They are made here, once, so that an error in them is raised in the program's own thread.
        self._added = () if children is None else tree.checked_added(children(self.secrets))

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the tree, and return this system. It opens no connection to the store.

        Does nothing if the tree runs already. If several threads call it at once, one of them starts the tree, and all
        return when it is up. Raises `StartFailed`.
        """
        with self._starting:
            if not (self._is_up() or self._is_starting):
                self._start_root(link=False)
        return self

    def _start_root(self, *, link: bool) -> Pid:
        """Start the tree, and return its root. *link*: below the calling process. Raises `StartFailed`, and with *link*
        `StartError` if there was no thread."""
        if self._parts.node.forked:
            self._parts = assemble_afresh(self._parts, observer=self._observer, factory=self._backend)
        parts = self._parts
        self._ended.shut()
        self._stopping = self._draining = False
        self._is_starting, lack = True, None
        try:
            if (prepare := parts.current_backend.factory.prepare) is not None:
                prepare(now() + self.settings.call_timeout_seconds)
            if self._stopping:  # a signal handler or another thread has called stop meanwhile
                raise StartFailed("it was stopped before it was there")
            self._root = root = spawn(
                parts.node, lambda: tree.root(parts, self._added), label=tree.ROOT, link=link, on_made=self._comes
            )
            parts.cache.show()
            root.monitor(self._on_end)
            return root
        except SecretsError as error:
            problem = str(error)
        except StartError as error:
            problem = _why_not(error.reason)
            lack = error if lacks_thread(error.reason) else None
        except OtpError as error:  # this is the child of a fork, or the names are taken by a tree that runs
            problem = str(error)
        except BaseException:  # a signal handler has raised: leave no tree (rule 2)
            if self._coming is not None:
                self._coming.kill()
            parts.cache.hide()
            self._ended.open()
            raise
        finally:
            self._is_starting, self._coming = False, None
        parts.reports.close(_THREADS_GRACE)  # flushed: the reports say what went wrong
        self._ended.open()
        if link and lack is not None:
            raise lack
        raise StartFailed(f"the tree did not come up: {problem}")

    def _comes(self, root: Pid) -> None:
        self._coming = root

    def _on_end(self, down: Down) -> None:
        """Hide the cache, call `on_give_up`, and let those in `wait` go on: a root has ended."""
        self._reason = down.reason if down.pid is None else down.pid.reason
        if down.pid is self._root:
            # Before on_give_up, which may take long, or start another tree that needs the cache.
            self._parts.cache.hide()
        if not self._stopping and self._on_give_up is not None:
            self._on_give_up_thread = threading.current_thread()
            try:
                done("on_give_up", self._on_give_up(down.reason))
            except BaseException as error:  # noqa: BLE001  # the thread that ends the root has to go on
                self._parts.node.observe(CallbackFailed(tree.ROOT, "on_give_up", type(error).__name__))
            finally:
                self._on_give_up_thread = None
        if down.pid is self._root:  # if not, on_give_up has started another tree
            if not self._stopping:
                # Before the latch opens: a program in `wait` may exit at once, and lose what is not written.
                self._parts.reports.close(_THREADS_GRACE)
            self._ended.open()

    def configure(self, source: Source, *, backend: BackendFactory | None = None) -> None:
        """Change to the store of another configuration, such as another region or other credentials, and lose no call.

        Calls that are under way are finished by the workers of the former store. The cache is emptied. Only `backend`,
        `local` and `aws` may differ from the present settings. *source* is as in `secrets_actor.start`; *backend*
        replaces the configured store.

            import secrets_actor
            from secrets_actor import AwsSettings, Settings

            with secrets_actor.start() as system:      # on the local store
                aws = AwsSettings(region="eu-central-1")
                system.configure(Settings(backend="aws_secrets_manager", aws=aws))
                assert system.running

        Raises `ConfigurationError`, and `ServerDown` if the secrets actor is just being restarted. If it raises,
        nothing has changed.
        """
        checked_factory(backend)
        loaded = load(source)
        settings = loaded.settings
        # `daemon` is nothing that the system goes by: whoever runs the system as a daemon reads it.
        fixed = (name for name in Settings.__struct_fields__ if name not in (*OF_THE_BACKEND, "daemon"))
        differing = [name for name in fixed if getattr(settings, name) != getattr(self.settings, name)]
        if differing:
            remedy = "not while the system runs: stop it, and start one with the new settings"
            raise ConfigurationError(tuple(f"{name}: {remedy}" for name in differing))
        found = backend or loaded.make_factory(self._parts.reports.from_worker)
        if self._is_ready():
            self._tell(UseBackend(found))
        else:
            self._parts.current_backend.replace(found)
            self._parts.cache.forget()
            self._parts.subscriptions.doubt()
        self.settings, self._backend = settings, backend
        self._parts = replace(self._parts, loaded=loaded)

    def subscribe(self, secret_id: str, callback: Callable[[NewVersion], object]) -> Subscription:
        """Have *callback* called with a `NewVersion` whenever the secret changes. The same as `Secrets.subscribe`.

        With `retry_on_rotation`, a program also survives the moment between a rotation and its being noticed: a login
        that is refused is tried again with the new version, if there is one.

            import secrets_actor
            from secrets_actor import NewVersion, Secret

            class LoginRefused(Exception): ...

            def connect(secret: Secret) -> str:
                if secret.text() != "hunter2":
                    raise LoginRefused
                return "a connection"

            def on_new_version(change: NewVersion) -> None:
                # It never has a value: get the secret.
                print(change.name, change.old_version_id, change.new_version_id)

            with secrets_actor.start() as system:
                with system.subscribe("db/password", on_new_version):      # or .cancel() what it returns
                    system.secrets.set("db/password", "hunter2")
                    system.secrets.retry_on_rotation("db/password", connect, login_error=LoginRefused)
        """
        return self.secrets.subscribe(secret_id, callback)

    def _tell(self, request: UseBackend | Drain, timeout: float | None = None) -> None:
        """Have the secrets actor do *request*. Raises a `SecretsError` after *timeout* seconds, or if it is not there.

        The error is raised outside of the `except` block, so that it carries no OTP error as its context."""
        patience = self.settings.call_timeout_seconds if timeout is None else timeout
        try:
            call(self._parts.node.name(SECRETS), request, patience)
            return
        except OtpError as error:
            failure = translated(error)
        raise failure

    def stop(self, timeout: float | None = STOP_TIMEOUT, *, drain: float | None = 0.0) -> None:
        """Stop the tree. Does nothing if it has ended; never raises.

        Processes are stopped in the opposite order of their start. A process that has not ended after *timeout* seconds
        (None: no limit) is cut off; its thread, if it hangs, is left behind. Callers that still wait get `ServerDown`.

        With *drain*, new calls are refused at once (`ServerDown`), and calls that are under way have that many seconds
        to finish before the tree is stopped (0 or None: none).

        A negative time counts as 0, and one of more than a day as a day. What is no time counts as if it was not given:
        a program that is about to end must not be kept from it by a mistake here.

        A stop that is called in a process of the tree, such as in a subscription's callback (a coroutine function,
        too), returns at once: the tree ends as soon as that process is done.

        The main program of a daemon:

            import signal
            import sys

            import secrets_actor
            from secrets_actor import otp

            def main() -> None:
                system = secrets_actor.start()         # or start("config/aws.toml")
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, lambda *_: system.stop(drain=20))
                ...                                    # start your own threads here
                signal.raise_signal(signal.SIGTERM)    # only here, so that this example ends; leave it out
                reason = system.wait()                 # waits for a signal, or until no restart helps any more
                sys.exit(None if reason == otp.SHUTDOWN else f"the secrets service ended: {reason}")

            main()
        """
        notice_fork()
        timeout = math.inf if timeout is None else _seconds(timeout, STOP_TIMEOUT)
        drain = _seconds(drain, 0.0)
        root = self._coming or self._root
        if self._is_starting and self._coming is None:
            self._stopping = True  # there is no root yet: the start looks at this before it makes one
            return
        # Nothing to do in on_give_up, which is called when the tree has ended. Nothing can be done while Python shuts
        # down (`alone`): no other thread runs that could end.
        if root is None or self._on_give_up_thread is threading.current_thread() or alone():
            return
        if not self._is_within():
            self._stop(root, timeout, drain)
            return
        work = threading.Thread(target=self._stop, args=(root, timeout, drain), name="secrets_actor stop", daemon=True)
        if not begin(work):  # no thread is to be had: let the supervisors stop their children, without our timeout
            self._stopping = True
            root.exit(SHUTDOWN, sender=root.parent)

    def _is_within(self) -> bool:
        """Whether a process of the tree waits for what is done here, in its own thread or in a coroutine that it has
        awaited. The end of the tree waits for that process, so nothing here may wait for that end."""
        here = waiting_process()
        return here is not None and here.node is self._parts.node and here.is_alive()

    def _stop(self, root: Pid, timeout: float, drain: float) -> None:
        if drain > 0 and self._is_up():
            self._draining = True
            self._parts.cache.hide()
            with contextlib.suppress(SecretsError):  # the time is over, or the actor is not there: stop all the same
                self._tell(Drain(), drain)
        self._stopping = True
        node, deadline = self._parts.node, now() + timeout
        root.exit(SHUTDOWN, sender=root.parent)
        root.wait(timeout)
        # Usually no process is left here. Some are if the time is over, or if the root was killed. Supervisors are
        # killed first: they have lower serials than their children, and would restart them. Processes below another
        # root belong to the next tree, which a host may have started already.
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
        """Wait until the tree has ended, and return the reason; return None if it has not after *timeout* seconds
        (None: as long as it takes).

        Raises `CalledFromWithin` in a process of the tree, which would wait for itself, and `InvalidParameter`.
        """
        if timeout is not None and math.isnan(_seconds(timeout, math.nan)):
            raise InvalidParameter("timeout", "seconds, or None for no limit")
        if self._on_give_up_thread is threading.current_thread():
            return self._reason
        if self._is_within():
            raise translated(CallingSelf(tree.ROOT))
        self._is_ready()
        return self._reason if self._ended.wait(timeout) else None

    def _takes_calls(self) -> bool:
        return not self._draining and self._is_ready()

    @property
    def running(self) -> bool:
        """Whether the tree is up. In the child of a fork this is a use like any other: it starts a tree first."""
        with contextlib.suppress(SecretsError):
            return self._is_ready()
        return False

    def _is_up(self) -> bool:
        notice_fork()
        return self._root is not None and self._root.is_alive() and not alone()

    # --- forks ----------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Forget what belongs to the parent. Runs in the child of a fork, before anything else of ours does."""
        self._parts.cache.forget()
        self._parts.audit_buffer.forget()
        self._parts.subscriptions.forget()
        self._starting, self._ended = threading.RLock(), Latch()
        self._is_starting = False
        self._on_give_up_thread = self._coming = None
        self._reason = FORKED if self._reason is None else self._reason
        self._ended.open()
        if self._parts.subscriptions.numbers and self._root is not None:
            # If no thread is to be had, the first use starts the tree.
            begin(threading.Thread(target=self._go_on, name="after a fork", daemon=True))

    def _go_on(self) -> None:
        """Start the tree in the child of a fork for the sake of its subscriptions.

        A subscription is a use that nobody repeats, so it cannot wait for the next call. This waits a while first,
        because many children only execute another program.
        """
        sleep(_EXEC_GRACE)
        self._wake()

    def _is_ready(self) -> bool:
        """Whether the tree is up. In the child of a fork it is started first. Raises `StartFailed`."""
        # A process of the tree that is just being started must not start it: the start of the tree waits for that
        # process.
        if self._is_orphaned() and not self._is_within():
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
        """Start the tree if this is the child of a fork and it was not started here. Return whether it is up then."""
        with contextlib.suppress(SecretsError):  # the message that woke us then fails, because no actor is there
            return self._is_orphaned() and self._is_ready()
        return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        settings = getattr(self, "settings", None)  # None in the traceback of a bad configuration
        own = getattr(self, "_backend", None)
        backend = settings and settings.backend if own is None else f"with the program's own backend {own.name}"
        return f"<System {backend} {'running' if self._is_up() else 'stopped'}>"

    def tree(self) -> Tree:
        """Return a snapshot of the tree; its `str` is a drawing. Raises `StartFailed` if it was never started."""
        if self._root is not None:
            self._is_ready()
        root = self._coming or self._root  # the first, if a process asks while the start goes on
        if root is None:
            raise StartFailed("the system has not been started")
        return snapshot(root)

    @property
    def address(self) -> Name:
        """The address of the secrets actor for `otp.call`, as in `otp.call(system.address, Get("a"))`.

        It is a name: after a restart, it reaches the actor that has taken the place of the one before. Such a call asks
        the actor, never the cache in the caller's thread, and raises otp's errors beside those of this package.
        """
        self._is_ready()
        return self._parts.node.name(SECRETS)

    def whereis(self, name: str) -> Pid | None:
        """Return the process that is registered as *name* now, such as `secrets`, `workers`, `audit` or `timers`; or
        None."""
        self._is_ready()
        return self._parts.node.registry.whereis(name)

    def metrics(self) -> Metrics:
        """Return a snapshot of all metrics: counts since the system was made, and gauges as they are now.

        Read one with `metrics().value("secrets_actor_cache_hits")`. To iterate over the snapshot gives all families:
        `family.metric` has the name, the unit in its `help`, and the labels, `family.samples` the values.
        """
        notice_fork()
        return self._parts.meters.snapshot()

    @property
    def async_secrets(self) -> AsyncSecrets:
        """The client for asyncio. Any number of event loops may share it."""
        if self._async_secrets is None:
            with loading():
                from secrets_actor.client.async_secrets import AsyncSecrets

                self._async_secrets = self._async_secrets or AsyncSecrets(self._client_parts)
        return self._async_secrets

    async def start_async(self) -> Self:
        """Start the tree as `start` does, without blocking the event loop."""
        with loading():
            from secrets_actor.client.aio import in_a_thread

        return await in_a_thread(self.start)

    async def stop_async(self, timeout: float | None = STOP_TIMEOUT, *, drain: float | None = 0.0) -> None:
        """Stop the tree as `stop` does, without blocking the event loop: so calls of this loop can finish within
        *drain* seconds. If the coroutine is cancelled, the tree is stopped all the same."""
        # This is checked here, because the thread below does not know in which process this coroutine runs.
        if self._is_within():
            self.stop(timeout, drain=drain)
            return
        with loading():
            from secrets_actor.client.aio import in_a_thread

        await in_a_thread(lambda: self.stop(timeout, drain=drain))

    async def wait_async(self, timeout: float | None = None) -> ExitReason | None:
        """Wait as `wait` does, without blocking the event loop. If the coroutine is cancelled, the system goes on."""
        if self._is_within():
            return self.wait(timeout)  # it raises
        with loading():
            from secrets_actor.client.aio import in_a_thread

        return await in_a_thread(lambda: self.wait(timeout))

    async def configure_async(self, source: Source, *, backend: BackendFactory | None = None) -> None:
        """Change the store as `configure` does, without blocking the event loop. If the coroutine is cancelled, the
        change is made all the same."""
        with loading():
            from secrets_actor.client.aio import in_a_thread

        await in_a_thread(lambda: self.configure(source, backend=backend))

    async def __aenter__(self) -> Self:
        if self._is_within():
            return self  # the tree is up or coming; a start or stop in another thread would wait for this process
        with loading():
            from secrets_actor.client.aio import in_a_thread

        # A coroutine that is cancelled on its way into the block never comes to its end, where the tree is stopped.
        return await in_a_thread(self.start, undo=self.stop)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_async()


class _InChild:
    """The object that hears of a fork in place of the system, so that `System` has no public method for it. The system
    holds it, so it lives as long as the system does."""

    def __init__(self, system: System) -> None:
        self._system = ref(system)

    def forget(self) -> None:
        """Pass the news on. Runs in the child of a fork, before anything else of ours does."""
        system = self._system()
        if system is not None:
            system._forget()


def start_linked(system: System) -> Pid:
    """Start the tree of *system* below the calling process, and return its root. `child_spec` uses this.

    Raises `StartFailed`, and `StartError` if the machine had no thread for it: then a supervisor may try again.
    """
    system._hosted = True
    with system._starting:
        return system._start_root(link=True)


def expect_end(system: System) -> None:
    """Announce that the tree of *system* will be ended on purpose: `on_give_up` is not called for it."""
    system._stopping = True


def parts_of(system: System) -> SystemParts:
    """Return the objects that the processes of *system* share. The daemon's faces use some of them."""
    return system._parts


def process_of(system: System, serial: int) -> Pid | None:
    """Return the process of the tree of *system* with this *serial*; None if there is none. The root is not found."""
    root = system._root
    return None if root is None else below(root, serial)


def _why_not(reason: ExitReason) -> str:
    """The text of a start that failed for *reason*: which process, why, and what to do."""
    path, cause = failed_start(reason)
    text = f"{'process ' + '/'.join(path) + ' failed to start: ' if path else ''}{cause}"
    if lacks_thread(reason):
        return f"{text}: {NO_THREAD_HELP}"
    if isinstance(cause, Crashed) and not cause.text:
        return f"{text}. To see the text of the error, set `explains = True` in the class of that process"
    return text


def _seconds(given: object, default: float) -> float:
    """Return *given* as seconds, 0 or more; *default* if it is no number."""
    if not isinstance(given, int | float) or isinstance(given, bool) or given != given:  # the last is NaN
        return default
    return float(min(max(given, 0), MAX_TIMEOUT))


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
    children: Children | None = None,
    backend: BackendFactory | None = None,
) -> System:
    """Start a system and return it. It opens no connection to the store.

    *source*: the path of a configuration file, or `Settings`. None: the file that the variable SECRETS_ACTOR_CONFIG
    names, or the defaults, which are the encrypted local store. Variables such as SECRETS_ACTOR_TTL_SECONDS stand over
    the file.

    *observer* is called with every life-cycle event of the tree, in a thread of its own, so it may block. *on_give_up*
    is called with the reason if the tree ends by itself, because restarts did not help; it may start another tree.
    *tracer*, such as `extras.opentelemetry.Tracing()`, is told of each call that the cache could not answer. They are
    plain functions; a coroutine function is refused. When one fails, the event `CallbackFailed` tells of it.

    *children* is called once, with the client (`System.secrets`), and returns the `otp.ChildSpec`s of processes of the
    program's own. They run under the supervisor `faces`, start after all of ours, and stop before them. Their factories
    may be called many times: a process that ends is started again, as its spec says. Without a `backoff` of its own,
    it is started again twice at once and then after pauses that grow to 30 seconds, and the secrets go on. If it cannot
    be started at all when the system starts, `start` raises `StartFailed`.

    The log tells of a crash only the type of the error and its place, because the text may quote a secret. To see text
    and traceback, too, set `explains = True` in the class of the process.

    *backend* opens a store of the program's own in place of the configured one: see `BackendFactory`.

    An example of such a process: it is told of rotations, perhaps by a message queue, and tells the cache of them:

        import secrets_actor
        from secrets_actor import Secrets, otp

        class Rotations(otp.GenServer):
            def __init__(self, secrets: Secrets) -> None:
                self.secrets = secrets

            def handle_call(self, request: str, caller: otp.From[str]) -> otp.Reply:
                self.secrets.invalidate(request)       # from now on, no older value is served
                return otp.Reply("thanks")

        def children(secrets: Secrets) -> list[otp.ChildSpec]:
            return [otp.ChildSpec("rotations", lambda: Rotations(secrets), name="rotations")]

        with secrets_actor.start(children=children) as system:
            print(system.tree())
            rotations = system.whereis("rotations")
            assert rotations is not None
            print(otp.call(rotations, "db/password"))

    Raises `ConfigurationError` with all mistakes of the configuration, `InvalidParameter`, and `StartFailed`.
    """
    system = System(source, observer=observer, on_give_up=on_give_up, tracer=tracer, children=children, backend=backend)
    return system.start()
