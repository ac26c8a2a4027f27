"""One tree of errors. Facts are attributes; the text says what happened and what to do. PURE."""

from typing import ClassVar, Self


class SecretsError(Exception):
    """Base of every error of this package; never raised itself."""

    code: ClassVar[str] = "error"
    retryable: bool = False
    request_id: str | None = None
    # Of a write that may have taken effect: asking again with this idempotency token is safe. No secret.
    token: str | None = None

    def clone(self) -> Self:
        """An equal error without traceback, cause or context: one each for several callers, and free of frames
        that hold what only the worker should see."""
        twin = self.__class__.__new__(self.__class__)
        twin.args = self.args
        twin.__dict__.update(self.__dict__)
        return twin


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


class CopyUnverified(StoreError):
    """A copy cannot be compared with its source: what one of the two stores says of it goes on changing."""

    code = "copy_unverified"


class StoreFailure(StoreError):
    """The store failed on its side (AWS: InternalServiceError, any 5xx). `retryable`, but for HTTP 501 and 505: what is
    not done there will not be done later."""

    code = "store_failure"
    retryable = True


class InvalidAnswer(StoreError):
    """The store's answer could not be understood. It is not quoted: it may hold a value.

    `retryable` for an answer with success and for a 5xx; another `status` would be met again.
    """

    code = "invalid_answer"
    retryable = True

    def __init__(
        self, message: str, *, aws_code: str | None = None, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message, aws_code=aws_code, status=status, request_id=request_id)
        self.retryable = status is None or status == 200 or status >= 500


class AccessDenied(StoreError):
    """The keys are good, the permission is missing (AWS: AccessDeniedException)."""

    code = "access_denied"


class CredentialsError(StoreError):
    """Base of all that is wrong with the keys."""

    code = "credentials_error"


class MissingAccessKey(CredentialsError):
    """No access key id is configured."""

    code = "missing_access_key"


class MissingSecretKey(CredentialsError):
    """An access key id without its secret key."""

    code = "missing_secret_key"


class NoCredentials(CredentialsError):
    """No place that was looked at has any keys. `tried` tells each place, and why it has none."""

    code = "no_credentials"

    def __init__(self, *tried: tuple[str, str]) -> None:
        reasons = "; ".join(f"{place}: {reason}" for place, reason in tried)
        super().__init__(
            f"no AWS keys: set aws.access_key or AWS_ACCESS_KEY_ID, or mend one of the places looked at: {reasons}"
        )
        self.tried = tried


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


class CircuitOpen(Unreachable):
    """The store did not answer lately, and is left alone for `retry_after` seconds (0: it is tried at this moment).
    Nothing was sent."""

    code = "circuit_open"

    def __init__(self, message: str, *, endpoint: str | None = None, retry_after: float = 0.0) -> None:
        super().__init__(message, endpoint=endpoint)
        self.retry_after = retry_after


class LocalStoreError(SecretsError):
    """Base of what goes wrong with the local store's files. `path` names the file, or the place of a key in none."""

    code = "local_store_error"

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class KeyFileError(LocalStoreError):
    """The key file is missing while data exists, too short, unreadable, or open to others."""

    code = "key_file_error"


class KeySourceError(KeyFileError):
    """The master key is not to be had from where it is kept, and that is no key file of ours: a variable that is not
    set, a passphrase that is empty, a key ring that is locked. `path` names the place."""

    code = "key_source_error"


class WrongKey(KeyFileError):
    """The master key is another one than the data was sealed with."""

    code = "wrong_key"


class StoreUnavailable(LocalStoreError):
    """The database cannot be opened, read or written: permissions, a full disk, a lock held too long. `retryable` says
    whether that may pass by itself, as a full disk may, and a missing permission does not."""

    code = "store_unavailable"
    retryable = True

    def __init__(self, message: str, *, path: str, retryable: bool = True) -> None:
        super().__init__(message, path=path)
        self.retryable = retryable


class StoreDamaged(LocalStoreError):
    """The file is not the database we wrote."""

    code = "store_damaged"


class ExportFileError(LocalStoreError):
    """The file of an export cannot be read or written, is there already, or is of a newer format."""

    code = "export_file_error"


class ExportDamaged(ExportFileError):
    """The file is not as it was written: damaged, cut off, changed, or no export at all."""

    code = "export_damaged"


class WrongExportKey(ExportFileError):
    """The key or passphrase is another one than the file was sealed with."""

    code = "wrong_export_key"
