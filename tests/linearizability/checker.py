"""Is there an order of these operations, within their times, in which a single register would have answered so?

After Wing & Gong, with Lowe's just-in-time linearization and memory: the ends of operations are walked in time, with
the set of all that may be the case: which state, and which of the operations under way have taken effect. Each secret
is checked by itself (Herlihy & Wing: linearizability is local).

Rule 1: operations take effect as late as possible: when one ends, those under way are put before it, in every order
        that leads to its answer. Only reads take effect early: at once when they fit, for they change nothing.
Rule 2: values are unique to their writes. So a value that a read will see whose time has not come is not overwritten,
        and a write of unknown outcome that was seen took effect by the end of the first read that saw it.
Rule 3: a write of unknown outcome that nobody saw matters only as one that made a secret where there was none, for else
        it could be left out. Unknown deletes, restores and purges are alike: they are counted, not told apart.
        Writes whose outcome is known and whose value nobody saw are alike, too. Where nothing is ever deleted for good,
        so that none can be needed to make the secret anew, they take effect as soon as they make no difference.
Rule 4: of two possibilities that differ only in how much of Rule 3 was used up, the one that used no more is enough.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from tests.linearizability.history import ABSENT, FOREVER, Act, Kind, Outcome, State, after

# What unknown operations may do, once each: the kind, and what a write of a value that nobody saw leaves.
_FREE: Final = (Kind.WRITE, Kind.DELETE, Kind.RESTORE, Kind.PURGE)
_UNSEEN: Final = "<never read>"
_Used = tuple[int, int, int, int]
_Spot = tuple[State, int]  # the state, and the bits of the operations under way that have taken effect


@dataclass(frozen=True, slots=True)
class Violation:
    """No order explains *act*. *possible*: what the secret may have been before; *beside*: what was under way; *later*:
    reads to come that see one of *possible*."""

    act: Act
    possible: tuple[State, ...]
    beside: tuple[Act, ...]
    later: tuple[Act, ...]

    def __str__(self) -> str:
        states = ", ".join(map(str, self.possible))
        lines = [f"{self.act.key}: nothing explains", f"  {self.act}", f"  the secret was one of: {states}"]
        beside = [f"  beside it: {one}" for one in self.beside]
        return "\n".join([*lines, *beside, *(f"  later: {one}" for one in self.later)])


@dataclass(slots=True)
class Verdict:
    """The first violation of each secret; none if the history is linearizable. *widest*: the most possibilities there
    were at a time."""

    violations: list[Violation] = field(default_factory=list)
    acts: int = 0
    widest: int = 0

    @property
    def good(self) -> bool:
        """Whether the history is linearizable."""
        return not self.violations


def check(acts: Iterable[Act], first: State = ABSENT) -> Verdict:
    """The verdict on a history of any number of secrets, all of which were *first* at the beginning.

    Raises `ValueError` for two writes of one value.
    """
    keys: dict[str, list[Act]] = defaultdict(list)
    for act in acts:
        keys[act.key].append(act)
    verdict = Verdict()
    for history in keys.values():
        search = _Search(history, first)
        found = search.run()
        verdict.acts += len(history)
        verdict.widest = max(verdict.widest, search.widest)
        if found is not None:
            verdict.violations.append(found)
    return verdict


class _Search:
    """One secret's history."""

    def __init__(self, history: list[Act], first: State) -> None:
        self._last_read: dict[str, Act] = {}  # by value: the one that began last
        self._free: tuple[list[int], ...] = ([], [], [], [])  # by kind: when unknown ones began
        self._definite = sorted(self._prepared(history), key=lambda act: act.begun)
        for begun in self._free:
            begun.sort()
        self._purged = any(act.kind is Kind.PURGE for act in history)
        self._under_way: dict[int, Act] = {}  # by bit
        self._spots: dict[_Spot, list[_Used]] = {(first, 0): [(0, 0, 0, 0)]}
        self.widest = 1

    # --- what counts ----------------------------------------------------------------------------------------------

    def _prepared(self, history: list[Act]) -> Iterator[Act]:
        """The operations that took effect, each with an end."""
        first_seen: dict[str, int] = {}
        for act in history:
            if act.kind is Kind.READ and act.outcome is Outcome.DONE:
                first_seen[act.value] = min(first_seen.get(act.value, FOREVER), act.ended)
                last = self._last_read.setdefault(act.value, act)
                self._last_read[act.value] = max(last, act, key=lambda one: one.begun)
        written: set[str] = set()
        for act in history:
            if act.kind is Kind.WRITE:
                if act.value in written:
                    raise ValueError(f"{act.key}: {act.value} is written twice")
                written.add(act.value)
            match act.outcome:
                case Outcome.DONE:
                    yield act
                case Outcome.FAILED if act.saw:
                    yield replace(act, kind=Kind.READ, value=act.saw, by=f"{act.by}, refused a {act.kind}")
                case Outcome.UNKNOWN if act.kind is not Kind.READ:
                    seen = first_seen.get(act.value) if act.kind is Kind.WRITE else None
                    if seen is None:
                        self._free[_FREE.index(act.kind)].append(act.begun)
                    elif seen >= act.begun:
                        yield replace(act, ended=seen, outcome=Outcome.DONE)

    # --- the walk -------------------------------------------------------------------------------------------------

    def run(self) -> Violation | None:
        """The first end of an operation that no order explains."""
        bits: dict[int, int] = {}  # place in the list -> bit
        ends = sorted(range(len(self._definite)), key=lambda place: (self._definite[place].ended, place))
        begun = 0
        for place in ends:
            act = self._definite[place]
            while begun < len(self._definite) and self._definite[begun].begun <= act.ended:
                bits[begun] = self._begin(self._definite[begun])
                begun += 1
            found = self._end(act, bits.pop(place))
            if found is not None:
                return found
        return None

    def _begin(self, act: Act) -> int:
        bit = 1
        while bit in self._under_way:
            bit <<= 1
        self._under_way[bit] = act
        if act.kind is Kind.READ:
            spots: dict[_Spot, list[_Used]] = {}
            for (state, done), used in self._spots.items():
                fits = after(state, act.kind, act.value) is not None
                spots[(state, done | bit if fits else done)] = used
            self._spots = spots
        return bit

    def _end(self, act: Act, bit: int) -> Violation | None:
        reached = {spot: used for spot, used in self._spots.items() if spot[1] & bit}
        waiting = [(spot, one) for spot, used in self._spots.items() if not spot[1] & bit for one in used]
        known = {spot: list(used) for spot, used in self._spots.items()}
        available = tuple(bisect_right(begun, act.ended) for begun in self._free)
        while waiting:
            spot, used = waiting.pop()
            for further in self._steps(*spot, used, act.ended, available):
                if not _adds(known, *further):
                    continue
                if further[0][1] & bit:
                    _adds(reached, *further)
                else:
                    waiting.append(further)
        self.widest = max(self.widest, len(known))
        if not reached:
            beside = tuple(one for other, one in self._under_way.items() if other != bit)
            possible = tuple({state for state, _ in self._spots})
            read = [self._last_read[state.value] for state in possible if state.value in self._last_read]
            return Violation(act, possible, beside, tuple(one for one in read if one.begun > act.ended))
        del self._under_way[bit]
        self._spots = {}
        for (state, done), all_used in reached.items():
            for used in all_used:
                _adds(self._spots, (state, done & ~bit), used)
        return None

    def _steps(
        self, state: State, done: int, used: _Used, now: int, available: tuple[int, ...]
    ) -> Iterator[tuple[_Spot, _Used]]:
        """What may take effect next."""
        for bit, act in self._under_way.items():
            if not done & bit and act.kind is not Kind.READ:
                found = after(state, act.kind, self._told(act))
                if found is not None and self._may_leave(state, found, now):
                    yield self._settled(found, done | bit, wrote=act.kind is Kind.WRITE), used
        for which, kind in enumerate(_FREE):
            if used[which] < available[which] and (kind is not Kind.WRITE or state.value is None):
                found = after(state, kind, _UNSEEN)
                if found is not None and found != state and self._may_leave(state, found, now):
                    spent = tuple(number + (place == which) for place, number in enumerate(used))
                    yield self._settled(found, done), spent  # type: ignore[misc]

    def _may_leave(self, state: State, found: State, now: int) -> bool:
        """Whether the value that goes, goes for good after all who saw it have begun."""
        last = None if state.value is None else self._last_read.get(state.value)
        return last is None or state.value == found.value or last.begun <= now

    def _told(self, act: Act) -> str:
        """Its value, if anybody ever sees it."""
        return act.value if act.kind is not Kind.WRITE or act.value in self._last_read else _UNSEEN

    def _settled(self, state: State, done: int, *, wrote: bool = False) -> _Spot:
        """With all that makes no difference: reads that fit and, if a write has just made the state, writes before it
        that nobody saw."""
        for bit, act in self._under_way.items():
            if done & bit:
                continue
            if act.kind is Kind.READ:
                alike = after(state, act.kind, act.value) is not None
            else:
                alike = wrote and not self._purged and act.kind is Kind.WRITE and self._told(act) == _UNSEEN
            if alike:
                done |= bit
        return state, done


def _adds(spots: dict[_Spot, list[_Used]], spot: _Spot, used: _Used) -> bool:
    """Note a possibility; False if it is none that was not known (Rule 4)."""
    known = spots.setdefault(spot, [])
    if any(all(one <= other for one, other in zip(old, used, strict=True)) for old in known):
        return False
    known[:] = [old for old in known if not all(one >= other for one, other in zip(old, used, strict=True))]
    known.append(used)
    return True
