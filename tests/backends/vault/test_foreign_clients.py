"""What others write to a KV mount we read sensibly, and they read what we write: `bao` and hvac."""

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from secrets_actor import SecretDeleted, SecretNotFound
from secrets_actor.domain.operations import AWSCURRENT, AWSPREVIOUS
from secrets_actor.errors import InvalidAnswer
from secrets_actor.messages import Create, Describe, ListVersions, MoveStage, Put, Set, Tag, Update
from tests.backends.vault.foreign import Bao, Theirs, WithBao, WithHvac
from tests.contract.backends import VAULT
from tests.contract.store import Store, failure, vault_kit
from tests.servers.openbao import OpenBaoDev

# hvac warns of a default of its own when it patches.
pytestmark = pytest.mark.filterwarnings("ignore:The raise_on_deleted_version:DeprecationWarning")
UNICODE = "Grüße, 世界, \N{PILE OF POO}"
NAME = "team/app/password"


@pytest.fixture(params=["hvac", pytest.param("bao", marks=pytest.mark.slow)])  # a command takes 50 times a call's time
def theirs(request: pytest.FixtureRequest, openbao: OpenBaoDev, kv_mount: str, bao: Bao) -> Theirs:
    return WithHvac(openbao, kv_mount) if request.param == "hvac" else WithBao(bao, kv_mount)


@pytest.fixture
def new_store(openbao: OpenBaoDev, kv_mount: str) -> Iterator[Callable[..., Store]]:
    """Makes a store over the mount."""
    made: list[Store] = []

    def make(**settings: Any) -> Store:
        factory = vault_kit(openbao.url, openbao.token, kv_mount, **settings)
        made.append(Store(VAULT, factory, factory.connect(), prefix="team"))
        return made[-1]

    yield make
    for one in made:
        one.backend.close()


@pytest.fixture
def ours(new_store: Callable[..., Store]) -> Store:
    return new_store()


# --- they write, and we read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["hunter2", UNICODE, '{"user": "me"}'], ids=["ascii", "unicode", "json"])
def test_we_read_the_text_that_they_put_under_value(ours: Store, theirs: Theirs, value: str) -> None:
    theirs.put(NAME, {"value": value})
    secret = ours.get(NAME)

    assert (secret.name, secret.text(), secret.stages) == (NAME, value, (AWSCURRENT,))
    assert re.fullmatch(r"vault-0001-\d{23}", secret.version_id)


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "me", "password": UNICODE},
        {"password": "hunter2"},
        {"value": "hunter2", "user": "me"},
        {"value": {"nested": [1, 2.5, None, True]}},
        {"value": 5},
        {"value": ""},
        {"value_base64": "no base64 at all"},
    ],
    ids=["two", "one of another name", "value and more", "nested", "a number", "empty", "no base64"],
)
def test_we_read_other_fields_as_json(ours: Store, theirs: Theirs, fields: dict[str, Any]) -> None:
    theirs.put(NAME, fields)

    assert ours.get(NAME).json() == fields


def test_we_read_the_bytes_that_they_put_in_base64(ours: Store, theirs: Theirs) -> None:
    theirs.put(NAME, {"value_base64": base64.b64encode(bytes(range(256))).decode()})

    assert ours.get(NAME).reveal() == bytes(range(256))


def test_a_version_without_fields_has_no_value(ours: Store, theirs: Theirs) -> None:
    theirs.put(NAME, {})

    assert isinstance(failure(lambda: ours.get(NAME)), InvalidAnswer)


def test_we_read_each_version_that_they_wrote(ours: Store, theirs: Theirs) -> None:
    theirs.put(NAME, {"value": "first", "user": "me"})
    theirs.patch(NAME, {"value": "second"})
    theirs.rollback(NAME, 1)
    theirs.put(NAME, {"value": "fourth"})
    listed = ours.ask(ListVersions(NAME, include_deprecated=True)).value.versions

    numbers = {one.version_id[:10]: one for one in listed}
    assert sorted(numbers) == ["vault-0001", "vault-0002", "vault-0003", "vault-0004"]
    assert ours.get(NAME).text() == "fourth"
    assert ours.get(NAME, stage=AWSPREVIOUS).json() == {"value": "first", "user": "me"}
    second = numbers["vault-0002"]
    assert second.stages == ()
    assert ours.get(NAME, version_id=second.version_id).json() == {"value": "second", "user": "me"}


