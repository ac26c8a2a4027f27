"""AWS's rotation, which calls a function of AWS Lambda: on one machine there is none, so no secret has one. PURE."""

from __future__ import annotations

from typing import NoReturn

from secrets_actor.domain.errors import InvalidRequest
from secrets_actor.domain.operations import CancelRotation, Rotate
from secrets_actor.domain.semantics.case import Case


def rotate(case: Case, operation: Rotate) -> NoReturn:
    """Refused, as AWS refuses it for a secret without rotation function."""
    entry = case.live(operation.secret_id)
    raise InvalidRequest(
        f"secret {entry.name} has no rotation function, and {case.shelf.label} runs none: regenerate it instead "
        "(rotate with generate), or set a value that you made"
    )


def cancel_rotation(case: Case, operation: CancelRotation) -> NoReturn:
    """Refused, as AWS refuses it for a secret without rotation function."""
    entry = case.live(operation.secret_id)
    raise InvalidRequest(f"secret {entry.name} has no rotation function: there is no rotation to cancel")
