"""What has become of a write whose check-and-set parameter was refused: each row of the table."""

import pytest

from secrets_actor.backends.vault.doubt import Seen, Verdict, done_before, verdict


@pytest.mark.parametrize(
    ("seen", "token_kept", "current", "then"),
    [
        (Seen.OURS, False, None, Verdict.DONE),
        (Seen.OURS, True, None, Verdict.DONE),
        (Seen.OTHER, False, None, Verdict.START_OVER),
        (Seen.OTHER, True, None, Verdict.START_OVER),
        (Seen.DELETED, True, None, Verdict.DONE),
        (Seen.DELETED, False, None, Verdict.START_OVER),
        (Seen.ABSENT, False, None, Verdict.LOOK_AGAIN),
        (Seen.ABSENT, True, 6, Verdict.LOOK_AGAIN),
        (Seen.ABSENT, True, 7, Verdict.LOOK_AGAIN),
        (Seen.ABSENT, True, 8, Verdict.UNKNOWN),
    ],
)
def test_what_version_7_tells_of_our_write(seen: Seen, token_kept: bool, current: int | None, then: Verdict) -> None:
    assert verdict(seen, token_kept=token_kept, current=current, number=7) is then


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("token_kept", [False, True])
@pytest.mark.parametrize("value_is_current", [False, True])
def test_only_a_repeat_without_a_kept_token_is_known_by_its_value(
    repeated: bool, token_kept: bool, value_is_current: bool
) -> None:
    done = done_before(repeated=repeated, token_kept=token_kept, value_is_current=value_is_current)

    assert done is (repeated and not token_kept and value_is_current)