def test_what_they_delete_is_deleted_and_either_brings_it_back(ours: Store, theirs: Theirs) -> None:
    theirs.put(NAME, {"value": "hunter2"})
    created = ours.get(NAME).created_at
    for bring_back in (lambda: theirs.undelete(NAME, 1), lambda: ours.restore(NAME)):
        theirs.delete(NAME)
        assert isinstance(failure(lambda: ours.get(NAME)), SecretDeleted)
        deleted_at = ours.ask(Describe(NAME)).value.deleted_at
        assert deleted_at is not None
        assert deleted_at > created
        assert (ours.names(), ours.names(include_deleted=True)) == ([], [NAME])
        bring_back()
        assert ours.get(NAME).text() == "hunter2"
        assert ours.ask(Describe(NAME)).value.deleted_at is None


def test_what_they_destroy_cannot_be_read_and_the_version_before_can(ours: Store, theirs: Theirs) -> None:
    for value in ("first", "second"):
        theirs.put(NAME, {"value": value})
    theirs.destroy(NAME, 2)

    assert isinstance(failure(lambda: ours.get(NAME)), SecretNotFound)
    assert ours.get(NAME, stage=AWSPREVIOUS).text() == "first"
    assert ours.set(NAME, "third").created is False
    assert theirs.states(NAME) == {1: "alive", 2: "destroyed", 3: "alive"}


def test_what_they_remove_is_no_secret(ours: Store, theirs: Theirs) -> None:
    theirs.put(NAME, {"value": "hunter2"})
    before = ours.get(NAME).version_id
    theirs.remove(NAME)
    assert isinstance(failure(lambda: ours.get(NAME)), SecretNotFound)
    theirs.put(NAME, {"value": "hunter2"})

    assert ours.get(NAME).version_id != before
    assert isinstance(failure(lambda: ours.get(NAME, version_id=before)), SecretNotFound)


def test_their_custom_metadata_are_tags_and_survive_our_writes(ours: Store, theirs: Theirs) -> None:
    theirs.annotate(NAME, {"team": "payments", "owner": UNICODE})
    assert isinstance(failure(lambda: ours.get(NAME)), SecretNotFound)  # it has no value yet
    theirs.put(NAME, {"value": "hunter2"})
    ours.set(NAME, "second", description="ours")
    ours.ask(Tag(NAME, {"env": "test"}))

    described = ours.ask(Describe(NAME)).value
    assert described.tags == {"team": "payments", "owner": UNICODE, "env": "test"}
    assert described.description == "ours"


def test_when_they_replace_all_custom_metadata_nothing_of_the_value_is_lost(ours: Store, theirs: Theirs) -> None:
    ours.ask(Create(NAME, "hunter2", description="ours", tags={"env": "test"}))
    theirs.annotate(NAME, {"team": "payments"})
    secret = ours.get(NAME)

    assert secret.text() == "hunter2"
    assert ours.get(NAME, version_id=secret.version_id).text() == "hunter2"
    assert ours.ask(Describe(NAME)).value.tags["team"] == "payments"
    assert ours.set(NAME, "second").created is False
    assert ours.get(NAME).text() == "second"


def test_we_list_what_they_wrote(ours: Store, theirs: Theirs) -> None:
    names = ["team", "team/app", "team/app/a+b=c@d", "team/app/deep/er"]
    for name in [*names, "team/with a blank", "team/ümlaut"]:  # of these two no message of ours can be
        theirs.put(name, {"value": "v"})

    assert ours.names() == names
    assert {ours.get(name).text() for name in names} == {"v"}


# --- we write, and they read --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["hunter2", UNICODE, '{"user": "me"}', "[1]"], ids=["ascii", "unicode", "json", "list"]
)
def test_they_read_our_text_under_value(ours: Store, theirs: Theirs, value: str) -> None:
    ours.set(NAME, value)

    assert theirs.read(NAME) == {"value": value}


