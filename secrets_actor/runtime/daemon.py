"""The daemon: a system, the faces by which other processes use it, and the configuration that both come from.

Rule 1: a configuration is taken whole or not at all. Everything that it asks for is made first (rules, tokens, keys,
        certificates, sockets); only then one assignment puts it in the place of the one before.
Rule 2: a listener asks for its faces with each request, so that a reload reaches connections that are open.
Rule 3: the sockets are the daemon's, not the listeners': one that ends is started again on the same socket, and no
        client is refused meanwhile.
Rule 4: what may not change while the daemon runs is a mistake of the new configuration, and is told as one.
Rule 5: nothing here handles a signal: `cli/run.py` does, and calls these methods one after the other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import astuple, replace

from secrets_actor.actor.messages import Ping
from secrets_actor.backends.sigv4 import SigningKeys
from secrets_actor.client.async_secrets import AsyncSecrets
from secrets_actor.client.secrets import Secrets
from secrets_actor.clock import now, utc_now, wall_time
from secrets_actor.domain.errors import ConfigurationError, SecretsError
from secrets_actor.domain.secret import SecretValue
from secrets_actor.faces.address import Address, TcpAddress, UnixAddress, parse_address
from secrets_actor.faces.agent_api import AgentApi
from secrets_actor.faces.aws_api import AwsApi, PageTokens
from secrets_actor.faces.connection import Connection, Limits
from secrets_actor.faces.control import ControlFace, FileLine, ListenerState, Reload, Status
from secrets_actor.faces.credential_socket import CredentialConnection, CredentialFace
from secrets_actor.faces.credentials_api import CredentialsApi
from secrets_actor.faces.events import FACES, Reloaded, ReloadRefused
from secrets_actor.faces.exchange import Face
from secrets_actor.faces.guard import LOOPBACK, refusal
from secrets_actor.faces.health import Condition, Degradation, HealthFace, Memory
from secrets_actor.faces.identity import Identity, caller_facts
from secrets_actor.faces.listener import Drain, listener_spec
from secrets_actor.faces.live import LiveFace, LiveStates, LiveStreams
from secrets_actor.faces.live_sessions import LiveSessions
from secrets_actor.faces.live_state import LiveMemory, why_not
from secrets_actor.faces.metrics_page import MetricsFace
from secrets_actor.faces.minted_keys import Mint
from secrets_actor.faces.permission import PolicyGate
from secrets_actor.faces.policy import Both, Decides, Policy
from secrets_actor.faces.router import Router
from secrets_actor.faces.service import Service
from secrets_actor.faces.sigv4_check import MOST_SIGNING_KEYS, identity_of
from secrets_actor.faces.sockets import Sockets, closed_folder
from secrets_actor.faces.tokens import MINT_KEY_BYTES, AllKeys, StaticKeys, Tokens, mint_key
from secrets_actor.faces.watch import Watches
from secrets_actor.faces.watchdog import WATCHDOG, Watchdog
from secrets_actor.otp import (
    Child,
    ChildSpec,
    DeleteChild,
    ExitReason,
    Flags,
    Kind,
    LifecycleEvent,
    OtpError,
    Pid,
    StartChild,
    Strategy,
    Supervisor,
    TerminateChild,
    Tree,
    TreeNode,
    WhichChildren,
    call,
    cast,
)
from secrets_actor.runtime.backends import OF_THE_BACKEND
from secrets_actor.runtime.daemon_files import DaemonFiles
from secrets_actor.runtime.daemon_settings import (
    LIVE,
    SYSTEMD,
    DaemonSettings,
    ListenSettings,
    credential_rows_of,
    default_socket,
    rules_of,
)
from secrets_actor.runtime.file_settings import specs_of
from secrets_actor.runtime.live_picture import LivePicture
from secrets_actor.runtime.local_factory import local_arn_prefixes
from secrets_actor.runtime.notify import Notifier
from secrets_actor.runtime.settings import Settings
from secrets_actor.runtime.settings_loader import load, named
from secrets_actor.runtime.system import RELEASE_SECONDS, System, parts_of, process_of
from secrets_actor.runtime.wiring import SECRETS
from secrets_actor.telemetry.caller_tally import CallerTally

if TYPE_CHECKING:
    import ssl

    from secrets_actor.delivery.rendered_file import FileSpec

# Seconds between two rounds of the watchdog, unless systemd wants to hear of it more often.
WATCHDOG_SECONDS: Final = 5.0
# Seconds beyond the drain that a stop may take.
STOP_SECONDS: Final = 10.0
# Seconds that a supervisor may take to start or stop a listener, beyond its drain.
_PATIENCE: Final = 10.0
# Seconds beyond the system's own timeout that the face `systemd` has for an answer: the store's error is to come first.
# And those in which systemd must read some of a refusal.
_BEYOND_CALL: Final = 5.0
_READING: Final = 15.0
# How many callers have a client of their own kept. When they are more, all are dropped: to make one is cheap.
_KEPT: Final = 1024
LISTENERS = "listeners"
# A listener may end for reasons that lie outside the process, such as a limit of descriptors. Its backoff makes 28
# restarts in 10 s at most, so this supervisor gives up only if several cannot live at all.
LISTENERS_FLAGS: Final = Flags(Strategy.ONE_FOR_ONE, intensity=100, period=10.0)
_PREFETCH: Final = "the configured prefetch"


class Listen(Struct, frozen=True):
    """One address that is listened on: what it is, its row of the configuration, and its TLS."""

    address: Address
    row: ListenSettings
    tls: ssl.SSLContext | None = None

    def replaces(self, other: Listen) -> bool:
        """Whether a listener of *other* has to be started anew to be one of this."""
        return self.row.tls is not None or other.row.tls is not None or self.for_systemd != other.for_systemd

    @property
    def for_systemd(self) -> bool:
        """Whether systemd gets the credentials of units there, and nothing else is served."""
        return self.row.faces == (SYSTEMD,)


class Plan(Struct, frozen=True):
    """All that comes of one configuration. *listens* has the addresses as the configuration spells them."""

    settings: Settings
    daemon: DaemonSettings
    policy: Policy
    tokens: Tokens
    keys: StaticKeys
    hosts: frozenset[str]
    listens: Mapping[str, Listen]
    files: Mapping[str, FileSpec]


class Daemon:
    """The daemon of the configuration *source*, a path, or None as for `start`. Nothing listens before `start`.

    *say* prints a line for people. *environ* is where systemd says what it has passed; its variables are taken out.
    Raises `ConfigurationError`.
    """

    def __init__(
        self,
        source: Path | None,
        *,
        say: Callable[[str], object],
        environ: MutableMapping[str, str] = os.environ,
        on_give_up: Callable[[ExitReason], object] | None = None,
    ) -> None:
        self._source, self._say, self._environ = source, say, environ
        self.notifier = Notifier.of(environ)
        self._sockets = Sockets(environ)
        self._began = now()
        self._memory, self._live_memory = Memory(now), LiveMemory(wall_time)
        self._drains = False
        self._reload: Reload | None = None
        self._told: set[str] = set()
        self._clients: dict[Identity, AsyncSecrets] = {}
        self._signing_keys = SigningKeys(MOST_SIGNING_KEYS)
        self._plan = self._planned(None)
        self._policy: Decides = self._plan.policy
        self._files = DaemonFiles(lambda: self._node, self._plan.files)
        self._system = System(
            self._plan.settings, observer=self._remember, on_give_up=on_give_up, children=self._children
        )
        parts = parts_of(self._system)
        self._node, self._meter = parts.node, parts.meters
        self._gate = PolicyGate(
            lambda: self._policy,
            self._described,
            parts.audit_buffer,
            parts.node.clock,
            _own_arns(self._plan.settings),
        )
        self._service = Service(self._client, self._gate, parts.audit_buffer, parts.node.clock, parts.meters)
        self._watches, self._pages = Watches(self._service, lambda: self._plan.tokens.names), PageTokens()
        self._mint: Mint | None = None
        self._live_sessions: LiveSessions | None = None
        parts.audit_buffer.tally = tally = CallerTally()
        began = round(wall_time(), 3)
        picture = LivePicture(self._system, self._live_memory, tally, self.status, began)
        self._live_states, self._live_streams = LiveStates(picture, now), LiveStreams()
        self._routers: dict[str, Router | CredentialFace] = {}

    # --- life -----------------------------------------------------------------------------------------------------

    @property
    def system(self) -> System:
        """The system that it serves."""
        return self._system

    @property
    def drain_seconds(self) -> float:
        """How long requests under way have when the daemon ends."""
        return self._plan.daemon.drain_seconds

    def start(self) -> None:
        """Open the sockets, start the system with its listeners, and tell systemd.

        Raises `ConfigurationError`, `StartFailed`.
        """
        for listen in self._plan.listens.values():
            self._open(listen)
        key = self._mint_key()
        self._mint, self._live_sessions = Mint(key), LiveSessions(key, wall_time, os.urandom)
        self._routers = self._made_routers(self._plan)
        self._system.start()
        self.notifier.ready(self._in_words())

    def stop(self) -> None:
        """Drain, and end. Return when all has ended: within `drain_seconds` and `STOP_SECONDS`."""
        self._drains = True
        self.notifier.stopping("draining")
        self._watches.release()
        # First of all, so that new clients are refused at once: the kernel would keep them waiting for nobody. Sockets
        # of systemd stay: it keeps them, and their clients, for the next daemon.
        for listen in self._plan.listens.values():
            self._sockets.close(listen.address)
        # All at once: a supervisor stops its children one after the other, and each could take the whole time.
        end = now() + self.drain_seconds + STOP_SECONDS
        with suppress(OtpError):  # their supervisor is just being restarted: then nothing is under way
            children = self._listeners()
            for child in children:
                if child.pid is not None:
                    cast(child.pid, Drain())
            for child in children:
                call(self._node.name(LISTENERS), TerminateChild(child.spec.id), max(0.0, end - now()))
        # Now that nobody asks any more, the system can drain, too: it gives the store's credentials back.
        self._system.stop(max(0.0, end - now() - RELEASE_SECONDS), drain=RELEASE_SECONDS)
        self.close()

    def close(self) -> None:
        """Close the sockets, and remove their files."""
        self._sockets.close_all()

    # --- the configuration ----------------------------------------------------------------------------------------

    def _planned(self, before: Plan | None) -> Plan:
        """Read the configuration, and make all of it that opens nothing. What tokens and keys were *before* stays good
        for a while. Raises `ConfigurationError`."""
        settings = load(self._source).settings
        if settings.log.output == "logging":
            # A program's own logging has handlers; the daemon has none, and its records would go nowhere.
            settings = replace(settings, log=replace(settings.log, output="stderr"))
        daemon = settings.daemon or DaemonSettings()
        rows = daemon.listen or (ListenSettings(address=f"unix:{default_socket(self._environ)}"),)
        mistakes: list[str] = []
        listens: dict[str, Listen] = {}
        for number, row in enumerate(rows):
            try:
                listens[row.address] = Listen(parse_address(row.address), row, _tls_of(row))
            except ConfigurationError as error:
                mistakes += [f"daemon.listen[{number}].{mistake}" for mistake in error.mistakes]
        if settings.backend == "daemon" and _asked_by(settings, self._environ) in listens:
            mistakes.append("daemon_client.address: another daemon's; this one would ask itself")
        tokens = keys = None
        try:
            tokens = Tokens(
                [(one.name, one.value) for one in daemon.token if one.value],
                now,
                self._observe,
                before.tokens if before else None,
            )
        except ConfigurationError as error:
            mistakes += error.mistakes
        try:
            static = [(one.name, one.access_key_id, one.secret_key) for one in daemon.key if one.secret_key]
            keys = StaticKeys(static, now, self._observe, before.keys if before else None)
        except ConfigurationError as error:
            mistakes += error.mistakes
        files: Mapping[str, FileSpec] = {}
        try:
            files = specs_of(settings.file)
        except ConfigurationError as error:
            mistakes += error.mistakes
        if mistakes or tokens is None or keys is None:
            raise ConfigurationError(tuple(mistakes))
        hosts = LOOPBACK | {host.lower() for host in daemon.hosts}
        return Plan(settings, daemon, Policy(rules_of(daemon, os.geteuid())), tokens, keys, hosts, listens, files)

    def reload(self) -> bool:
        """Read the configuration anew, and put it in force, whole or not at all. Return whether it is in force.

        Mistakes go to the log, to standard error, and to the status.
        """
        self.notifier.reloading()
        at = utc_now().isoformat(timespec="seconds")
        try:
            self._take(self._planned(self._plan))
        except SecretsError as error:
            mistakes = error.mistakes if isinstance(error, ConfigurationError) else (str(error),)
            self._reload = Reload(at, mistakes)
            self._observe(ReloadRefused(FACES, "; ".join(mistakes)))
            self._say(f"the configuration was not taken, and the one before is in force: {'; '.join(mistakes)}")
        else:
            self._reload = Reload(at)
            self._observe(Reloaded(FACES))
        self.notifier.ready(self._in_words())
        return not self._reload.mistakes

    def _take(self, plan: Plan) -> None:
        """Put *plan* in force (rule 1). Raises a `SecretsError`, and then nothing has changed."""
        before = self._plan
        mistakes = tuple(_fixed(before, plan))
        if mistakes:
            raise ConfigurationError(mistakes)
        added = [listen for text, listen in plan.listens.items() if text not in before.listens]
        routers = self._made_routers(plan)
        try:
            for listen in added:
                self._open(listen)
            if any(getattr(plan.settings, name) != getattr(before.settings, name) for name in OF_THE_BACKEND):
                self._change_store(before, plan)
        except SecretsError:
            for listen in added:
                self._sockets.close(listen.address)
            raise
        self._plan, self._policy, self._routers = plan, plan.policy, {**self._routers, **routers}
        self._files.take(plan.files)
        self._put_listeners_in_place(before, plan)
        self._routers = routers

    def _change_store(self, before: Plan, plan: Plan) -> None:
        """Change to the store of *plan*, while nobody may do more than both policies allow. Raises a `SecretsError`,
        and then nothing has changed."""
        self._policy = Both(before.policy, plan.policy)
        try:
            self._system.configure(plan.settings)
        except SecretsError:
            self._policy = before.policy
            raise
        # The actor is told to change. Until it has, the cache holds values of the former store.
        with contextlib.suppress(OtpError):  # it has just ended, and its successor begins with the new store
            call(self._node.name(SECRETS), Ping(), _PATIENCE)
        self._gate.forget(_own_arns(plan.settings))

    def _put_listeners_in_place(self, before: Plan, plan: Plan) -> None:
        """Start the listeners that were added, start those anew whose TLS or drain may have changed, and end the
        others. Their sockets are closed first: whatever fails below, no client waits at one that nobody serves."""
        gone = {text: listen for text, listen in before.listens.items() if text not in plan.listens}
        for text, listen in gone.items():
            self._sockets.close(listen.address)
            self._told.discard(text)
        anew = before.daemon.drain_seconds != plan.daemon.drain_seconds
        kept = {text for text, listen in before.listens.items() if text in plan.listens}
        renewed = [text for text in kept if anew or plan.listens[text].replaces(before.listens[text])]
        patience = before.daemon.drain_seconds + _PATIENCE
        try:
            for text, listen in plan.listens.items():
                if text in renewed:
                    self._end_listener(before.listens[text], patience)
                if text in renewed or text not in before.listens:
                    call(self._node.name(LISTENERS), StartChild(self._listener(text, listen)), _PATIENCE)
            for listen in gone.values():
                self._end_listener(listen, patience)
        except OtpError:  # it is just being restarted, or a listener was: started once more, it goes by the new plan
            supervisor = self._system.whereis(LISTENERS)
            if supervisor is not None:
                supervisor.kill()

    def _end_listener(self, listen: Listen, patience: float) -> None:
        call(self._node.name(LISTENERS), TerminateChild(_id_of(listen)), patience)
        call(self._node.name(LISTENERS), DeleteChild(_id_of(listen)), patience)

    def _open(self, listen: Listen) -> None:
        address, row = listen.address, listen.row
        self._sockets.open(
            address,
            mode=row.mode_bits(),
            group=row.group,
            beyond_loopback=listen.tls is not None,
        )
        if isinstance(address, UnixAddress):
            closed = closed_folder(Path(address.path))
            if closed is not None:
                self._say(
                    f"daemon.listen: {address} has mode {row.mode_bits():04o}, but not all whom that lets in "
                    f"get through the folder {closed}: chmod a+x {closed}"
                )

    # --- the parts ------------------------------------------------------------------------------------------------

    def _children(self, secrets: Secrets) -> Iterator[ChildSpec]:
        wanted = self.notifier.watchdog_seconds
        # Half of the time, as sd_watchdog_enabled(3) advises: one round that is late does no harm.
        seconds = WATCHDOG_SECONDS if wanted is None else min(WATCHDOG_SECONDS, wanted / 2)
        yield ChildSpec(WATCHDOG, lambda: Watchdog(("core", SECRETS), seconds, self._beat), name=WATCHDOG)
        # Before the listeners: who waits for the daemon to be ready waits for the files, too.
        yield self._files.spec(secrets)
        # A supervisor of their own: whenever it is started, it starts the listeners of the plan that is in force then.
        yield ChildSpec(
            LISTENERS,
            self._listening,
            kind=Kind.SUPERVISOR,
            name=LISTENERS,
        )

    def _listening(self) -> Supervisor:
        """Make the supervisor of the listeners. At the start of the daemon one that fails ends the start; later on it
        is tried again, and the others serve meanwhile: a machine may be at its limit of threads for a moment."""
        listeners = tuple(self._listener(*one) for one in self._plan.listens.items())
        return Supervisor(LISTENERS_FLAGS, listeners, keeps_trying=bool(self._told))

    def _beat(self) -> None:
        self._memory.beat()
        self.notifier.alive()

    def _listener(self, text: str, listen: Listen) -> ChildSpec:
        return listener_spec(
            listen.address,
            self._sockets,
            lambda: self._handler(text),
            speaks=CredentialConnection if listen.for_systemd else Connection,
            limits=self._limits(listen),
            tls=listen.tls,
            meter=self._meter,
            drain_seconds=self._plan.daemon.drain_seconds,
            listening=lambda places: self._tell(text, places),
        )

    def _limits(self, listen: Listen) -> Limits:
        if not listen.for_systemd:
            return Limits()
        return Limits(request_seconds=self._plan.settings.call_timeout_seconds + _BEYOND_CALL, idle_seconds=_READING)

    def _handler(self, text: str) -> Callable[[Any], Awaitable[Any]]:
        def handle(request: Any) -> Awaitable[Any]:
            return self._routers[text](request)  # looked up each time: rule 2

        return handle

    def _tell(self, text: str, places: tuple[str, ...]) -> None:
        """Say where a listener answers, when it does so for the first time."""
        if text not in self._told:
            self._told.add(text)
            for place in places:
                self._say(f"listening on {place}")

    def _made_routers(self, plan: Plan) -> dict[str, Router | CredentialFace]:
        return {
            text: self._for_systemd(plan, listen) if listen.for_systemd else self._router(plan, listen)
            for text, listen in plan.listens.items()
        }

    def _for_systemd(self, plan: Plan, listen: Listen) -> CredentialFace:
        return CredentialFace(self._service, credential_rows_of(plan.daemon), _id_of(listen), os.geteuid())

    def _router(self, plan: Plan, listen: Listen) -> Router:
        names = set(listen.row.faces)
        if not isinstance(listen.address, TcpAddress):
            names |= {"control", "credentials"}
        if "aws" in names:
            names.add("credentials")
        hosts = plan.hosts
        faces = [self._face(name, plan, listen) for name in _ORDER if name in names]
        scheme = ("http" if listen.tls is None else "https") if LIVE in names else None
        return Router(faces, lambda request: refusal(request, hosts, scheme), self._observe, self._meter)

    def _face(self, name: str, plan: Plan, listen: Listen) -> Face:
        match name:
            case "health":
                return HealthFace(self.condition, lambda: self._memory.beats)
            case "metrics":
                return MetricsFace(self._system.metrics)
            case "control":
                return ControlFace(
                    self._gate,
                    status=self.status,
                    tree=self.tree,
                    read=self._system.metrics,
                    look=self.condition,
                    live=lambda: self._live_states.look().json,
                    enter=self._live_urls,
                )
            case "live":
                return LiveFace(
                    self._service,
                    self._sessions_in_force(),
                    self._live_states,
                    self._live_streams,
                    restart=self._restart,
                    secure=listen.tls is not None,
                    wall_time=wall_time,
                    random=os.urandom,
                )
            case "credentials":
                return CredentialsApi(self._service, self._mint_in_force(), plan.tokens.name_of, utc_now, os.urandom)
            case "agent":
                return AgentApi(self._service, plan.tokens.name_of, self._watches, dialect=listen.row.dialect)
            case _:
                keys = AllKeys(plan.keys, self._mint_in_force(), plan.tokens)
                return AwsApi(
                    self._service,
                    lambda request: identity_of(request, keys, utc_now(), self._signing_keys),
                    self._pages,
                )

    def _sessions_in_force(self) -> LiveSessions:
        if self._live_sessions is None:
            raise RuntimeError("the sessions are made at the start")
        return self._live_sessions

    def _live_urls(self, identity: Identity) -> tuple[str, ...]:
        """Return the addresses of the live page on TCP, each with a key that lets *identity* in once."""
        return tuple(
            f"{'http' if listen.tls is None else 'https'}://{place}/live?key="
            f"{self._sessions_in_force().new_key(identity)}"
            for listen in self._plan.listens.values()
            if LIVE in listen.row.faces and isinstance(listen.address, TcpAddress)
            for place in self._sockets.places(listen.address)
        )

    def _restart(self, serial: int) -> str:
        """End the process with this *serial*, which its supervisor then starts again. Return its label.

        It is killed, and not asked to end: one that hangs would not hear it. Raises `LookupError`.
        """
        tree = self._system.tree().root
        supervisors = {child.serial: one for one in tree.walk() for child in one.children}
        node = next((one for one in tree.walk() if one.serial == serial), None)
        problem = "there is no such process any more" if node is None else why_not(node, supervisors.get(serial))
        pid = process_of(self._system, serial)
        if node is None or pid is None or problem is not None:
            raise LookupError(problem or "there is no such process any more")
        pid.kill()
        return node.id

    def _remember(self, event: LifecycleEvent, /) -> None:
        self._memory(event)
        self._live_memory(event)

    def _mint_in_force(self) -> Mint:
        if self._mint is None:
            raise RuntimeError("the mint is made at the start")
        return self._mint

    def _mint_key(self) -> SecretValue:
        """Return the key of the mint: from a file beside the first Unix socket, or in the folder that systemd made for
        the service, so that minted keys survive a restart; else a new one."""
        paths = [Path(one.address.path) for one in self._plan.listens.values() if isinstance(one.address, UnixAddress)]
        folder = self._environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        if paths:
            return mint_key(paths[0].parent / "mint.key")
        return mint_key(Path(folder) / "mint.key") if folder else SecretValue(os.urandom(MINT_KEY_BYTES))

    def _observe(self, event: LifecycleEvent, /) -> None:
        self._node.observe(event)

    def _client(self, identity: Identity) -> AsyncSecrets:
        found = self._clients.get(identity)
        if found is None:
            if len(self._clients) >= _KEPT:
                self._clients.clear()
            found = self._clients[identity] = self._system.async_secrets.for_caller(caller_facts(identity))
        return found

    async def _described(self, secret_id: str) -> Any:
        return await self._system.async_secrets.describe(secret_id)

    # --- what is looked at ----------------------------------------------------------------------------------------

    def tree(self) -> Tree:
        """Return a picture of the tree."""
        return self._system.tree()

    def whereis(self, name: str) -> Pid | None:
        """Return the process that is registered as *name* now, such as `listeners` or `secrets`; or None."""
        return self._system.whereis(name)

    def condition(self) -> Condition:
        """Return how the daemon is."""
        tree = self._system.tree()
        waits_for = tuple(self._waits_for(_running(tree.root)))
        found = self._memory.condition(self._system.metrics(), tree.root, waits_for)
        troubled = sum(1 for state in self._files.states() if state.problem)
        if not troubled:
            return found
        return replace(
            found,
            degraded=(
                *found.degraded,
                Degradation("files", f"not as they should be: {troubled}; status says which, and why"),
            ),
        )

    def _waits_for(self, running: Mapping[str, TreeNode]) -> Iterator[str]:
        if self._drains:
            yield "its end: it drains"
        for listen in self._plan.listens.values():
            if _id_of(listen) not in running:
                yield "a listener"  # without its address: anybody may ask for the health of the daemon
        if any(state.rendered_at is None for state in self._files.states()):
            yield "a file"
        section = self._plan.settings.prefetch
        wanted = (section.names or section.prefixes or section.tags) and self._plan.settings.ttl_seconds > 0
        if wanted and self._memory.prefetch is None:
            yield _PREFETCH

    def status(self) -> Status:
        """Return what `secrets-actor status` shows."""
        import secrets_actor  # here: it imports this package's own runtime

        condition, running = self.condition(), _running(self._system.tree().root)
        settings = self._plan.settings
        return Status(
            version=secrets_actor.__version__,
            pid=os.getpid(),
            uptime=round(now() - self._began, 3),
            status=condition.status,
            backend=settings.backend,
            configuration=named(self._source),
            listeners=tuple(
                ListenerState(text, listen.row.faces, node is not None, "" if node is None else node.status)
                for text, listen in self._plan.listens.items()
                for node in [running.get(_id_of(listen))]
            ),
            waits_for=condition.waits_for,
            degraded=condition.degraded,
            reload=self._reload,
            files=tuple(FileLine(*astuple(state)) for state in self._files.states()),
        )

    def _in_words(self) -> str:
        return f"listening on {', '.join(self._plan.listens)}"

    def _listeners(self) -> tuple[Child, ...]:
        """Return the children of the supervisor of the listeners. Raises `OtpError`."""
        children: tuple[Child, ...] = call(self._node.name(LISTENERS), WhichChildren(), _PATIENCE)
        return children


# Which face is asked first whether a request is for it. The AWS API takes any path, so it comes last.
_ORDER: Final = ("health", "metrics", "live", "control", "credentials", "agent", "aws")


def _running(node: TreeNode) -> dict[str, TreeNode]:
    """Return the processes that run at *node* and below it, by their ids."""
    return {one.id: one for one in node.walk() if one.state == "running"}


def _own_arns(settings: Settings) -> tuple[str, ...]:
    """Return how the ARNs of the store's secrets begin, if that is known without asking it."""
    return local_arn_prefixes(settings.local) if settings.backend == "local_encrypted" else ()


