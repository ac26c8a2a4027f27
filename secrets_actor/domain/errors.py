"""All errors of this package, as one tree under `SecretsError`. PURE.

An error's text says what happened and what to do; the facts that a program may want are attributes. No error holds a
value, a key or a token of credentials.
"""

from typing import ClassVar, Self

from secrets_actor.pickling import PortableError


class SecretsError(PortableError):
    """Base of every error of this package; it is never raised itself. It can be pickled and copied.

    `code` is the error's word in the audit log and in metrics. `retryable`: whether the same request may succeed a
    little later. `request_id`: AWS's id of the exchange, if there is one. `token`: the idempotency token of a write
    that may have taken effect; the write is safe to repeat with it. The token is no secret. `origin`: the endpoint that
    refused, failed or did not answer, as in `Answer`; None if none had a part in it. A backend with several endpoints
    sets it.
    """

    code: ClassVar[str] = "error"
    retryable: bool = False
    request_id: str | None = None
    token: str | None = None
    origin: str | None = None

    def clone(self) -> Self:
        """Return an equal error without traceback, cause and context.

        Each of several callers gets one of its own, because raising an error changes it; and the frames of the worker,
        which may hold credentials, are not passed on to callers.
        """
        return self.__copy__()


class InvalidInput(SecretsError, ValueError):
    """Base of errors in what the caller gave: no backend would accept it. Nothing was sent."""

    code = "invalid_input"


class InvalidSecretName(InvalidInput):
    """The name or ARN breaks the rules for names."""

    code = "invalid_name"


class InvalidSecretValue(InvalidInput):
    """The value is of the wrong type, empty or too large; or it was read as JSON, and it is not JSON."""

    code = "invalid_value"


class InvalidParameter(InvalidInput):
    """Another argument is wrong. `parameter` is its name, `allowed` says what it may be."""

    code = "invalid_parameter"

    def __init__(self, parameter: str, allowed: str) -> None:
        super().__init__(f"{parameter}: {allowed}")
        self.parameter, self.allowed = parameter, allowed


class ConfigurationError(SecretsError):
    """The configuration is wrong. `mistakes` has one line for each mistake: the key, and what is allowed there."""

    code = "bad_configuration"

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


class DeliveryFailed(SecretsError):
    """A value could not be put where a program is to find it: no place in memory, no room, no right. `path` names the
    place."""

    code = "delivery_failed"

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class CheckFailed(DeliveryFailed):
    """The check of a rendered file says that its new content is not good, or has not said anything in time. The file is
    as it was."""

    code = "check_failed"


class ServiceError(SecretsError):
    """Base of the errors of the system itself: the store has not refused anything."""

    code = "service_error"


class DeadlineExceeded(ServiceError, TimeoutError):
    """There was no answer within the caller's timeout.

    A write that ran into its deadline may have taken effect or not. `token` is the idempotency token of that write:
    repeating the write with it is safe, and is the way to find out.
    """

    code = "deadline_exceeded"
    retryable = True

    def __init__(self, message: str, *, token: str | None = None) -> None:
        super().__init__(message)
        self.token = token


class ServerDown(ServiceError):
    """The secrets actor has ended, or does not run. `token` as in `DeadlineExceeded`."""

    code = "server_down"
    retryable = True

    def __init__(self, message: str, *, token: str | None = None) -> None:
        super().__init__(message)
        self.token = token


class CalledFromWithin(ServiceError):
    """The call was made in a thread of the system itself, where the system would wait for itself.

    A log handler or a finalizer of the program can come to run there. Nothing was done: make the call in another
    thread.
    """

    code = "called_from_within"


class ForkedProcess(ServerDown):
    """This process was forked from the one that runs the system: the threads of the system do not exist here."""

    code = "forked_process"
    retryable = False


class WorkerCrashed(ServiceError):
    """The worker that had the job crashed, and so did those that were given the job after it.

    `error_type` is the name of the exception's type. `token` as in `DeadlineExceeded`.
    """

    code = "worker_crashed"
    retryable = True

    def __init__(self, message: str, *, error_type: str, token: str | None = None) -> None:
        super().__init__(message)
        self.error_type, self.token = error_type, token


class Overloaded(ServiceError):
    """Too many callers are waiting already (setting `max_pending`)."""

    code = "overloaded"
    retryable = True


class StartFailed(ServiceError):
    """The system could not be started. The text names the process that failed, and why."""

    code = "start_failed"


class UnknownMessage(ServiceError, TypeError):
    """The secrets actor, or the store, does not know this operation."""

    code = "unknown_message"


