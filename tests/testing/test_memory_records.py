"""The fake's answers are the local store's, whatever is asked in whatever order."""

import secrets
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from secrets_actor.backends.local.backend import local_backend_factory as local_kit
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.errors import SecretsError, UnknownMessage
from secrets_actor.domain.operations import (
    AWSCURRENT,
    AWSPREVIOUS,
    Create,
    Delete,
    Describe,
    Filter,
    Get,
    GetMany,
    List,
    ListPage,
    ListVersions,
    MoveStage,
    Operation,
    Put,
    Regenerate,
    Restore,
    Set,
    Tag,
    Untag,
    Update,
)
from secrets_actor.domain.ports import Backend, CallContext
from secrets_actor.domain.results import SecretDescription
from secrets_actor.domain.secret import Secret, SecretValue, SetReceipt
from secrets_actor.domain.semantics.stages import MAX_VERSIONS
from secrets_actor.testing import FakeStore
from secrets_actor.testing.memory_records import MemoryRecords

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
# The second one reads like the first with the suffix of an ARN; the last one only AWS's services can give.
NAMES = ("app/a", "app/a-abc123", "app/b", "app!c")
TOKENS = tuple(f"{number:032}" for number in range(4))

names, tokens = st.sampled_from(("app/a", "app/a", "app/a", *NAMES)), st.sampled_from(TOKENS)
# What names a secret: its name, or the ARN (whole, or without its suffix) that a set of it last told.
ways = st.sampled_from(("name", "name", "name", "arn", "partial-arn"))
values, words = st.sampled_from(("one", b"one", "two")), st.sampled_from((None, "", "d"))
labels = st.sampled_from((AWSCURRENT, AWSPREVIOUS, "other"))
keys = st.sampled_from(("k", "l"))


def about_one(kind: Any, *arguments: Any) -> Any:
    """An operation on one secret, that is named in one of the ways."""
    return st.tuples(st.just(kind), ways, names, *arguments)


