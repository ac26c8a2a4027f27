"""Decides when a login that failed because of a rotated secret is tried again. PURE: both clients use it.

Rule 1: only the caller's login error counts. Any other error of an attempt goes to the caller as it is.
Rule 2: the store is asked once between two attempts, and there are *attempts* attempts at most.
Rule 3: the version that was just refused is not tried again, unless the caller wants that: repeated wrong passwords
        lock accounts.
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
    """The rules of one retry.

    *login_error*: the type or types of error that a refused login raises, or a function that takes an error and returns
    whether it is one. *attempts*: 1 to 10. *same_version*: try again even with the version that was refused. Raises
    `InvalidParameter`.
    """

    login_error: LoginError
    attempts: int = 2
    same_version: bool = False

    def __post_init__(self) -> None:
        check_number("attempts", self.attempts, 1, MAX_ATTEMPTS)
        if not _are_errors(self.login_error) and (isinstance(self.login_error, type) or not callable(self.login_error)):
            raise InvalidParameter("login_error", "a type of exception, a tuple of them, or a function of an exception")
        plain("login_error", self.login_error)

    def asks_anew(self, error: BaseException, attempt: int) -> bool:
        """Whether to ask the store after *error* of this *attempt* (the first is 1)."""
        if attempt >= self.attempts:
            return False
        test: Any = self.login_error
        return isinstance(error, test) if _are_errors(test) else bool(done("login_error", test(error)))

    def goes_again(self, refused: Secret, fresh: Secret) -> bool:
        """Whether to try again with the secret *fresh* after *refused* was refused (rule 3)."""
        return self.same_version or fresh.version_id != refused.version_id


def note_failure(refused: BaseException, failure: SecretsError) -> None:
    """Add a note to the login error *refused*: the store could not be asked, because of *failure*."""
    refused.add_note(f"whether the secret was rotated could not be found out: {failure.code}")


def _are_errors(test: Any) -> bool:
    kinds = test if isinstance(test, tuple) else (test,)
    return bool(kinds) and all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)
