"""Who asks for a real account gets one or a reason; and what a test made there is deleted."""

from pathlib import Path

from secrets_actor.domain.operations import Delete, Set
from secrets_actor.testing import FakeStore
from tests.contract.divergences import FAKE
from tests.contract.live import PREFIX_VARIABLE, LiveAccount, initial_environment, live_account
from tests.contract.store import Store, new_token

NOWHERE = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent", "PATH": "/usr/bin"}


def test_without_a_prefix_or_keys_the_reason_is_told() -> None:
    assert PREFIX_VARIABLE in str(live_account(NOWHERE))
    assert "no AWS keys" in str(live_account(NOWHERE | {PREFIX_VARIABLE: "ci"}))


def test_keys_prefix_and_region_come_from_the_environment(tmp_path: Path) -> None:
    given = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "eu-central-1"}

    account = live_account(NOWHERE | given | {PREFIX_VARIABLE: "/ci/live/"})

    assert isinstance(account, LiveAccount)
    assert (account.prefix, account.region, account.keys.access_key_id) == ("ci/live", "eu-central-1", "AKIA")


def test_the_initial_environment_is_that_of_the_process() -> None:
    assert initial_environment()["PATH"]


def test_what_a_test_made_is_deleted_when_it_ends() -> None:
    fake = FakeStore()
    kit = fake.kit()
    store = Store(FAKE, kit, kit.connect())
    store.set(store.name("a"), "v")
    store.at_once([Set(store.name("b"), "v", new_token())])
    store.ask(Set(store.name("c"), "v", new_token()))
    store.ask(Delete(store.name("c")))
    assert len(store.names(include_deleted=True)) == 3

    store.clean_up()

    assert store.names(include_deleted=True) == []
