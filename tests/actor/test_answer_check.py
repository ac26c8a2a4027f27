"""What a backend or a source of credentials gives is checked in one place: the whole of it, and for each message."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from secrets_actor.actor.answer_check import (
    checked_answer,
    checked_error,
    drop_wrong_attempts,
    is_attempt,
    is_origin,
)
from secrets_actor.domain import operations as ask
from secrets_actor.domain.errors import (
    AccessDenied,
    CredentialsError,
    InvalidAnswer,
    SecretNotFound,
    SecretsError,
    StoreFailure,
)
from secrets_actor.domain.masked import MaskedObject
from secrets_actor.domain.operations import CurrentVersions, Get, GetMany, Operation
from secrets_actor.domain.ports import Answer
from secrets_actor.domain.results import (
    ChangeReceipt,
    CurrentVersion,
    NamedReceipt,
    PolicyPage,
    Replica,
    ReplicationReceipt,
    RotationRules,
    SecretBatch,
    SecretDescription,
    SecretPage,
    VersionBatch,
    VersionInfo,
    VersionPage,
)
from secrets_actor.domain.secret import DeleteReceipt, Secret, SecretValue, SetReceipt
from secrets_actor.domain.tracing import Attempt

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PARTIAL = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:a"
ARN = f"{PARTIAL}-abcdef"
OTHER = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:b-abcdef"


def secret(name: str = "a", arn: str = ARN, stages: tuple[str, ...] = ("AWSCURRENT",), origin: Any = None) -> Secret:
    return Secret(name, arn, SecretValue("hunter2"), "1" * 32, stages, NOW, origin=origin)


def checked(value: Any, operation: Operation[Any], default: str | None = "host") -> Answer[Any]:
    return checked_answer(Answer(value), operation, [], "odd", default)


def refused(value: Any, operation: Operation[Any]) -> str:
    """Have *value* refused, and return the text of the error."""
    with pytest.raises(InvalidAnswer) as caught:
        checked(value, operation)
    assert caught.value.__context__ is None
    text = str(caught.value)
    assert "hunter2" not in text
    assert text.startswith(f"the backend odd answers a {operation.kind} wrongly: ")
    return text


class Text(str):
    """A text with code of its own."""

    __slots__ = ()


class Raises(Mapping[str, Any]):
    """A mapping that cannot be read."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("hunter2")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("hunter2")

    def __len__(self) -> int:
        return 1


