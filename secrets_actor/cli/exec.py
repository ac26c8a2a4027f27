"""`exec`: runs a program with secrets, and tells it when they change. The program is a supervised process of our tree.

Rule 1: nothing is started while anything is missing. A failure of ours ends with 125, as with env and docker run: all
        other codes are those of the command. 126 and 127 are those of the shells; a command that a signal has ended
        ends us by the same signal, so that a shell reports 128+n and a script sees what it would see without us.
Rule 2: a change that cannot be carried out (the store is away, a secret has become a binary one) changes nothing: the
        command goes on with what it has, and one line says so.
Rule 3: on a terminal the command stays in our process group, and the kernel gives Ctrl-C, Ctrl-\\ and Ctrl-Z to both of
        us. We hand these signals on only where there is no terminal; all others always.
Rule 4: we dump no core when we end ourselves by the signal of the command: values would be in it.
Rule 5: no parent-death signal is set. The kernel ties it to the thread that started the command, and not to us; it is
        lost in programs that change their user; and it would need a second program between us and the command. A
        service manager or a container ends what is left of us when we are killed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
from msgspec.structs import replace

from secrets_actor.cli.exit_codes import INTERRUPTED, PROGRAM, complaint_about, run
from secrets_actor.cli.signals import next_signals, signals
from secrets_actor.cli.store.options import passphrase_option

if TYPE_CHECKING:
    from secrets_actor.cli.options import Options
    from secrets_actor.client.secrets import Secrets
    from secrets_actor.delivery.command_process import Life
    from secrets_actor.delivery.environment import Mapped
    from secrets_actor.delivery.fetching import Fetched, Wanted
    from secrets_actor.delivery.private_files import PrivateFolder
    from secrets_actor.delivery.spawning import Command, Program
    from secrets_actor.delivery.terminal import Relay
    from secrets_actor.domain.references import Reference
    from secrets_actor.otp import ChildSpec, LifecycleEvent

# The exit code of a failure of ours (rule 1).
OWN_FAILURE: Final = 125
# What we hand on to the command. TERM ends it, and us.
FORWARDED: Final = (
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGCONT,
    signal.SIGTSTP,
)
# Those that the kernel gives to all processes in the foreground of a terminal (rule 3).
_OF_TERMINAL: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)
# Those that end us while no command is there to decide about it: between two starts.
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
_WOKEN: Final = 0  # a byte in the pipe that is no signal
# Seconds that the rest of the output has to be shown when we were asked to end; those between two looks for such a
# signal when we were not; and those that the command line of --on-change may take.
_RELAY_SECONDS: Final = 5.0
_RELAY_LOOK: Final = 0.2
_HOOK_SECONDS: Final = 60.0

EPILOG: Final = "\b\nExit codes:\n" + "\n".join(
    (
        "  125  a failure of ours: wrong usage, a secret that is missing or refused, a store that is away",
        "  126  COMMAND is not executable",
        "  127  there is no COMMAND",
        "  n    all others are those of the command; 128+n if signal n has ended it",
    )
)


class _Exec(click.Command):
    """A command whose usage errors end with 125, too (rule 1)."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            click.echo(complaint_about(error).line(json=parent is not None and parent.obj.as_json), err=True)
        raise click.exceptions.Exit(OWN_FAILURE)


if TYPE_CHECKING:
    _Words = click.ParamType[Any]
else:  # at 8.1 it is no class that takes a type
    _Words = click.ParamType


class _OnChange(_Words):
    name = "how"

    def convert(self, value: Any, _param: Any, _context: Any) -> tuple[str, Any]:
        """Return the way, and the signal or the command line for it."""
        way, _, rest = str(value).partition("=")
        if way in ("restart", "ignore") and not rest:
            return way, None
        if way == "signal" and rest:
            return way, _signal(rest)
        if way == "run" and rest.strip():
            return way, rest
        return self.fail("restart, signal=HUP, run='COMMAND LINE' or ignore")


class _Signal(_Words):
    name = "signal"

    def convert(self, value: Any, _param: Any, _context: Any) -> int:
        return value if isinstance(value, int) else _signal(str(value))


def _signal(name: str) -> int:
    wanted = name.upper().removeprefix("SIG")
    for one in signal.valid_signals():
        if wanted in (str(int(one)), getattr(one, "name", "").removeprefix("SIG")):
            return int(one)
    raise click.BadParameter("the name of a signal, such as HUP, or its number; see 'kill -l'")


