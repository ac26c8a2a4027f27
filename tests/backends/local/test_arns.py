"""The ARNs of the local store: what they begin with is a setting, and those of before still find their secrets."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from secrets_actor import LocalSettings, Settings, start
from secrets_actor.backends.local.backend import LocalBackend, local_backend_factory
from secrets_actor.backends.local.entry_codec import ARN_PREFIX, FORMER_ARN_PREFIX
from secrets_actor.domain.errors import SecretNotFound
from secrets_actor.domain.names import arn_prefix_of
from secrets_actor.domain.operations import (
    Delete,
    Describe,
    Get,
    GetMany,
    List,
    ListVersions,
    Put,
    Restore,
    Set,
    Tag,
)
from tests.backends.local.helpers import do

EUROPE: Final = arn_prefix_of("aws", "eu-central-1", "123456789012")
Former = Callable[[str], str]


@pytest.fixture
def former(backend: LocalBackend) -> Former:
    """The former ARN of a secret that there is."""
    return lambda name: do(backend, Describe(name)).arn.replace(ARN_PREFIX, FORMER_ARN_PREFIX)


def test_a_former_arn_finds_its_secret_whole_or_without_the_suffix(backend: LocalBackend, former: Former) -> None:
    do(backend, Set("db/password", "hunter2"))
    arn = former("db/password")

    for secret_id in (arn, arn[:-7]):
        found = do(backend, Get(secret_id))
        # The answer has it, too: the caller knows the secret by no other ARN.
        assert (found.name, found.arn, found.reveal()) == ("db/password", arn, "hunter2")
        assert do(backend, Describe(secret_id)).arn == arn
    assert do(backend, ListVersions(arn)).arn == arn
    assert do(backend, Get("db/password")).arn.startswith(ARN_PREFIX)
    with pytest.raises(SecretNotFound):
        do(backend, Get(f"{FORMER_ARN_PREFIX}db/password-aaaaaa"))


def test_a_write_by_a_former_arn_changes_that_secret_and_not_its_arn(
    backend: LocalBackend, former: Former, connect: Callable[[], LocalBackend]
) -> None:
    own = do(backend, Set("a", "one")).arn
    arn = former("a")
    for write in (Set(arn, "two"), Put(arn, "three"), Delete(arn), Restore(arn)):
        assert do(backend, write).arn == arn
    do(backend, Tag(arn, {"k": "v"}))

    for reader in (backend, connect()):
        known = do(reader, Describe("a"))
        assert (known.arn, dict(known.tags)) == (own, {"k": "v"})
        assert do(reader, Get("a")).reveal() == "three"
        assert [one.arn for one in do(reader, List())] == [own]


def test_many_are_read_by_arns_of_both_kinds(backend: LocalBackend, former: Former) -> None:
    for name in ("a", "b", "c"):
        do(backend, Set(name, f"value of {name}"))
    asked = [former("a"), do(backend, Describe("b")).arn, "c", f"{FORMER_ARN_PREFIX}none-AbCdEf"]

    batch = do(backend, GetMany(asked))

    assert {one: found.reveal() for one, found in batch.found.items()} == {
        asked[0]: "value of a",
        asked[1]: "value of b",
        asked[2]: "value of c",
    }
    assert list(batch.errors) == asked[3:]


def test_a_program_reads_by_a_former_arn_through_a_whole_system(tmp_path: Path) -> None:
    settings = Settings(local=LocalSettings(path=tmp_path / "store", region="eu-central-1", account="123456789012"))
    with start(settings) as system:
        own = system.secrets.set("a", "one").arn
        assert own.startswith(EUROPE)
        for former in (own.replace(EUROPE, FORMER_ARN_PREFIX), own.replace(EUROPE, FORMER_ARN_PREFIX)[:-7]):
            assert system.secrets.get(former).reveal() == "one"
            assert system.secrets.get(former).reveal() == "one"  # from the cache
        with pytest.raises(SecretNotFound):
            system.secrets.get(own.replace(EUROPE, ARN_PREFIX))


def test_another_region_gives_the_secrets_of_the_same_store_other_arns(folder: Path, backend: LocalBackend) -> None:
    arn = do(backend, Set("a", "one")).arn
    moved = local_backend_factory(path=folder, recovery_window=30, arn_prefix=EUROPE).connect()
    assert isinstance(moved, LocalBackend)
    with closing(moved):
        assert do(moved, Get("a")).arn == arn.replace(ARN_PREFIX, EUROPE)
        assert do(moved, Get(arn.replace(ARN_PREFIX, EUROPE))).reveal() == "one"
        assert do(moved, Set("a", "two")).arn == arn.replace(ARN_PREFIX, EUROPE)
        with pytest.raises(SecretNotFound):
            do(moved, Get(arn))
    assert do(backend, Get(arn)).reveal() == "two"
