"""What a migration tells at its end."""

from secrets_actor.cli.migration.plan import Outcome, Result, Side
from secrets_actor.cli.migration.report import Report
from secrets_actor.domain.errors import ConnectionFailed, SecretDeleted, Throttled


def report(*results: Result, asked: int | None = None, dry_run: bool = False) -> Report:
    made = Report(len(results) if asked is None else asked, dry_run)
    for one in results:
        made.add(one)
    return made


COPIED = Result("a", Outcome.COPIED)
CONFLICT = Result("b", Outcome.CONFLICT, ("current version", "tags"))
DELETED = Result("c", Outcome.FAILED, error=SecretDeleted("restore it\nfirst"), side=Side.TARGET)
SLOW = Result("d", Outcome.FAILED, error=Throttled("slow down"), side=Side.SOURCE)
GONE = Result("e", Outcome.GONE)


def test_all_that_went_well_is_good() -> None:
    good = report(COPIED, GONE, Result("f", Outcome.OVERWRITTEN, ("tags",)))

    assert good.is_good
    assert good.lines() == [
        "copied             1",
        "already there      0",
        "completed          0",
        "overwritten        1",
        "conflicts          0",
        "failed             0",
        "deleted meanwhile  1",
    ]


def test_what_did_not_is_told_by_name_and_counted_by_code() -> None:
    bad = report(COPIED, CONFLICT, DELETED, SLOW, asked=14)

    assert not bad.is_good
    assert bad.lines() == [
        "conflict: b: another current version and another tags at the target",
        "failed at the target: c: deleted: restore it first",
        "failed at the source: d: throttled: slow down",
        "",
        "copied          1",
        "already there   0",
        "completed       0",
        "conflicts       1",
        "failed          2",
        "  deleted       1",
        "  throttled     1",
        "not tried      10",
    ]
    facts = bad.facts()
    assert (facts["copied"], facts["failed"], facts["not_tried"]) == (1, {"deleted": 1, "throttled": 1}, 10)
    assert facts["conflicts"] == [{"name": "b", "differs": ["current version", "tags"]}]
    assert facts["failures"][0] == {"name": "c", "at": "target", "error": "deleted", "message": "restore it first"}
    assert "plan" not in facts


def test_a_dry_run_says_so() -> None:
    dry = report(COPIED, CONFLICT, Result("f", Outcome.THERE), dry_run=True)

    assert dry.lines()[:4] == [
        "would be copied: a",
        "conflict: b: another current version and another tags at the target",
        "",
        "nothing was written; it would be:",
    ]
    assert dry.facts()["plan"] == [{"name": "a", "would_be": "copied"}]


def test_one_that_was_stopped_is_not_good() -> None:
    stopped = report(asked=3)
    assert stopped.is_good
    stopped.stopped_by = ConnectionFailed("nobody listens")

    assert not stopped.is_good
    assert stopped.facts()["not_tried"] == 3
