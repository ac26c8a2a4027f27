"""Subscriptions to secrets in a real KV mount: how many requests a round takes, and what is heard."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from secrets_actor import BackendFactory, NewVersion, SecretDeleted, SecretNotFound, Settings, System
from secrets_actor.backends.vault.backend import vault_backend_factory
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.ports import CallContext
from secrets_actor.errors import AccessDenied, ExpiredToken, InvalidRequest, InvalidSecretName, StoreFailure, Throttled
from secrets_actor.messages import CurrentVersions, Delete, Get, Operation, Set
from secrets_actor.results import CurrentVersion, VersionBatch
from secrets_actor.testing import ManualClock, settled
from tests.actor.rig import eventually, failure
from tests.backends.vault.auth.rig import connector
from tests.backends.vault.crowd import system_on
from tests.backends.vault.foreign import Bao, json_or_text
from tests.contract.store import FixedToken
from tests.runtime.subscribers import Heard, pass_time
from tests.servers.behaviours import Forward
from tests.servers.faulty import FaultyServer
from tests.servers.openbao import Administrator, OpenBaoCluster, OpenBaoDev, Refused, until
from tests.servers.vault_node import VaultNode, asked, leader, refused, said

MANY = 100
T = TypeVar("T")


def factory_at(mount: str, token: str, *urls: str) -> BackendFactory:
    return vault_backend_factory(
        endpoints=tuple(url.partition("://")[2] for url in urls),
        connect=connector(*urls),
        mount=mount,
        recovery_window=30,
        credentials=FixedToken(token),
    )


@dataclass
class Mount:
    """A KV mount of its own, and what stands before the server: it counts the requests."""

    root: Administrator
    mount: str
    relay: FaultyServer

    def factory(self, token: str | None = None) -> BackendFactory:
        return factory_at(self.mount, token or str(self.root.token), self.relay.url)

    def write(self, name: str, value: str = "v") -> None:
        """As another program does."""
        self.root.write(f"{self.mount}/data/{name}", data={"value": value})

    def asked(self) -> Counter[str]:
        """How many requests came, by method and room of the mount."""
        return Counter(re.sub(rf" {self.mount}/([a-z-]+)/.*", r" \1", asked(one)) for one in self.relay.requests)

    def since(self, before: Counter[str]) -> dict[str, int]:
        """The requests that came after *before*."""
        return dict(self.asked() - before)


@pytest.fixture
def kv(openbao: OpenBaoDev, kv_mount: str) -> Iterator[Mount]:
    with FaultyServer(Forward(openbao.node.port)) as relay:
        yield Mount(openbao.root, kv_mount, relay)


def ask(factory: BackendFactory, operation: Operation[T], seconds: float = 20.0) -> T:
    """The answer to *operation* over a connection of its own."""
    backend, deadline = factory.connect(), clock_now() + seconds
    assert factory.credentials is not None
    try:
        return backend.perform(operation, CallContext(deadline, factory.credentials.fetch(deadline))).value
    finally:
        backend.close()


def of_error(batch: VersionBatch) -> dict[str, type[Exception]]:
    """The types of the errors."""
    return {str(one): type(error) for one, error in batch.errors.items()}


# --- the backend --------------------------------------------------------------------------------------------------


def test_many_secrets_of_a_folder_cost_one_request_and_have_the_ids_that_a_get_has(kv: Mount) -> None:
    factory = kv.factory()
    names = [f"app/{number:03d}" for number in range(MANY)]
    for name in names:
        kv.write(name)
    ours = ask(factory, Set(names[3], "ours", "t" * 32))  # its id is the token that it was written with
    kv.write(names[4], "second")
    before = kv.asked()

    batch = ask(factory, CurrentVersions(names))

    assert kv.since(before) == {"GET detailed-metadata": 1}
    assert (list(batch.found), batch.errors) == (names, {})
    assert batch.found[names[3]].version_id == ours.version_id
    for name in names[:6]:
        secret = ask(factory, Get(name))
        assert batch.found[name] == CurrentVersion(name, secret.arn, secret.version_id)


def test_each_that_has_no_current_version_has_the_error_that_a_get_has(kv: Mount) -> None:
    factory, root, mount = kv.factory(), kv.root, kv.mount
    for name in ("destroyed", "deleted", "scheduled", "removed"):
        kv.write(f"app/{name}")
    root.write(f"{mount}/destroy/app/destroyed", versions=[1])
    root.delete(f"{mount}/data/app/deleted")
    ask(factory, Delete("app/scheduled"))
    root.delete(f"{mount}/metadata/app/removed")
    root.write(f"{mount}/metadata/app/empty", custom_metadata={"k": "v"})
    names = [f"app/{one}" for one in ("destroyed", "deleted", "scheduled", "removed", "empty", "none")]

    batch = ask(factory, CurrentVersions(names))

    assert not batch.found
    assert of_error(batch) == {name: type(failure(lambda name=name: ask(factory, Get(name)))) for name in names}  # type: ignore[misc]
    assert set(of_error(batch).values()) == {SecretNotFound, SecretDeleted}


@pytest.mark.parametrize("count", [1, 5])
def test_a_mount_of_version_1_is_not_taken_for_an_empty_one(kv: Mount, count: int) -> None:
    path = f"{kv.mount}-old"
    kv.root.write(f"sys/mounts/{path}", type="kv", options={"version": "1"})
    kv.root.write(f"{path}/app/0", value="v")
    names = [f"app/{number}" for number in range(count)]

    with pytest.raises(InvalidRequest, match="version 1"):
        ask(factory_at(path, kv.root.token or "", kv.relay.url), CurrentVersions(names))


def test_names_of_all_kinds_are_found_in_their_folders(kv: Mount) -> None:
    factory = kv.factory()
    names = ["a", "b", "c", "a/x", "a/y", "a/z", "a/x/deep", "t/a+b=c@d", "t/_.-"]
    for name in names:
        ask(factory, Set(name, "v"))
    arn = ask(factory, Get("a")).arn
    before = kv.asked()

    batch = ask(factory, CurrentVersions([*names, arn, "a/../b", arn.replace("vault", "aws"), "other/none"]))

    assert [*map(str, batch.found)] == [*names, arn]
    assert of_error(batch) == {
        "a/../b": InvalidSecretName,
        arn.replace("vault", "aws"): SecretNotFound,
        "other/none": SecretNotFound,
    }
    # Pages of the root and of a/; the others are few in their folders, and asked for one by one.
    assert kv.since(before) == {
        "GET detailed-metadata": 2,
        "GET metadata": 4,
    }


def test_a_folder_that_is_full_of_others_costs_no_more_than_one_request_for_each(kv: Mount) -> None:
    factory = kv.factory()
    for number in range(200):
        kv.write(f"app/{number:03d}")
    for step, expected in (
        (60, {"GET detailed-metadata": 2, "GET metadata": 2}),
        (20, {"GET detailed-metadata": 1, "GET metadata": 8}),  # the first page is nearly all others'
    ):
        names = [f"app/{number:03d}" for number in range(0, 200, step)]
        before = kv.asked()

        batch = ask(factory, CurrentVersions(names))

        assert list(batch.found) == names
        assert kv.since(before) == expected
        assert sum(expected.values()) <= len(names)


def test_more_of_a_folder_than_a_page_holds(kv: Mount) -> None:
    factory = kv.factory()
    for number in range(60):
        kv.write(f"app/{number:03d}")
    names = [f"app/{number:03d}" for number in range(0, 60, 6)]
    before = kv.asked()

    batch = ask(factory, CurrentVersions([*names, "app/999", "app/0005"]))

    assert list(batch.found) == names
    assert of_error(batch) == {"app/999": SecretNotFound, "app/0005": SecretNotFound}
    assert 2 <= kv.since(before)["GET detailed-metadata"] <= 3


def test_where_a_policy_closes_the_folder_each_secret_is_asked_for(kv: Mount) -> None:
    names = ["app/a", "app/b", "app/c"]
    for name in names:
        kv.write(name)
    policy = kv.root.policy(f'path "{kv.mount}/metadata/*" {{ capabilities = ["read"] }}')
    factory = kv.factory(kv.root.make_token(policy))
    before = kv.asked()

    for _ in range(2):
        assert list(ask(factory, CurrentVersions(names)).found) == names

    assert kv.since(before) == {"GET detailed-metadata": 1, "GET metadata": 6}


def test_where_a_policy_lets_values_be_read_only_each_version_is_denied(kv: Mount) -> None:
    kv.write("app/a")
    kv.write("other/a")
    policy = kv.root.policy(
        f'path "{kv.mount}/data/*" {{ capabilities = ["read"] }}\n'
        f'path "{kv.mount}/metadata/other/*" {{ capabilities = ["read"] }}'
    )
    factory = kv.factory(kv.root.make_token(policy))

    batch = ask(factory, CurrentVersions(["app/a", "other/a"]))

    assert (list(batch.found), of_error(batch)) == (["other/a"], {"app/a": AccessDenied})


# --- answers that no test can have of OpenBao ---------------------------------------------------------------------

_AT = "2026-06-01T12:00:00.5Z"


def metadata(version: int = 1) -> dict[str, Any]:
    return {
        "created_time": _AT,
        "updated_time": _AT,
        "current_version": version,
        "versions": {str(version): {"created_time": _AT, "deletion_time": "", "destroyed": False}},
    }


NO_SUCH_ROOM = said({"data": None, "warnings": ["Invalid path for a versioned K/V secrets engine."]}, 404)
FOLDER = "GET kv/detailed-metadata/app/?list=true&limit=12&after=a"


def scripted(answers: dict[str, Any], names: list[str]) -> tuple[VersionBatch | Exception, list[str]]:
    """What comes of a question for *names*, to a node that answers by the table *answers*; and the requests."""
    with FaultyServer(VaultNode(answers)) as server:
        factory = factory_at("kv", "token", server.url)
        try:
            found: VersionBatch | Exception = ask(factory, CurrentVersions(names), 1.0)
        except Exception as error:
            found = error
        return found, [asked(one) for one in server.requests]


def test_vault_which_lists_no_details_is_asked_for_each() -> None:
    names = ["app/ab", "app/ac", "app/ad"]
    table = {FOLDER: NO_SUCH_ROOM, **{f"GET kv/metadata/{name}": said({"data": metadata()}) for name in names}}

    batch, requests = scripted(table, names)

    assert isinstance(batch, VersionBatch)
    assert [one.version_id for one in batch.found.values()] == ["vault-0001-20260601120000500000000"] * 3
    assert requests == [FOLDER, *[f"GET kv/metadata/{name}" for name in names]]


def test_the_active_node_is_asked() -> None:
    table = {
        "GET sys/leader": leader(is_self=True),
        "GET kv/metadata/a": said({"data": metadata(2)}),
        FOLDER: said(
            {"data": {"keys": ["ab", "ac", "ad"], "key_info": dict.fromkeys(("ab", "ac", "ad"), metadata(2))}}
        ),
    }
    names = ["a", "app/ab", "app/ac", "app/ad"]
    with FaultyServer(VaultNode(table)) as active:
        behind = {one: said({"data": metadata(1)}) for one in ("GET kv/metadata/a", FOLDER)}
        with FaultyServer(VaultNode({"GET sys/leader": leader(address=active.url), **behind})) as standby:
            batch = ask(factory_at("kv", "token", standby.url, active.url), CurrentVersions(names))

            assert {one.version_id[:10] for one in batch.found.values()} == {"vault-0002"}
            assert {asked(one) for one in standby.requests} <= {"GET sys/leader"}


def test_a_name_that_is_listed_without_details_is_asked_for() -> None:
    listed = said({"data": {"keys": ["ab", "ac", "ad"], "key_info": {"ab": metadata(), "ac": metadata()}}})
    table = {FOLDER: listed, "GET kv/metadata/app/ad": said({"data": metadata(7)})}

    batch, requests = scripted(table, ["app/ab", "app/ac", "app/ad"])

    assert isinstance(batch, VersionBatch)
    assert batch.found["app/ad"].version_id.startswith("vault-0007-")
    assert requests == [FOLDER, "GET kv/metadata/app/ad"]


def test_what_is_known_when_the_server_stops_answering_is_told() -> None:
    quota = refused(429, 'request path "kv/metadata/b": rate limit quota exceeded')
    batch, _ = scripted({"GET kv/metadata/a": said({"data": metadata()}), "GET kv/metadata/b": quota}, ["a", "b"])

    assert isinstance(batch, VersionBatch)
    assert (list(batch.found), of_error(batch)) == (["a"], {"b": Throttled})


def test_a_server_that_tells_of_none_is_an_error_of_all() -> None:
    assert isinstance(scripted({"*": refused(501, "no")}, ["a", "b"])[0], StoreFailure)


def test_a_token_that_ends_on_the_way_is_an_error_of_all() -> None:
    dead = refused(403, "permission denied")
    table = {
        "GET kv/metadata/a": said({"data": metadata()}),
        "GET kv/metadata/b": dead,
        "GET auth/token/lookup-self": dead,
    }

    assert isinstance(scripted(table, ["a", "b"])[0], ExpiredToken)


# --- subscriptions ------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at the present: the backend's own deadlines are by the real one."""
    return ManualClock(clock_now())


