"""When an attempt is worth another one: decisions only."""

from datetime import UTC, datetime
from typing import Any

import pytest

from secrets_actor.domain.errors import InvalidParameter, Throttled
from secrets_actor.domain.rotation_retry import RotationRetry, note_failure
from secrets_actor.domain.secret import NewVersion, Secret, SecretValue


def version(version_id: str) -> Secret:
    return Secret("a", "", SecretValue("v"), version_id, (), datetime(2026, 1, 1, tzinfo=UTC))


class Refused(Exception):
    pass


@pytest.mark.parametrize(
    "login_error",
    [Refused, (KeyError, Refused), lambda error: type(error) is Refused],
    ids=["type", "types", "function"],
)
def test_only_the_callers_login_error_counts(login_error: Any) -> None:
    rules = RotationRetry(login_error)

    assert rules.asks_anew(Refused(), 1)
    assert not rules.asks_anew(OSError(), 1)


def test_the_last_attempt_is_the_last() -> None:
    rules = RotationRetry(Refused, attempts=3)

    assert [rules.asks_anew(Refused(), number) for number in (1, 2, 3)] == [True, True, False]


def test_what_was_refused_is_not_tried_again_unless_told() -> None:
    assert RotationRetry(Refused).goes_again(version("v1"), version("v2"))
    assert not RotationRetry(Refused).goes_again(version("v1"), version("v1"))
    assert RotationRetry(Refused, same_version=True).goes_again(version("v1"), version("v1"))


@pytest.mark.parametrize("wrong", [int, 7, (), (Refused, 7), None])
def test_what_tells_no_error_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidParameter, match="login_error"):
        RotationRetry(wrong)


@pytest.mark.parametrize("attempts", [0, 11, True])
def test_attempts_are_bounded(attempts: int) -> None:
    with pytest.raises(InvalidParameter, match="attempts"):
        RotationRetry(Refused, attempts)


def test_a_failed_question_is_noted_by_its_code() -> None:
    error = Refused()

    note_failure(error, Throttled("slow down"))

    assert error.__notes__ == ["whether the secret was rotated could not be found out: throttled"]


def test_a_change_has_ids_and_no_value() -> None:
    assert repr(NewVersion("a", None, "v1")) == "NewVersion(name='a', old_version_id=None, new_version_id='v1')"
