"""One tree of errors. Facts are attributes; the text says what happened and what to do.

Rule 1: no text and no attribute ever holds a value, a key, a token or a piece of an upstream body.
Rule 2: `code` is stable and machine-readable (audit, `--json`); the class is what programs catch.
Rule 3: `retryable` says that the same call may go through later; it is a hint to callers, not a promise.
"""

from typing import ClassVar, Self


class SecretsError(Exception):
    """Base of every error of this package; never raised itself."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    request_id: str | None = None

    def clone(self) -> Self:
        """An equal error without traceback, cause or context: one each for several callers, and free of frames
        that hold what only the worker should see."""
        twin = self.__class__.__new__(self.__class__)
        twin.args = self.args
        twin.__dict__.update(self.__dict__)
        return twin


# --- bad input: raised in the caller's thread, before anything is sent -------------------------------------------


class InvalidInput(SecretsError, ValueError):
    """The caller gave something that no backend would accept."""

    code = "invalid_input"


class InvalidSecretName(InvalidInput):
    """The name or ARN breaks the rules for names."""

    code = "invalid_name"


class InvalidSecretValue(InvalidInput):
    """The value is of the wrong type, empty, too large, or not what was asked of it."""

    code = "invalid_value"


class InvalidParameter(InvalidInput):
    """Another argument is out of its range. `parameter` names it, `allowed` says what goes."""

    code = "invalid_parameter"

    def __init__(self, parameter: str, allowed: str) -> None:
        super().__init__(f"{parameter}: {allowed}")
        self.parameter, self.allowed = parameter, allowed


class ConfigurationError(SecretsError):
    """The configuration does not hold. `mistakes` has a line for each: its key, and what is allowed."""

    code = "bad_configuration"

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


# --- what the store says ------------------------------------------------------------------------------------------


class StoreError(SecretsError):
    """Base of what a store answered: it was reached, and it said no.

    `aws_code` and `status` are AWS's error code and HTTP status, `request_id` AWS's request id; None for other stores.
    """

    code = "store_error"

    def __init__(
        self, message: str, *, aws_code: str | None = None, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.aws_code, self.status, self.request_id = aws_code, status, request_id


class SecretNotFound(StoreError):
    """No such secret, or no such version of it (AWS: ResourceNotFoundException)."""

    code = "not_found"


class SecretExists(StoreError):
    """The token was used before with another value, or the name is taken (AWS: ResourceExistsException)."""

    code = "already_exists"


class InvalidRequest(StoreError):
    """The store cannot do this to the secret as it stands (AWS: InvalidRequestException, InvalidParameterException)."""

    code = "invalid_request"


class SecretDeleted(InvalidRequest):
    """The secret is scheduled for deletion: restore it first."""

    code = "deleted"


class LimitExceeded(StoreError):
    """A quota of the store is used up (AWS: LimitExceededException). Not cured by trying again."""

    code = "limit_exceeded"


class DecryptionFailed(StoreError):
    """The store cannot open the value (AWS: DecryptionFailure; local: a damaged or exchanged record)."""

    code = "decryption_failed"


class Throttled(StoreError):
    """Too many requests (AWS: ThrottlingException)."""

    code = "throttled"
    retryable = True


class StoreFailure(StoreError):
    """The store failed on its side (AWS: InternalServiceError, any 5xx)."""

    code = "store_failure"
    retryable = True


class InvalidAnswer(StoreError):
    """The store's answer could not be understood. It is not quoted: it may hold a value."""

    code = "invalid_answer"
    retryable = True


class AccessDenied(StoreError):
    """The keys are good, the permission is missing (AWS: AccessDeniedException)."""

    code = "access_denied"


# --- keys ---------------------------------------------------------------------------------------------------------


class CredentialsError(StoreError):
    """Base of all that is wrong with the keys."""

    code = "credentials_error"


class MissingAccessKey(CredentialsError):
    """No access key id is configured."""

    code = "missing_access_key"


class MissingSecretKey(CredentialsError):
    """An access key id without its secret key."""

    code = "missing_secret_key"


class MetadataServiceError(CredentialsError):
    """The instance metadata service gave no role credentials."""

    code = "metadata_service_error"


class InvalidSignature(CredentialsError):
    """The signature does not verify: a wrong secret key, or a wrong clock (AWS: InvalidSignatureException)."""

    code = "invalid_signature"


class UnrecognizedClient(CredentialsError):
    """The access key id or the session token is not known (AWS: UnrecognizedClientException)."""

    code = "unrecognized_client"


class ExpiredToken(CredentialsError):
    """The session token has expired (AWS: ExpiredTokenException)."""

    code = "expired_token"


# --- the way to the store -----------------------------------------------------------------------------------------


class Unreachable(SecretsError):
    """Base of a lost way to the store. `endpoint` is its host and port, or its path."""

    code = "unreachable"
    retryable = True

    def __init__(self, message: str, *, endpoint: str | None = None) -> None:
        super().__init__(message)
        self.endpoint = endpoint


class ConnectionFailed(Unreachable):
    """No connection came about."""

    code = "connection_failed"


class TlsFailed(ConnectionFailed):
    """The server's certificate was not accepted, or TLS did not come about."""

    code = "tls_failed"
    retryable = False


class RequestFailed(Unreachable):
    """The connection broke before an answer began."""

    code = "request_failed"


class BodyReadFailed(Unreachable):
    """The answer began and broke off."""

    code = "body_read_failed"


class BackendTimeout(Unreachable):
    """The store did not answer in time."""

    code = "backend_timeout"


# --- the local store ----------------------------------------------------------------------------------------------


class LocalStoreError(SecretsError):
    """Base of what goes wrong with the local store's files. `path` names the file."""

    code = "local_store_error"

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class KeyFileError(LocalStoreError):
    """The key file is missing while data exists, too short, unreadable, or open to others."""

    code = "key_file_error"


class WrongKey(KeyFileError):
    """The key file holds another key than the one the data was sealed with."""

    code = "wrong_key"


class StoreUnavailable(LocalStoreError):
    """The database cannot be opened, read or written: permissions, a full disk, a lock held too long."""

    code = "store_unavailable"
    retryable = True


class StoreDamaged(LocalStoreError):
    """The file is not the database we wrote."""

    code = "store_damaged"


# --- the tree -----------------------------------------------------------------------------------------------------


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
