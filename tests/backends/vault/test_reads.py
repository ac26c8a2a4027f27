"""Reads of a KV mount on a real OpenBao: lists with few permissions, mounts that are none, namespaces, get of many."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import AccessDenied, ExpiredToken, InvalidRequest, InvalidSecretName, SecretNotFound
from secrets_actor.domain.operations import Filter
from secrets_actor.domain.ports import CallContext
from tests.contract.backends import VAULT
from tests.contract.store import Store, failure, new_token, vault_kit
from tests.servers.faulty import FaultyServer
from tests.servers.meddler import Meddler
from tests.servers.openbao import OpenBaoDev, Refused
from tests.servers.vault_node import VaultNode, asked, refused, said

NAMES: Final = ["app/a", "app/db", "app/db/user", "app/deep/er/one", "top", "web/a"]


@contextmanager
def opened(openbao: OpenBaoDev, mount: str, policy: str | None = None, **settings: Any) -> Iterator[Store]:
    """A store over *mount*, with root's token, or one that has *policy*."""
    token = openbao.token if policy is None else openbao.root.make_token(openbao.root.policy(policy))
    factory = vault_kit(openbao.url, token, mount, **settings)
    store = Store(VAULT, factory, factory.connect(), prefix="")
    try:
        yield store
    finally:
        store.backend.close()


def may(*rights: tuple[str, str]) -> str:
    return "\n".join(f'path "{path}" {{ capabilities = [{capabilities}] }}' for path, capabilities in rights)


def fill(openbao: OpenBaoDev, mount: str) -> None:
    for name in NAMES:
        openbao.root.write(f"{mount}/data/{name}", data={"value": name})


@pytest.mark.parametrize("room", ["detailed-metadata", "metadata"])
def test_a_list_needs_a_scan_or_else_list_and_read(openbao: OpenBaoDev, kv_mount: str, room: str) -> None:
    fill(openbao, kv_mount)
    openbao.root.delete(f"{kv_mount}/data/top")
    openbao.root.write(f"{kv_mount}/data/no%20name%20of%20ours", data={"value": "v"})
    capabilities = '"scan"' if room == "detailed-metadata" else '"list", "read"'

    with (
        opened(openbao, kv_mount, may((f"{kv_mount}/{room}/*", capabilities))) as store,
        opened(openbao, kv_mount) as root,
    ):
        for include_deleted in (False, True):
            listed = store.ask(ops.List(include_deleted)).value
            assert listed == root.ask(ops.List(include_deleted)).value
            assert [one.name for one in listed] == [name for name in NAMES if include_deleted or name != "top"]
        assert type(failure(lambda: store.get("app/a"))) is AccessDenied


@pytest.mark.parametrize("rooms", [("detailed-metadata",), ("metadata",)])
def test_who_may_list_one_folder_lists_it_by_a_filter(
    openbao: OpenBaoDev, kv_mount: str, rooms: tuple[str, ...]
) -> None:
    fill(openbao, kv_mount)
    rights = [(f"{kv_mount}/{room}/app/*", '"scan", "list", "read"') for room in rooms]
    with opened(openbao, kv_mount, may(*rights)) as store:
        for filters, names in (
            ([Filter("name", "app/")], NAMES[:4]),
            ([Filter("name", "app/d")], NAMES[1:4]),
            ([Filter("name", "app/db/"), Filter("name", "app/")], NAMES[2:3]),
            ([Filter("name", ["app/a", "app/db"])], NAMES[:3]),
            ([Filter("name", "app/"), Filter("name", "!app/d")], NAMES[:1]),
        ):
            page = store.ask(ops.ListPage(filters, ops.SortBy.NAME)).value  # type: ignore[arg-type]
            assert [one.name for one in page.secrets] == names
        for wide in (ops.List(), ops.ListPage((Filter("name", "!app/"),)), ops.ListPage((Filter("tag-key", "app/"),))):
            assert type(failure(lambda wide=wide: store.ask(wide))) is AccessDenied