class StoreError(SecretsError):
    """Base of refusals by the store: it was reached, and it answered with an error.

    `aws_code` is AWS's error code, `status` the HTTP status, `request_id` AWS's request id. They are None with other
    stores.
    """

    code = "store_error"

    def __init__(
        self, message: str, *, aws_code: str | None = None, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.aws_code, self.status, self.request_id = aws_code, status, request_id


class SecretNotFound(StoreError):
    """There is no such secret, or no such version of it (AWS: ResourceNotFoundException).

    `stage` or `version_id` names the version that a secret, which does exist, has not. Both are None if there is no
    such secret, and if the store does not say which of the two it is.
    """

    code = "not_found"
    stage: str | None = None
    version_id: str | None = None


class MissingSecrets(SecretNotFound):
    """Secrets, or members of them, that a program or a file needs are not there. `missing` has a text for each."""

    code = "missing_secrets"

    def __init__(self, missing: tuple[str, ...]) -> None:
        super().__init__(f"missing: {', '.join(missing)}; nothing was done with the others")
        self.missing = missing


class SecretExists(StoreError):
    """The name is taken, or the token was used before with another value (AWS: ResourceExistsException).

    `token_used_in` is the ARN of the secret that has a version of that token; None if the name is taken, and if the
    store does not say.
    """

    code = "already_exists"
    token_used_in: str | None = None


class InvalidRequest(StoreError):
    """The store cannot do this with the secret as it is (AWS: InvalidRequestException, InvalidParameterException).

    `stage_holder` is set if a stage cannot be moved without saying from where: the id of the version that has it.
    """

    code = "invalid_request"
    stage_holder: str | None = None


class SecretDeleted(InvalidRequest):
    """The secret is scheduled for deletion: restore it first."""

    code = "deleted"


class LimitExceeded(StoreError):
    """A quota of the store is used up (AWS: LimitExceededException). Trying again does not help."""

    code = "limit_exceeded"


class DecryptionFailed(StoreError):
    """The store cannot decrypt the value (AWS: DecryptionFailure; local store: a damaged or exchanged record)."""

    code = "decryption_failed"


class Throttled(StoreError):
    """The store gets too many requests (AWS: ThrottlingException)."""

    code = "throttled"
    retryable = True


class CopyUnverified(StoreError):
    """A copied secret cannot be compared with its source, because one of the two stores keeps changing its answer."""

    code = "copy_unverified"


class StoreFailure(StoreError):
    """The store failed on its side (AWS: InternalServiceError, any 5xx).

    `retryable`, except for HTTP 501 and 505: a server that does not know a method or a version of HTTP will not learn
    it.
    """

    code = "store_failure"
    retryable = True


class NoActiveNode(StoreFailure):
    """No node of the cluster takes writes at the moment, because one is being elected, or too few nodes are up.

    The node that said so is well: it answers reads.
    """

    code = "no_active_node"


class InvalidAnswer(StoreError):
    """The store's answer could not be understood. The error does not quote the answer, which may hold a value.

    `retryable` if the HTTP status was a success or a 5xx; any other `status` would come again.
    """

    code = "invalid_answer"
    retryable = True

    def __init__(
        self, message: str, *, aws_code: str | None = None, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message, aws_code=aws_code, status=status, request_id=request_id)
        self.retryable = status is None or status == 200 or status >= 500


class AccessDenied(StoreError):
    """The credentials are good, but the permission is missing (AWS: AccessDeniedException)."""

    code = "access_denied"


class CredentialsError(StoreError):
    """Base of the errors in getting or using credentials.

    `refused`: whether the store has refused those that were used, so that others may do: they have ended, or were
    replaced where they came from. Others are fetched then, and the operation is tried once more.

    `outage`: whether the place that the credentials come from did not answer. The store has refused nobody then, so a
    cached value may be served past its TTL (`max_stale`).

    A backend of one's own sets either on an error class of its own.
    """

    code = "credentials_error"
    refused: ClassVar[bool] = False
    outage: ClassVar[bool] = False


class MissingAccessKey(CredentialsError):
    """No access key id is configured."""

    code = "missing_access_key"


class MissingSecretKey(CredentialsError):
    """An access key id is configured without its secret key."""

    code = "missing_secret_key"


class NoCredentials(CredentialsError):
    """No place that was looked at has credentials. `tried` has a pair for each: the place, and the reason."""

    code = "no_credentials"

    def __init__(self, *tried: tuple[str, str]) -> None:
        reasons = "; ".join(f"{place}: {reason}" for place, reason in tried)
        super().__init__(
            "no AWS credentials: set aws.access_key or AWS_ACCESS_KEY_ID, or mend one of the places looked at: "
            + reasons
        )
        self.tried = tried


class MetadataServiceError(CredentialsError):
    """The instance metadata service gave no role credentials."""

    code = "metadata_service_error"
    outage = True


class LoginIncomplete(CredentialsError):
    """A part of a login is not there: it is not configured, a variable is not set, or a file is missing or cannot be
    read."""

    code = "login_incomplete"


class LoginRefused(CredentialsError):
    """The store has refused a login: a role, a secret id, a token of an identity provider or a password is wrong, or
    was used up (Vault: HTTP 400 at a login).

    The same login is not tried again for a while, which grows, because many stores lock out a user after a few wrong
    logins. `retry_after` has the seconds that are left of it. Other material, such as a file with a new secret id, is
    tried at once.
    """

    code = "login_refused"

    def __init__(
        self, message: str, *, retry_after: float = 0.0, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message, status=status, request_id=request_id)
        self.retry_after = retry_after


class LoginUnavailable(CredentialsError):
    """The store could not tell whether a login is good (Vault: HTTP 403 at a login, as when Kubernetes cannot be asked
    about a token, when the user is locked out, or when the method is mounted elsewhere).

    `retry_after` has the seconds after which the login is tried again.
    """

    code = "login_unavailable"
    outage = True

    def __init__(
        self, message: str, *, retry_after: float = 0.0, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message, status=status, request_id=request_id)
        self.retry_after = retry_after


class InvalidSignature(CredentialsError):
    """The signature is wrong because of a wrong secret key or a wrong clock (AWS: InvalidSignatureException)."""

    code = "invalid_signature"
    refused = True


class UnrecognizedClient(CredentialsError):
    """AWS does not know the access key id or the session token (AWS: UnrecognizedClientException)."""

    code = "unrecognized_client"
    refused = True


class CredentialsExpired(CredentialsError):
    """The credentials had ended already when they were fetched: this machine's clock may be wrong."""

    code = "credentials_expired"
    refused = True


class ExpiredToken(CredentialsExpired):
    """The token has ended (AWS: ExpiredTokenException; Vault: a token that has ended, was revoked or is not known)."""

    code = "expired_token"


class Unreachable(SecretsError):
    """Base of errors of a store that gave no answer. `endpoint` is its host and port, or its path."""

    code = "unreachable"
    retryable = True

    def __init__(self, message: str, *, endpoint: str | None = None) -> None:
        super().__init__(message)
        self.endpoint = endpoint


class ConnectionFailed(Unreachable):
    """No connection to the store could be made."""

    code = "connection_failed"


class TlsFailed(ConnectionFailed):
    """The certificate of the server was not accepted, or the TLS handshake failed."""

    code = "tls_failed"
    retryable = False


class RequestFailed(Unreachable):
    """The connection broke before an answer began."""

    code = "request_failed"


class BodyReadFailed(Unreachable):
    """The connection broke in the middle of the answer."""

    code = "body_read_failed"


class BackendTimeout(Unreachable):
    """The store did not answer in time."""

    code = "backend_timeout"


class CircuitOpen(Unreachable):
    """The store has not answered lately, so nothing was sent: the circuit breaker is open.

    The store is tried again in `retry_after` seconds; 0 means that it is being tried right now.
    """

    code = "circuit_open"

    def __init__(self, message: str, *, endpoint: str | None = None, retry_after: float = 0.0) -> None:
        super().__init__(message, endpoint=endpoint)
        self.retry_after = retry_after


class LocalStoreError(SecretsError):
    """Base of errors with the files of the local store. `path` names the file; or the place of a master key that is in
    no file."""

    code = "local_store_error"

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class KeyFileError(LocalStoreError):
    """The key file is missing although there is a store, or is too short, unreadable, or open to other users."""

    code = "key_file_error"


class KeySourceError(KeyFileError):
    """The master key cannot be read from its place, and that place is no key file of ours. `path` names the place.

    Examples: a variable that is not set, a passphrase that is empty, a key ring that is locked.
    """

    code = "key_source_error"


class WrongKey(KeyFileError):
    """The data was sealed with another master key than the one that is configured."""

    code = "wrong_key"


class StoreUnavailable(LocalStoreError):
    """The database cannot be opened, read or written: a missing permission, a full disk, a lock that is held too long.

    `retryable` says whether the cause may go away by itself: a full disk may, a missing permission does not.
    """

    code = "store_unavailable"
    retryable = True

    def __init__(self, message: str, *, path: str, retryable: bool = True) -> None:
        super().__init__(message, path=path)
        self.retryable = retryable


class StoreDamaged(LocalStoreError):
    """The file is not as we wrote it: it is damaged, was changed, or is no database of ours."""

    code = "store_damaged"


class ExportFileError(LocalStoreError):
    """The file of an export cannot be read or written, exists already, or has a newer format."""

    code = "export_file_error"


class ExportDamaged(ExportFileError):
    """The file is not as it was written: it is damaged, cut off or changed, or is no export at all."""

    code = "export_damaged"


class WrongExportKey(ExportFileError):
    """The file was sealed with another key or passphrase."""

    code = "wrong_export_key"
