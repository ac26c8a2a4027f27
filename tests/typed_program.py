"""A program of a user's, strictly typed: that type checkers know the type of each answer, and of none as Any.

`.ci/run` has it read by mypy and pyright, and tests/test_readme.py runs it."""

import asyncio
from typing import assert_type

import secrets_actor
from secrets_actor import otp
from secrets_actor.messages import Describe, Get, GetMany, Invalidate, List, ListPage, Set
from secrets_actor.results import SecretBatch, SecretDescription, SecretPage, SetReceipt


class Pool:
    def __init__(self, password: str) -> None:
        self.password = password


def changed(change: secrets_actor.NewVersion) -> None:
    print(change.name, change.old_version_id, change.new_version_id)


def names(found: list[SecretDescription]) -> list[str]:
    return [one.name for one in found if "team" in one.tags and one.deleted_at is None]


def use(system: secrets_actor.System) -> None:
    secrets = system.secrets
    receipt = secrets.set("db/password", "hunter2", tags={"team": "billing"})
    assert_type(receipt, SetReceipt)
    secret = secrets.get("db/password", max_age=10, timeout=2)
    assert_type(secret, secrets_actor.Secret)
    assert_type(secret.text(), str)
    assert_type(secret.bytes(), bytes)
    assert_type(secret.reveal(), str | bytes)
    Pool(secret.text())
    assert_type(secrets.list(), tuple[SecretDescription, ...])
    print(names([*secrets.list(), *secrets.iterate(page_size=10)]))
    for one in secrets.iterate():
        assert_type(one, SecretDescription)
    subscription = secrets.subscribe("db/password", changed)
    assert_type(subscription, secrets_actor.Subscription)
    assert_type(subscription.active, bool)
    subscription.cancel()
    assert_type(secrets.retry_on_rotation("db/password", lambda one: Pool(one.text()), login_error=ValueError), Pool)
    assert_type(secrets.ask(Get("db/password")), secrets_actor.Secret)
    assert_type(otp.call(system.address, Get("db/password")), secrets_actor.Secret)
    assert_type(otp.call(system.address, GetMany(["db/password"])), SecretBatch)
    assert_type(otp.call(system.address, List(), timeout=2), tuple[SecretDescription, ...])
    assert_type(otp.call(system.address, ListPage()), SecretPage)
    assert_type(otp.call(system.address, Describe("db/password")), SecretDescription)
    assert_type(otp.call(system.address, Set("db/password", "hunter3")), SetReceipt)
    otp.call(system.address, Invalidate("db/password"))
    print(secrets.describe("db/password").versions, secrets.get_many(["db/password"]).found)
    print(system.tree(), system.metrics(), system.running)


async def use_async(system: secrets_actor.System) -> None:
    async def reload(change: secrets_actor.NewVersion) -> None:
        print(change)

    secrets = system.async_secrets
    assert_type(secrets, secrets_actor.AsyncSecrets)
    secrets.subscribe("db/password", reload)
    assert_type(await secrets.get("db/password"), secrets_actor.Secret)
    assert_type(await secrets.list(), tuple[SecretDescription, ...])
    print([one.name async for one in secrets.iterate()])
    found = await asyncio.gather(secrets.get("db/password"), secrets.describe("db/password"))
    assert_type(found, tuple[secrets_actor.Secret, SecretDescription])


async def main() -> None:
    async with secrets_actor.start() as system:
        await use_async(system)


try:
    with secrets_actor.start(secrets_actor.Settings(local=secrets_actor.LocalSettings(make="first_write"))) as system:
        use(system)
    with secrets_actor.start(tracer=None, observer=print) as system:
        system.subscribe("db/password", changed)
except secrets_actor.DeadlineExceeded as error:
    print(error.code, error.token, error.retryable)
asyncio.run(main())
