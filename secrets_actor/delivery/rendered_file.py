"""A file that is made of secrets: rendered, checked, put into its place, and told of; again with each change.

Rule 1: `deliver` is all that is done for a file; the daemon's process and `secrets-actor render` do it alike. A file
        that cannot be made is left as it was.
Rule 2: programs are told (`on_change`, `signal`) when the content has become another one, also by the first rendering;
        and never for an owner or a mode that was put right.
Rule 3: what a new version of a secret could mend (a check that fails, a value that cannot stand in the file) is not
        tried again before there is one. Anything else (a folder that is gone, a full disk) is, after pauses that grow
        to a minute.
Rule 4: each problem is told once. What a check prints may quote a secret: it is shown to the user who runs
        `secrets-actor render`, and to nobody else.
Rule 5: what was fetched last, and the state that is shown, outlive the process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.clock import wall_time
from secrets_actor.delivery.changes import Told
from secrets_actor.delivery.fetching import Fetched, Wanted
from secrets_actor.delivery.file_events import FileFailed, FileRendered
from secrets_actor.delivery.file_writer import Content, FileWriter, Target
from secrets_actor.delivery.pace import Pace
from secrets_actor.delivery.spawning import Ended, run_to_end
from secrets_actor.delivery.templates import Source
from secrets_actor.domain.errors import CheckFailed, DeliveryFailed, InvalidInput, SecretsError
from secrets_actor.otp import Backoff, GenServer, Handled, InitResult, Ok, Timer
from secrets_actor.small_files import read_text

# What a command gets of our environment: what programs need to run, and none of our own settings and tokens.
_PASSED: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"),
    *("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),  # systemctl --user
)
# What stands for the name of the new file in a check.
NEW_FILE: Final = "{}"
# Seconds between two looks whether the file is still there, and as it should be.
LOOK_SECONDS: Final = 60.0
AGAIN: Final = Backoff(initial=1.0, maximum=60.0, jitter=0.5)
_MOST_OF_PID: Final = 64
Show = Callable[[bytes], object]


class FileSpec(Struct, frozen=True):
    """What is to be known of a file: its *path*, its *source*, whom it belongs to, and its commands.

    *check*: a command that ends with 0 if the new content is good. *on_change*: one that is run when it has become
    another; or *signal* (`HUP`) is sent to the process whose number is in *pid_file*. Each command has
    *command_seconds*. *pace* is how changes are gathered.
    """

    path: Path
    source: Source
    mode: int = 0o400
    owner: str | None = None
    group: str | None = None
    check: tuple[str, ...] = ()
    on_change: tuple[str, ...] = ()
    signal: str | None = None
    pid_file: Path | None = None
    command_seconds: float = 30.0
    pace: Pace = Pace()

    @property
    def wanted(self) -> Wanted:
        """The secrets that it is made of."""
        return Wanted(self.source.references, self.source.prefixes)


class Delivered(Struct, frozen=True):
    """What was done for a file: whether its *content* is another one, whether its owner or mode were *repaired*, and
    what went wrong when programs were told (*problem*, or "")."""

    content: bool = False
    repaired: bool = False
    problem: str = ""


def deliver(
    spec: FileSpec, fetched: Fetched, environ: Mapping[str, str] = os.environ, show: Show = lambda _: None
) -> Delivered:
    """Render the file, have it checked, put it into its place, and tell the programs that it has changed.

    *show* gets what a command has printed: it may quote a secret. Raises `InvalidInput` for a value that cannot stand
    in the file, `CheckFailed`, and `DeliveryFailed`.
    """
    passed = {name: environ[name] for name in _PASSED if name in environ}

    def check(path: Path) -> None:
        argv = [word.replace(NEW_FILE, str(path)) for word in spec.check]
        ended = run_to_end(argv, environment=passed, timeout=spec.command_seconds)
        show(ended.output_tail)
        if ended.code:
            text = f"{spec.path}: the check {_in_words(spec.check, ended, spec.command_seconds)}; the file is as it was"
            raise CheckFailed(text, path=str(spec.path))

    writer = writer_of(spec, check)
    done = writer.write(content_of(spec, fetched))
    problem = ""
    if done.tell:
        problem = _tell(spec, passed, show)
        writer.told()
    return Delivered(done.content, done.repaired, problem)


def writer_of(spec: FileSpec, check: Callable[[Path], object] | None = None) -> FileWriter:
    """Return the writer of the file."""
    beforehand = any(NEW_FILE in word for word in spec.check)
    tells = bool(spec.on_change or spec.signal)
    return FileWriter(
        Target(spec.path, spec.mode, spec.owner, spec.group, check if spec.check else None, beforehand, tells)
    )


def content_of(spec: FileSpec, fetched: Fetched) -> Content:
    """Return the content of the file. Raises `InvalidInput` for a value that cannot stand in it."""
    return Content(spec.source.render(fetched))


def _tell(spec: FileSpec, environment: Mapping[str, str], show: Show) -> str:
    """Tell the programs that the file has changed. Return what went wrong, or ""."""
    if spec.on_change:
        ended = run_to_end(spec.on_change, environment=environment, timeout=spec.command_seconds)
        show(ended.output_tail)
        return f"on_change {_in_words(spec.on_change, ended, spec.command_seconds)}" if ended.code else ""
    number = getattr(signal, f"SIG{spec.signal}")
    found = read_text(spec.pid_file or "", _MOST_OF_PID)
    text = found.strip() if isinstance(found, str) else ""
    if not text.isdecimal():
        return f"pid_file: {spec.pid_file} has no number of a process; no signal was sent"
    try:
        process = os.pidfd_open(int(text))  # from here on, no other process can be meant
        try:
            signal.pidfd_send_signal(process, number)
        finally:
            os.close(process)
    except (OSError, OverflowError) as error:
        return f"signal {spec.signal}: process {text} cannot be sent one ({getattr(error, 'strerror', 'no process')})"
    return ""


def _in_words(command: Sequence[str], ended: Ended, seconds: float) -> str:
    """Say how *command* has failed, by its program alone: an argument might be a password."""
    if ended.out_of_time:
        return f"{command[0]} did not end within {seconds:g} s (command_seconds)"
    if ended.code in (126, 127):
        return f"{command[0]} could not be run (exit code {ended.code}): is it installed, and executable?"
    return f"{command[0]} ended with {ended.code}; 'secrets-actor render' shows what it printed"


# --- the process ------------------------------------------------------------------------------------------------------


class FileState(Struct, frozen=True):
    """How a file is: `waiting` (it was never rendered), `rendered`, or `failing` (what is there is older).

    *rendered_at* is when its content became what it is (seconds since the epoch); *problem* says what is wrong, or "".
    """

    path: str
    state: str = "waiting"
    rendered_at: float | None = None
    problem: str = ""


class FileRecord:
    """What outlives the process of a file (rule 5)."""

    def __init__(self, spec: FileSpec) -> None:
        self.spec = spec
        self.told = Told()
        self.state = FileState(str(spec.path))


class New(Struct, frozen=True):
    """Cast: what the file is made of is this now."""

    fetched: Fetched


class Unfetched(Struct, frozen=True):
    """Cast: what the file is made of cannot be fetched, for this reason; None: it can again."""

    error: SecretsError | None


class _Again(Struct, frozen=True):
    """Timer: make the file again, or look whether it is still as it should be."""


class RenderedFile(GenServer):
    """Makes the file of *record* with each `New`. *chance* returns random numbers, 0 to 1."""

    def __init__(self, record: FileRecord, chance: Callable[[], float]) -> None:
        self._record, self._chance = record, chance
        self._tries = 0
        self._problem = self._unfetched = ""
        self._timer: Timer | None = None

    def init(self) -> InitResult:
        """Go on with what was fetched before this process began, if anything was."""
        return Ok(then=None) if self._record.told.fetched is not None else None

    def handle_continue(self, _message: Any) -> Handled:
        """Make the file."""
        self._make()
        return None

    def handle_cast(self, message: Any) -> Handled:
        """Make the file of what is new, or take note of why there is nothing."""
        match message:
            case New():
                self._tries = 0
                self._make(message.fetched)
            case Unfetched(error):
                self._unfetched = "" if error is None else str(error)
                self._note(self._record.state.state, self._problem)
            case _:
                return super().handle_cast(message)
        return None

    def handle_info(self, message: Any) -> Handled:
        """Make the file again."""
        if isinstance(message, _Again):
            self._make()
        return None

    def status(self) -> str:
        """Return the state of the file in a word or two."""
        state = self._record.state
        return f"{state.state}: {state.problem}" if state.problem else state.state

    def _make(self, fetched: Fetched | None = None) -> None:
        record = self._record
        found = fetched or record.told.fetched
        if found is None:
            return
        wait: float | None = LOOK_SECONDS
        try:
            done = deliver(record.spec, found)
        except (CheckFailed, InvalidInput) as error:
            self._note("failing", str(error))
            wait = None  # rule 3
        except DeliveryFailed as error:
            self._tries += 1
            self._note("failing", str(error))
            wait = AGAIN.delay(self._tries, self._chance())
        else:
            self._tries = 0
            self._made(done)
        if self._timer is not None:
            self.cancel_timer(self._timer)
        self._timer = None if wait is None else self.send_after(wait, _Again())

    def _made(self, done: Delivered) -> None:
        state, path = self._record.state, str(self._record.spec.path)
        if done.content or done.repaired:
            what = "content" if done.content else "owner or mode"
            self.node.observe(FileRendered(self.me.label, path, what))
        if done.content or state.rendered_at is None:
            state = self._record.state = replace(state, rendered_at=wall_time())
        untold = self._problem if state.state == "rendered" and not done.content else ""
        self._note("rendered", done.problem or untold)

    def _note(self, word: str, problem: str) -> None:
        """Take note of the state, and of the problem with the file itself, or ""."""
        self._problem = problem
        before = self._record.state
        shown = problem or self._unfetched
        self._record.state = state = replace(before, state=word, problem=shown)
        if shown and shown != before.problem:  # rule 4
            self.node.observe(FileFailed(self.me.label, state.path, shown))