@pytest.fixture
def system(kv: Mount, clock: ManualClock) -> Iterator[System]:
    with System(Settings(), clock=clock, backend=kv.factory()) as started:
        yield started


def test_a_round_of_many_subscriptions_costs_one_request(kv: Mount, system: System, clock: ManualClock) -> None:
    names = [f"app/{number:03d}" for number in range(MANY)]
    everybody = {name: Heard() for name in names}
    for name, heard in everybody.items():
        kv.write(name)
        system.subscribe(name, heard)
    settled(system)
    before = kv.asked()
    for _ in range(3):
        pass_time(system, clock)

    assert kv.since(before) == {"GET detailed-metadata": 3}

    kv.write(names[7], "second")
    pass_time(system, clock)

    assert kv.since(before) == {"GET detailed-metadata": 4, "GET data": 1}
    assert {name for name, heard in everybody.items() if heard.changes} == {names[7]}
    assert everybody[names[7]].versions == [system.secrets.get(names[7]).version_id]


def test_what_others_do_to_a_secret_is_heard_of_once(kv: Mount, system: System, clock: ManualClock) -> None:
    heard, metadata = Heard(), f"{kv.mount}/metadata/app/a"
    kv.write("app/a")
    system.subscribe("app/a", heard)
    settled(system)
    first = system.secrets.get("app/a").version_id
    kv.write("app/a", "second")
    pass_time(system, clock)
    second = system.secrets.get("app/a").version_id
    kv.root.delete(metadata)
    pass_time(system, clock)
    with pytest.raises(SecretNotFound):
        system.secrets.get("app/a")
    kv.write("app/a", "anew")  # its version has the number 1 again
    pass_time(system, clock)
    third = system.secrets.get("app/a").version_id
    kv.root.delete(metadata)
    kv.write("app/a", "anew, and nobody saw that it was away")
    pass_time(system, clock)
    fourth = system.secrets.get("app/a").version_id

    assert [(one.old_version_id, one.new_version_id) for one in heard.changes] == [
        (first, second),
        (second, third),
        (third, fourth),
    ]