@click.command("exec", cls=_Exec, epilog=EPILOG, context_settings={"ignore_unknown_options": False})
@click.option("--env", "variables", multiple=True, metavar="NAME=REF", help="Set this variable. NAME?= if it may miss.")
@click.option("--env-from", "sources", multiple=True, metavar="PREFIX/", help="A variable for each secret below it.")
@click.option("--prefix", default="", help="What the names of --env-from begin with.")
@click.option("--file", "files", multiple=True, metavar="NAME=REF", help="Put it into a file; NAME_FILE has its path.")
@click.option("--memfd", "memories", multiple=True, metavar="NAME=REF", help="The same, by a sealed memory file.")
@click.option("--pristine", is_flag=True, help="Pass none of our own variables on.")
@click.option("--keep", multiple=True, metavar="NAME,...", help="With --pristine: pass these on.")
@click.option("--on-change", "on_change", type=_OnChange(), default="ignore", metavar="HOW", show_default=True,
              help="restart, signal=HUP, run=COMMAND or ignore.")  # fmt: skip
@click.option("--restart", type=click.Choice(["never", "on-failure", "always"]), default="never", show_default=True,
              help="When to start a command again that has ended.")  # fmt: skip
@click.option("--restart-limit", type=click.IntRange(0, 1000), default=5, show_default=True,
              help="Restarts within a minute, after which we give up.")  # fmt: skip
@click.option("--stop-signal", type=_Signal(), default="TERM", show_default=True, help="What asks the command to end.")
@click.option("--grace", type=click.FloatRange(0, 86400), default=10.0, show_default=True,
              help="Seconds from there to SIGKILL.")  # fmt: skip
@click.option("--debounce", type=click.FloatRange(0, 86400), default=2.0, show_default=True,
              help="Seconds of quiet before a change is acted on.")  # fmt: skip
@click.option(
    "--splay", type=click.FloatRange(0, 86400), default=0.0, help="Wait up to so many seconds more, by chance."
)
@click.option("--floor", type=click.FloatRange(0, 86400), default=10.0, show_default=True,
              help="Least seconds between two acts.")  # fmt: skip
@click.option(
    "--every", type=click.FloatRange(1, 86400), help="Ask the store every so many seconds whether all is new."
)
@click.option("--once", is_flag=True, help="Become the command: nothing of us is left, and no change is told.")
@click.option("--mask", is_flag=True, help="Take the values out of what the command prints.")
@passphrase_option
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] COMMAND [ARGUMENT]...")
@click.pass_context
def exec_(context: click.Context, /, **given: Any) -> None:
    """Run COMMAND with secrets in its environment or in files, and tell it when they change.

    \b
    secrets-actor exec --env DB_PASSWORD=db/password -- ./server
    secrets-actor exec --env-from app/ --on-change restart --restart on-failure -- ./server

    A REF is a name, name#member of a JSON value, and @STAGE behind it. A variable that we were given with the value
    secret://REF is replaced by that secret. Nothing is started if anything is missing.
    """
    options: Options = context.obj
    codes: list[int] = []

    def work() -> None:
        from secrets_actor.delivery.spawning import NotStarted

        try:
            codes.append(_exec(options, given))
        except NotStarted as error:
            codes.append(error.exit_code)
            raise

    status = run(work, json=options.as_json)
    if not codes:
        context.exit(INTERRUPTED if status == INTERRUPTED else OWN_FAILURE)
    _end_as(codes[0])


def _exec(options: Options, given: Mapping[str, Any]) -> int:
    """Do what was asked for, and return how the command has ended, as in `Program.wait`."""
    if os.getpid() == 1:
        # The kernel gives process 1 no signal without a handler. This one holds until the command is there.
        signal.signal(signal.SIGTERM, lambda number, _frame: os._exit(128 + number))
    plan = _Plan(given)
    with _system(options, plan) as system:
        secrets = system.secrets
        fetched = _fetch(secrets, plan.wanted)
        with contextlib.ExitStack() as stack:
            delivery = _Delivery(plan, stack)
            # Before there is a folder, and until it is removed: a signal must not end us and leave it.
            pipe = None if plan.once else stack.enter_context(signals(FORWARDED, children=True))
            delivery.take(fetched)
            delivery.check()
            if pipe is not None:
                return _supervise(system, plan, delivery, fetched, partial(_say, options.as_json), pipe)
            become = delivery.handed_over()
    return _become(become)


