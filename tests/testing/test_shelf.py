"""The fake's answers are the local store's, whatever is asked in whatever order."""

import secrets
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secrets_actor.backends.local.backend import kit as local_kit
from secrets_actor.domain.errors import SecretsError, UnknownMessage
from secrets_actor.domain.operations import AWSCURRENT, AWSPREVIOUS, Delete, Get, List, Operation, Restore, Set
from secrets_actor.domain.ports import Backend, CallContext
from secrets_actor.domain.secret import Secret, SecretValue, SetReceipt
from secrets_actor.domain.semantics.labels import MAX_VERSIONS
from secrets_actor.testing import FakeStore
from secrets_actor.testing.shelf import Shelf

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
# The second one reads like the first with the suffix of an ARN; the last one only AWS's services can give.
NAMES = ("app/a", "app/a-abc123", "app/b", "app!c")
TOKENS = tuple(f"{number:032}" for number in range(4))

names, tokens = st.sampled_from(NAMES), st.sampled_from(TOKENS)
# What names a secret: its name, or the ARN (whole, or without its suffix) that a set of it last told.
ways = st.sampled_from(("name", "name", "name", "arn", "partial-arn"))
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just(Set), ways, names, st.sampled_from(("one", b"one", "two")), tokens, st.sampled_from((None, "d"))
        ),
        st.tuples(
            st.just(Get), ways, names, st.none() | tokens, st.sampled_from((None, AWSCURRENT, AWSPREVIOUS, "other"))
        ),
        st.tuples(st.just(Delete), ways, names, st.sampled_from((None, 7, 30)), st.just(False)),
        st.tuples(st.just(Delete), ways, names, st.none(), st.just(True)),
        st.tuples(st.just(Restore), ways, names),
        st.tuples(st.just(List), st.booleans()),
        st.tuples(st.just(timedelta), st.sampled_from((1, 7, 12))),
    ),
    max_size=25,
)

SHOWN = ("name", "arn", "value", "version_id", "stages", "created_at", "age", "stale", "source")


class Asked:
    """One store, and what it has answered, with all that must not be compared taken out."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.arns: dict[str, str] = {}
        self.answers: list[object] = []

    def id_of(self, way: str, name: str) -> str:
        arn = self.arns.get(name)
        if way == "name" or arn is None:
            return name
        return arn if way == "arn" else arn[: -len("-123456")]

    def ask(self, operation: Operation[Any]) -> None:
        try:
            answer = self.backend.perform(operation, CallContext(time.monotonic() + 30)).value
        except SecretsError as error:
            self.answers.append(type(error))
            return
        self.answers.append([self.facts(one) for one in answer] if isinstance(answer, tuple) else self.facts(answer))

    def facts(self, answer: Any) -> dict[str, object]:
        names = SHOWN if isinstance(answer, Secret) else answer.__dataclass_fields__
        known = {name: getattr(answer, name) for name in names}
        arn = known.pop("arn")
        if not known["name"].startswith("arn:"):
            if isinstance(answer, SetReceipt):
                self.arns[answer.name] = arn
            return known | {"arn": arn.partition(":secret:")[2].startswith(known["name"])}
        return known | {"name": "an ARN that is not there", "arn": arn == answer.name}


@given(steps=steps)
@settings(max_examples=60, deadline=None)
def test_it_answers_as_the_local_store_does(steps: list[tuple[Any, ...]]) -> None:
    clock = [NOW]
    with tempfile.TemporaryDirectory() as folder:
        stores = [
            Asked(FakeStore(recovery_window=12, wall_clock=lambda: clock[0]).kit().connect()),
            Asked(local_kit(path=Path(folder), recovery_window=12, wall_clock=lambda: clock[0]).connect()),
        ]
        try:
            for kind, *arguments in steps:
                clock[0] += timedelta(seconds=1)
                if kind is timedelta:
                    clock[0] += timedelta(days=arguments[0])
                    continue
                for store in stores:
                    if kind is List:
                        store.ask(List(*arguments))
                    else:
                        way, name, *rest = arguments
                        store.ask(kind(store.id_of(way, name), *rest))
        finally:
            for store in stores:
                store.backend.close()

    assert stores[0].answers == stores[1].answers


def test_old_versions_without_a_stage_go_and_the_others_stay() -> None:
    shelf = Shelf(12, secrets.randbelow)
    ids = [f"{number:032}" for number in range(MAX_VERSIONS + 3)]

    for version_id in ids:
        shelf.perform(Set("app/a", SecretValue("value"), version_id), NOW, "unused")

    assert shelf.version_ids("app/a") == tuple(ids[3:])
    assert shelf.perform(Get("app/a", stage=AWSPREVIOUS), NOW, "unused").version_id == ids[-2]


def test_a_set_without_a_token_takes_the_new_id() -> None:
    shelf = Shelf(12, secrets.randbelow)

    assert shelf.perform(Set("app/a", SecretValue("value")), NOW, "new-id").version_id == "new-id"


def test_the_versions_of_a_secret_that_is_not_there_are_none() -> None:
    shelf = Shelf(12, secrets.randbelow)

    assert shelf.version_ids("app/a") == ()
    assert shelf.version_ids("arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/a-abcdef") == ()


def test_an_operation_that_it_does_not_know_is_refused() -> None:
    class Rotate(Operation[None]):
        kind = "rotate"

    with pytest.raises(UnknownMessage, match="does not know the operation Rotate"):
        Shelf(12, secrets.randbelow).perform(Rotate(), NOW, "unused")


def test_a_refusal_carries_awss_code_and_the_request_id() -> None:
    backend = FakeStore().kit().connect()

    with pytest.raises(SecretsError) as raised:
        backend.perform(Get("app/a"), CallContext(time.monotonic() + 30))

    facts = vars(raised.value)
    assert (facts["aws_code"], facts["status"], facts["request_id"]) == ("ResourceNotFoundException", 400, "fake-1")
