"""Histories of a register that is known to be right, made from a plan of dice; and the plain way to judge a history."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.linearizability.history import ABSENT, DELETED, FOREVER, MISSING, Act, Kind, Outcome, State, after


@dataclass(slots=True)
class _UnderWay:
    act: Act
    loses: bool  # its answer never comes
    took: bool = False


def simulate(plan: Sequence[tuple[int, Kind, bool, int]], key: str = "k") -> list[Act]:
    """The history that *plan* makes. Each step is a caller's: he begins an operation, or has the one under way take
    effect, or gets its answer, whichever comes next for him; the number says how many of the callers before him whose
    answers were lost see their operation take effect first. The flag: this answer will be lost."""
    state, clock, made = ABSENT, itertools.count(), itertools.count()
    under_way: dict[int, _UnderWay] = {}
    lost: list[Act] = []
    acts: list[Act] = []
    for caller, kind, loses, late in plan:
        for _ in range(min(late, len(lost))):
            one = lost.pop(0)
            state = after(state, one.kind, one.value) or state
        now = next(clock)
        mine = under_way.get(caller)
        if mine is None:
            value = f"v{next(made)}" if kind is Kind.WRITE else ""
            under_way[caller] = _UnderWay(Act(key, kind, value, now, FOREVER, Outcome.UNKNOWN, str(caller)), loses)
        elif mine.loses and not mine.took:
            lost.append(mine.act)
            acts.append(mine.act)
            del under_way[caller]
        elif not mine.took:
            mine.act, state = _take(mine.act, state)
            mine.took = True
        else:
            acts.append(replace(mine.act, ended=now))
            del under_way[caller]
    return acts + [replace(one.act, outcome=Outcome.UNKNOWN) for one in under_way.values() if one.act.kind != Kind.READ]


def _take(act: Act, state: State) -> tuple[Act, State]:
    seen = MISSING if state.value is None else DELETED if state.deleted else state.value
    if act.kind is Kind.READ:
        return replace(act, value=seen, outcome=Outcome.DONE), state
    found = after(state, act.kind, act.value)
    if found is None:
        return replace(act, saw=seen, outcome=Outcome.FAILED), state
    return replace(act, outcome=Outcome.DONE), found


def plainly(acts: Sequence[Act], first: State = ABSENT) -> bool:
    """Whether the history of one secret is linearizable: every order is tried, by the definitions alone."""
    needed = [replace(one, kind=Kind.READ, value=one.saw) if one.saw else one for one in acts]
    needed = [one for one in needed if one.saw or one.outcome is not Outcome.FAILED]
    seen: set[tuple[frozenset[int], State]] = set()

    def search(left: frozenset[int], state: State) -> bool:
        if all(needed[one].outcome is Outcome.UNKNOWN for one in left):
            return True
        if (left, state) in seen:
            return False
        seen.add((left, state))
        first_end = min(needed[one].ended for one in left)
        for one in left:
            act = needed[one]
            if act.begun <= first_end:
                found = after(state, act.kind, act.value)
                if found is not None and search(left - {one}, found):
                    return True
        return False

    return search(frozenset(range(len(needed))), first)