steps = st.lists(
    st.one_of(
        about_one(Set, values, tokens, words),
        about_one(Create, values, tokens, words, st.sampled_from(({}, {"k": "v"}))),
        about_one(Put, values, st.none() | st.lists(labels, min_size=1, unique=True), tokens),
        about_one(Update, st.none() | values, st.sampled_from(("", "d")), st.none(), tokens),
        about_one(Regenerate, st.just("bytes"), st.just(Regenerate("x").password), tokens),
        about_one(MoveStage, labels, tokens, st.none() | tokens),
        about_one(Tag, st.dictionaries(keys, st.sampled_from(("v", "w")), min_size=1)),
        about_one(Untag, st.lists(keys, min_size=1)),
        about_one(Get, st.none() | tokens, st.none() | labels),
        about_one(Describe),
        about_one(ListVersions, st.booleans()),
        about_one(Delete, st.sampled_from((None, 7, 30)), st.just(False)),
        about_one(Delete, st.none(), st.just(True)),
        about_one(Restore),
        st.tuples(st.just(List), st.booleans()),
        st.tuples(st.just(GetMany), st.just(NAMES)),
        st.tuples(
            st.just(ListPage),
            st.sampled_from(((), (Filter("tag-key", "k"),), (Filter("name", "!app/a"),), (Filter("all", "d"),))),
            st.sampled_from((None, "created-date", "last-changed-date", "last-accessed-date", "name")),
            st.booleans(),
            st.booleans(),
        ),
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
        self.made: set[object] = set()
        self.answers: list[object] = []

    def id_of(self, way: str, name: str) -> str:
        arn = self.arns.get(name)
        if way == "name" or arn is None:
            return name
        return arn if way == "arn" else arn[: -len("-123456")]

    def ask(self, make: Callable[[], Operation[Any]]) -> None:
        try:
            operation = make()
            answer = self.backend.perform(operation, CallContext(clock_now() + 30)).value
        except SecretsError as error:
            self.answers.append(type(error))
            return
        if isinstance(answer, (SetReceipt, SecretDescription)):
            self.arns[answer.name] = answer.arn
        if isinstance(operation, Regenerate):
            self.made.add(operation.token)
        self.answers.append(self.facts(answer))

    def facts(self, answer: Any) -> object:
        match answer:
            case tuple() | list():
                return [self.facts(one) for one in answer]
            case dict():
                return {key: self.facts(one) for key, one in answer.items()}
            case SecretsError():
                return type(answer)
            case Secret() if answer.version_id in self.made:  # a value of its own, in each store
                return answer.version_id, answer.stages
            case Secret():
                fields = SHOWN
            case _ if isinstance(answer, Struct):
                fields = answer.__struct_fields__
            case _:
                return answer
        known = {name: self.facts(getattr(answer, name)) for name in fields}
        if "arn" in known:
            known["arn"] = answer.arn.partition(":secret:")[2].startswith(answer.name) or answer.arn == answer.name
            if answer.name.startswith("arn:"):
                known["name"] = "an ARN that is not there"
        return known


@given(steps=steps)
@settings(max_examples=60, deadline=None)
def test_it_answers_as_the_local_store_does(steps: list[tuple[Any, ...]]) -> None:
    clock, seconds = [NOW], [1000.0]
    with tempfile.TemporaryDirectory() as folder:
        stores = [
            Asked(FakeStore(recovery_window=12, wall_clock=lambda: clock[0]).factory().connect()),
            Asked(
                local_kit(
                    path=Path(folder), recovery_window=12, wall_clock=lambda: clock[0], seconds=lambda: seconds[0]
                ).connect()
            ),
        ]
        try:
            first = [(Set, "name", name, "one", TOKENS[0], None) for name in NAMES[:2]]
            for kind, *arguments in first + steps:
                clock[0] += timedelta(seconds=1)
                if kind is timedelta:
                    clock[0] += timedelta(days=arguments[0])
                    for _ in range(2):  # the local store takes two looks at the clock
                        stores[1].backend.perform(List(), CallContext(clock_now() + 30))
                        seconds[0] += 7200.0
                    continue
                for store in stores:
                    if kind in (List, GetMany, ListPage):
                        store.ask(partial(kind, *arguments))
                    else:
                        way, name, *rest = arguments
                        store.ask(partial(kind, store.id_of(way, name), *rest))
        finally:
            for store in stores:
                store.backend.close()

    assert stores[0].answers == stores[1].answers


def test_old_versions_without_a_stage_go_and_the_others_stay() -> None:
    records = MemoryRecords(12, secrets.randbelow)
    ids = [f"{number:032}" for number in range(MAX_VERSIONS + 3)]

    for version_id in ids:
        records.perform(Set("app/a", SecretValue("value"), version_id), NOW, "unused")

    assert records.version_ids("app/a") == tuple(ids[3:])
    assert records.perform(Get("app/a", stage=AWSPREVIOUS), NOW, "unused").version_id == ids[-2]


def test_a_set_without_a_token_takes_the_new_id() -> None:
    records = MemoryRecords(12, secrets.randbelow)

    assert records.perform(Set("app/a", SecretValue("value")), NOW, "new-id").version_id == "new-id"


def test_the_versions_of_a_secret_that_is_not_there_are_none() -> None:
    records = MemoryRecords(12, secrets.randbelow)

    assert records.version_ids("app/a") == ()
    assert records.version_ids("arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/a-abcdef") == ()


def test_an_operation_that_it_does_not_know_is_refused() -> None:
    class Rotate(Operation[None]):
        kind = "rotate"

    with pytest.raises(UnknownMessage, match="does not know the operation Rotate"):
        MemoryRecords(12, secrets.randbelow).perform(Rotate(), NOW, "unused")


def test_a_refusal_carries_awss_code_and_the_request_id() -> None:
    backend = FakeStore().factory().connect()

    with pytest.raises(SecretsError) as raised:
        backend.perform(Get("app/a"), CallContext(clock_now() + 30))

    facts = vars(raised.value)
    assert (facts["aws_code"], facts["status"], facts["request_id"]) == ("ResourceNotFoundException", 400, "fake-1")
