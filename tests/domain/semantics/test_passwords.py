"""Passwords are of the characters asked for, each that fits as likely as any other."""

import itertools
import random
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.domain.errors import InvalidRequest
from secrets_actor.domain.operations import RandomPassword, Regenerate, Set
from tests.domain.semantics.rig import Rig

KINDS = (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation, " ")


@given(
    kinds=st.lists(st.booleans(), min_size=5, max_size=5).filter(any),
    exclude=st.text(string.ascii_letters + string.digits + string.punctuation, max_size=8),
    length=st.integers(4, 80),
    require_each=st.booleans(),
)
def test_a_password_is_of_the_characters_asked_for(
    kinds: list[bool], exclude: str, length: int, require_each: bool
) -> None:
    password = str(Rig().ask(RandomPassword(length, exclude, *kinds, require_each)).reveal())

    allowed = [set(kind) - set(exclude) for kind, asked in zip(KINDS, kinds, strict=True) if asked]
    assert len(password) == length
    assert set(password) <= set().union(*allowed)
    if require_each:  # AWS says that a password can have spaces, and requires none
        assert all(set(password) & kind for kind in allowed if " " not in kind)


def test_each_password_that_fits_is_as_likely_as_any_other() -> None:
    """Of a, b, A, 1 at length 3 with each kind: 12 passwords. The dice are fixed, so the counts are."""
    rig = Rig(random.Random(6).randrange)
    exclude = "".join(set("".join(KINDS)) - set("abA1"))
    asked = RandomPassword(3, exclude, punctuation=False)

    counts = Counter(str(rig.ask(asked).reveal()) for _ in range(6000))

    assert set(counts) == {"".join(p) for low in "ab" for p in itertools.permutations((low, "A", "1"))}
    assert all(420 < count < 580 for count in counts.values())


def test_what_leaves_no_character_of_a_kind_is_refused() -> None:
    rig = Rig()

    for asked in (
        RandomPassword(exclude=string.digits),
        RandomPassword(exclude=string.digits, lowercase=False, uppercase=False, punctuation=False, require_each=False),
    ):
        with pytest.raises(InvalidRequest, match="exclude fewer"):
            rig.ask(asked)
    assert rig.ask(RandomPassword(exclude=string.digits, require_each=False)).reveal()


def test_a_value_that_cannot_be_made_makes_no_version() -> None:
    rig = Rig()
    rig.ask(Set("a", "v"))
    before = rig.picture()

    with pytest.raises(InvalidRequest):
        rig.ask(Regenerate("a", password=RandomPassword(exclude=string.digits)))

    assert rig.picture() == before


def test_bytes_are_made_of_the_numbers_from_outside() -> None:
    rig = Rig(lambda below: below - 1)
    rig.ask(Set("a", "v"))

    rig.ask(Regenerate("a", "bytes"))

    assert rig.picture()["a"][1][rig.records.version_ids("a")[-1]] == "/" * 42 + "8="