@pytest.mark.parametrize("allowed", ["", "app/*"])
def test_a_scan_of_one_folder_is_a_scan_of_what_is_in_it_and_no_other_is_tried_again(
    openbao: OpenBaoDev, kv_mount: str, allowed: str
) -> None:
    """A policy that allows to scan the root names no folder, and one that allows to scan a folder not the root."""
    fill(openbao, kv_mount)
    below, every = ops.ListPage((Filter("name", "app/"),), ops.SortBy.NAME), ops.List()
    with opened(openbao, kv_mount, may((f"{kv_mount}/detailed-metadata/{allowed}", '"scan"'))) as store:
        if allowed:
            assert type(failure(lambda: store.ask(every))) is AccessDenied
        else:
            assert [one.name for one in store.ask(every).value] == NAMES
        assert [one.name for one in store.ask(below).value.secrets] == NAMES[:4]
        assert [one.name for one in store.ask(below).value.secrets] == NAMES[:4]


def test_a_list_walks_once_it_is_known_that_nobody_may_scan(openbao: OpenBaoDev, kv_mount: str) -> None:
    fill(openbao, kv_mount)
    token = openbao.root.make_token(openbao.root.policy(may((f"{kv_mount}/metadata/*", '"list", "read"'))))
    meddler = Meddler(openbao.node.port)
    with FaultyServer(meddler) as server:
        factory = vault_kit(server.url, token, kv_mount)
        store = Store(VAULT, factory, factory.connect(), prefix="")
        # A secret that is removed between the list and the look is none.
        meddler.at(f"GET {kv_mount}/metadata/top", first=lambda: openbao.root.delete(f"{kv_mount}/metadata/top"))
        for _ in range(2):
            store.ask(ops.List())
        store.backend.close()

    scans = [one for one in meddler.asked if "scan=true" in one]
    assert len(scans) == 1
    assert [one.name for one in store_names(openbao, kv_mount)] == [name for name in NAMES if name != "top"]


def store_names(openbao: OpenBaoDev, mount: str) -> Any:
    with opened(openbao, mount) as store:
        return store.ask(ops.List()).value


def test_vault_knows_no_scan_and_counts_no_changes_of_metadata() -> None:
    made = "2026-11-30T04:40:28.961362809Z"
    version = {"created_time": made, "deletion_time": "", "destroyed": False}
    key = {"created_time": made, "updated_time": made, "current_version": 1, "custom_metadata": None}
    node = VaultNode(
        {
            "GET kv/detailed-metadata/?scan=true": refused(405, "1 error occurred:\n\t* unsupported operation\n\n"),
            "GET kv/metadata/?list=true": said({"data": {"keys": ["a", "f/"]}}),
            "GET kv/metadata/f/?list=true": said({"data": {"keys": ["b"]}}),
            "GET kv/metadata/a": said({"data": {**key, "versions": {"1": version}}}),
            "GET kv/metadata/f/b": said({"data": {**key, "versions": {"1": version}}}),
            "GET sys/internal/ui/mounts/kv": said({"data": {"options": {"version": "2"}}}),
            "PATCH kv/metadata/a": said({}),
            "POST kv/data/a": said({"data": {**version, "version": 2}}),
            "POST kv/metadata/new": said({}),
            "POST kv/data/new": said({"data": {**version, "version": 1}}),
        }
    )
    with FaultyServer(node) as server:
        factory = vault_kit(server.url, "token", "kv")
        store = Store(VAULT, factory, factory.connect(), prefix="")
        assert [store.names() for _ in range(2)] == [["a", "f/b"]] * 2
        assert [asked(one) for one in server.requests].count("GET kv/detailed-metadata/?scan=true") == 1
        assert not store.set("a", "two").created
        assert store.set("new", "one").created
        store.backend.close()
        bodies = {asked(one): json.loads(one.body) for one in server.requests if one.body}

    assert "metadata_cas" not in bodies["PATCH kv/metadata/a"]
    assert bodies["POST kv/metadata/new"]["metadata_cas"] == 0, "which Vault passes over"


# --- mounts that are none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    [ops.Get("a"), ops.Describe("a"), ops.List(), ops.Set("a", "v", new_token()), ops.Create("a", "v", new_token())],
    ids=lambda one: one.kind,
)
def test_a_mount_of_version_1_is_told_before_anything_is_written_to_it(
    openbao: OpenBaoDev, operation: ops.Operation[Any]
) -> None:
    mount = f"kv1-{new_token()}"
    openbao.root.write(f"sys/mounts/{mount}", type="kv", options={"version": "1"})
    try:
        with opened(openbao, mount) as store:
            refusal = failure(lambda: store.ask(operation))

        assert type(refusal) is InvalidRequest
        assert "a KV mount of version 1" in str(refusal)
        assert "bao kv enable-versioning" in str(refusal)
        with pytest.raises(Refused):  # there is nothing to list
            openbao.root.ask("GET", f"{mount}/?list=true")
    finally:
        openbao.root.delete(f"sys/mounts/{mount}")


