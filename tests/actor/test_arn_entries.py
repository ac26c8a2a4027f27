"""A secret has one entry, whether it was asked for by name or by ARN: who has seen the new value by the one sees no old
one by the other."""

from collections.abc import Iterator

import pytest

from secrets_actor import SecretNotFound, System
from secrets_actor.testing import FakeStore, ManualClock, fake_system


@pytest.fixture
def store() -> FakeStore:
    found = FakeStore(clock=ManualClock())
    found.put("a", "old")
    return found


@pytest.fixture
def system(store: FakeStore) -> Iterator[System]:
    with fake_system(store, ttl_jitter=0) as (system, _):
        yield system


@pytest.mark.parametrize("cut", [0, 7], ids=["whole", "without its suffix"])
def test_what_was_seen_by_name_is_seen_by_arn(system: System, store: FakeStore, cut: int) -> None:
    """Somebody else writes, or a write of unknown outcome takes effect late: the cache is not told."""
    whole = system.secrets.get("a").arn
    arn = whole[: len(whole) - cut]
    system.secrets.get(arn, refresh=True)
    store.put("a", "new")
    assert system.secrets.get("a", refresh=True).reveal() == "new"

    assert system.secrets.get(arn).reveal() == "new"
    assert store.calls["get"] == 3


@pytest.mark.parametrize("cut", [0, 7], ids=["whole", "without its suffix"])
def test_what_was_seen_by_arn_is_seen_by_name(system: System, store: FakeStore, cut: int) -> None:
    whole = system.secrets.get("a").arn
    store.put("a", "new")
    assert system.secrets.get(whole[: len(whole) - cut], refresh=True).reveal() == "new"

    assert system.secrets.get("a").reveal() == "new"
    assert store.calls["get"] == 2


def test_a_get_by_arn_late_in_its_ttl_asks_for_a_refresh_too(system: System, store: FakeStore) -> None:
    arn = system.secrets.get("a").arn
    store.clock.advance(290.0)
    with store.hold("get", when="after") as gate:
        assert system.secrets.get(arn).source == "cache"
        gate.wait_until_held()

    assert store.calls["get"] == 2


def test_the_arn_of_an_earlier_secret_of_that_name_finds_nothing(system: System, store: FakeStore) -> None:
    earlier = system.secrets.get("a").arn
    system.secrets.delete("a", force=True)
    system.secrets.set("a", "another")
    assert system.secrets.get("a").arn != earlier

    with pytest.raises(SecretNotFound):
        system.secrets.get(earlier)