# --- whole answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, "an Answer is expected, not NoneType"),
        (Answer(secret(), origin=["h"]), "an origin is a text"),  # type: ignore[arg-type]
        (Answer(secret(), origin="h\n"), "an origin is a text"),
        (Answer(secret(), request_id=5), "a request_id is a str"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_answer_is_refused(answer: Any, expected: str) -> None:
    with pytest.raises(InvalidAnswer, match=expected):
        checked_answer(answer, Get("a"), [], "odd", None)


def test_an_answer_is_refused_for_a_wrong_attempt() -> None:
    good = Attempt("GET", 1.0, 2.0, "ok")
    attempts: list[Any] = [good, "GET"]
    with pytest.raises(InvalidAnswer, match="are Attempts"):
        checked_answer(Answer(secret()), Get("a"), attempts, "odd", None)
    drop_wrong_attempts(attempts)
    assert attempts == [good]
    drop_wrong_attempts(attempts)
    assert checked_answer(Answer(secret(), "id", "h"), Get("a"), attempts, "odd", None).request_id == "id"


@pytest.mark.parametrize(
    ("origin", "good"),
    [
        (None, True),
        ("store.example:8200", True),
        ("[::1]:4566", True),
        ("/home/me@work/a\nb", True),  # the folder of a local store
        ("me:hunter2@store.example", False),
        ("store\x1b[1m", False),
        (b"store", False),
        (["store"], False),
    ],
)
def test_an_origin_is_a_text_that_may_be_shown(origin: Any, good: bool) -> None:
    assert is_origin(origin) is good
    assert is_attempt(Attempt("GET", 1, 2.0, "ok", origin)) is good


@pytest.mark.parametrize(
    "attempt",
    ["GET", Attempt(5, 1, 2, "ok"), Attempt("", "", 2, "ok"), Attempt("", 1, "", ""), Attempt("", 1, 2, [])],  # type: ignore[arg-type]
)
def test_an_attempt_has_the_types_of_its_class(attempt: Any) -> None:
    assert not is_attempt(attempt)


# --- secrets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["a", ARN, PARTIAL])
def test_a_secret_answers_for_its_name_its_arn_and_its_partial_arn(asked: str) -> None:
    answer = checked(secret(), Get(asked))
    assert (answer.origin, answer.value.origin) == ("host", "host")
    assert checked(secret(origin="one"), Get(asked)).value.origin == "one"
    assert checked(secret(), Get(asked), default=None).value.origin is None


def test_a_server_that_has_no_arns_is_asked_by_one_all_the_same() -> None:
    assert checked(secret(arn="a"), Get(PARTIAL)).value.arn == "a"


@pytest.mark.parametrize(
    ("found", "get", "expected"),
    [
        (None, Get("a"), "a Secret is expected, not NoneType"),
        (type("Mine", (Secret,), {}).__new__(Secret), Get("a"), "raises when it is read"),  # never made
        (secret("b"), Get("a"), "about another secret"),
        (secret("b", OTHER), Get(ARN), "about another secret"),
        (secret("a", OTHER), Get(PARTIAL), "about another secret"),
        (secret("b"), Get(PARTIAL), "about another secret"),
        (secret(), Get("a", version_id="2" * 32), "another version"),
        (secret(), Get("a", stage="AWSPREVIOUS"), "does not have the stage"),
        (secret(origin=["h"]), Get("a"), "an origin is a text"),
    ],
)
def test_another_secret_than_was_asked_for_is_refused(found: Any, get: Get, expected: str) -> None:
    assert expected in refused(found, get)


def test_the_version_and_the_stage_that_were_asked_for_are_taken() -> None:
    assert checked(secret(), Get("a", version_id="1" * 32)).value == secret()
    assert checked(secret(stages=("X",)), Get("a", stage="X")).value.stages == ("X",)


def test_a_message_of_a_class_of_ones_own_is_checked_as_the_one_that_it_extends() -> None:
    class Mine(Get, frozen=True):
        pass

    class Many(GetMany, frozen=True):
        pass

    class Labelled(ask.Tag, frozen=True):
        pass

    assert checked(secret(), Mine("a")).value.origin == "host"
    assert "another secret" in refused(secret("b"), Mine("a"))
    assert checked(SecretBatch({"a": secret()}, {}), Many(["a"])).value.found["a"].origin == "host"
    assert "None" in refused(secret(), Labelled("a", {"k": "v"}))


def test_a_subclass_of_a_secret_is_none() -> None:
    class Mine(Secret):
        __slots__ = ()

    mine = Mine("a", ARN, SecretValue("hunter2"), "1" * 32, (), NOW)
    assert "a Secret is expected, not Mine" in refused(mine, Get("a"))


def test_in_a_batch_each_secret_is_checked_and_each_id_has_its_answer() -> None:
    denied = AccessDenied("no")
    found = {"a": secret(), "b": secret(), "x": secret()}
    errors: dict[str, Any] = {"c": denied, "d": ValueError("hunter2"), "x": denied}
    batch = checked(SecretBatch(found, errors), GetMany(["a", "b", "c", "d", "e"])).value

    assert list(batch.found) == ["a"]
    assert batch.found["a"].origin == "host"
    assert list(batch.errors) == ["b", "c", "d", "e"]
    assert [type(one) for one in batch.errors.values()] == [InvalidAnswer, AccessDenied, InvalidAnswer, InvalidAnswer]
    assert batch.errors["c"] is not denied, "it would have the frames of the worker"
    assert "another secret" in str(batch.errors["b"])
    assert "neither an answer nor a SecretsError" in str(batch.errors["e"])


def test_of_many_versions_each_is_checked() -> None:
    def version(name: str = "a", version_id: Any = "1" * 32) -> CurrentVersion:
        return CurrentVersion(name, ARN if name == "a" else ARN.replace(":a-", f":{name}-"), version_id)

    found: dict[str, Any] = {"a": version(), "b": version(), "c": version("c", None), "d": version("d", 7), "e": "v"}
    answer = checked(VersionBatch(found, {"f": AccessDenied("no")}), CurrentVersions([*"abcdef"]))

    assert answer.value.found == {"a": version()}
    errors = {one: str(error) for one, error in answer.value.errors.items()}
    assert list(errors) == [*"bcdef"]
    assert "another secret" in errors["b"]
    assert "a CurrentVersion has a version_id" in errors["c"]
    assert "CurrentVersion.version_id is not of the type" in errors["d"]
    assert "CurrentVersion is expected, not str" in errors["e"]
    assert type(answer.value.errors["f"]) is AccessDenied


def test_what_is_no_batch_is_refused() -> None:
    assert "a VersionBatch is expected" in refused(SecretBatch({}, {}), CurrentVersions(["a"]))
    assert "a SecretBatch is expected" in refused(None, GetMany(["a"]))
    assert "raises when it is read" in refused(SecretBatch(Raises(), {}), GetMany(["a"]))


# --- all other answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [one for one in ask.MESSAGES if one not in (Get, GetMany)])
def test_each_message_refuses_what_is_not_its_answer(kind: type[Operation[Any]]) -> None:
    made = {
        "secret_id": "a", "value": "v", "stage": "S", "to": "1" * 32, "tags": {"k": "v"}, "keys": ["k"],
        "regions": ["eu-west-1"], "replica_arn": ARN, "policy": "{}", "operation": "GetSecretValue",
    }  # fmt: skip
    given: Any = {name: made[name] for name in kind.__struct_fields__ if name in made}  # type: ignore[attr-defined]
    if kind is ask.Request:
        del given["secret_id"]
    assert "not Raises" in refused(Raises(), kind(**given))


DESCRIPTION = SecretDescription("a", ARN, created_at=NOW, tags={"k": "v"}, versions={"1" * 32: ("AWSCURRENT",)})


@pytest.mark.parametrize(
    ("value", "operation"),
    [
        (None, ask.Tag("a", {"k": "v"})),
        (SetReceipt("a", ARN, "v1", True), ask.Set("a", "v")),
        (ChangeReceipt("a", ARN), ask.Update("a", description="d")),
        (DeleteReceipt("a", ARN, NOW), ask.Delete(ARN)),
        (NamedReceipt("a", "a"), ask.Restore(ARN)),
        (DESCRIPTION, ask.Describe(PARTIAL)),
        ((DESCRIPTION,), ask.List()),
        (SecretPage((DESCRIPTION,), "next"), ask.ListPage()),
        (VersionPage("a", ARN, (VersionInfo("v1"),)), ask.ListVersions("a")),
        (PolicyPage(("default",)), ask.ListPolicies("a")),
        (ReplicationReceipt(ARN, (Replica("eu-west-1"),)), ask.Replicate("a", ["eu-west-1"])),
        (ReplicationReceipt("a"), ask.StopReplication(ARN)),
        (SecretValue("v"), ask.RandomPassword()),
        (MaskedObject({"a": 1}), ask.Request("GetSecretValue", {"SecretId": "b"})),
    ],
)
def test_right_answers_are_taken_as_they_are(value: Any, operation: Operation[Any]) -> None:
    answer = checked(value, operation)
    assert answer.value is value
    assert answer.origin == "host"


@pytest.mark.parametrize(
    ("value", "operation", "expected"),
    [
        (SetReceipt("a", ARN, 5, True), ask.Set("a", "v"), "SetReceipt.version_id"),  # type: ignore[arg-type]
        (SetReceipt("a", ARN, "x" * 256, True), ask.Set("a", "v"), "SetReceipt.version_id"),
        (SetReceipt("a", None, "v1", True), ask.Set("a", "v"), "SetReceipt.arn"),  # type: ignore[arg-type]
        (SetReceipt("a", "\ud800", "v1", True), ask.Set("a", "v"), "SetReceipt.arn"),
        (SetReceipt("a", "a" * 2049, "v1", True), ask.Set("a", "v"), "SetReceipt.arn"),
        (SetReceipt("a", ARN, "v1", "yes"), ask.Set("a", "v"), "SetReceipt.created"),  # type: ignore[arg-type]
        (SetReceipt("b", OTHER, "v1", True), ask.Set("a", "v"), "another secret"),
        (DeleteReceipt("a", ARN, "soon"), ask.Delete("a"), "DeleteReceipt.deletion_date"),  # type: ignore[arg-type]
        (ReplicationReceipt(OTHER), ask.StopReplication("a"), "another secret"),
        (ReplicationReceipt(ARN, (5,)), ask.StopReplication("a"), "ReplicationReceipt.replicas"),  # type: ignore[arg-type]
        (SecretDescription("a", ARN, tags={"k": 5}), ask.Describe("a"), "SecretDescription.tags"),  # type: ignore[dict-item]
        (SecretDescription("a", ARN, rotation_rules=5), ask.Describe("a"), "SecretDescription.rotation_rules"),  # type: ignore[arg-type]
        (
            SecretDescription("a", ARN, rotation_rules=RotationRules("x")),  # type: ignore[arg-type]
            ask.Describe("a"),
            "SecretDescription.rotation_rules",
        ),
        (SecretDescription("a", ARN, tags=Raises()), ask.Describe("a"), "raises when it is read"),
        ((None,), ask.List(), "tuple"),
        ([DESCRIPTION], ask.List(), "tuple"),
        ((SecretDescription(["a"], ARN),), ask.List(), "tuple"),  # type: ignore[arg-type]
        (SecretPage((SecretDescription("a", ["a"]),)), ask.ListPage(), "SecretPage.secrets"),  # type: ignore[arg-type]
        (SecretPage((), ""), ask.ListPage(), "SecretPage.next_token"),
        (SecretPage((), Text("next")), ask.ListPage(), "SecretPage.next_token"),
        (PolicyPage(("default",), 5), ask.ListPolicies("a"), "PolicyPage.next_token"),  # type: ignore[arg-type]
    ],
)
def test_an_answer_that_is_not_as_its_class_says_or_about_another_secret_is_refused(
    value: Any, operation: Operation[Any], expected: str
) -> None:
    assert expected in refused(value, operation)


# --- errors -------------------------------------------------------------------------------------------------------


def test_an_error_keeps_its_meaning_and_loses_its_traceback_and_what_is_wrong_with_it() -> None:
    error = SecretNotFound("none", request_id=5)  # type: ignore[arg-type]
    error.origin, error.__cause__ = "me:hunter2@host", ValueError("hunter2")
    twin = checked_error(error, "odd", "host")

    assert (type(twin), str(twin), twin.origin, twin.request_id) == (SecretNotFound, "none", "host", None)
    assert twin.__cause__ is None
    error.origin = "other"
    assert checked_error(error, "odd", "host").origin == "other"
    assert checked_error(StoreFailure("x"), "odd", None).origin is None


class Unprintable(SecretsError):
    def __str__(self) -> str:
        raise RuntimeError("hunter2")


class Uncoded(SecretsError):
    code = 5  # type: ignore[assignment]


class Uncloned(SecretsError):
    def clone(self) -> Any:
        return StopIteration()


class Cloneless(SecretsError):
    def clone(self) -> Any:
        return self.nothing  # type: ignore[attr-defined]


class Undecided(CredentialsError):
    @property
    def outage(self) -> bool:  # type: ignore[override]
        raise RuntimeError("hunter2")


@pytest.mark.parametrize("kind", [Unprintable, Uncoded, Uncloned, Cloneless, Undecided])
def test_an_error_that_cannot_be_read_is_a_wrong_answer(kind: type[SecretsError]) -> None:
    error = checked_error(kind("x"), "odd", "host")
    assert type(error) is InvalidAnswer
    assert f"the backend odd raised a {kind.__name__} that cannot be read" in str(error)
    assert "hunter2" not in str(error)
    assert error.__context__ is None