@pytest.mark.parametrize(
    "operation", [ops.Get("a"), ops.List(), ops.Set("a", "v", new_token())], ids=lambda one: one.kind
)
def test_a_mount_that_is_not_there_is_told(openbao: OpenBaoDev, operation: ops.Operation[Any]) -> None:
    with opened(openbao, "never-mounted") as store:
        refusal = failure(lambda: store.ask(operation))

    assert type(refusal) is InvalidRequest
    assert "vault.mount" in str(refusal)


def test_a_mount_that_may_not_be_asked_about_is_taken_for_one(openbao: OpenBaoDev, kv_mount: str) -> None:
    with opened(openbao, kv_mount, may((f"{kv_mount}/data/a", '"read"'), ("sys/internal/ui/*", '"deny"'))) as store:
        for _ in range(2):
            assert type(failure(lambda: store.get("a"))) is SecretNotFound


def test_each_namespace_has_secrets_of_its_own(openbao: OpenBaoDev) -> None:
    name = f"ns-{new_token()}"
    openbao.root.write(f"sys/namespaces/{name}")
    mount = openbao.root.in_namespace(name).mount()
    with opened(openbao, mount, namespace=name) as store:
        made = store.set("a", "of the namespace")
        assert store.get(made.arn).reveal() == "of the namespace"
        store.delete("a")
        store.restore("a")
        assert store.names() == ["a"]
    with opened(openbao, mount) as outside:
        assert isinstance(failure(lambda: outside.get("a")), InvalidRequest)
    with opened(openbao, mount, namespace="never-made") as nowhere:
        refusal = failure(lambda: nowhere.get("a"))
        assert isinstance(refusal, InvalidRequest)
        assert "namespace" in str(refusal)


# --- one, and many ----------------------------------------------------------------------------------------------------


def test_each_of_many_has_its_own_error_and_what_befalls_all_is_raised(openbao: OpenBaoDev, kv_mount: str) -> None:
    fill(openbao, kv_mount)
    with opened(openbao, kv_mount, may((f"{kv_mount}/data/app/*", '"read"'))) as store:
        batch = store.ask(ops.GetMany(["app/a", "top", "app/none", "app//a"])).value

        assert [secret.reveal() for secret in batch.found.values()] == ["app/a"]
        assert {name: type(error) for name, error in batch.errors.items()} == {
            "top": AccessDenied,
            "app/none": SecretNotFound,
            "app//a": InvalidSecretName,
        }
        assert batch.found["app/a"].origin == openbao.url.removeprefix("http://")
    openbao_token = openbao.root.make_token(openbao.root.policy(may((f"{kv_mount}/data/*", '"read"'))))
    openbao.root.write("auth/token/revoke", token=openbao_token)
    factory = vault_kit(openbao.url, openbao_token, kv_mount)
    revoked = Store(VAULT, factory, factory.connect(), prefix="")
    assert type(failure(lambda: revoked.ask(ops.GetMany(["app/a", "top"])))) is ExpiredToken
    revoked.backend.close()


def test_an_arn_of_another_store_is_not_found(openbao: OpenBaoDev, kv_mount: str) -> None:
    with opened(openbao, kv_mount) as store:
        arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"
        for operation in (ops.Get(arn), ops.Describe(arn)):
            assert type(failure(lambda operation=operation: store.ask(operation))) is SecretNotFound
        assert type(store.ask(ops.GetMany([arn])).value.errors[arn]) is SecretNotFound  # type: ignore[index]


def test_a_call_without_a_token_says_what_to_set(openbao: OpenBaoDev, kv_mount: str) -> None:
    with opened(openbao, kv_mount) as store:
        with pytest.raises(ExpiredToken, match=r"vault\.auth_method"):
            store.backend.perform(ops.Get("a"), CallContext(store.clock() + 5))
        assert (store.backend.name, repr(store.backend)) == (
            "vault",
            f"<VaultBackend the KV mount {kv_mount} <Connection [{openbao.url.removeprefix('http://')}]>>",
        )