def _id_of(listen: Listen) -> str:
    return f"listener {listen.address}"


def _asked_by(settings: Settings, environ: Mapping[str, str]) -> str:
    """Return the address of the daemon that the backend `daemon` asks."""
    return settings.daemon_client.address or f"unix:{default_socket(environ)}"


def _tls_of(row: ListenSettings) -> ssl.SSLContext | None:
    if row.tls is None:
        return None
    from secrets_actor.faces.tls import server_tls

    assert row.tls.cert is not None  # the check of the settings has seen to it
    assert row.tls.key is not None
    return server_tls(certificate=row.tls.cert, key=row.tls.key, client_authority=row.tls.client_ca)


def _fixed(before: Plan, plan: Plan) -> Iterator[str]:
    """Yield what *plan* changes and may not change while the daemon runs (rule 4)."""
    remedy = "not while the daemon runs: restart it"
    for name in Settings.__struct_fields__:
        if name not in (*OF_THE_BACKEND, "daemon", "file") and getattr(before.settings, name) != getattr(
            plan.settings, name
        ):
            yield f"{name}: {remedy}"
    for text, listen in plan.listens.items():
        old = before.listens.get(text)
        for name in ("mode", "group"):
            if old is not None and getattr(old.row, name) != getattr(listen.row, name):
                yield f"daemon.listen: {name} of {text}: {remedy}"
