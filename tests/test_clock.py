"""One source of time: it goes on while the machine sleeps, and no test of a user's program stops it."""

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from secrets_actor import clock
from secrets_actor.otp import SystemClock
from tests.architecture.house import files, impurities, module

# As freezegun does it: wherever a loaded module holds a clock of `time` or the class `datetime`, another one is put.
FREEZE: Final = """
import contextlib, datetime, sys, time
from pathlib import Path
from secrets_actor import LocalSettings, Settings, start
from secrets_actor.domain.errors import SecretsError

class Frozen(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2001, 1, 1, tzinfo=tz)
    utcnow = today = now

AT = Frozen(2001, 1, 1).timestamp()
FAKES = {id(time.time): lambda: AT, id(time.time_ns): lambda: int(AT * 1e9), id(time.monotonic): lambda: AT,
         id(time.monotonic_ns): lambda: int(AT * 1e9), id(time.perf_counter): lambda: AT,
         id(time.localtime): lambda t=None: Frozen(2001, 1, 1).timetuple(),
         id(time.gmtime): lambda t=None: Frozen(2001, 1, 1).timetuple(), id(datetime.datetime): Frozen}
SPARED = ("threading", "queue", "multiprocessing")  # as freezegun spares them

def freeze():
    for name, module in list(sys.modules.items()):
        if module is not None and not name.startswith(SPARED):
            for key, found in list(vars(module).items()):
                if id(found) in FAKES:
                    with contextlib.suppress(AttributeError):
                        setattr(module, key, FAKES[id(found)])

settings = Settings(local=LocalSettings(path=Path(sys.argv[1])), ttl_seconds=0.0)
"""


def run(script: str, folder: Path) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", FREEZE + script, str(folder / "store")],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_the_clock_is_the_one_that_counts_sleep_where_there_is_one() -> None:
    counts_sleep = getattr(
        time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC
    )  # Linux has it; its monotonic clock stands still
    before = time.clock_gettime(counts_sleep)
    found = clock.now(), SystemClock().now()

    assert before <= found[0] <= found[1] <= time.clock_gettime(counts_sleep)


def test_dates_are_those_of_the_wall_clock() -> None:
    assert abs(clock.wall_time() - time.time()) < 1.0
    assert abs((clock.utc_now() - datetime.now(UTC)).total_seconds()) < 1.0


def test_nobody_but_the_clock_reads_a_clock() -> None:
    clocks = ("time", "datetime.now", "datetime.utcnow", "datetime.today", "date.today")
    readers = {module(path) for path in files() for name, _ in impurities(path) if name in clocks}

    assert readers == {"secrets_actor.clock"}


def test_a_system_that_was_started_before_works_while_time_is_frozen(tmp_path: Path) -> None:
    script = """
with start(settings) as system:
    system.secrets.set("a", "one")
    freeze()
    first = system.secrets.get("a")
    system.secrets.set("a", "two")
    assert [one.name for one in system.secrets.list()] == ["a"]
    second = system.secrets.get("a")
    print(first.reveal(), second.reveal(), second.created_at.year > 2001)
"""
    assert run(script, tmp_path) == "one two True"


def test_a_system_that_is_started_while_time_is_frozen_works(tmp_path: Path) -> None:
    script = """
freeze()
with start(settings) as system:
    system.secrets.set("a", "one")
    print(system.secrets.get("a").reveal())
"""
    assert run(script, tmp_path) == "one"


def test_a_deadline_passes_while_time_is_frozen(tmp_path: Path) -> None:
    script = """
import socket, threading
from secrets_actor import AwsSettings
hole = socket.create_server(("127.0.0.1", 0))  # takes connections, and says nothing
url = f"http://127.0.0.1:{hole.getsockname()[1]}"
aws = AwsSettings(region="us-east-1", endpoint_url=url, access_key="AKIDEXAMPLE", secret_key="x" * 40)
with start(Settings(backend="aws_secrets_manager", aws=aws)) as system:
    freeze()
    try:
        system.secrets.get("a", timeout=0.3)
    except SecretsError as error:
        print(error.code)
"""
    assert run(script, tmp_path) in ("backend_timeout", "deadline_exceeded")


class Readings:
    """Two clocks that a test moves."""

    def __init__(self) -> None:
        self.seconds, self.wall = 100.0, 1e9
        self.late = 0.0  # what comes between two readings of the first

    def read_seconds(self) -> float:
        self.seconds += self.late
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall += seconds


@pytest.mark.parametrize(
    ("leap", "told"), [(0.0, 0.0), (0.9, 0.0), (1.5, 1.5), (2_678_400.0, 2_678_400.0), (-2_678_400.0, 0.0)]
)
def test_a_wall_clock_that_runs_ahead_at_once_has_leapt(leap: float, told: float) -> None:
    both = Readings()
    leaps = clock.WallLeaps(both.read_seconds, lambda: both.wall)
    both.pass_by(5000.0)  # and so has a sleep that both know of
    assert leaps() == 0.0

    both.pass_by(1.0)
    both.wall += leap

    assert leaps() == pytest.approx(told)
    assert leaps() == 0.0


def test_what_comes_between_two_readings_is_no_leap() -> None:
    both = Readings()
    leaps = clock.WallLeaps(both.read_seconds, lambda: both.wall)
    both.late = 3.0
    assert leaps() == 0.0
    both.late, both.wall = 0.0, both.wall + 6.0

    assert leaps() == 0.0
