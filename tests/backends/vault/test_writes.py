"""Writes take effect once: answers that are lost, writers that come between, workers that end, tokens that cannot be
kept. On a real OpenBao, with somebody on the way to it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from secrets_actor.clock import utc_now
from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import (
    AccessDenied,
    InvalidRequest,
    SecretDeleted,
    SecretExists,
    SecretNotFound,
    SecretsError,
    StoreFailure,
)
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import AWSCURRENT, AWSPREVIOUS, with_token
from secrets_actor.domain.ports import CallContext
from secrets_actor.domain.secret import SetReceipt
from tests.contract.backends import VAULT
from tests.contract.store import Store, failure, new_token, outcome, vault_kit
from tests.servers.faulty import FaultyServer
from tests.servers.meddler import Meddler
from tests.servers.openbao import Administrator, OpenBaoDev, Refused

NAME: Final = "app/db"


class Kv:
    """The mount as another program sees it."""

    def __init__(self, root: Administrator, mount: str) -> None:
        self.root, self.mount = root, mount

    def put(self, value: str) -> None:
        """Write a version, whatever there is."""
        self.root.write(f"{self.mount}/data/{NAME}", data={"value": value})

    def values(self) -> list[str | None]:
        """The values of all versions, the oldest first; None for one that cannot be read."""
        try:
            known = self.root.read(f"{self.mount}/metadata/{NAME}")
        except Refused:
            return []
        return [self._value(number) for number in range(1, known["current_version"] + 1)]

    def _value(self, number: int) -> str | None:
        try:
            return str(self.root.read(f"{self.mount}/data/{NAME}?version={number}")["data"]["value"])
        except Refused:
            return None

    def custom(self) -> dict[str, str]:
        """The custom metadata."""
        return dict(self.root.read(f"{self.mount}/metadata/{NAME}")["custom_metadata"] or {})


@pytest.fixture
def kv(openbao: OpenBaoDev, kv_mount: str) -> Kv:
    return Kv(openbao.root, kv_mount)


@pytest.fixture
def meddler(openbao: OpenBaoDev) -> Meddler:
    return Meddler(openbao.node.port)


@pytest.fixture
def open_store(openbao: OpenBaoDev, kv_mount: str, meddler: Meddler) -> Iterator[Callable[..., Store]]:
    """Makes a store over the mount, with the meddler on the way."""
    made: list[Store] = []
    with FaultyServer(meddler) as server:

        def make(token: str | None = None, **settings: Any) -> Store:
            factory = vault_kit(server.url, token or openbao.token, kv_mount, **settings)
            made.append(Store(VAULT, factory, factory.connect(), prefix="app"))
            return made[-1]

        yield make
        for one in made:
            one.backend.close()


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store()


def minted(name: str, value: str) -> ops.Operation[SetReceipt]:
    """A set with a token that the client made for it."""
    return with_token(ops.Set(name, value), new_token)


# --- how many calls ---------------------------------------------------------------------------------------------------


def test_a_get_is_one_request_and_a_miss_asks_once_what_is_mounted(store: Store, meddler: Meddler, kv: Kv) -> None:
    kv.put("one")
    assert store.get(NAME).reveal() == "one"
    assert store.get(NAME, stage=AWSCURRENT).reveal() == "one"
    assert meddler.asked == [f"GET {kv.mount}/data/{NAME}"] * 2

    for _ in range(2):
        assert type(failure(lambda: store.get("app/none"))) is SecretNotFound

    missed = f"GET {kv.mount}/data/app/none"
    assert meddler.asked == [missed, f"GET sys/internal/ui/mounts/{kv.mount}", missed]


def test_a_set_looks_notes_its_token_and_writes(store: Store, meddler: Meddler, kv: Kv) -> None:
    for method in ("POST", "PATCH"):
        store.set(NAME, "value")
        asked = [one for one in meddler.asked if not one.startswith("GET sys/")]
        assert asked == [
            f"GET {kv.mount}/metadata/{NAME}",
            f"{method} {kv.mount}/metadata/{NAME}",
            f"POST {kv.mount}/data/{NAME}",
        ]


def test_without_a_note_of_its_token_a_set_is_two_requests(
    open_store: Callable[..., Store], meddler: Meddler, kv: Kv
) -> None:
    store = open_store(idempotency="cas")
    kv.put("one")

    receipt = store.ask(minted(NAME, "two")).value

    assert meddler.asked == [f"GET {kv.mount}/metadata/{NAME}", f"POST {kv.mount}/data/{NAME}"]
    assert receipt.version_id.startswith("vault-0002-")
    assert store.get(NAME).version_id == receipt.version_id
    assert kv.custom() == {}
    token = new_token()  # a token that a caller gave may come again
    assert store.set(NAME, "three", token=token).version_id == token
    assert kv.custom() == {"sa.v": f"3={token}"}


# --- answers that are lost --------------------------------------------------------------------------------------------

NEW: Final[dict[str, Callable[[], ops.Operation[Any]]]] = {
    "set": lambda: ops.Set(NAME, "new", new_token()),
    "set with tags": lambda: ops.Set(NAME, "new", new_token(), "why", {"a": "b"}),
    "create": lambda: ops.Create(NAME, "new", new_token()),
}
MORE: Final[dict[str, Callable[[], ops.Operation[Any]]]] = {
    "set": lambda: ops.Set(NAME, "new", new_token()),
    "minted set": lambda: minted(NAME, "new"),
    "put": lambda: ops.Put(NAME, "new", token=new_token()),
    "update": lambda: ops.Update(NAME, "new", "why", token=new_token()),
}


@pytest.mark.parametrize("idempotency", ["metadata", "cas"])
@pytest.mark.parametrize("room", ["data", "metadata"])
@pytest.mark.parametrize("what", NEW)
def test_a_first_write_whose_answer_is_lost_is_done_once(
    open_store: Callable[..., Store], meddler: Meddler, kv: Kv, what: str, room: str, idempotency: str
) -> None:
    store = open_store(idempotency=idempotency)
    meddler.at(f"POST {kv.mount}/{room}/", lose=True)

    receipt = store.ask(NEW[what]()).value

    assert meddler.left == 0
    assert kv.values() == ["new"]
    assert receipt.created
    assert store.get(NAME).version_id == receipt.version_id


@pytest.mark.parametrize("idempotency", ["metadata", "cas"])
@pytest.mark.parametrize("what", MORE)
def test_a_write_whose_answer_is_lost_is_done_once(
    open_store: Callable[..., Store], meddler: Meddler, kv: Kv, what: str, idempotency: str
) -> None:
    store = open_store(idempotency=idempotency)
    kv.put("old")
    meddler.at(f"POST {kv.mount}/data/", lose=True)

    receipt = store.ask(MORE[what]()).value

    assert kv.values() == ["old", "new"]
    assert receipt.version_id == store.get(NAME).version_id


def test_what_others_wrote_over_a_write_whose_answer_was_lost_stays(store: Store, meddler: Meddler, kv: Kv) -> None:
    kv.put("old")
    meddler.at(f"POST {kv.mount}/data/", then=lambda: kv.put("theirs"), lose=True)

    receipt = store.set(NAME, "ours")

    assert kv.values() == ["old", "ours", "theirs"]
    assert store.get(NAME, version_id=receipt.version_id).reveal() == "ours"


def test_a_write_that_was_lost_on_the_way_comes_after_what_others_wrote(store: Store, meddler: Meddler, kv: Kv) -> None:
    kv.put("old")
    meddler.at(f"POST {kv.mount}/data/", first=lambda: kv.put("theirs"), drop=True)

    receipt = store.set(NAME, "ours")

    assert kv.values() == ["old", "theirs", "ours"]
    assert store.get(NAME).version_id == receipt.version_id
    assert kv.custom()["sa.v"] == f"3={receipt.version_id}"


def test_a_set_that_another_writer_came_before_comes_after_it(store: Store, meddler: Meddler, kv: Kv) -> None:
    for number in range(3):  # in a new secret, and in one that is there
        meddler.at(f"POST {kv.mount}/data/", first=lambda: kv.put("theirs"))
        receipt = store.set(NAME, f"ours {number}")
        assert store.get(NAME).version_id == receipt.version_id
        assert store.set(NAME, f"ours {number}", token=receipt.version_id).version_id == receipt.version_id

    assert kv.values() == ["theirs", "ours 0", "theirs", "ours 1", "theirs", "ours 2"]


def test_a_first_set_that_ended_halfway_takes_no_token_from_another(
    store: Store, open_store: Callable[..., Store], meddler: Meddler, kv: Kv
) -> None:
    other, tokens = open_store(), [new_token(), new_token()]

    def ends_halfway() -> None:
        for _ in range(100):
            meddler.at(f"POST {kv.mount}/data/", drop=True)
        outcome(lambda: other.ask(ops.Set(NAME, "other", tokens[1]), seconds=0.3))
        meddler.forget()

    meddler.at(f"POST {kv.mount}/data/", first=ends_halfway)
    store.set(NAME, "ours", token=tokens[0])

    for token, value in zip(tokens, ("ours", "other"), strict=True):  # both come again
        store.set(NAME, value, token=token)
    assert kv.values() == ["ours", "other"]


@pytest.mark.parametrize("drop", [False, True], ids=["refused", "lost"])
def test_a_create_that_another_writer_came_before_is_refused(
    store: Store, meddler: Meddler, kv: Kv, drop: bool
) -> None:
    meddler.at(f"POST {kv.mount}/data/", first=lambda: kv.put("theirs"), drop=drop)

    assert type(failure(lambda: store.ask(ops.Create(NAME, "ours", new_token())))) is SecretExists
    assert kv.values() == ["theirs"]


def test_a_write_that_was_deleted_before_anybody_looked_is_known_by_its_token(
    store: Store, meddler: Meddler, kv: Kv
) -> None:
    kv.put("old")
    meddler.at(
        f"POST {kv.mount}/data/", then=lambda: kv.root.write(f"{kv.mount}/delete/{NAME}", versions=[2]), lose=True
    )

    receipt = store.set(NAME, "ours")

    assert kv.values() == ["old", None]
    assert kv.custom()["sa.v"] == f"2={receipt.version_id}"


def test_a_version_that_the_server_keeps_no_more_is_not_guessed_at(store: Store, meddler: Meddler, kv: Kv) -> None:
    kv.put("old")
    token = new_token()
    meddler.at(f"POST {kv.mount}/data/", then=lambda: [kv.put(f"{number}") for number in range(11)], lose=True)

    refusal = failure(lambda: store.set(NAME, "ours", token=token))

    assert isinstance(refusal, StoreFailure)
    assert (refusal.token, refusal.retryable) == (token, False)
    assert "read the secret" in str(refusal)
    assert kv.values()[-1] == "10"


def test_a_secret_that_was_removed_meanwhile_is_made_anew(store: Store, meddler: Meddler, kv: Kv) -> None:
    kv.put("old")
    remove = lambda: kv.root.delete(f"{kv.mount}/metadata/{NAME}")  # noqa: E731
    for at in (f"PATCH {kv.mount}/metadata/", f"POST {kv.mount}/data/"):
        meddler.at(at, first=remove)
        assert store.set(NAME, "ours").created
        assert kv.values() == ["ours"]
    meddler.at(f"POST {kv.mount}/data/", then=remove, lose=True)
    assert store.set(NAME, "ours").created
    assert kv.values() == ["ours"]


@pytest.mark.parametrize("reads_metadata", [True, False])
def test_a_secret_that_another_program_made_anew_meanwhile_is_set(
    open_store: Callable[..., Store], meddler: Meddler, kv: Kv, openbao: OpenBaoDev, reads_metadata: bool
) -> None:
    policy = data_only(kv.mount) + f'\npath "{kv.mount}/metadata/*" {{ capabilities = ["read"] }}' * reads_metadata
    store = open_store(openbao.root.make_token(openbao.root.policy(policy)))
    for value in ("one", "two"):
        kv.put(value)

    def make_anew() -> None:
        kv.root.delete(f"{kv.mount}/metadata/{NAME}")
        kv.put("theirs")

    meddler.at(f"POST {kv.mount}/data/", then=make_anew, lose=True)

    store.ask(ops.Set(NAME, "ours", new_token()), seconds=5)

    assert kv.values() == ["theirs", "ours"], "it has fewer versions than the one that our lost write was for"


@pytest.mark.parametrize("operation", [ops.Tag(NAME, {"a": "b"}), ops.Update(NAME, description="why")])
def test_a_change_of_metadata_whose_answer_is_lost_is_done(
    store: Store, meddler: Meddler, kv: Kv, operation: ops.Operation[Any]
) -> None:
    kv.put("one")
    meddler.at(f"PATCH {kv.mount}/metadata/", lose=True)

    store.ask(operation)

    assert kv.custom() in ({"a": "b"}, {"sa.d": "why"})


def test_an_empty_create_whose_answer_is_lost_is_done(store: Store, meddler: Meddler, kv: Kv) -> None:
    meddler.at(f"POST {kv.mount}/metadata/", lose=True)

    made = store.ask(ops.CreateEmpty(NAME, new_token())).value

    assert store.ask(ops.Describe(NAME)).value.arn == made.arn
    assert not store.set(NAME, "one").created


@pytest.mark.parametrize("lost", ["PATCH {}/metadata/", "POST {}/delete/"])
def test_a_delete_whose_answer_is_lost_is_done(store: Store, meddler: Meddler, kv: Kv, lost: str) -> None:
    for value in ("one", "two"):
        kv.put(value)
    meddler.at(lost.format(kv.mount), lose=True)

    store.delete(NAME)

    assert kv.values() == [None, None]
    meddler.at(f"POST {kv.mount}/undelete/", lose=True)
    meddler.at(f"PATCH {kv.mount}/metadata/", lose=True)
    store.restore(NAME)
    assert kv.values() == ["one", "two"]
    assert kv.custom() == {}
    meddler.at(f"DELETE {kv.mount}/metadata/", lose=True)
    store.delete(NAME, force=True)
    assert kv.values() == []


def test_a_move_whose_answer_is_lost_writes_the_old_value_once(store: Store, meddler: Meddler, kv: Kv) -> None:
    first, second = store.set(NAME, "one").version_id, store.set(NAME, "two").version_id
    meddler.at(f"POST {kv.mount}/data/", lose=True)
    move = ops.MoveStage(NAME, AWSCURRENT, to=first, remove_from=second)

    store.ask(move)

    assert kv.values() == ["one", "two", "one"]
    store.ask(move, repeated=True)  # a worker has ended over it
    assert kv.values() == ["one", "two", "one"]
    assert type(failure(lambda: store.ask(move))) is InvalidRequest
    kv.put("three")
    assert type(failure(lambda: store.ask(move, repeated=True))) is InvalidRequest
    assert kv.values() == ["one", "two", "one", "three"]


# --- repeats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("idempotency", ["metadata", "cas"])
@pytest.mark.parametrize("what", {**NEW, "minted set": lambda: minted(NAME, "new")})
def test_a_first_write_that_is_repeated_because_a_worker_ended_is_done_once(
    open_store: Callable[..., Store], kv: Kv, what: str, idempotency: str
) -> None:
    store = open_store(idempotency=idempotency)
    operation = minted(NAME, "new") if what == "minted set" else NEW[what]()
    first = store.ask(operation).value

    again = store.ask(operation, repeated=True).value

    assert kv.values() == ["new"]
    assert again == first


@pytest.mark.parametrize("idempotency", ["metadata", "cas"])
@pytest.mark.parametrize("what", MORE)
def test_a_write_that_is_repeated_because_a_worker_ended_is_done_once(
    open_store: Callable[..., Store], kv: Kv, what: str, idempotency: str
) -> None:
    store = open_store(idempotency=idempotency)
    kv.put("old")
    operation = MORE[what]()
    first = store.ask(operation).value

    again = store.ask(operation, repeated=True).value

    assert kv.values() == ["old", "new"]
    assert again == first


def test_a_create_without_a_kept_token_is_refused_for_the_secret_of_another(
    open_store: Callable[..., Store], kv: Kv, openbao: OpenBaoDev
) -> None:
    store = open_store(openbao.root.make_token(openbao.root.policy(data_only(kv.mount))))
    store.set("app/first", "this teaches that no token can be kept")
    kv.put("theirs")

    assert type(failure(lambda: store.ask(ops.Create(NAME, "ours", new_token()), repeated=True))) is SecretExists
    assert store.ask(ops.Create(NAME, "theirs", new_token()), repeated=True).value.created
    kv.put("theirs")
    assert type(failure(lambda: store.ask(ops.Create(NAME, "theirs", new_token()), repeated=True))) is SecretExists


def test_a_late_repeat_is_known_after_others_wrote(store: Store, kv: Kv) -> None:
    token = new_token()
    first = store.set(NAME, "ours", token=token)
    for number in range(5):
        kv.put(f"{number}")

    again = store.set(NAME, "ours", token=token)

    assert again == first
    assert kv.values()[-1] == "4"
    refusal = failure(lambda: store.set(NAME, "other", token=token))
    assert isinstance(refusal, SecretExists)
    assert refusal.token_used_in == first.arn


def test_a_token_that_was_noted_in_vain_moves_on(store: Store, meddler: Meddler, kv: Kv) -> None:
    """The program ended between the note and the write; another one wrote; the set comes again."""
    kv.put("old")
    token = new_token()
    kv.root.write(f"{kv.mount}/metadata/{NAME}", custom_metadata={"sa.v": f"2={token},2={'1' * 36}"})
    kv.put("theirs")

    assert store.set(NAME, "ours", token=token).version_id == token

    assert kv.values() == ["old", "theirs", "ours"]
    assert kv.custom()["sa.v"] == f"2={'1' * 36},3={token}"
    worker_ended = new_token()
    kv.root.write(f"{kv.mount}/metadata/{NAME}", custom_metadata={"sa.v": f"4={worker_ended}"})
    kv.put("theirs again")
    store.ask(ops.Set(NAME, "ours again", worker_ended), repeated=True)
    assert kv.values()[3:] == ["theirs again", "ours again"]


# --- tokens that cannot be kept ---------------------------------------------------------------------------------------


def data_only(mount: str) -> str:
    """A policy that lets values be read and written, and nothing else."""
    return f'path "{mount}/data/*" {{ capabilities = ["create", "read", "update"] }}'


@pytest.mark.parametrize("reads_metadata", [False, True])
def test_a_set_succeeds_though_metadata_may_not_be_changed_and_it_is_told_once(
    open_store: Callable[..., Store], kv: Kv, openbao: OpenBaoDev, reads_metadata: bool
) -> None:
    policy = data_only(kv.mount) + f'\npath "{kv.mount}/metadata/*" {{ capabilities = ["read"] }}' * reads_metadata
    told: list[None] = []
    store = open_store(openbao.root.make_token(openbao.root.policy(policy)), on_tokens_lost=lambda: told.append(None))

    receipts = [store.set(NAME, value) for value in ("one", "two", "three")]

    assert [one.created for one in receipts] == [True, False, False]
    assert [one.version_id[:11] for one in receipts] == ["vault-0001-", "vault-0002-", "vault-0003-"]
    assert kv.values() == ["one", "two", "three"]
    assert told == [None]
    for operation in (ops.Set(NAME, "x", new_token(), "why"), ops.Tag(NAME, {"a": "b"}), ops.Delete(NAME)):
        assert type(failure(lambda operation=operation: store.ask(operation))) is AccessDenied
    for new in (ops.Create("app/new", "v", new_token(), tags={"a": "b"}), ops.CreateEmpty("app/new", new_token())):
        assert type(failure(lambda new=new: store.ask(new))) is AccessDenied
    assert kv.values() == ["one", "two", "three"]


def test_a_set_succeeds_though_there_is_no_room_for_its_token(store: Store, kv: Kv) -> None:
    theirs = {f"key-{number}": "x" for number in range(64)}
    kv.put("one")
    kv.root.write(f"{kv.mount}/metadata/{NAME}", custom_metadata=theirs)

    receipt = store.set(NAME, "two")

    assert (kv.values(), kv.custom()) == (["one", "two"], theirs)
    assert receipt.version_id == store.get(NAME).version_id


def test_a_set_succeeds_though_the_mount_demands_a_check_that_the_token_cannot_make(
    open_store: Callable[..., Store], kv: Kv, openbao: OpenBaoDev
) -> None:
    kv.root.write(f"{kv.mount}/config", metadata_cas_required=True)
    policy = data_only(kv.mount) + f'\npath "{kv.mount}/metadata/*" {{ capabilities = ["create", "update", "patch"] }}'
    told: list[None] = []
    store = open_store(openbao.root.make_token(openbao.root.policy(policy)), on_tokens_lost=lambda: told.append(None))

    for value in ("one", "two", "three"):
        store.set(NAME, value)

    assert (kv.values(), told) == (["one", "two", "three"], [None])


# --- fields -----------------------------------------------------------------------------------------------------------


def test_a_late_repeat_of_a_value_that_was_written_as_fields_is_known(open_store: Callable[..., Store], kv: Kv) -> None:
    store, token, value = open_store(write_json="fields"), new_token(), '{"b":1.10,"a":[1e2]}'
    first = store.set(NAME, value, token=token)
    kv.put("theirs")

    assert store.set(NAME, value, token=token) == first
    assert type(failure(lambda: store.set(NAME, '{"b": 2}', token=token))) is SecretExists
    assert kv.root.read(f"{kv.mount}/metadata/{NAME}")["current_version"] == 2


def test_a_move_back_writes_the_fields_of_another_program_as_they_were(store: Store, meddler: Meddler, kv: Kv) -> None:
    fields = {"user": "a", "password": "b", "port": 5432}
    kv.root.write(f"{kv.mount}/data/{NAME}", data=fields)
    old = store.get(NAME).version_id
    kv.put("two")
    meddler.at(f"POST {kv.mount}/data/", lose=True)

    store.ask(ops.MoveStage(NAME, AWSCURRENT, to=old, remove_from=store.get(NAME).version_id))

    found = kv.root.read(f"{kv.mount}/data/{NAME}")
    assert (found["data"], found["metadata"]["version"]) == (fields, 3)


def test_whoever_may_read_values_only_reads_each_version(
    open_store: Callable[..., Store], kv: Kv, openbao: OpenBaoDev
) -> None:
    tokens = [new_token() for _ in range(3)]
    full = open_store()
    for token in tokens:
        full.set(NAME, f"value of {token}", token=token)
    kv.put("foreign")
    store = open_store(openbao.root.make_token(openbao.root.policy(data_only(kv.mount))))

    assert store.get(NAME).reveal() == "foreign"
    previous = store.get(NAME, stage=AWSPREVIOUS)
    assert (previous.reveal(), previous.version_id) == (f"value of {tokens[2]}", tokens[2])
    for token in tokens[:2]:
        assert store.get(NAME, version_id=token).reveal() == f"value of {token}"
    assert store.get(NAME, version_id=store.get(NAME).version_id).reveal() == "foreign"
    for absent in (new_token(), store.get(NAME).version_id.replace("0004", "0001")):
        assert type(failure(lambda absent=absent: store.get(NAME, version_id=absent))) is SecretNotFound
    assert store.ask(ops.Describe(NAME)).value.name == NAME
    assert type(failure(lambda: store.ask(ops.List()))) is AccessDenied


# --- deletions --------------------------------------------------------------------------------------------------------


def test_a_delete_that_ended_halfway_is_healed_by_a_repeat_and_by_a_restore(
    store: Store, meddler: Meddler, kv: Kv
) -> None:
    for heal in (store.delete, store.restore):
        kv.put("value")
        for _ in range(40):
            meddler.at(f"POST {kv.mount}/delete/", drop=True)
        with pytest.raises(SecretsError):
            store.ask(ops.Delete(NAME), seconds=0.5)
        assert store.get(NAME).reveal() == "value"
        assert "sa.deleted" in kv.custom()
        meddler.forget()
        heal(NAME)
        store.restore(NAME)
        assert store.get(NAME).reveal() == "value"


def test_a_delete_takes_along_what_was_written_meanwhile_and_a_restore_brings_it_all_back(
    store: Store, meddler: Meddler, kv: Kv
) -> None:
    kv.put("one")
    meddler.at(f"POST {kv.mount}/delete/", first=lambda: kv.put("two"))

    store.delete(NAME)

    assert kv.values() == [None, None]
    store.restore(NAME)
    assert kv.values() == ["one", "two"]


def test_a_secret_that_another_program_wrote_after_our_delete_lives(store: Store, kv: Kv) -> None:
    kv.put("one")
    store.delete(NAME)
    kv.put("two")

    assert store.get(NAME).reveal() == "two"
    assert store.names() == [NAME]
    store.set(NAME, "three")
    assert kv.values() == [None, "two", "three"]
    store.delete(NAME)
    store.restore(NAME)
    assert kv.values() == ["one", "two", "three"], "all that our deletions took comes back"
    assert "sa.deleted" not in kv.custom()


def test_a_delete_that_a_restore_came_before_can_be_restored_whole(store: Store, meddler: Meddler, kv: Kv) -> None:
    for value in ("one", "two"):
        kv.put(value)
    taken_off = {"custom_metadata": {}}
    meddler.at(f"POST {kv.mount}/delete/", first=lambda: kv.root.write(f"{kv.mount}/metadata/{NAME}", **taken_off))

    deleted = store.delete(NAME)

    assert abs(deleted.deletion_date - datetime.now(UTC) - timedelta(days=12)) < timedelta(minutes=1)
    store.restore(NAME)
    assert kv.values() == ["one", "two"]


def test_a_deletion_is_one_for_a_machine_whose_clock_is_behind_the_server_s(
    open_store: Callable[..., Store], kv: Kv
) -> None:
    store = open_store(wall_clock=lambda: utc_now() - timedelta(minutes=10))
    kv.put("one")

    deleted = store.ask(ops.Delete(NAME), seconds=5).value

    assert abs(deleted.deletion_date - datetime.now(UTC) - timedelta(days=12)) < timedelta(minutes=1)
    for refused in (ops.Get(NAME), ops.Get(NAME, stage=AWSCURRENT), ops.Put(NAME, "two", token=new_token())):
        assert type(failure(lambda refused=refused: store.ask(refused))) is SecretDeleted
    assert store.names() == []
    told = store.ask(ops.CurrentVersions((SecretId(NAME),))).value
    assert {name: type(error) for name, error in told.errors.items()} == {NAME: SecretDeleted}
    assert store.ask(ops.Describe(NAME)).value.deleted_at is not None
    store.restore(NAME)
    assert kv.values() == ["one"]


def test_what_a_delete_took_comes_back_though_a_restore_and_a_write_came_before_it(
    store: Store, meddler: Meddler, kv: Kv
) -> None:
    for value in ("one", "two"):
        kv.put(value)

    take_mark_off = lambda: kv.root.write(f"{kv.mount}/metadata/{NAME}", custom_metadata={})  # noqa: E731
    meddler.at(f"POST {kv.mount}/delete/", first=take_mark_off, then=lambda: kv.put("three"))

    store.delete(NAME)

    assert kv.values() == [None, None, None]
    store.restore(NAME)
    assert kv.values() == ["one", "two", "three"]


def test_a_delete_whose_mark_is_there_already_writes_it_nevertheless(store: Store, kv: Kv) -> None:
    kv.put("one")
    kv.root.write(f"{kv.mount}/metadata/{NAME}", custom_metadata={"sa.deleted": "window=12;live=1"})
    before = kv.root.read(f"{kv.mount}/metadata/{NAME}")["current_metadata_version"]

    store.delete(NAME)

    after = kv.root.read(f"{kv.mount}/metadata/{NAME}")
    assert after["custom_metadata"] == {"sa.deleted": "window=12;live=1"}
    assert after["current_metadata_version"] > before, "a restore that has looked before must not take the mark off"


def test_a_delete_that_another_program_s_came_after_ends(store: Store, meddler: Meddler, kv: Kv) -> None:
    kv.put("one")

    def write_and_delete() -> None:
        kv.put("two")
        kv.root.delete(f"{kv.mount}/data/{NAME}")

    meddler.at(f"POST {kv.mount}/delete/", then=write_and_delete)

    assert type(failure(lambda: store.ask(ops.Delete(NAME), seconds=5))) is SecretDeleted
    store.restore(NAME)
    assert store.get(NAME).reveal() == "two"


def test_a_restore_on_set_brings_the_versions_back_first(store: Store, kv: Kv) -> None:
    kv.put("one")
    store.delete(NAME)

    store.ask(ops.Set(NAME, "two", new_token(), restore_on_set=True))

    assert kv.values() == ["one", "two"]
    assert "sa.deleted" not in kv.custom()


def test_a_secret_whose_window_is_over_does_not_exist_and_its_name_is_free(
    open_store: Callable[..., Store], kv: Kv
) -> None:
    store = open_store(recovery_window=0)
    for name in (NAME, "app/empty", "app/other"):
        store.ask(ops.CreateEmpty(name, new_token()))
    store.set(NAME, "old")
    store.set("app/other", "kept")
    for name in (NAME, "app/empty"):
        assert store.delete(name).deletion_date <= datetime.now(UTC)

    assert type(failure(lambda: store.get(NAME))) is SecretNotFound
    for operation in (ops.Describe(NAME), ops.Restore(NAME), ops.Put(NAME, "v", token=new_token()), ops.Delete(NAME)):
        assert type(failure(lambda operation=operation: store.ask(operation))) is SecretNotFound
    assert store.names(include_deleted=True) == ["app/other"]

    assert store.set(NAME, "new").created
    assert kv.values() == ["new"], "its numbers begin anew"
    store.ask(ops.CreateEmpty("app/empty", new_token()))
    assert store.names() == [NAME, "app/empty", "app/other"]


def test_the_server_s_clock_decides_what_is_removed(open_store: Callable[..., Store], kv: Kv) -> None:
    ahead = open_store(wall_clock=lambda: utc_now() + timedelta(days=400))
    ahead.set(NAME, "old")
    ahead.delete(NAME)

    refusal = failure(lambda: ahead.set(NAME, "new"))

    assert type(refusal) is SecretDeleted
    assert sweep(ahead) == []
    right = open_store()
    right.restore(NAME)
    assert kv.values() == ["old"]


def sweep(store: Store) -> list[str]:
    assert store.factory.credentials is not None
    deadline = store.clock() + 15
    context = CallContext(deadline, store.factory.credentials.fetch(deadline))
    return list(store.backend.sweep(context))  # type: ignore[attr-defined]


def test_a_sweep_removes_what_is_over_and_nothing_else(
    open_store: Callable[..., Store], meddler: Meddler, kv: Kv
) -> None:
    store = open_store(recovery_window=0)
    for name in (NAME, "app/in-its-window", "app/alive", "app/of-others", "app/b", "app/taken-up", "gone"):
        store.set(name, "v")
    for name in (NAME, "app/b", "app/taken-up", "gone"):
        store.delete(name)
    store.delete("app/in-its-window", window=7)
    kv.root.delete(f"{kv.mount}/data/app/of-others")
    # Somebody uses one of them between the look and its end, and one is removed.
    take_up = lambda: kv.root.write(f"{kv.mount}/data/app/taken-up", data={"value": "new"})  # noqa: E731
    meddler.at(f"PATCH {kv.mount}/metadata/app/taken-up", first=take_up)
    meddler.at(f"PATCH {kv.mount}/metadata/gone", first=lambda: kv.root.delete(f"{kv.mount}/metadata/gone"))

    assert sorted(sweep(store)) == ["app/b", NAME, "gone"]
    assert kv.values() == []
    assert store.names(include_deleted=True) == ["app/alive", "app/in-its-window", "app/of-others", "app/taken-up"]
    assert store.get("app/taken-up").reveal() == "new"
    assert sweep(store) == []


# --- what is refused before anything is sent --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../auth/token/lookup-self", "a//b", "a/./b", "/a", "a/", "..", "app/../app/db"])
def test_a_name_that_leads_out_of_the_mount_is_never_sent(store: Store, meddler: Meddler, name: str) -> None:
    operations: list[ops.Operation[Any]] = [
        ops.Get(name),
        ops.Get(name, stage=AWSPREVIOUS),
        ops.Describe(name),
        ops.ListVersions(name),
        ops.Set(name, "v", new_token()),
        ops.Create(name, "v", new_token()),
        ops.Delete(name),
        ops.Delete(name, force=True),
        ops.Restore(name),
        ops.Tag(name, {"a": "b"}),
    ]
    for operation in operations:
        assert failure(lambda operation=operation: store.ask(operation)).code == "invalid_name"  # type: ignore[attr-defined]
    batch = store.ask(ops.GetMany([name])).value
    assert [error.code for error in batch.errors.values()] == ["invalid_name"]
    assert meddler.asked == []


def test_what_the_server_would_not_take_is_not_sent(store: Store, meddler: Meddler, kv: Kv) -> None:
    kv.put("one")
    for tags in ({"sa.v": "x"}, {"a": "世" * 200}, {"a\N{NO-BREAK SPACE}b": "x"}):
        for operation in (ops.Tag(NAME, tags), ops.Set(NAME, "two", new_token(), tags=tags)):
            if isinstance(operation, ops.Tag) or "sa.v" in tags:
                assert type(failure(lambda operation=operation: store.ask(operation))) is InvalidRequest
        assert type(failure(lambda tags=tags: store.ask(ops.Create("app/new", "v", new_token(), tags=tags)))) is (
            InvalidRequest
        )
    assert {one.partition(" ")[0] for one in meddler.asked} <= {"GET"}
    assert kv.values() == ["one"]


# --- many at once -----------------------------------------------------------------------------------------------------


def test_many_writers_of_one_name_make_a_version_for_each_set(store: Store, kv: Kv) -> None:
    kv.root.write(f"{kv.mount}/config", max_versions=10_000)
    done: list[str] = []
    failed: list[SecretsError] = []
    start = threading.Barrier(16)

    def work(number: int) -> None:
        factory = vault_kit(kv.root.url, str(kv.root.token), kv.mount)
        own = Store(VAULT, factory, factory.connect(), prefix="app")
        try:
            start.wait(30)
            for turn in range(4):
                value = f"{number}-{turn}"
                writes: list[ops.Operation[Any]] = [
                    ops.Set(NAME, value, new_token(), restore_on_set=True),
                    ops.Create(NAME, value, new_token()),
                    ops.Delete(NAME),
                    ops.Get(NAME),
                ]
                operation = writes[(number + turn) % 4]
                try:
                    own.ask(operation, seconds=60)
                except (SecretExists, SecretDeleted, SecretNotFound):
                    continue
                except SecretsError as error:
                    failed.append(error)
                if isinstance(operation, (ops.Set, ops.Create)):
                    done.append(value)
        finally:
            own.backend.close()

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(work, range(16)))

    assert failed == []
    outcome(lambda: store.delete(NAME))
    store.restore(NAME)
    assert sorted(map(str, kv.values())) == sorted(done)
