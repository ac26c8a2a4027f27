"""An ARN that ends in a hyphen and six characters may be the whole ARN of one secret, or that of another one without
its suffix: what is done by it is done to whichever the store takes it for, and no other one's value is given for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from secrets_actor import (
    AwsSettings,
    DeadlineExceeded,
    NewVersion,
    Secret,
    SecretNotFound,
    SecretValue,
    Settings,
    System,
)
from secrets_actor.actor.cache import Cache
from secrets_actor.actor.cache_keys import CacheRules
from secrets_actor.domain.operations import Get, GetMany
from secrets_actor.domain.results import SecretBatch
from secrets_actor.testing import settled
from tests.actor.rig import ARN, RigStore, eventually, failure, in_background, process, running, settings
from tests.actor.test_cache import VERSION, revealed
from tests.actor.test_cache import secret as secret_of_aws
from tests.servers.account import allow_everything
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer

NAME = "prod-apikey"
PARTIAL = ARN.format(NAME)[:-7]  # reads like the whole ARN of a secret `prod`
SECONDS = 10.0


def secret(name: str, value: str = "v", arn: str | None = None, version: str = VERSION) -> Secret:
    made = secret_of_aws(name)
    return Secret(name, arn or ARN.format(name), SecretValue(value), version, made.stages, made.created_at)


class Finder(RigStore):
    """A store that finds a secret by such an ARN without suffix, as the emulators do."""

    def perform(self, operation: Any) -> Any:
        """What it does."""
        if isinstance(operation, GetMany):
            return SecretBatch({one: self.perform(Get(one)) for one in operation.secret_ids}, {})
        asked = getattr(operation, "secret_id", "")
        known = [name for name in (*self.versions, NAME) if asked in (ARN.format(name), ARN.format(name)[:-7])]
        return super().perform(replace(operation, secret_id=known[0]) if known else operation)


@pytest.fixture
def rig_store() -> RigStore:
    return Finder()


@pytest.fixture(params=["moto", "ministack"])
def emulated(request: pytest.FixtureRequest) -> Iterator[System]:
    """A system over an emulator, which finds a secret by such an ARN."""
    server: MotoServer | Ministack = request.getfixturevalue(f"fresh_{request.param}")
    keys = server.account.user(allow_everything())
    section = AwsSettings(
        region="us-east-1", endpoint_url=server.url, access_key=keys.access_key_id, secret_key=keys.secret_key
    )
    with System(Settings(backend="aws_secrets_manager", aws=section)) as system:
        yield system


def test_who_has_written_by_it_reads_it_by_name_and_by_its_whole_arn(emulated: System) -> None:
    secrets = emulated.secrets
    whole = secrets.set(NAME, "old").arn
    assert secrets.get(NAME).source == "cache"

    assert secrets.set(whole[:-7], "new").name == NAME
    assert [secrets.get(one).reveal() for one in (NAME, whole, whole[:-7])] == ["new"] * 3

    secrets.set(NAME, "newest")
    secrets.delete(whole[:-7], force=True)
    for one in (NAME, whole, whole[:-7]):
        assert type(failure(lambda one=one: secrets.get(one))) is SecretNotFound


def test_what_was_seen_by_it_is_seen_by_name(system: System, rig_store: RigStore) -> None:
    rig_store.put(NAME, "old")
    system.secrets.get(NAME)
    rig_store.put(NAME, "new")

    assert system.secrets.get(PARTIAL).reveal() == "new"
    assert system.secrets.get(NAME).reveal() == "new"
    assert system.secrets.get(ARN.format(NAME)).source == "cache"


@pytest.mark.parametrize("written", [NAME, PARTIAL])
def test_a_write_by_the_one_and_a_read_by_the_other_are_kept_in_order(
    system: System, rig_store: RigStore, written: str
) -> None:
    rig_store.put(NAME, "old")
    read = PARTIAL if written == NAME else NAME
    hold = rig_store.hold("set")
    setting = in_background(lambda: system.secrets.set(written, "new"))
    hold.wait()
    reading = in_background(lambda: system.secrets.get(read))
    eventually(lambda: process(system, "secrets").open_calls == 2)
    hold.go.set()

    assert setting.result(SECONDS).name == NAME
    assert reading.result(SECONDS).reveal() == "new"
    assert [one.kind for one in rig_store.seen] == ["set", "get"]


def test_a_get_after_ones_own_unanswered_set_by_it_goes_behind_that(system: System, rig_store: RigStore) -> None:
    rig_store.put(NAME, "old")
    system.secrets.get(NAME)
    hold = rig_store.hold("set")
    assert type(failure(lambda: system.secrets.set(PARTIAL, "new", timeout=0.1))) is DeadlineExceeded
    hold.wait()

    assert type(failure(lambda: system.secrets.get(NAME, timeout=0.1))) is DeadlineExceeded
    hold.go.set()
    assert system.secrets.get(NAME).reveal() == "new"


def test_what_is_read_meanwhile_with_many_others_is_not_kept(system: System, rig_store: RigStore) -> None:
    rig_store.put(NAME, "old")
    hold = rig_store.hold("get_many", after=True)
    reading = in_background(lambda: system.secrets.get_many([NAME]))
    hold.wait()
    system.secrets.set(PARTIAL, "new")
    hold.go.set()
    assert reading.result(SECONDS).found[NAME].reveal() == "old"

    assert system.secrets.get(NAME).reveal() == "new"


@pytest.mark.parametrize("asked", [NAME, PARTIAL])
@pytest.mark.parametrize("written", [NAME, PARTIAL])
def test_that_there_is_none_is_forgotten_when_it_is_written(
    tmp_path: Path, rig_store: RigStore, asked: str, written: str
) -> None:
    with running(System(settings(tmp_path, missing_ttl_seconds=60), backend=rig_store.factory()), rig_store) as system:
        for _ in range(2):
            assert type(failure(lambda: system.secrets.get(asked))) is SecretNotFound
        assert rig_store.count("get") == 1
        system.secrets.set(written, "new")

        assert system.secrets.get(asked).reveal() == "new"


@pytest.mark.parametrize("written", [NAME, PARTIAL, ARN.format(NAME)])
@pytest.mark.parametrize("subscribed", [NAME, PARTIAL, ARN.format(NAME)])
def test_a_subscriber_hears_of_a_write_under_any_id(
    system: System, rig_store: RigStore, subscribed: str, written: str
) -> None:
    rig_store.put(NAME, "old")
    heard: list[NewVersion] = []
    with system.subscribe(subscribed, heard.append):
        settled(system)
        receipt = system.secrets.set(written, "new")
        settled(system)

    assert [(one.name, one.new_version_id) for one in heard] == [(subscribed, receipt.version_id)]


def test_a_write_to_the_other_secret_that_it_may_mean_is_no_news(system: System, rig_store: RigStore) -> None:
    for name in ("prod", NAME):
        rig_store.put(name, "old")
    heard: list[NewVersion] = []
    with system.subscribe(PARTIAL, heard.append):
        settled(system)
        system.secrets.set("prod", "new")
        settled(system)

    assert heard == []


def test_no_value_is_given_for_it_but_that_of_the_secret_whose_whole_arn_it_is() -> None:
    cache = Cache(CacheRules(ttl=10.0, max_stale=60.0))
    writer = cache.writer()
    writer.store(Get(NAME), secret(NAME, "apikey's"), 0.0)
    assert revealed(cache, PARTIAL) is None, "another secret may have this ARN, and only the store knows"
    assert cache.stale(Get(PARTIAL), 20.0) is None

    writer.store(Get("prod"), secret("prod", "prod's", arn=PARTIAL), 0.0)
    assert revealed(cache, PARTIAL) == "prod's"
    assert revealed(cache, NAME) == revealed(cache, ARN.format(NAME)) == "apikey's"


def test_an_answer_for_another_secret_is_not_kept() -> None:
    cache = Cache(CacheRules(ttl=10.0))
    writer = cache.writer()
    for asked, answered in (
        ("a", secret("b")),
        (ARN.format("a"), secret("b")),
        (ARN.format("a"), secret("a", arn=ARN.format("a").replace("000000000000", "999999999999"))),
        (ARN.format("a")[:-7], secret("a", arn=ARN.format("a").replace(":local:0", ":other:0"))),
        (ARN.format("a"), secret("a", arn=ARN.format("a")[:-6] + "XxXxXx")),
    ):
        writer.store(Get(asked), answered, 0.0)

    assert len(cache) == 0


def test_the_versions_of_an_earlier_secret_of_that_name_go_when_another_is_seen() -> None:
    cache = Cache(CacheRules(ttl=10.0))
    writer = cache.writer()
    earlier, other = ARN.format("a")[:-6] + "XxXxXx", ARN.format("a").replace("000000000000", "999999999999")
    writer.store(Get("a", stage="AWSPREVIOUS"), secret("a", "earlier", arn=earlier), 0.0)
    writer.store(Get(earlier, stage="mine"), secret("a", "earlier", arn=earlier), 0.0)
    writer.store(Get(other, stage="mine"), secret("a", "another account's", arn=other), 0.0)
    writer.store(Get("a"), secret("a"), 1.0)

    assert cache.read(Get("a", stage="AWSPREVIOUS"), 1.0) is None
    assert cache.read(Get(earlier, stage="mine"), 1.0) is None
    assert cache.read(Get(other, stage="mine"), 1.0) is not None


@pytest.mark.parametrize("asked", ["a", ARN.format("a")])
@pytest.mark.parametrize(("at", "kept"), [(1.0, True), (3.0, False)])
def test_of_two_answers_of_which_nobody_knows_which_is_newer_none_is_served(asked: str, at: float, kept: bool) -> None:
    """What was asked for earlier comes later, and somebody else has written meanwhile: before the one or the other."""
    cache = Cache(CacheRules(ttl=10.0))
    writer = cache.writer()
    writer.store(Get("a"), secret("a", "one"), 1.0, came_at=2.0)
    writer.store(Get(asked), secret("a", "one"), at, kept=kept, came_at=3.0)
    assert revealed(cache, "a", 3.0) == "one", "they say the same"

    writer.store(Get(asked), secret("a", "other", version="2" * 32), at, kept=kept, came_at=3.0)
    assert [revealed(cache, one, 3.0) for one in ("a", ARN.format("a"))] == [None, None]


def test_that_one_is_missing_is_not_believed_after_an_answer_that_is_not_kept() -> None:
    cache = Cache(CacheRules(ttl=10.0, missing_ttl=60.0))
    writer = cache.writer()
    writer.store_missing(Get("a"), 1.0)
    writer.store(Get("a"), secret("a"), 0.0, kept=False)

    assert cache.missing(Get("a"), 1.0) is None
    assert len(cache) == 0


def test_that_one_is_missing_is_not_believed_any_more_when_it_is_seen_under_another_id() -> None:
    cache = Cache(CacheRules(ttl=10.0, missing_ttl=60.0))
    writer = cache.writer()
    for asked in ("a", ARN.format("a"), ARN.format("a")[:-7]):
        writer.store_missing(Get(asked), 0.0)
    writer.store_missing(Get("a", stage="mine"), 0.0)
    writer.store(Get("a"), secret("a"), 1.0)

    assert [cache.missing(Get(asked), 1.0) for asked in ("a", ARN.format("a"), ARN.format("a")[:-7])] == [None] * 3
    assert cache.missing(Get("a", stage="mine"), 1.0) is not None


def test_a_set_by_name_is_not_taken_for_one_of_the_same_name_in_another_account(
    system: System, rig_store: RigStore
) -> None:
    """A subscription by ARN is to that very secret."""
    rig_store.put("a", "old")
    heard: list[NewVersion] = []
    other = ARN.format("a").replace("000000000000", "999999999999")
    with system.subscribe(other, heard.append):
        settled(system)
        system.secrets.set("a", "new")
        settled(system)
        system.secrets.get("a", refresh=True)
        settled(system)

    assert heard == []
