"""What a store answers: it was reached, and it said no. The keys belong here, too."""

from secrets_actor.domain.errors.base import SecretsError


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
    """What was written to a store, or is to be read from it, does not come to rest: it cannot be compared."""

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
