"""Who asks for a real account gets one or a reason; others' secrets there are let be, what comes late is waited for,
and what a test made is deleted."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from secrets_actor.domain.errors import AccessDenied, SecretDeleted
from secrets_actor.domain.operations import Delete, Replicate, Set
from secrets_actor.testing import FakeStore
from tests.contract.backends import FAKE, MOTO
from tests.contract.divergences import DIVERGENCES
from tests.contract.live import PREFIX_VARIABLE, LiveAccount, initial_environment, live_account
from tests.contract.store import Store, aws_kit, new_token
from tests.contract.test_divergences import ASKED
from tests.servers.account import REGION, allow_everything
from tests.servers.moto import MotoServer
from tests.servers.process import ROOT

NOWHERE = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent", "PATH": "/usr/bin"}


def test_without_a_prefix_or_keys_the_reason_is_told() -> None:
    assert PREFIX_VARIABLE in str(live_account(NOWHERE))
    assert "no AWS keys" in str(live_account(NOWHERE | {PREFIX_VARIABLE: "ci"}))


def test_keys_prefix_and_region_come_from_the_environment(tmp_path: Path) -> None:
    given = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "eu-central-1"}

    account = live_account(NOWHERE | given | {PREFIX_VARIABLE: "/ci/live/"})

    assert isinstance(account, LiveAccount)
    assert (account.prefix, account.region, account.keys.access_key_id) == ("ci/live", "eu-central-1", "AKIA")
    assert account.endpoint_url is None


def test_the_account_may_be_behind_another_endpoint() -> None:
    given = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s", PREFIX_VARIABLE: "ci"}
    environment = NOWHERE | given | {"AWS_ENDPOINT_URL": "https://all", "AWS_ENDPOINT_URL_SECRETS_MANAGER": ""}

    accounts = [
        live_account(environment),
        live_account(environment | {"AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://s"}),
    ]

    assert [getattr(account, "endpoint_url", None) for account in accounts] == ["https://all", "https://s"]


def test_the_initial_environment_is_that_of_the_process() -> None:
    assert initial_environment()["PATH"]


def patient(looks: int) -> tuple[Store, FakeStore]:
    """A store on the fake that looks so many times more, by a clock that only a pause moves."""
    fake, pauses = FakeStore(), list[float]()
    factory = fake.factory()
    return Store(
        FAKE, factory, factory.connect(), patience=float(looks), clock=lambda: float(len(pauses)), pause=pauses.append
    ), fake


def test_what_a_test_made_is_deleted_when_it_ends() -> None:
    store, _ = patient(0)
    store.set(store.name("a"), "v")
    store.at_once([Set(store.name("b"), "v", new_token())])
    store.ask(Set(store.name("c"), "v", new_token()))
    store.ask(Delete(store.name("c")))
    assert len(store.names(include_deleted=True)) == 3

    assert store.clean_up() == {}

    assert store.names(include_deleted=True) == []


def test_what_could_not_be_deleted_is_told_and_the_rest_is_deleted() -> None:
    store, fake = patient(0)
    for suffix in "abc":
        store.set(store.name(suffix), "v")
    fake.fail_next(AccessDenied("no"), operation="delete")

    left = store.clean_up()

    assert {name: type(error) for name, error in left.items()} == {store.name("a"): AccessDenied}
    assert store.names() == [store.name("a")]


def test_copies_in_other_regions_go_before_the_secret(fresh_moto: MotoServer) -> None:
    factory = aws_kit(fresh_moto.url, fresh_moto.account.user(allow_everything()))
    store = Store(MOTO, factory, factory.connect())
    try:
        store.set(store.name(), "v")
        store.ask(Replicate(store.name(), ["eu-central-1"]))
        assert store.clean_up() == {}
        assert store.names() == []
    finally:
        store.backend.close()


def test_what_is_seen_late_is_waited_for_but_not_for_ever() -> None:
    store, _ = patient(3)
    late = iter([[], ["a"], ["a", "b"], [], [], [], [], []])

    store.sees(lambda: next(late), ["a", "b"])

    with pytest.raises(AssertionError, match=r"\[\] was seen"):
        store.sees(lambda: next(late), ["a"])
    assert next(late) == []
    assert list(late) == []


def test_a_name_that_is_let_go_late_is_tried_again_but_not_for_ever() -> None:
    store, fake = patient(3)
    fake.fail_next(SecretDeleted("taken still"), times=3, operation="set")
    assert store.once_free(lambda: store.set(store.name(), "v")).created

    fake.fail_next(SecretDeleted("taken still"), times=4, operation="set")
    with pytest.raises(SecretDeleted):
        store.once_free(lambda: store.set(store.name(), "v"))
    fake.fail_next(AccessDenied("no"), operation="set")
    with pytest.raises(AccessDenied):
        store.once_free(lambda: store.set(store.name(), "v"))


# --- a rehearsal -----------------------------------------------------------------------------------------------------

FOREIGN: Final = ("aaa/of-others", "ci/of-others", "zzz/of-others")


def diverging_on_moto() -> set[str]:
    """The tests that ask for a topic in which moto differs from AWS: as AWS they would fail there."""
    topics = {topic for where, topic in DIVERGENCES if where == MOTO}
    found = set()
    for source in Path(__file__).parent.glob("test_*.py"):
        for test in re.split(r"^def (?=test_)", source.read_text(), flags=re.M)[1:]:
            if topics & set(ASKED.findall(test)):
                found.add(test.partition("(")[0])
    return found


@pytest.mark.slow
def test_the_live_suite_passes_in_an_account_that_others_use_and_leaves_it_as_it_was(
    fresh_moto: MotoServer, tmp_path: Path
) -> None:
    account = fresh_moto.account
    keys, administrator = account.user(allow_everything()), account.client("secretsmanager")
    for name in FOREIGN:
        administrator.create_secret(Name=name, SecretString="theirs", Tags=[{"Key": "team", "Value": "web"}])
    environment = {
        **{name: value for name, value in os.environ.items() if name.startswith(("PATH", "PYTHON"))},
        "HOME": str(tmp_path),
        PREFIX_VARIABLE: "ci",
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": fresh_moto.url,
    }
    skipped = " or ".join(sorted(diverging_on_moto()))
    command = [sys.executable, "-m", "pytest", "-q", "-m", "live", "-k", f"not ({skipped})", "tests/contract"]

    ended = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=300)

    assert ended.returncode == 0, ended.stdout[-3000:]
    assert re.search(r"\b[1-9]\d+ passed", ended.stdout)
    assert "skipped" not in ended.stdout
    left = administrator.list_secrets(IncludePlannedDeletion=True)["SecretList"]
    assert sorted(one["Name"] for one in left) == sorted(FOREIGN)
