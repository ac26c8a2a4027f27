"""A list that never ends is ended, and one that ends is left alone."""

from collections.abc import Iterable
from itertools import chain, cycle, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.domain.errors import InvalidAnswer
from secrets_actor.domain.paging import SeenTokens


def follow(tokens: Iterable[str], seen: list[str]) -> None:
    seen_tokens = SeenTokens()
    for token in tokens:
        seen.append(seen_tokens.first_seen(token))


@given(st.integers(0, 50), st.integers(1, 50))
def test_every_circle_is_found_before_it_was_gone_round_often(before: int, length: int) -> None:
    seen: list[str] = []
    circle = cycle(f"circle {number}" for number in range(length))
    tokens = chain((f"way {number}" for number in range(before)), circle)

    with pytest.raises(InvalidAnswer, match="in circles"):
        follow(islice(tokens, 3 * (before + length) + 2), seen)

    assert len(set(seen)) == before + length


def test_a_long_list_is_followed_to_its_end() -> None:
    tokens, seen = [str(number) for number in range(1000)], list[str]()

    follow(tokens, seen)

    assert seen == tokens
