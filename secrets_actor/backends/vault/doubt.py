"""What has become of a write whose check-and-set parameter was refused. PURE.

A write says which version it follows: it makes version n+1 only if the latest one is n. The server refuses it if that
is not so any more. Then either somebody else wrote version n+1, or an earlier attempt of the same write did, whose
answer was lost. So version n+1 itself is looked at, and not the latest one: somebody may have written n+2 over ours,
and to start over would undo that.

==================  =======================================  =======================================================
in doubt            version n+1                              what is done
==================  =======================================  =======================================================
no                  (not looked at)                          start over: it is another write's
yes                 has our value                            done: it is ours
yes                 has another value                        start over: ours did not land, and cannot land any more
yes                 is deleted, and our token is kept at it  done
yes                 is deleted, and our token is not         start over
yes                 is not there yet                         look again: this node is behind
yes                 is not kept any more                     tell that nobody knows
==================  =======================================  =======================================================

Two writers with the same value, of which both are in doubt, may both take the one version for theirs. That harms
nobody.
"""

from enum import Enum


class Seen(Enum):
    """What a read of version n+1 has shown."""

    OURS = "it has our value"
    OTHER = "it has another value"
    DELETED = "it is deleted or destroyed"
    ABSENT = "it is not there"


class Verdict(Enum):
    """What is done."""

    DONE = "the write has succeeded"
    START_OVER = "another write came first"
    LOOK_AGAIN = "the node is behind"
    UNKNOWN = "nobody can tell"


def verdict(seen: Seen, *, token_kept: bool, current: int | None, number: int) -> Verdict:
    """Return what is done after version *number* was *seen* so.

    *token_kept*: the metadata has our token for that version. *current* is the number of the latest version, if it was
    asked for; it is needed for a version that is absent.
    """
    if seen is Seen.OURS or (seen is Seen.DELETED and token_kept):
        return Verdict.DONE
    if seen is Seen.ABSENT:
        return Verdict.UNKNOWN if current is not None and current > number else Verdict.LOOK_AGAIN
    return Verdict.START_OVER


def done_before(*, repeated: bool, token_kept: bool, value_is_current: bool) -> bool:
    """Whether a write has taken effect before, although no token tells so.

    *repeated*: a worker ended over it. If its value is the current one, it has, or need not any more. With a token that
    is kept, the metadata tells it better.
    """
    return repeated and not token_kept and value_is_current