class _Plan:
    """What was asked for, checked. Raises `UsageError`, `InvalidParameter` and `InvalidSecretName`."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        from secrets_actor.delivery.environment import FILE, Mapped
        from secrets_actor.delivery.fetching import Wanted
        from secrets_actor.delivery.pace import Pace
        from secrets_actor.delivery.references import parse_source, parse_variable
        from secrets_actor.otp import Restart

        self.argv: tuple[str, ...] = given["argv"]
        self.ours = dict(os.environ)
        self.mapped: Mapped = Mapped(
            variables=tuple(map(parse_variable, given["variables"])),
            sources=tuple(map(parse_source, given["sources"])),
            prefix=given["prefix"],
            pristine=given["pristine"],
            keep=tuple(name for one in given["keep"] for name in one.split(",")),
        )
        self.files: tuple[tuple[str, Reference], ...] = tuple(map(parse_variable, given["files"]))
        self.memories: tuple[tuple[str, Reference], ...] = tuple(map(parse_variable, given["memories"]))
        self.way, self.how = given["on_change"]
        self.restart = {"never": Restart.TEMPORARY, "on-failure": Restart.TRANSIENT, "always": Restart.PERMANENT}[
            given["restart"]
        ]
        self.once, self.mask = given["once"], given["mask"]
        self.stop_signal, self.grace, self.limit = given["stop_signal"], given["grace"], given["restart_limit"]
        self.pace, self.every = Pace(given["debounce"], given["splay"], given["floor"]), given["every"]
        by_file = [name for name, _ in (*self.files, *self.memories)]
        names = [name for name, _ in self.mapped.variables] + by_file + [name + FILE for name in by_file]
        if len(set(names)) < len(names):
            raise click.UsageError("a variable is given twice by --env, --file and --memfd (which set NAME_FILE).")
        if given["keep"] and not self.mapped.pristine:
            raise click.UsageError("--keep says what --pristine passes on: give that, too.")
        if self.once and (self.way != "ignore" or self.restart is not Restart.TEMPORARY or self.mask or self.files):
            raise click.UsageError(
                "--once leaves nothing of us that could restart, tell of a change, mask, or remove a file: it takes "
                "--env, --env-from and --memfd."
            )
        if self.memories and self.way in ("signal", "run"):
            raise click.UsageError("a memory file never changes: use --file, or --on-change restart.")
        wanted = self.mapped.wanted(self.ours)
        more = tuple(reference for _, reference in (*self.files, *self.memories))
        self.wanted = Wanted((*wanted.references, *more), wanted.prefixes)


class _Delivery:
    """What the command is to have: its environment, files and memory files; the newest of each."""

    def __init__(self, plan: _Plan, stack: contextlib.ExitStack) -> None:
        self._plan, self._stack = plan, stack
        self._folder: PrivateFolder | None = None
        self._memories: dict[str, int] = {}
        self._environment: dict[str, str] = {}
        self.relay: Relay | None = None
        self.hurried = False  # somebody has asked us to end
        # Held while the command is started: it must get the memory files that its environment names.
        self._lock = threading.Lock()
        self.on_terminal = _on_terminal()
        stack.callback(self._close_memories)

    def take(self, fetched: Fetched) -> None:
        """Take other values. Raises a `SecretsError`, and leaves all as it was then, but for files."""
        from secrets_actor.delivery.environment import FILE, contents_of, environment_of
        from secrets_actor.delivery.private_files import PrivateFolder, memory_file

        plan = self._plan
        contents = contents_of(plan.mapped, plan.ours, fetched)
        environment = environment_of(plan.mapped, plan.ours, contents).reveal()
        by_file = {name: fetched.bytes(reference) for name, reference in plan.files}
        memories = {name: fetched.bytes(reference) for name, reference in plan.memories}
        for name in (*by_file, *memories):
            environment.pop(name, None)  # an older value, in clear
        if plan.files and self._folder is None:
            self._folder = self._stack.enter_context(PrivateFolder())
        for name, content in by_file.items():
            if content is not None and self._folder is not None:
                path = self._folder.path / name
                # What has not changed is left as it is, for programs that watch the file.
                if not path.exists() or path.read_bytes() != content:
                    self._folder.write(name, content)
                environment[name + FILE] = str(path)
        made = {name: memory_file(name, content) for name, content in memories.items() if content is not None}
        environment.update({name + FILE: f"/proc/self/fd/{fd}" for name, fd in made.items()})
        if plan.mask:
            from secrets_actor.delivery.terminal import open_relay

            values = tuple(fetched.values(plan.wanted.references))
            if self.relay is None:
                self.relay = open_relay(values)
            else:
                self.relay.replace_values(values)
        # Only now, when they are masked: a command that has ended may be started at any time.
        with self._lock:
            before, self._memories, self._environment = self._memories, made, environment
            for fd in before.values():
                os.close(fd)

    def check(self) -> None:
        """Raise `NotStarted` if there is no such program."""
        from secrets_actor.delivery.spawning import executable

        executable(self._plan.argv[0])

    def start(self) -> Program:
        """Start the command with the newest values. Raises `NotStarted`."""
        from secrets_actor.delivery.spawning import start

        with self._lock:
            return start(self._command())

    def _command(self) -> Command:
        from secrets_actor.delivery.spawning import Command

        relay = self.relay
        launcher = () if relay is None else relay.launcher
        return Command(
            self._plan.argv,
            self._environment,
            pass_fds=tuple(self._memories.values()),
            stdio=None if relay is None else relay.child_stdio(),
            own_group=bool(launcher) or not self.on_terminal,
            launcher=launcher,
        )

    def handed_over(self) -> Command:
        """Return the command that this process becomes: the memory files stay open for it."""
        command, self._memories = self._command(), {}
        return command

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment, for what is run at a change."""
        return self._environment

    def _close_memories(self) -> None:
        for fd in self._memories.values():
            os.close(fd)