@pytest.mark.slow
def test_what_bao_does_to_a_secret_is_heard_of_once(kv: Mount, system: System, clock: ManualClock, bao: Bao) -> None:
    heard, path = Heard(), f"{kv.mount}/app/a"
    bao("kv", "put", path, "value=first")
    system.subscribe("app/a", heard)
    settled(system)
    first = system.secrets.get("app/a").version_id
    told = [first]
    for command, value in (
        (("put", path, "value=second"), "second"),
        (("patch", path, "user=me"), '{"user":"me","value":"second"}'),
        (("rollback", "-version=1", path), "first"),
    ):
        bao("kv", *command)
        pass_time(system, clock)
        told.append(system.secrets.get("app/a").version_id)
        assert heard.versions == told[1:]
        assert json_or_text(system.secrets.get("app/a").text()) == json_or_text(value)

    bao("kv", "delete", path)
    pass_time(system, clock)
    with pytest.raises(SecretDeleted):
        system.secrets.get("app/a")
    bao("kv", "undelete", "-versions=4", path)
    pass_time(system, clock)
    assert heard.versions == told[1:]
    assert system.secrets.get("app/a").text() == "first"

    bao("kv", "metadata", "delete", path)
    bao("kv", "put", path, "value=anew")
    pass_time(system, clock)
    assert heard.changes[-1] == NewVersion("app/a", told[-1], system.secrets.get("app/a").version_id)
    assert len(heard.changes) == 4


