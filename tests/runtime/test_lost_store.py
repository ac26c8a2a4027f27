"""A local store that goes away while it is used, as by an unmount: what is in memory is served, nothing is made."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from secrets_actor import LocalSettings, SecretNotFound, Settings, StartFailed, System, start
from secrets_actor.actor.prefetcher import PrefetchDone
from secrets_actor.errors import StoreDamaged, StoreUnavailable
from secrets_actor.otp import LifecycleEvent
from tests.backends.local.helpers import run_python
from tests.log_records import fields_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def settings(folder: Path, **local: str) -> Settings:
    return Settings(local=LocalSettings(path=folder, **local))  # type: ignore[arg-type]


def empty_in_its_place(folder: Path) -> None:
    folder.rename(folder.with_name("away"))
    folder.mkdir(mode=0o700)


def gone(folder: Path) -> None:
    folder.rename(folder.with_name("away"))


def database_emptied(folder: Path) -> None:
    (folder / "secrets.db").unlink()
    (folder / "secrets.db").touch(0o600)


@pytest.mark.parametrize("lose", [gone, empty_in_its_place, database_emptied], ids=lambda one: one.__name__)
def test_what_is_in_memory_is_served_and_nothing_is_written(folder: Path, lose: Callable[[Path], None]) -> None:
    too_old_at_once = 1e-6
    with System(Settings(local=LocalSettings(path=folder), ttl_seconds=too_old_at_once)).start() as system:
        system.secrets.set("a", "one")
        assert system.secrets.get("a").reveal() == "one"
        lose(folder)
        left = sorted(folder.iterdir()) if folder.exists() else None

        for name in "cb":
            stale = system.secrets.get("a")
            assert (stale.reveal(), stale.stale) == ("one", True)
            for deed in (
                lambda: system.secrets.get("a", refresh=True),
                lambda: system.secrets.get("b"),
                system.secrets.list,
                lambda name=name: system.secrets.set(name, "two"),
            ):
                with pytest.raises((StoreUnavailable, StoreDamaged)):
                    deed()
        with pytest.raises((StoreUnavailable, StoreDamaged)):
            system.secrets.set("a", "two")
        now = sorted(folder.iterdir()) if folder.exists() else None
        assert now is None or {one.name for one in now} <= {one.name for one in left or ()}


def test_the_way_back_is_to_bring_it_back(folder: Path) -> None:
    with start(settings(folder)) as system:
        system.secrets.set("a", "one")
        gone(folder)
        with pytest.raises(StoreUnavailable):
            system.secrets.set("a", "two")
        folder.with_name("away").rename(folder)

        system.secrets.set("a", "three")
        assert system.secrets.get("a").reveal() == "three"


def test_a_system_that_only_looks_makes_nothing(folder: Path) -> None:
    done = threading.Event()

    def observe(event: LifecycleEvent) -> None:
        if isinstance(event, PrefetchDone):
            done.set()

    with start(settings(folder), observer=observe) as system:
        system.secrets.prefetch(["a"], prefixes=["b/"])
        subscription = system.secrets.subscribe("a", lambda _change: None)
        with pytest.raises(SecretNotFound):
            system.secrets.get("a")
        assert system.secrets.list() == ()
        assert done.wait(20)
        subscription.cancel()
    assert not folder.exists()


def test_the_first_set_warns_where_the_key_is(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with start(settings(folder)) as system:
        system.secrets.set("a", "one")
        system.secrets.set("b", "one")

    [made] = [one for one in caplog.records if fields_of(one)["event"] == "store_made"]
    assert made.levelno == logging.WARNING
    assert str(folder / "key") in made.getMessage()
    assert "keep a copy of the key in another place" in made.getMessage()


def test_a_start_makes_a_store_where_the_setting_says_so(folder: Path) -> None:
    with start(settings(folder, make="start")):
        assert (folder / "secrets.db").is_file()
    (folder / "secrets.db").unlink()

    with pytest.raises(StartFailed, match=r"secrets\.db is gone|was there and is gone"):
        start(settings(folder, make="start"))


def test_a_store_that_may_never_be_made_is_missed_by_all(folder: Path) -> None:
    with System(settings(folder, make="never")).start() as system:
        for deed in (lambda: system.secrets.get("a"), lambda: system.secrets.set("a", "b")):
            with pytest.raises(StoreUnavailable, match="mount its disk"):
                deed()
    assert not folder.exists()


def test_the_library_that_tells_of_a_new_store_is_loaded_by_the_worker_of_the_set(folder: Path) -> None:
    """Not behind everybody's back: a fork that Python does not hear of would leave it half loaded in the child."""
    ran = run_python(
        "import sys, threading, secrets_actor\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'structlog':\n"
        "            print(threading.current_thread().name.partition('#')[0], flush=True)\n"
        "settings = secrets_actor.Settings(\n"
        "    local=secrets_actor.LocalSettings(path=sys.argv[1]), log=secrets_actor.LogSettings(output='stderr')\n"
        ")\n"
        "with secrets_actor.start(settings) as system:\n"
        "    sys.meta_path.insert(0, Finder())\n"
        "    system.secrets.set('a', 'one')\n",
        str(folder),
    )

    assert ran.stdout.split() == ["worker"], ran.stderr