def test_they_read_our_bytes_in_base64(ours: Store, theirs: Theirs) -> None:
    ours.set(NAME, bytes(range(256)))

    assert theirs.read(NAME) == {"value_base64": base64.b64encode(bytes(range(256))).decode()}


def test_they_read_our_json_as_fields_if_we_are_told_so(new_store: Callable[..., Store], theirs: Theirs) -> None:
    ours = new_store(write_json="fields")
    for value, fields in (
        ('{"user": "me", "ports": [1, 2]}', {"user": "me", "ports": [1, 2]}),
        ("hunter2", {"value": "hunter2"}),
        ("[1]", {"value": "[1]"}),
        ("{}", {"value": "{}"}),
        ('{"value": "v"}', {"value": '{"value": "v"}'}),
    ):
        ours.set(NAME, value)
        assert theirs.read(NAME) == fields
        assert failure_or(ours.get(NAME).json) == failure_or(lambda value=value: _json(value))  # type: ignore[misc]


def _json(value: str) -> Any:
    from secrets_actor import SecretValue

    return SecretValue(value).json()


def failure_or(call: Callable[[], object]) -> object:
    """What *call* returns, or the type of what it raises."""
    try:
        return call()
    except Exception as error:
        return type(error)


def test_each_set_of_ours_is_a_version_of_theirs(ours: Store, theirs: Theirs) -> None:
    receipts = [ours.set(NAME, f"value {number}") for number in range(1, 4)]
    ours.ask(Put(NAME, "value 4"))
    ours.ask(Update(NAME, "value 5"))
    theirs.put(NAME, {"value": "value 6"})
    ours.set(NAME, "value 7")

    assert theirs.states(NAME) == dict.fromkeys(range(1, 8), "alive")
    for number in range(1, 8):
        assert theirs.read(NAME, number) == {"value": f"value {number}"}
    for number, receipt in enumerate(receipts, 1):
        assert ours.get(NAME, version_id=receipt.version_id).text() == f"value {number}"


def test_a_rollback_of_ours_is_a_version_more(ours: Store, theirs: Theirs) -> None:
    first = ours.set(NAME, "first").version_id
    ours.set(NAME, "second")
    current = ours.get(NAME).version_id
    ours.ask(MoveStage(NAME, AWSCURRENT, to=first, remove_from=current))

    assert theirs.states(NAME) == dict.fromkeys((1, 2, 3), "alive")
    assert theirs.read(NAME) == {"value": "first"}


def test_they_see_our_tags_as_custom_metadata_and_our_notes_beside_them(ours: Store, theirs: Theirs) -> None:
    ours.ask(Create(NAME, "v", description="a description", tags={"team": "payments", "empty": ""}))
    facts = theirs.facts(NAME)

    assert {key: text for key, text in facts.items() if not key.startswith("sa.")} == {"team": "payments"}
    assert facts["sa.d"] == "a description"


def test_they_see_our_deletion_and_our_restore(ours: Store, theirs: Theirs) -> None:
    for value in ("first", "second"):
        ours.set(NAME, value)
    ours.delete(NAME)
    assert theirs.read(NAME) is None
    assert theirs.states(NAME) == dict.fromkeys((1, 2), "deleted")
    ours.restore(NAME)
    assert theirs.read(NAME) == {"value": "second"}
    assert theirs.states(NAME) == dict.fromkeys((1, 2), "alive")

    ours.delete(NAME)
    theirs.undelete(NAME, 2)
    assert ours.get(NAME).text() == "second"  # what they bring back is no longer deleted for us

    ours.delete(NAME, force=True)
    assert theirs.read(NAME) is None


def test_they_list_what_we_wrote(ours: Store, theirs: Theirs) -> None:
    for name in ("team/app", "team/app/a+b=c@d", "team/other"):
        ours.ask(Set(name, "v"))

    assert sorted(theirs.names("team")) == ["app", "app/", "other"]
    assert theirs.names("team/app") == ["a+b=c@d"]
    assert theirs.read("team/app/a+b=c@d") == {"value": "v"}
