"""What is in memory grows older while the machine sleeps, whether or not the kernel knows that it slept."""

import subprocess
import sys
from typing import Final

import pytest

# The kernel's clocks, as a sleep or a new setting of the wall clock moves them. CLOCK_MONOTONIC and what waits by it
# stand still; that is what makes a sleep.
MACHINE: Final = """
import threading, time
real, slept = time.clock_gettime, {"boot": 0.0, "wall": 0.0}

def clock_gettime(clock_id):
    moved = {time.CLOCK_BOOTTIME: "boot", time.CLOCK_REALTIME: "wall", 5: "wall"}.get(clock_id)
    return real(clock_id) + (slept[moved] if moved else 0.0)

time.clock_gettime = clock_gettime

def suspend(seconds):
    slept["boot"] += seconds
    slept["wall"] += seconds

def set_wall_clock(seconds):
    slept["wall"] += seconds

from secrets_actor.domain.errors import ConnectionFailed, SecretNotFound
from secrets_actor.testing import FakeStore, fake_system

down = ConnectionFailed("out of reach", endpoint="here")

def soon(holds):
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)
"""


def run(script: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", MACHINE + script], check=False, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_after_a_sleep_values_and_what_is_missing_are_asked_for_anew() -> None:
    script = """
with fake_system(ttl_seconds=300, max_stale_seconds=600, missing_ttl_seconds=60) as (system, store):
    store.put("a", "one")
    system.secrets.get("a")
    try:
        system.secrets.get("b")
    except SecretNotFound:
        store.put("b", "new")
    store.put("a", "two")
    suspend(28800)
    print(system.secrets.get("a").reveal(), system.secrets.get("b").reveal())
"""
    assert run(script) == "two new"


def test_after_a_sleep_what_is_too_old_is_not_served_stale_and_the_rest_says_its_age() -> None:
    script = """
with fake_system(ttl_seconds=300, max_stale_seconds=30000) as (system, store):
    store.put("a", "one")
    system.secrets.get("a")
    with store.failing(down):
        suspend(28800)
        found = system.secrets.get("a")
        print(found.stale, 28800 <= found.age < 28860)
        suspend(28800)
        try:
            system.secrets.get("a")
        except ConnectionFailed:
            print("too old")
"""
    assert run(script).split("\n") == ["True True", "too old"]


def test_after_a_sleep_a_subscriber_asks_within_seconds() -> None:
    script = """
with fake_system(ttl_seconds=300) as (system, store):
    store.put("a", "one")
    system.secrets.get("a")
    heard = threading.Event()
    system.subscribe("a", lambda change: heard.set())
    soon(lambda: system.tree() and len(system.tree().root.children) == 3)
    store.put("a", "two")
    suspend(28800)
    print(heard.wait(10))
"""
    assert run(script) == "True"


@pytest.mark.parametrize("seconds", [28_800, 31 * 86_400])
def test_a_sleep_that_only_the_wall_clock_knows_of_counts_too(seconds: int) -> None:
    script = f"""
with fake_system(ttl_seconds=300, max_stale_seconds=3600) as (system, store):
    store.put("a", "one")
    system.secrets.get("a")
    heard = threading.Event()
    system.subscribe("a", lambda change: heard.set())
    store.put("a", "two")
    set_wall_clock({seconds})
    with store.failing(down):
        def gone():
            try:
                return not system.secrets.get("a")
            except ConnectionFailed:
                return True
        soon(gone)
    soon(lambda: system.secrets.get("a").reveal() == "two")
    print(heard.wait(10))
"""
    assert run(script) == "True"


def test_a_wall_clock_that_is_set_back_changes_nothing() -> None:
    script = """
with fake_system(ttl_seconds=300) as (system, store):
    store.put("a", "one")
    system.secrets.get("a")
    store.put("a", "two")
    set_wall_clock(-86400 * 31)
    time.sleep(2.5)  # two looks at it
    print(system.secrets.get("a").reveal())
"""
    assert run(script) == "one"
