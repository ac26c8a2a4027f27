"""Another store comes into force at work: nobody's call is lost, and nothing of the old one is served."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import AwsSettings, ConfigurationError, LocalSettings, Secret, Secrets, Settings, System
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.domain.secret import SecretValue
from secrets_actor.otp import ManualClock
from tests.actor.rig import RigStore, eventually, failure, in_background, kill, running, settings, workers
from tests.forking import PATIENCE
from tests.servers.account import Keys as AccountKeys
from tests.servers.account import allow_everything
from tests.servers.ministack import Ministack


class Keys:
    """A source that gives keys of its own name, and waits for *go* first."""

    def __init__(self, name: str) -> None:
        self.name, self.go, self.asked = name, threading.Event(), threading.Event()

    def fetch(self, deadline: float) -> AwsCredentials:
        self.asked.set()
        assert self.go.wait(PATIENCE)
        return AwsCredentials(self.name, SecretValue("s"))


def store_with(value: str) -> RigStore:
    rig_store = RigStore()
    rig_store.put("a", value)
    return rig_store


def test_the_next_get_asks_the_new_store_and_the_old_workers_go(tmp_path: Path) -> None:
    old, new = store_with("old"), store_with("new")
    with running(System(settings(tmp_path), backend=old.factory()), old, new) as system:
        assert system.secrets.get("a").reveal() == "old"
        before = workers(system)

        system.configure(system.settings, backend=new.factory())

        assert system.secrets.get("a").reveal() == "new"
        eventually(lambda: not any(pid.is_alive() for pid in before))
        eventually(lambda: old.closed == old.connections)
        assert system.tree().root.restarts == 0
        kill(system, "secrets")
        assert system.secrets.get("a", refresh=True).reveal() == "new"


def test_what_is_under_way_is_finished_by_the_old_store_and_not_kept(tmp_path: Path) -> None:
    old, new = store_with("old"), store_with("new")
    with running(System(settings(tmp_path), backend=old.factory()), old, new) as system:
        hold = old.hold("get")
        under_way = in_background(lambda: system.secrets.get("a", timeout=PATIENCE))
        hold.wait()
        system.configure(system.settings, backend=new.factory())
        assert system.secrets.get("a").reveal() == "new"
        hold.go.set()
        assert under_way.result(PATIENCE).reveal() == "old"
        assert system.secrets.get("a").reveal() == "new"
        eventually(lambda: old.closed == old.connections)


def test_with_one_worker_those_who_wait_get_the_new_store(tmp_path: Path) -> None:
    """By a clock that stands still: the worker that goes makes room at once, and not when a timer says so."""
    old, new = store_with("old"), store_with("new")
    one = settings(tmp_path, max_workers=1)
    with running(System(one, backend=old.factory(), clock=ManualClock()), old, new) as system:
        hold = old.hold("get")
        under_way = in_background(lambda: system.secrets.get("a", timeout=PATIENCE))
        hold.wait()
        waiting = in_background(lambda: system.secrets.set("b", "v", timeout=PATIENCE))
        system.configure(system.settings, backend=new.factory())
        hold.go.set()
        assert under_way.result(PATIENCE).reveal() == "old"
        waiting.result(PATIENCE)
        assert (old.count("set"), new.count("set")) == (0, 1)


def test_keys_of_the_old_store_that_come_late_are_not_used_for_the_new_one(tmp_path: Path) -> None:
    old, new = store_with("old"), store_with("new")
    before, after = Keys("of-the-old"), Keys("of-the-new")
    with running(System(settings(tmp_path), backend=old.factory(before)), old, new) as system:
        waiting = in_background(lambda: system.secrets.get("a", timeout=PATIENCE))
        assert before.asked.wait(PATIENCE)
        system.configure(system.settings, backend=new.factory(after))
        assert after.asked.wait(PATIENCE)
        before.go.set()
        after.go.set()
        assert waiting.result(PATIENCE).reveal() == "new"
        used = {context.credentials.reveal_id() for context in new.contexts if context.credentials}
        assert used == {"of-the-new"}
        assert not old.contexts


def test_a_change_under_load_loses_no_call_and_serves_nothing_old_afterwards(tmp_path: Path) -> None:
    stores = [store_with("0"), store_with("1")]
    over, errors, done = threading.Event(), list[BaseException](), list[int]()

    def work(system: System) -> None:
        made = 0
        try:
            while not over.is_set():
                assert system.secrets.get("a", timeout=PATIENCE).reveal() in ("0", "1")
                system.secrets.get("a", refresh=True, timeout=PATIENCE)
                system.secrets.set("b", "v", timeout=PATIENCE)
                made += 3
        except BaseException as error:
            errors.append(error)
        done.append(made)

    with running(System(settings(tmp_path, max_workers=4), backend=stores[0].factory()), *stores) as system:
        threads = [threading.Thread(target=work, args=(system,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            for change in range(1, 41):
                system.configure(system.settings, backend=stores[change % 2].factory())
                assert system.secrets.get("a", timeout=PATIENCE).reveal() == str(change % 2)
        finally:
            over.set()
            for thread in threads:
                thread.join(PATIENCE)
        assert errors == []
        assert sum(done) > 100
        assert system.tree().root.restarts == 0
        assert len(workers(system)) <= 4


def test_real_stores_can_be_exchanged(tmp_path: Path) -> None:
    here, there = (Settings(local=LocalSettings(path=tmp_path / name)) for name in ("here", "there"))
    with running(System(here)) as system:
        system.secrets.set("a", "here")
        system.configure(there)
        assert system.secrets.list() == ()
        system.secrets.set("a", "there")
        system.configure(here)
        assert system.secrets.get("a").reveal() == "here"
        assert system.settings.local == here.local
    system.configure(there)
    with running(system):
        assert system.secrets.get("a").reveal() == "there"


@pytest.mark.parametrize("change", [{"ttl_seconds": 1.0}, {"max_workers": 3, "call_timeout_seconds": 1.0}])
def test_what_cannot_change_is_named_and_nothing_changes(tmp_path: Path, change: dict[str, Any]) -> None:
    with running(System(settings(tmp_path))) as system:
        system.secrets.set("a", "v")
        before = system.settings
        error = failure(lambda: system.configure(settings(tmp_path, **change)))
        assert isinstance(error, ConfigurationError)
        assert all(name in str(error) for name in change)
        assert system.settings is before
        found: Secret = system.secrets.get("a")
        assert found.reveal() == "v"


def settings_of(server: Ministack, region: str, keys: AccountKeys, **more: Any) -> Settings:
    aws = AwsSettings(
        region=region,
        access_key=keys.access_key_id,  # type: ignore[arg-type]
        secret_key=keys.secret_key,  # type: ignore[arg-type]
        endpoint_url=server.url,
    )
    return Settings(backend="aws_secrets_manager", aws=aws, **more)


def test_another_region_is_another_store(fresh_ministack: Ministack) -> None:
    keys = fresh_ministack.account.user(allow_everything())

    def of(region: str) -> Settings:
        return settings_of(fresh_ministack, region, keys)

    with running(System(of("us-east-1"))) as system:
        system.secrets.set("a", "here")
        system.configure(of("eu-west-1"))
        assert system.secrets.list() == ()
        system.secrets.set("a", "there")
        assert ":eu-west-1:" in system.secrets.get("a").arn
        system.configure(of("us-east-1"))
        assert system.secrets.get("a").reveal() == "here"


def test_a_region_changes_under_load_and_every_call_is_answered_by_one_of_them(fresh_ministack: Ministack) -> None:
    account, regions = fresh_ministack.account, ("us-east-1", "eu-west-1")
    keys = account.user(allow_everything())
    of = {region: settings_of(fresh_ministack, region, keys, max_workers=4) for region in regions}
    clients = {region: replace(account, region=region).client("secretsmanager") for region in regions}
    for region, client in clients.items():
        client.create_secret(Name="where", SecretString=region)
    over, made = threading.Event(), dict[str, str]()

    def made_in(region: str) -> int:
        return sum(f":{region}:" in arn for arn in list(made.values()))

    def work(secrets: Secrets, caller: int) -> int:
        calls = 0
        while not over.is_set():
            for refresh in (True, False):
                found = secrets.get("where", refresh=refresh, timeout=PATIENCE)
                assert f":{found.reveal()}:" in found.arn
            receipt = secrets.set(f"{caller}/{calls}", "v", timeout=PATIENCE)
            made[receipt.name] = receipt.arn
            calls += 3
        return calls

    with running(System(of["us-east-1"])) as system:
        at_work = [in_background(lambda caller=caller: work(system.secrets, caller)) for caller in range(6)]
        try:
            for change in range(1, 10):
                there = regions[change % 2]
                before = made_in(there)
                system.configure(of[there])
                assert system.secrets.get("where", timeout=PATIENCE).reveal() == there
                # Calls that were under way are finished where they were: one more secret says nothing, one more there
                # that the change has reached those who work. Whoever failed works no more, and is told below.
                eventually(
                    lambda there=there, before=before: made_in(there) > before or any(one.done() for one in at_work)
                )
        finally:
            over.set()
            counts = [one.result(2 * PATIENCE) for one in at_work]
        assert sum(counts) == 3 * len(made)
        assert len(workers(system)) <= 4
        assert system.tree().root.restarts == 0
    kept = [
        (secret["Name"], secret["ARN"])
        for client in clients.values()
        for page in client.get_paginator("list_secrets").paginate()
        for secret in page["SecretList"]
        if secret["Name"] != "where"
    ]
    assert sorted(kept) == sorted(made.items())
    assert {region for region in regions if made_in(region)} == set(regions)
