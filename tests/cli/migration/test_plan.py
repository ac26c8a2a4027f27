"""The plan, by a model of a target that can be cut off between any two steps."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.cli.migration.plan import (
    Action,
    Held,
    Make,
    Outcome,
    RemoveStage,
    SetDescription,
    SetTags,
    Snapshot,
    Write,
    plan,
    token_for,
)
from secrets_actor.domain.secret import SecretValue


class Target:
    """A target as AWS keeps it: a write with a token that was used changes nothing. Or one that computes its stages,
    and takes nothing that would put or remove one (*puts_stages* is false)."""

    def __init__(self, puts_stages: bool = True) -> None:
        self.exists, self.puts_stages = False, puts_stages
        self.versions: dict[str, SecretValue] = {}
        self.stages: dict[str, str] = {}
        self.description: str | None = None
        self.tags: dict[str, str] = {}

    def seen(self) -> Snapshot | None:
        if not self.exists:
            return None
        held = {stage: Held(at, self.versions[at]) for stage, at in self.stages.items()}
        return Snapshot(held.get("AWSCURRENT"), held.get("AWSPREVIOUS"), self.description, dict(self.tags))

    def take(self, action: Action) -> None:
        assert self.puts_stages or not isinstance(action, RemoveStage)
        match action:
            case Make(version, description, tags):
                assert not self.exists
                self.exists, self.description, self.tags = True, description, dict(tags)
                self.add(token_for(version, self.versions), version.value)
            case Write(version, None):
                self.add(token_for(version, self.versions), version.value)
            case Write(version, str(stage)):
                assert self.puts_stages
                assert stage not in self.stages, "the label would be on two versions"
                token = token_for(version, self.versions)
                self.versions[token], self.stages[stage] = version.value, token
            case RemoveStage(version_id, stage):
                assert self.stages.pop(stage) == version_id
            case SetDescription(description):
                self.description = description
            case SetTags(tags):
                self.tags |= tags

    def add(self, token: str, value: SecretValue) -> None:
        if token in self.versions:
            return
        if "AWSCURRENT" in self.stages:
            self.stages["AWSPREVIOUS"] = self.stages["AWSCURRENT"]
        self.versions[token], self.stages["AWSCURRENT"] = value, token


def same(one: Held | None, other: Held | None) -> bool:
    return one is not None and other is not None and one.value == other.value


def carry_out(actions: Iterable[Action], target: Target) -> None:
    for action in actions:
        target.take(action)


VALUES = st.sampled_from(["a", "b", b"a"]).map(SecretValue)
IDS = st.sampled_from([letter * 32 for letter in "123456"])
FACTS = st.tuples(st.sampled_from([None, "", "x", "y"]), st.dictionaries(st.sampled_from("kl"), st.sampled_from("vw")))


@st.composite
def sources(draw: st.DrawFn) -> tuple[Held, Snapshot]:
    ids = draw(st.lists(IDS, min_size=2, max_size=2, unique=True))
    current, before = (Held(one, draw(VALUES)) for one in ids)
    description, tags = draw(FACTS)
    return current, Snapshot(current, before if draw(st.booleans()) else None, description, tags)


@st.composite
def targets(draw: st.DrawFn) -> Target:
    target = Target(puts_stages=draw(st.booleans()))
    if draw(st.booleans()):
        target.exists = True
        target.description, target.tags = draw(FACTS)
        for token in draw(st.lists(IDS, unique=True, max_size=3)):
            target.add(token, draw(VALUES))
        for stage in draw(st.lists(st.sampled_from(["AWSCURRENT", "AWSPREVIOUS"]), unique=True)):
            if target.puts_stages and draw(st.booleans()):
                target.stages.pop(stage, None)
    return target


@given(sources(), st.integers(0, 3))
def test_a_copy_that_was_cut_off_anywhere_is_completed_without_overwriting(
    source: tuple[Held, Snapshot], cut: int
) -> None:
    current, wanted = source
    target = Target()
    first = plan(current, wanted, None)
    assert first.outcome is Outcome.COPIED

    carry_out(first.actions[:cut], target)
    carry_out(plan(current, wanted, target.seen()).actions, target)

    assert plan(current, wanted, target.seen()).outcome is Outcome.THERE


@given(sources(), targets(), st.integers(0, 4))
def test_with_overwriting_any_target_becomes_as_the_source_is(
    source: tuple[Held, Snapshot], target: Target, cut: int
) -> None:
    current, wanted = source
    for until in (cut, None):
        found = plan(current, wanted, target.seen(), overwrite=True, puts_stages=target.puts_stages)
        carry_out(found.actions[:until], target)

    assert plan(current, wanted, target.seen()).outcome is Outcome.THERE
    there = target.seen()
    assert there is not None
    assert same(there.current, current)
    assert wanted.previous is None or same(there.previous, wanted.previous)
    assert there.description == wanted.description or not wanted.description
    assert wanted.tags.items() <= there.tags.items()


@given(sources(), targets())
def test_without_it_nothing_that_is_another_is_touched(source: tuple[Held, Snapshot], target: Target) -> None:
    current, wanted = source
    before = target.seen()
    found = plan(current, wanted, before, puts_stages=target.puts_stages)
    carry_out(found.actions, target)
    after = target.seen()

    assert (found.outcome is Outcome.CONFLICT) == bool(found.differs)
    if before is None:
        assert found.outcome is Outcome.COPIED
        return
    assert after is not None
    if found.outcome in (Outcome.CONFLICT, Outcome.THERE):
        assert found.actions == ()
        return
    assert found.outcome is Outcome.COMPLETED
    kept = [after.current, after.previous]
    assert all(any(same(one, held) for held in kept) for one in (before.current, before.previous) if one is not None)
    assert before.description in (None, "", after.description)
    assert before.tags.items() <= after.tags.items()


def test_tags_that_are_awss_own_stay_where_they_are() -> None:
    current = Held("1" * 32, SecretValue("v"))
    wanted = Snapshot(current, tags={"aws:cloudformation:stack-name": "x", "AWS:y": "z", "mine": "1"})

    assert plan(current, wanted, None).actions == (Make(current, None, {"mine": "1"}),)


def test_a_token_is_the_id_until_that_is_taken() -> None:
    version = Held("1" * 32, SecretValue("v"))
    second = token_for(version, {version.id})
    third = token_for(version, {version.id, second})

    assert token_for(version, ()) == version.id
    assert len({version.id, second, third}) == 3
    assert all(len(one) == 32 and one.isalnum() for one in (second, third))
    assert "v" not in repr(version).replace("SecretValue", "").replace("version", "").replace("value", "")


def test_another_previous_version_gives_its_label_up_before_the_right_one_has_it() -> None:
    current, before, other = (Held(at * 32, SecretValue(value)) for at, value in (("1", "v"), ("2", "u"), ("3", "t")))
    wanted = Snapshot(current, before)
    add = Write(before, "AWSPREVIOUS")

    assert plan(current, wanted, Snapshot(current)).actions == (add,)
    assert plan(current, wanted, Snapshot(current, other), overwrite=True).actions == (
        RemoveStage(other.id, "AWSPREVIOUS"),
        add,
    )


def test_where_no_stage_can_be_put_both_versions_are_written_anew() -> None:
    current, before, other = (Held(at * 32, SecretValue(value)) for at, value in (("1", "v"), ("2", "u"), ("3", "t")))
    wanted, both = Snapshot(current, before), (Write(before), Write(current))

    assert plan(current, wanted, Snapshot(current), puts_stages=False).actions == both
    assert plan(current, wanted, Snapshot(current, other), puts_stages=False).differs == ("previous version",)
    assert plan(current, wanted, Snapshot(current, other), overwrite=True, puts_stages=False).actions == both
