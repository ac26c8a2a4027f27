"""The report of a migration, as text and as data. PURE. It tells names and error codes, never a value or a tag."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from msgspec import Struct, field

from secrets_actor.cli.migration.plan import Outcome, Result
from secrets_actor.domain.errors import SecretsError
from secrets_actor.telemetry.redaction import printable

_TITLES: Final = {
    Outcome.COPIED: "copied",
    Outcome.THERE: "already there",
    Outcome.COMPLETED: "completed",
    Outcome.OVERWRITTEN: "overwritten",
    Outcome.CONFLICT: "conflicts",
    Outcome.FAILED: "failed",
    Outcome.GONE: "deleted meanwhile",
}
# These rows are in the table only when their count is not 0.
_RARE: Final = frozenset({Outcome.OVERWRITTEN, Outcome.GONE})
# A dry run lists the secrets with these outcomes by name.
_LISTED: Final = frozenset({Outcome.COPIED, Outcome.COMPLETED, Outcome.OVERWRITTEN})


class Report(Struct, eq=False):
    """The results of a migration of *asked* secrets so far. `stopped_by` is the error that ended it early, or None."""

    asked: int
    dry_run: bool = False
    results: list[Result] = field(default_factory=list)
    stopped_by: SecretsError | None = None

    def add(self, result: Result) -> None:
        """Add one result."""
        self.results.append(result)

    @property
    def counts(self) -> Counter[Outcome]:
        """How many secrets ended in each outcome."""
        return Counter(one.outcome for one in self.results)

    @property
    def is_good(self) -> bool:
        """Whether all secrets that were asked for are at the target, or in a dry run would be."""
        counts = self.counts
        return not (counts[Outcome.CONFLICT] or counts[Outcome.FAILED] or self.stopped_by)

    @property
    def codes(self) -> dict[str, int]:
        """How many secrets failed with each error code, the most frequent first."""
        return dict(Counter(one.error.code for one in self.results if one.error is not None).most_common())

    def facts(self) -> dict[str, Any]:
        """Return the whole report as data, for JSON."""
        counts = self.counts
        return {
            "dry_run": self.dry_run,
            **{str(outcome): counts[outcome] for outcome in Outcome if outcome is not Outcome.FAILED},
            "failed": self.codes,
            "not_tried": self.asked - len(self.results),
            "conflicts": [{"name": one.name, "differs": list(one.differs)} for one in self._of(Outcome.CONFLICT)],
            "failures": [
                {"name": one.name, "at": str(one.side), "error": one.error.code, "message": _line(one.error)}
                for one in self.results
                if one.error is not None
            ],
            **(
                {"plan": [{"name": one.name, "would_be": str(one.outcome)} for one in self._listed()]}
                if self.dry_run
                else {}
            ),
        }

    def lines(self) -> list[str]:
        """Return the whole report as lines of text: conflicts and failures by name, then the table of counts."""
        found = [f"would be {_TITLES[one.outcome]}: {one.name}" for one in self._listed()] if self.dry_run else []
        for one in self._of(Outcome.CONFLICT):
            found.append(f"conflict: {one.name}: another {' and another '.join(one.differs)} at the target")
        found += [
            f"failed at the {one.side}: {one.name}: {one.error.code}: {_line(one.error)}"
            for one in self.results
            if one.error is not None
        ]
        return [*map(printable, found), *([""] if found else []), *self._table()]

    def _table(self) -> list[str]:
        counts = self.counts
        rows: list[tuple[str, int]] = []
        for outcome, title in _TITLES.items():
            if counts[outcome] or outcome not in _RARE:
                rows.append((title, counts[outcome]))
            if outcome is Outcome.FAILED:
                rows += [(f"  {code}", count) for code, count in self.codes.items()]
        if self.asked > len(self.results):
            rows.append(("not tried", self.asked - len(self.results)))
        width = max(len(title) for title, _ in rows)
        digits = len(str(self.asked))
        table = [f"{title.ljust(width)}  {str(count).rjust(digits)}" for title, count in rows]
        return ["nothing was written; it would be:", *table] if self.dry_run else table

    def _of(self, outcome: Outcome) -> list[Result]:
        return [one for one in self.results if one.outcome is outcome]

    def _listed(self) -> list[Result]:
        return [one for one in self.results if one.outcome in _LISTED]


def _line(error: SecretsError) -> str:
    return " ".join(str(error).split())