def test_who_may_read_values_only_hears_of_changes_all_the_same(kv: Mount, clock: ManualClock) -> None:
    kv.write("app/a")
    policy = kv.root.policy(f'path "{kv.mount}/data/*" {{ capabilities = ["read"] }}')
    heard = Heard()
    with System(Settings(), clock=clock, backend=kv.factory(kv.root.make_token(policy))) as system:
        system.subscribe("app/a", heard)
        settled(system)
        kv.write("app/a", "second")
        pass_time(system, clock)
        assert heard.versions == [system.secrets.get("app/a").version_id]


@pytest.mark.slow
def test_while_leaders_come_and_go_each_version_is_heard_of_once_and_the_last_by_all(
    whole_cluster: OpenBaoCluster, tmp_path: Path
) -> None:
    """By a real clock, with a question each second. The writer is another program, at whichever node leads."""
    mount = whole_cluster.mount(max_versions=100)
    names = [f"app/{number}" for number in range(10)]
    everybody = {name: Heard() for name in names}

    def write(value: str) -> None:
        for name in names:
            until(lambda name=name: wrote(name, value), f"a write of {name}")  # type: ignore[misc]

    def wrote(name: str, value: str) -> bool:
        with contextlib.suppress(OSError, Refused):
            whole_cluster.admin().write(f"{mount}/data/{name}", data={"value": value})
            return True
        return False

    write("first")
    system = system_on(whole_cluster.urls, mount, whole_cluster.admin_token(), tmp_path, ttl_seconds=1, ttl_jitter=0)
    with system:
        for name, heard in everybody.items():
            system.subscribe(name, heard)
        settled(system)
        for number, break_it in enumerate(
            (whole_cluster.step_down, lambda: whole_cluster.leader().kill(), whole_cluster.step_down)
        ):
            break_it()
            write(f"value {number}")
        last = {name: system.secrets.get(name, refresh=True).version_id for name in names}
        for name, heard in everybody.items():
            eventually(lambda name=name, heard=heard: heard.versions[-1:] == [last[name]], name)  # type: ignore[misc]
        whole_cluster.heal()
        settled(system)

    for heard in everybody.values():
        assert len(set(heard.versions)) == len(heard.versions)
        assert [one.old_version_id for one in heard.changes[1:]] == heard.versions[:-1]
        assert heard.versions == sorted(heard.versions), "a version is told that came before another"
