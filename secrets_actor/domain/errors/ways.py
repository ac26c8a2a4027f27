"""Lost ways: to a remote store, and to the files of the local one."""

from secrets_actor.domain.errors.base import SecretsError


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
