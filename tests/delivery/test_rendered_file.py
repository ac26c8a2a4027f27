"""The process of a rendered file: what it tells, what it tries again, and what it leaves alone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import System
from secrets_actor.delivery.fetching import fetch
from secrets_actor.delivery.rendered_file import (
    FileRecord,
    FileSpec,
    FileState,
    New,
    RenderedFile,
    Unfetched,
    deliver,
)
from secrets_actor.delivery.templates import Template
from secrets_actor.errors import CheckFailed, InvalidSecretValue, MissingSecrets
from secrets_actor.events import FileFailed, FileRendered
from secrets_actor.otp import ChildSpec, cast
from secrets_actor.testing import FakeStore, ManualClock, fake_system, find, kill, settled

CANARY = "xK9-canary"
SOURCE = Template.parse("key = ${db}\n")
TELL = ("sh", "-c", 'echo told >> "$0"')


class Rig:
    """A store, a file in a folder, and what the process tells."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.store = FakeStore(clock=self.clock)
        self.store.put("db", "one")
        self.path, self.told = folder / "etc" / "app.conf", folder / "told"
        self.path.parent.mkdir()
        self.events: list[Any] = []

    def spec(self, **given: Any) -> FileSpec:
        return FileSpec(self.path, SOURCE, **{"on_change": (*TELL, str(self.told)), **given})

    @contextmanager
    def running(self, **given: Any) -> Iterator[System]:
        self.record = FileRecord(self.spec(**given))

        def make() -> RenderedFile:
            return RenderedFile(self.record, lambda: 0.0)

        children = [ChildSpec("file", make, name="file")]
        with fake_system(self.store, observer=self.events.append, children=lambda _: children) as (system, _):
            self.system = system
            yield system

    def change(self, value: str | None = None) -> FileState:
        """Have the process hear of what is current, with another *value*."""
        if value is not None:
            self.store.put("db", value)
            self.system.secrets.invalidate("db")
        fetched = fetch(self.system.secrets, self.record.spec.wanted)
        self.record.told.fetched = fetched
        cast(find(self.system, "file"), New(fetched))
        return self.at_rest()

    def at_rest(self) -> FileState:
        settled(self.system)
        return self.record.state

    def after(self, seconds: float) -> FileState:
        self.clock.advance(seconds)
        return self.at_rest()

    @property
    def tellings(self) -> int:
        return len(self.told.read_text().split()) if self.told.exists() else 0

    @property
    def problems(self) -> list[str]:
        return [one.problem for one in self.events if isinstance(one, FileFailed)]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_file_is_made_with_each_change_and_programs_are_told_of_another_content_only(rig: Rig) -> None:
    with rig.running():
        assert rig.at_rest() == FileState(str(rig.path))
        state = rig.change()
        assert (state.state, state.problem, rig.path.read_text()) == ("rendered", "", "key = one\n")
        assert state.rendered_at is not None
        assert rig.tellings == 1
        before = rig.path.stat()
        assert rig.change() == state, "the same again"
        assert (rig.path.stat().st_ino, rig.path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        rig.path.chmod(0o644)
        assert rig.change() == state, "only its mode was another one"
        assert rig.tellings == 1
        rig.change("two")
        assert (rig.path.read_text(), rig.tellings) == ("key = two\n", 2)
    assert [one.what for one in rig.events if isinstance(one, FileRendered)] == ["content", "owner or mode", "content"]
    assert rig.problems == []


def test_a_folder_that_is_gone_is_told_once_and_the_file_made_when_it_is_back(rig: Rig) -> None:
    rig.path.parent.rmdir()
    with rig.running():
        assert rig.change().state == "failing"
        assert rig.after(1.0).state == "failing", "tried again"
        rig.path.parent.mkdir()
        assert rig.after(1.9).state == "failing", "the pause has grown"
        assert rig.after(0.2).state == "rendered"
        assert rig.tellings == 1
        assert rig.at_rest().problem == ""
    [problem] = rig.problems
    assert "make the folder" in problem


def test_what_others_do_to_the_file_is_put_right_within_a_minute(rig: Rig) -> None:
    with rig.running():
        rig.change()
        rig.path.unlink()
        rig.after(60.0)
        assert rig.path.read_text() == "key = one\n"
        rig.path.chmod(0o666)
        rig.after(60.0)
        assert rig.path.stat().st_mode & 0o777 == 0o400


def test_a_check_that_fails_is_told_once_and_not_run_again_before_there_is_another_version(rig: Rig) -> None:
    runs = rig.path.parent.parent / "runs"
    check = ("sh", "-c", f"cat {{}}; echo ran >> {runs}; ! grep -q bad {{}}")
    with rig.running(check=check):
        rig.change()
        state = rig.change(f"bad {CANARY}")
        assert state.state == "failing"
        assert "the check sh ended with 1" in state.problem
        rig.after(3600.0)
        assert len(runs.read_text().split()) == 2
        assert (rig.path.read_text(), rig.tellings) == ("key = one\n", 1)
        assert rig.change("good").state == "rendered"
        assert (rig.path.read_text(), rig.tellings) == ("key = good\n", 2)
    assert len(rig.problems) == 1
    assert "canary" not in repr(rig.events)


def test_a_value_that_cannot_stand_there_is_told_without_it(rig: Rig) -> None:
    with rig.running():
        rig.change()
        rig.store.put("db", CANARY.encode() + b"\xff")
        rig.system.secrets.invalidate("db")
        assert "db is binary" in rig.change().problem
        assert rig.path.read_text() == "key = one\n"
    assert "canary" not in repr(rig.events)


def test_that_programs_could_not_be_told_stays_to_be_seen_until_they_were(rig: Rig) -> None:
    with rig.running(on_change=("sh", "-c", f"test -e {rig.told}")):
        assert rig.change().problem == "on_change sh ended with 1; 'secrets-actor render' shows what it printed"
        state = rig.after(60.0)
        assert (state.state, bool(state.problem)) == ("rendered", True)
        rig.told.touch()
        assert rig.change("two").problem == ""
    assert len(rig.problems) == 1


def test_why_nothing_can_be_fetched_is_shown_until_it_can(rig: Rig) -> None:
    with rig.running():
        process = find(rig.system, "file")
        cast(process, Unfetched(MissingSecrets(("db/other",))))
        assert rig.at_rest().state == "waiting"
        assert "missing: db/other" in rig.record.state.problem
        rig.change()
        assert rig.record.state.state == "rendered"
        cast(process, Unfetched(None))
        assert rig.at_rest().problem == ""


def test_a_process_that_is_started_again_goes_on_with_what_was_told_and_tells_nothing_twice(rig: Rig) -> None:
    with rig.running() as system:
        rig.change()
        kill(system, "file")
        rig.clock.advance(1.0)
        rig.at_rest()
        rig.path.chmod(0o600)
        rig.after(60.0)
        assert rig.path.stat().st_mode & 0o777 == 0o400, "it looks after the file"
        assert rig.tellings == 1
        assert "rendered" in str(system.tree())


# --- commands ---------------------------------------------------------------------------------------------------------


def made(rig: Rig, **given: Any) -> str:
    """What went wrong when programs were told, of a file that is made once."""
    rig.path.unlink(missing_ok=True)
    with fake_system(rig.store) as (system, _):
        spec = rig.spec(**given)
        return deliver(spec, fetch(system.secrets, spec.wanted), {"PATH": os.environ["PATH"], "TOKEN": "x"}).problem


def test_a_command_that_hangs_or_is_not_there_is_told_by_its_name(rig: Rig) -> None:
    assert made(rig, on_change=("sleep", CANARY + "60", "60"), command_seconds=0.2).startswith("on_change sleep ended")
    assert made(rig, on_change=("sleep", "60"), command_seconds=0.2).startswith("on_change sleep did not end within")
    assert "no-such-program could not be run" in made(rig, on_change=("no-such-program", CANARY))
    with pytest.raises(CheckFailed, match="did not end within"):
        made(rig, check=("sleep", "60"), command_seconds=0.2)
    assert not rig.path.exists()


def test_a_command_gets_none_of_our_own_variables(rig: Rig) -> None:
    bare = ("sh", "-c", 'test -z "$TOKEN" && test -n "$PATH"')

    assert made(rig, check=bare, on_change=bare) == ""


def test_what_a_command_prints_is_for_the_one_who_runs_it(rig: Rig) -> None:
    shown: list[bytes] = []
    spec = rig.spec(check=("cat", "{}"), on_change=("echo", "told"))
    with fake_system(rig.store) as (system, _):
        fetched = fetch(system.secrets, spec.wanted)
        deliver(spec, fetched, show=shown.append)

    assert shown == [b"key = one\n", b"told\n"]
    rig.store.put("db", b"\xff")
    with fake_system(rig.store) as (system, _), pytest.raises(InvalidSecretValue):
        deliver(spec, fetch(system.secrets, spec.wanted))


WAITS = "import signal; print(flush=True); signal.sigwait([signal.SIGHUP]); print('heard')"


def test_a_signal_goes_to_the_process_of_the_pid_file(rig: Rig) -> None:
    pid_file = rig.path.parent.parent / "app.pid"
    by_signal: dict[str, Any] = {"on_change": (), "signal": "HUP", "pid_file": pid_file}
    assert "has no number of a process" in made(rig, **by_signal)
    blocked = f"import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP]); {WAITS}"
    with subprocess.Popen([sys.executable, "-c", blocked], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        pid_file.write_text(f"{process.pid}\n")
        assert made(rig, **by_signal) == ""
        assert process.stdout.read() == "heard\n"
    assert process.returncode == 0
    assert "cannot be sent one" in made(rig, **by_signal), "it has ended"
    for wrong in ("", "-1", "99999999999999999999", "1 2"):
        pid_file.write_text(wrong)
        assert made(rig, **by_signal) != ""
