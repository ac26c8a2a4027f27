"""Prefetches fill the cache in the background; nothing fails for what is missing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import AccessDenied, AwsSettings, InvalidParameter, PrefetchSettings, ServerDown, Settings, System
from secrets_actor.actor.prefetcher import PrefetchDone, PrefetchFailed
from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.errors import ConnectionFailed, UnknownMessage
from secrets_actor.runtime import tree
from secrets_actor.runtime.settings_loader import load
from secrets_actor.testing import FakeStore, ManualClock, fake_system, kill, settled
from tests.actor.rig import Watch, audit_log, eventually, failure, running, settings
from tests.servers.account import allow_everything
from tests.servers.ministack import Ministack

NAMES = [f"db/{number:02}" for number in range(25)]


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def store() -> FakeStore:
    """A store with 25 secrets, by a clock that stands still."""
    found = FakeStore(clock=ManualClock())
    for name in NAMES:
        found.put(name, f"value of {name}")
    return found


@pytest.fixture
def system(store: FakeStore, watch: Watch) -> Iterator[System]:
    with fake_system(store, observer=watch) as (started, _):
        yield started


def done(watch: Watch) -> list[PrefetchDone]:
    return [one for one in list(watch.events) if isinstance(one, PrefetchDone)]


def failed(watch: Watch) -> list[tuple[str, str]]:
    return [(one.subject, one.code) for one in list(watch.events) if isinstance(one, PrefetchFailed)]


def pass_time(store: FakeStore, seconds: float = 60.0) -> None:
    assert isinstance(store.clock, ManualClock)
    store.clock.advance(seconds)


def test_names_are_there_before_anybody_asks(system: System, store: FakeStore, watch: Watch) -> None:
    system.secrets.prefetch([*NAMES, "db/none"])
    eventually(lambda: done(watch))

    assert [system.secrets.get(name).source for name in NAMES] == ["cache"] * len(NAMES)
    assert store.calls == {"get_many": 2}
    assert done(watch) == [PrefetchDone("prefetch", len(NAMES), 1, 0)]
    assert failed(watch) == [("db/none", "not_found")]
    assert "prefetch" not in [node.id for node in settled(system).root.walk()]


def test_what_the_cache_has_is_left_alone(system: System, store: FakeStore, watch: Watch) -> None:
    system.secrets.get(NAMES[0])
    system.secrets.prefetch(NAMES[:1])
    system.secrets.prefetch()
    eventually(lambda: done(watch))

    assert store.calls == {"get": 1}


def test_prefixes_and_tags_find_names(system: System, store: FakeStore, watch: Watch) -> None:
    store.put("other", "v")
    system.secrets.tag("other", {"team": "core"})
    system.secrets.prefetch(prefixes=["db/"], tags=["team", "team=web"])
    eventually(lambda: done(watch))

    assert done(watch) == [PrefetchDone("prefetch", len(NAMES) + 1, 0, 0)]
    assert failed(watch) == []
    assert store.calls == {"tag": 1, "list_page": 3, "get_many": 2}


def test_a_prefix_finds_names_where_the_store_cannot_filter_too(system: System, store: FakeStore, watch: Watch) -> None:
    store.put("other", "v")
    with store.failing(UnknownMessage("this store knows no pages"), "list_page"):
        system.secrets.prefetch(prefixes=["db/"], tags=["team"])
        eventually(lambda: done(watch))

    assert done(watch) == [PrefetchDone("prefetch", len(NAMES), 0, 0)]
    assert failed(watch) == [("tag team", "unknown_message")]
    assert store.calls == {"list_page": 2, "list": 1, "get_many": 2}


def test_no_more_than_the_cache_holds(store: FakeStore, watch: Watch) -> None:
    with fake_system(store, observer=watch, cache_entries=10) as (system, _):
        system.secrets.prefetch(NAMES)
        eventually(lambda: done(watch))

        assert done(watch) == [PrefetchDone("prefetch", 10, 0, 15)]
        assert system.secrets.get(NAMES[0]).source == "cache"


def test_the_configured_one_begins_within_a_second(store: FakeStore, watch: Watch) -> None:
    section = PrefetchSettings(names=tuple(NAMES[:2]), prefixes=("db/1",))
    with fake_system(store, observer=watch, prefetch=section) as (system, _):
        assert [node.state for node in settled(system).root.walk() if node.id == "prefetch"] == ["running"]
        assert store.calls.total() == 0
        pass_time(store, tree.PREFETCH_SPREAD)
        eventually(lambda: done(watch))

        assert done(watch) == [PrefetchDone("prefetch", 12, 0, 0)]
        assert system.secrets.get("db/10").source == "cache"


def test_a_cache_that_keeps_nothing_is_not_filled(store: FakeStore, watch: Watch) -> None:
    section = PrefetchSettings(names=tuple(NAMES))
    with fake_system(store, observer=watch, ttl_seconds=0, prefetch=section) as (system, _):
        system.secrets.prefetch(NAMES)
        pass_time(store)
        settled(system)

        assert store.calls.total() == 0
        assert watch.count("ProcessCrashed") == 0


def test_it_outlasts_a_short_outage(system: System, store: FakeStore, watch: Watch) -> None:
    store.fail_next(ConnectionFailed("no way", endpoint="fake"), times=3)
    system.secrets.prefetch(NAMES[:2])
    for calls in range(1, 4):
        eventually(lambda calls=calls: store.calls["get_many"] == calls)  # type: ignore[misc]
        settled(system)
        pass_time(store)
    eventually(lambda: done(watch))

    assert done(watch) == [PrefetchDone("prefetch", 2, 0, 0)]
    assert failed(watch) == []


def test_in_a_long_one_it_gives_up_and_says_so(system: System, store: FakeStore, watch: Watch) -> None:
    with store.failing(ConnectionFailed("no way", endpoint="fake")):
        system.secrets.prefetch(NAMES[:3])
        for calls in range(1, 7):
            eventually(lambda calls=calls: store.calls["get_many"] == calls)  # type: ignore[misc]
            settled(system)
            pass_time(store)
        eventually(lambda: done(watch))

    assert failed(watch) == [("db/00 and 2 more", "connection_failed")]
    assert done(watch) == [PrefetchDone("prefetch", 0, 3, 0)]


def test_a_no_is_final(system: System, store: FakeStore, watch: Watch) -> None:
    store.fail_next(AccessDenied("no"))
    system.secrets.prefetch(["db/00"])
    eventually(lambda: done(watch))

    assert failed(watch) == [("db/00", "access_denied")]
    assert store.calls == {"get_many": 1}


@pytest.mark.parametrize("who", ["prefetch", "secrets", "prefetches"])
def test_whoever_dies_the_configured_one_is_carried_out(store: FakeStore, watch: Watch, who: str) -> None:
    section = PrefetchSettings(names=tuple(NAMES))
    with (
        fake_system(store, observer=watch, prefetch=section) as (system, _),
        store.hold("get_many", times=1) as gate,
    ):
        pass_time(store)
        gate.wait_until_held()
        kill(system, who)
        gate.release()
        eventually(lambda: done(watch) or pass_time(store))

        assert [system.secrets.get(name).source for name in NAMES] == ["cache"] * len(NAMES)
        assert failed(watch) == []


def test_more_at_a_time_than_there_may_be_are_reported(system: System, store: FakeStore, watch: Watch) -> None:
    with store.hold("get_many"):
        for _ in range(tree.MAX_PREFETCHES + 1):
            system.secrets.prefetch(["db/00"])
        eventually(lambda: failed(watch))

    assert failed(watch) == [("a prefetch", "too_many")]


def test_without_a_system_there_is_none(tmp_path: Path) -> None:
    system = System(settings(tmp_path), backend=FakeStore().factory())

    assert isinstance(failure(lambda: system.secrets.prefetch(["a"])), ServerDown)
    with running(system):
        assert isinstance(failure(lambda: system.secrets.prefetch("a")), InvalidParameter)


def test_the_settings_name_what_does_not_hold_and_never_what_was_given() -> None:
    section = PrefetchSettings(names=("hunter2 !!",), prefixes=("!x",), tags=("=v",))

    with pytest.raises(ConfigurationError) as caught:
        load(Settings(prefetch=section))

    assert [one.split(":")[0] for one in caught.value.mistakes] == [
        "prefetch.names",
        "prefetch.prefixes",
        "prefetch.tags",
    ]
    assert "hunter2" not in str(caught.value)


def test_the_environment_and_the_file_have_lists(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[prefetch]\nnames = ["a", "b"]\ntags = ["team=red"]\n')

    found = load(file, {"SECRETS_ACTOR_PREFETCH__PREFIXES": "db/, smtp/"}).settings.prefetch

    assert found == PrefetchSettings(names=("a", "b"), prefixes=("db/", "smtp/"), tags=("team=red",))
    with pytest.raises(ConfigurationError, match=r"prefetch\.names"):
        load(Settings(prefetch=PrefetchSettings(names=7)))  # type: ignore[arg-type]


def test_on_aws_tags_and_prefixes_find_what_they_shall(fresh_ministack: Ministack, watch: Watch) -> None:
    keys = fresh_ministack.account.user(allow_everything())
    aws: dict[str, Any] = {"region": "us-east-1", "endpoint_url": fresh_ministack.url}
    section = AwsSettings(access_key=keys.access_key_id, secret_key=keys.secret_key, **aws)
    given = Settings(backend="aws_secrets_manager", aws=section)
    with System(given, observer=watch) as system:
        secrets = system.secrets
        for name, tags in (
            ("p/a", {}),
            ("p/b", {}),
            ("q", {"team": "red"}),
            ("r", {"team": "redder"}),
            ("s", {"t": "red"}),
        ):
            secrets.create(name, "v", tags=tags)
        secrets.prefetch(prefixes=["p/"], tags=["team=red"])
        eventually(lambda: done(watch))

        assert done(watch) == [PrefetchDone("prefetch", 3, 0, 0)]
        assert [secrets.get(name).source for name in ("p/a", "p/b", "q", "r", "s")] == [
            *["cache"] * 3,
            *["backend"] * 2,
        ]


def test_the_audit_log_says_who_asks_in_the_background(tmp_path: Path) -> None:
    store = FakeStore()
    for name in NAMES[:2]:
        store.put(name, "v")
    with running(System(settings(tmp_path), backend=store.factory())) as system:
        system.secrets.prefetch(NAMES[:1])
        system.subscribe(NAMES[1], print)
        eventually(lambda: store.calls == {"get_many": 1, "get": 1})
        settled(system)

    asked = {(line["operation"], line["secret_id"], line["caller"]) for line in audit_log(tmp_path)}
    assert asked == {("get_many", NAMES[0], "prefetch"), ("get", NAMES[1], "subscription")}
