"""Whatever is asked in whatever order, the labels and versions of every secret fit together."""

from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from secrets_actor.domain import operations as ops
from secrets_actor.domain.errors import StoreError
from secrets_actor.domain.operations import AWSCURRENT, AWSPREVIOUS
from secrets_actor.domain.semantics import purge
from secrets_actor.domain.semantics.stages import MAX_STAGES, MAX_VERSIONS
from tests.contract.store import outcome
from tests.domain.semantics.rig import Rig, token

# The second one reads like the first with the suffix of an ARN; the last one only AWS's services can give.
names = st.sampled_from(("a", "a-000001", "b", "c!d"))
new_names = st.sampled_from(("a", "a-000001", "b"))
values = st.sampled_from(("one", b"one", "two"))
tokens = st.integers(0, 5).map(token)
labels = st.sampled_from((AWSCURRENT, AWSPREVIOUS, "AWSPENDING", *(f"label {number}" for number in range(20))))
descriptions = st.sampled_from((None, "", "d"))


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()

    def ask(self, operation: ops.Operation[Any], *, repeated: bool = False) -> None:
        self.rig.later(seconds=1)
        purge(self.rig.records, self.rig.now)
        before = self.rig.picture()
        answer: Any = outcome(lambda: self.rig.ask(operation, repeated=repeated))
        if isinstance(answer, Exception):
            assert isinstance(answer, StoreError)
            assert answer.aws_code
            assert self.rig.picture() == before
        elif ops.token_of(operation) is not None:
            after = self.rig.picture()
            again = self.rig.ask(operation)
            assert (again.arn, again.version_id) == (answer.arn, answer.version_id)
            assert self.rig.picture() == after

    @rule(name=names, value=values, token=tokens, description=descriptions, restore=st.booleans())
    def set(self, name: str, value: str | bytes, token: str, description: str | None, restore: bool) -> None:
        self.ask(ops.Set(name, value, token, description, {"a": "b"}, restore_on_set=restore))

    @rule(name=new_names, value=values, token=tokens)
    def create(self, name: str, value: str | bytes, token: str) -> None:
        self.ask(ops.Create(name, value, token))

    @rule(name=names, value=values, token=tokens, stages=st.none() | st.lists(labels, min_size=1, max_size=20))
    def put(self, name: str, value: str | bytes, token: str, stages: list[str] | None) -> None:
        self.ask(ops.Put(name, value, stages, token))

    @rule(name=names, value=st.none() | values, token=tokens)
    def update(self, name: str, value: str | bytes | None, token: str) -> None:
        self.ask(ops.Update(name, value, "d", token=token))

    @rule(name=names, token=tokens)
    def regenerate(self, name: str, token: str) -> None:
        self.ask(ops.Regenerate(name, "bytes", token=token))

    @rule(name=names, count=st.sampled_from((60, 110)))
    def set_often(self, name: str, count: int) -> None:
        self.rig.later(seconds=1)
        with suppress(StoreError):
            for _ in range(count):
                self.rig.ask(ops.Set(name, "v"))

    @rule(name=names, stage=labels, to=st.none() | tokens, remove_from=st.none() | tokens, repeated=st.booleans())
    def move(self, name: str, stage: str, to: str | None, remove_from: str | None, repeated: bool) -> None:
        if to is not None or remove_from is not None:
            self.ask(ops.MoveStage(name, stage, to, remove_from), repeated=repeated)

    @rule(name=names, stage=st.sampled_from((AWSCURRENT, "label 1")), to=tokens)
    def move_rightly(self, name: str, stage: str, to: str) -> None:
        entry = self.rig.records.find(name)
        if entry is not None:
            self.ask(ops.MoveStage(name, stage, to, entry.stages.get(stage)))

    @rule(name=names, force=st.booleans(), repeated=st.booleans())
    def delete(self, name: str, force: bool, repeated: bool) -> None:
        self.ask(ops.Delete(name, force=force), repeated=repeated)

    @rule(name=names)
    def restore(self, name: str) -> None:
        self.ask(ops.Restore(name))

    @rule(name=names, version_id=st.none() | tokens, stage=st.none() | labels)
    def get(self, name: str, version_id: str | None, stage: str | None) -> None:
        self.ask(ops.Get(name, version_id, stage))

    @rule(days=st.sampled_from((1, 7, 12)))
    def wait(self, days: int) -> None:
        self.rig.later(days=days)

    @invariant()
    def what_is_kept_fits_together(self) -> None:
        for entry in self.rig.records.every():
            ids = [version.id for version in entry.versions]
            labelled = set(entry.stages.values())
            assert len(set(ids)) == len(ids)
            assert labelled <= set(ids)
            assert AWSCURRENT in entry.stages
            assert entry.stages.get(AWSPREVIOUS) != entry.stages[AWSCURRENT]
            assert len(ids) <= MAX_VERSIONS + len(labelled)
            assert len(entry.stages) <= MAX_STAGES + 1  # a set that moves AWSPREVIOUS is not refused
            assert [one.created_at for one in entry.versions] == sorted(one.created_at for one in entry.versions)
            assert self.rig.valued(entry) == set(ids)

    @invariant()
    def what_is_listed_is_there(self) -> None:
        listed, asked = list[str](), ops.ListPage(page_size=1)
        while True:
            page = self.rig.ask(asked)
            listed += [one.name for one in page.secrets]
            if page.next_token is None:
                break
            asked = ops.ListPage(page_size=1, next_token=page.next_token)
        assert sorted(listed) == [one.name for one in self.rig.ask(ops.List())]


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
