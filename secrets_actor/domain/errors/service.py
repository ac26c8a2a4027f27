"""What the tree itself answers."""

from secrets_actor.domain.errors.base import SecretsError


class ServiceError(SecretsError):
    """Base of what the tree itself answers."""

    code = "service_error"


class DeadlineExceeded(ServiceError, TimeoutError):
    """No answer within the caller's time. `token` is a write's idempotency token: asking again with it is safe, and
    needed to know, for the outcome of a write that ran into its deadline is unknown."""

    code = "deadline_exceeded"
    retryable = True

    def __init__(self, message: str, *, token: str | None = None) -> None:
        super().__init__(message)
        self.token = token


class ServerDown(ServiceError):
    """The secrets actor ended, or is not running. `token` as in `DeadlineExceeded`."""

    code = "server_down"
    retryable = True

    def __init__(self, message: str, *, token: str | None = None) -> None:
        super().__init__(message)
        self.token = token


class CalledFromWithin(ServiceError):
    """The call was made in a thread of the system itself, by a log handler or a finalizer that came to run there: the
    system would wait for itself. Nothing was done: have a thread of your own do it."""

    code = "called_from_within"


class ForkedProcess(ServerDown):
    """This process was forked from the one that runs the system, which has no threads here."""

    code = "forked_process"
    retryable = False


class WorkerCrashed(ServiceError):
    """The worker on the job ended, again and again. `error_type` is the type of what it died of. `token` as above."""

    code = "worker_crashed"
    retryable = True

    def __init__(self, message: str, *, error_type: str, token: str | None = None) -> None:
        super().__init__(message)
        self.error_type, self.token = error_type, token


class Overloaded(ServiceError):
    """Too many calls are waiting already."""

    code = "overloaded"
    retryable = True


class StartFailed(ServiceError):
    """The tree did not come up. The text names the child that failed, and why."""

    code = "start_failed"


class UnknownMessage(ServiceError, TypeError):
    """The secrets actor was asked something that is none of its operations."""

    code = "unknown_message"
