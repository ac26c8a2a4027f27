"""When an attempt that a rotated secret may have spoilt is made once more. PURE, for both clients.

Rule 1: only the caller's login error counts; whatever else an attempt raises is none of our business.
Rule 2: the store is asked anew at most once between two attempts, and there are *attempts* of them at most.
Rule 3: with the version that was just refused, nobody tries again, unless told to: it would lock the account at last.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from secrets_actor.domain.callbacks import done, plain
from secrets_actor.domain.errors import InvalidParameter, SecretsError
from secrets_actor.domain.operations.limits import check_number
from secrets_actor.domain.secret import Secret

# More would be a loop around a wrong password.
MAX_ATTEMPTS: Final = 10
LoginError = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]


class RotationRetry(Struct, frozen=True):
    """*login_error*: the type or types of what a refused login raises, or a function that tells. *attempts*: 1 to 10.
    *same_version*: whether to try again with the version that was refused. Raises `InvalidParameter`."""

    login_error: LoginError
    attempts: int = 2
    same_version: bool = False

    def __post_init__(self) -> None:
        check_number("attempts", self.attempts, 1, MAX_ATTEMPTS)
        if not _are_errors(self.login_error) and (isinstance(self.login_error, type) or not callable(self.login_error)):
            raise InvalidParameter("login_error", "a type of exception, a tuple of them, or a function of an exception")
        plain("login_error", self.login_error)

    def asks_anew(self, error: BaseException, attempt: int) -> bool:
        """Whether *error* of this *attempt*, from 1, is worth a question to the store."""
        if attempt >= self.attempts:
            return False
        told: Any = self.login_error
        return isinstance(error, told) if _are_errors(told) else bool(done("login_error", told(error)))

    def goes_again(self, refused: Secret, fresh: Secret) -> bool:
        """Whether to try with *fresh* what was refused with *refused*."""
        return self.same_version or fresh.version_id != refused.version_id


def note_failure(refused: BaseException, failure: SecretsError) -> None:
    """Note on the login error *refused* that the store could not be asked anew, for *failure*."""
    refused.add_note(f"whether the secret was rotated could not be found out: {failure.code}")


def _are_errors(told: Any) -> bool:
    kinds = told if isinstance(told, tuple) else (told,)
    return bool(kinds) and all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)