def _on_terminal() -> bool:
    """Whether we have a controlling terminal: then the command has to stay in our group (rule 3)."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY))
    except OSError:
        return False
    return any(os.isatty(fd) for fd in (0, 1, 2))


@contextlib.contextmanager
def _system(options: Options, plan: _Plan) -> Iterator[_Tree]:
    from secrets_actor.cli.caller import caller
    from secrets_actor.cli.store.options import made_stores_shown
    from secrets_actor.runtime.settings_loader import load
    from secrets_actor.runtime.system import RELEASE_SECONDS, System

    with made_stores_shown(options) as note:
        settings, factory = options.store(note)
        tree = _Tree(note, plan.limit)
        if settings.backend == "daemon":
            address = settings.daemon_client.address or ""
            tree.socket = Path(address.removeprefix("unix:")) if address.startswith("unix:") else None
            # For a program that stays, what tells of changes needs a cache: commands have none.
            settings = replace(settings, ttl_seconds=load(options.config).settings.ttl_seconds)
        with System(settings, observer=tree.observe, backend=factory, children=tree.children) as system:
            tree.secrets = system.secrets.for_caller(caller())
            try:
                yield tree
            except KeyboardInterrupt:
                system.stop(0)
                raise
            finally:
                system.stop(drain=RELEASE_SECONDS)


class _Tree:
    """The part of the tree that is below `faces`: a supervisor for the command, and one for what watches the secrets.
    They have no children until the command is known."""

    secrets: Secrets
    socket: Path | None = None  # of the daemon that is asked

    def __init__(self, note: Callable[[LifecycleEvent], object], limit: int) -> None:
        from secrets_actor.delivery.command_process import PERIOD
        from secrets_actor.otp import Flags

        self._note, self.gave_up, self.told = note, lambda: None, lambda _event: None
        self._flags = {"program": Flags(intensity=limit, period=PERIOD), "watch": Flags(intensity=10, period=10.0)}
        self._specs: dict[str, list[ChildSpec]] = {name: [] for name in self._flags}
        self._running: dict[str, Any] = {}

    gave_up: Callable[[], object]
    told: Callable[[LifecycleEvent], object]

    def children(self, _secrets: Secrets) -> list[ChildSpec]:
        """Return the two supervisors."""
        from secrets_actor.otp import ChildSpec, Kind, Restart, Supervisor

        def supervisor(name: str) -> Supervisor:
            self._running[name] = made = Supervisor(self._flags[name], self._specs[name])
            return made

        # Temporary: when the command's supervisor has given up, nobody but the user can help.
        how = {"program": Restart.TEMPORARY, "watch": Restart.PERMANENT}
        return [ChildSpec(name, partial(supervisor, name), kind=Kind.SUPERVISOR, restart=how[name]) for name in how]

    def add(self, name: str, spec: ChildSpec) -> None:
        """Start one more child below the supervisor *name*."""
        from secrets_actor.otp import StartChild, call

        self._specs[name].append(spec)
        call(self._running[name].me, StartChild(spec))

    def observe(self, event: LifecycleEvent) -> None:
        """Hear of all that happens in the tree."""
        from secrets_actor.otp import SupervisorGaveUp

        self._note(event)
        self.told(event)
        if isinstance(event, SupervisorGaveUp) and event.process == "program":
            self.gave_up()


def _fetch(secrets: Secrets, wanted: Wanted) -> Fetched:
    from secrets_actor.delivery.fetching import fetch

    return fetch(secrets, wanted)


def _say(as_json: bool, line: str) -> str:
    from secrets_actor.cli.output import as_json as json_text

    return json_text({"event": "exec", "message": line}) if as_json else f"{PROGRAM}: exec: {line}"


def _supervise(
    tree: _Tree,
    plan: _Plan,
    delivery: _Delivery,
    fetched: Fetched,
    worded: Callable[[str], str],
    pipe: tuple[int, int],
) -> int:
    from secrets_actor.cli.run import Voice
    from secrets_actor.delivery.command_plan import Course
    from secrets_actor.delivery.command_process import Life, command_spec
    from secrets_actor.delivery.masking import SHORTEST, too_short
    from secrets_actor.delivery.spawning import Orphans, adopt_orphans

    voice = Voice()

    def say(line: str) -> None:
        voice.say(worded(line))

    adopts = adopt_orphans()
    read, write = pipe

    def wake() -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(write, bytes([_WOKEN]))

    life = Life(delivery.start, Course(plan.restart, plan.grace), wake, stop_signal=plan.stop_signal)
    gave_up: list[None] = []

    def give_up() -> None:
        gave_up.append(None)
        life.finish()

    tree.gave_up = give_up
    tree.told = partial(_tell, say)
    if delivery.relay is not None:
        if any(map(too_short, fetched.values(plan.wanted.references))):
            say(f"a value of fewer than {SHORTEST} bytes is not masked")
        delivery.relay.start()
    try:
        tree.add("program", command_spec(life))
        if plan.way != "ignore":
            for spec in _watchers(tree, plan, delivery, fetched, life, say):
                tree.add("watch", spec)
        ended_by = _serve(life, read, delivery, Orphans(adopts))
    finally:
        life.kill()
        if delivery.relay is not None:
            _show_the_rest(delivery.relay, read, hurried=delivery.hurried)
        voice.close()
    if life.problem is not None:
        raise life.problem
    if gave_up:
        text = f"the command has ended {plan.limit + 1} times within a minute, at last with {life.code}: given up"
        click.echo(worded(text), err=True)
    if ended_by is not None:
        return -ended_by
    return life.status or 0


def _tell(say: Callable[[str], object], event: LifecycleEvent) -> None:
    from secrets_actor.delivery.changes import ChangesFailed
    from secrets_actor.otp import ChildRestarted

    if isinstance(event, ChangesFailed):
        say(f"the secrets cannot be looked at ({event.code}): the command goes on with those that it has")
    if isinstance(event, ChildRestarted) and event.child == "command":
        reason = event.reason.removeprefix("stopped: ")
        say(f"the command has ended ({reason}): started again, restart {event.restarts_in_window} within a minute")


def _watchers(
    tree: _Tree, plan: _Plan, delivery: _Delivery, fetched: Fetched, life: Life, say: Callable[[str], object]
) -> list[ChildSpec]:
    """Return the specs of the process that hears of changes, and of the one that does what is to be done then."""
    from secrets_actor.delivery.changes import Changes, Told
    from secrets_actor.delivery.command_process import Changed, OnChange
    from secrets_actor.delivery.spawning import run_to_end
    from secrets_actor.domain.errors import SecretsError
    from secrets_actor.otp import ChildSpec, cast

    last, hooks = Told(fetched), []

    def work() -> None:
        ended = run_to_end(["/bin/sh", "-c", plan.how], environment=delivery.environment, timeout=_HOOK_SECONDS)
        say(f"the command line of --on-change has ended with {ended.code}")

    def hook() -> OnChange:
        hooks.append(OnChange(work))
        return hooks[-1]

    def tell(found: Fetched) -> None:
        try:
            delivery.take(found)
        except SecretsError as error:
            say(f"a secret has changed, and cannot be delivered: {error}; the command goes on with what it has")
            return
        server = life.server
        if plan.way == "run":
            say("a secret has changed: the command line of --on-change is run")
            cast(hooks[-1].me, None)
        else:
            say("a secret has changed: the command is " + ("restarted" if plan.how is None else "told by a signal"))
            if server is not None:
                cast(server, Changed(plan.how))

    watch = []
    if tree.socket is not None:
        from secrets_actor.delivery.daemon_watch import watch_specs

        watch = watch_specs(tree.secrets, fetched, tree.socket)
    make = partial(Changes, tree.secrets, plan.wanted, plan.pace, tell, last=last, every=plan.every)
    hooked = [ChildSpec("on_change", hook)] if plan.way == "run" else []
    return [*hooked, ChildSpec("changes", make), *watch]


def _serve(life: Life, read: int, delivery: _Delivery, orphans: Any) -> int | None:
    """Hand signals on until the command is over. Return the signal that has ended us while there was no command."""
    while not life.is_over:
        numbers = next_signals(read, orphans.timeout())
        for number in numbers:
            if number in (_WOKEN, signal.SIGCHLD):
                continue
            if delivery.relay is not None and number == signal.SIGWINCH:
                delivery.relay.resized()
            if delivery.relay is not None and number == signal.SIGCONT:
                delivery.relay.continued()
            # With a relay in between, the command has a terminal of its own, and what is typed goes there.
            own = delivery.relay is not None and delivery.relay.interactive
            forwarded = not (delivery.on_terminal and number in _OF_TERMINAL) or own
            if own and number == signal.SIGWINCH:
                continue
            delivery.hurried |= number == signal.SIGTERM
            heard = life.hear(number, forwarded=forwarded)
            # Without a terminal, HUP means to read all anew, and so does the command that is about to be started.
            if not heard and number in _ENDING and (number != signal.SIGHUP or delivery.on_terminal):
                return int(number)
            if number == signal.SIGTSTP and (forwarded or _can_go_on()):
                # The command has it, from us or from the kernel. We stop as well, until somebody says CONT.
                os.kill(os.getpid(), signal.SIGSTOP)
        orphans.look()
        # It has stopped by itself, as `suspend` in a shell does: the shell in front waits for us, and not for it.
        if signal.SIGCHLD in numbers and signal.SIGCONT not in numbers and delivery.on_terminal and _can_go_on():
            program = life.program
            if program is not None and delivery.relay is not None:
                delivery.relay.stop_with(program.is_stopped)
            elif program is not None and program.is_stopped():
                os.kill(os.getpid(), signal.SIGSTOP)
    return None


def _can_go_on() -> bool:
    """Whether a shell in our session sees that we have stopped. The kernel stops nobody by Ctrl-Z where there is none,
    such as in a container with a terminal: nobody would ever say CONT."""
    try:
        return os.getsid(os.getppid()) == os.getsid(0) and os.getpgid(os.getppid()) != os.getpgrp()
    except OSError:
        return False


def _show_the_rest(relay: Relay, read: int, *, hurried: bool) -> None:
    """Wait until all that the command had printed is shown. A reader, such as a pager, may take its time, unless we
    were asked to end, or are now."""
    while not relay.drain(_RELAY_SECONDS if hurried else _RELAY_LOOK):
        if hurried or any(number in _ENDING for number in next_signals(read, 0)):
            break
    relay.finish(0)


def _become(command: Command) -> NoReturn:
    """Replace this process by *command* (--once)."""
    from secrets_actor.delivery.spawning import NotStarted, executable

    path = executable(command.argv[0])
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and the command would go on doing so
        signal.signal(number, signal.SIG_DFL)
    for fd in command.pass_fds:
        os.set_inheritable(fd, True)
    try:
        os.execve(path, command.argv, command.environment)  # noqa: S606
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "an argument or a variable holds a NUL"
    raise NotStarted(f"{command.argv[0]} cannot be started: {problem}")


def _end_as(status: int) -> NoReturn:
    """End this process as the command has ended (rule 1)."""
    if status >= 0:
        raise click.exceptions.Exit(status)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # rule 4
    with contextlib.suppress(OSError):  # KILL and STOP have no handler
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
    raise click.exceptions.Exit(128 - status)  # process 1 is ended by no signal
