"""The settings: frozen, with their defaults and limits. Reading and checking them is settings_loader.py's.

A field's metadata holds its limits in the words of `pydantic.Field`; nothing here imports pydantic, for a program that
starts on the defaults shall not pay for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from secrets_actor.backends.aws.credentials.static import KeySource
from secrets_actor.backends.aws.sdk_settings import NO_PROFILE, ProfileSettings
from secrets_actor.backends.master_key_setting import KeyPlace, place_of
from secrets_actor.domain.errors import ConfigurationError, CredentialsError
from secrets_actor.domain.masked import MaskedText
from secrets_actor.records import dataclass, field

# The settings that may change while a system runs.
OF_THE_STORE: Final = ("backend", "local", "aws")
# The settings that hold a key or say where one is.
KEYS: Final = ("access_key", "secret_key", "session_token")
MASTER_KEY: Final = "key"


def _limits(default: Any, **limits: Any) -> Any:
    return field(default=default, metadata=limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """[local]: the encrypted store in a folder of its own. *recovery_window* in days, 7 to 30.

    *key*: where the master key comes from: `"file"`, a key file in the folder; or a table, `{"env": "NAME"}` and
    others, as config/secrets_actor.toml explains them; in the environment a JSON object. A key itself is not kept.
    *make*: who makes a store where there is none: the `first_write`, the `start` of the system, or `never` but by
    `secrets-actor store init`.
    """

    path: Path = Path("~/.local/share/secrets-actor")
    make: Literal["first_write", "start", "never"] = "first_write"
    recovery_window: int = _limits(30, ge=7, le=30)
    key: KeyPlace | str | Mapping[str, Any] = KeyPlace()

    def __post_init__(self) -> None:
        """What is no place may be a key, and is dropped at once."""
        if not isinstance(self.key, KeyPlace):
            object.__setattr__(self, "key", place_of(self.key))


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings:
    """[aws]: Secrets Manager. *timeout* in seconds for one attempt, *recovery_window* in days, 7 to 30.

    *region* None: AWS_REGION, AWS_DEFAULT_REGION, or the profile's. *auth_method* `default`: the three keys if one of
    them is given, else wherever AWS's own tools look, starting with *profile* if there is one; `access_key`: the three
    keys, or the AWS_ variables when no access key is given; `iam_role`: the role of the instance this runs on. With
    *role_arn*, all that only serves to assume that role, for *session_duration* seconds (900 to 43200), with
    *role_tags* on the session (50 at most, none by default; in the environment a JSON object).
    What is None of *endpoint_url*, *use_fips*, *use_dualstack*, *ca_bundle*, *proxy_url*, *retry_mode* and
    *max_attempts* (1 to 100, the first one too) is as AWS's own variables have it, or the profile;
    see `aws_connection.py`.
    """

    region: str | None = _limits(None, min_length=1)
    auth_method: Literal["default", "access_key", "iam_role"] = "default"
    profile: str | None = _limits(None, min_length=1)
    access_key: KeySource | None = None
    secret_key: KeySource | None = None
    session_token: KeySource | None = None
    role_arn: str | None = None
    external_id: str | None = None
    role_session_name: str | None = None
    session_duration: int | None = _limits(None, ge=900, le=43_200)
    role_tags: Mapping[str, str] | None = None
    timeout: float = _limits(5.0, gt=0, le=300)
    recovery_window: int = _limits(30, ge=7, le=30)
    endpoint_url: str | None = None
    use_fips: bool | None = None
    use_dualstack: bool | None = None
    ca_bundle: Path | None = None
    # It may hold a password.
    proxy_url: MaskedText | str | None = field(default=None, repr=False)
    retry_mode: Literal["standard", "adaptive"] | None = None
    max_attempts: int | None = _limits(None, ge=1, le=100)

    def __post_init__(self) -> None:
        """A key given as text is masked at once, and so is a URL that may hold a password."""
        if isinstance(self.proxy_url, str):
            object.__setattr__(self, "proxy_url", MaskedText(self.proxy_url))
        for name in KEYS:
            given = getattr(self, name)
            if isinstance(given, str):
                object.__setattr__(self, name, KeySource("text", given))


def proxy_url_of(aws: AwsSettings) -> str | None:
    """The proxy's URL, in clear."""
    return None if aws.proxy_url is None else MaskedText(aws.proxy_url).reveal()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """[log]: *output* `logging` hands records to the standard library's logger `secrets_actor`, `stderr` writes them
    there, anything else is a file's path. *audit_hits*: a record for each cached get, one `summary` for all of the
    same version and caller in *audit_summary_seconds*, or none. *audit_buffer*: how many cached gets, and how many
    other records, may wait to be written; *audit_full*: whether one more cached get waits for room, for a second at
    most (`block`), or goes unrecorded and is counted (`drop`)."""

    format: Literal["json", "console"] = "json"
    output: str = _limits("logging", min_length=1)
    audit_hits: Literal["each", "summary", "off"] = "each"
    audit_summary_seconds: float = _limits(60.0, ge=1, le=86_400)
    audit_buffer: int = _limits(100_000, ge=1, le=10_000_000)
    audit_full: Literal["block", "drop"] = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefetchSettings:
    """[prefetch]: what the cache is filled with, in the background, when the system starts: secrets by their *names*,
    those whose names begin with one of *prefixes*, those that have one of *tags*, each a key or `key=value`. In the
    environment a list's members are parted by commas."""

    names: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of it. *ttl_seconds*: how long the cache answers (0: never), less a random share of *ttl_jitter* (0 to 0.5);
    in its last *refresh_ahead* share a hit is served and the secret fetched anew in the background;
    *max_stale_seconds*: how old a value may be that is served, marked stale, when the store cannot answer (0: none is);
    *missing_ttl_seconds*: how long it is remembered that a secret does not exist; *cache_entries* and *cache_bytes*:
    how much is kept, the least recently used going first;
    *call_timeout_seconds*: how long a caller waits who does not say; *max_workers*: connections at most;
    *worker_idle_seconds*: after how long without work one is let go, at the latest after twice that;
    *breaker_failures*: operations in a row that find the store out before it is left alone for a while (0: it is not);
    *max_pending*: callers that may wait at a time; *after_fork*: whether the first use in the child of a fork
    starts a tree there (`restart`) or raises `ForkedProcess` (`refuse`)."""

    backend: Literal["local_encrypted", "aws_secrets_manager"] = "local_encrypted"
    # Precedent for 300 s: the AWS Secrets Manager Agent. The AWS caching client's 3600 s would serve a rotated password
    # for an hour.
    ttl_seconds: float = _limits(300.0, ge=0, le=86_400)
    ttl_jitter: float = _limits(0.1, ge=0, le=0.5)
    refresh_ahead: float = _limits(0.2, ge=0, le=0.9)
    max_stale_seconds: float = _limits(3600.0, ge=0, le=86_400)
    missing_ttl_seconds: float = _limits(5.0, ge=0, le=300)
    cache_entries: int = _limits(1024, ge=1, le=1_000_000)
    cache_bytes: int = _limits(64 * 2**20, ge=65_536 * 2, le=2**36)
    call_timeout_seconds: float = _limits(10.0, gt=0, le=3600)
    max_workers: int = _limits(16, ge=1, le=256)
    worker_idle_seconds: float = _limits(60.0, gt=0, le=86_400)
    breaker_failures: int = _limits(1, ge=0, le=100)
    max_pending: int = _limits(10_000, ge=1, le=1_000_000)
    after_fork: Literal["restart", "refuse"] = "restart"
    local: LocalSettings = LocalSettings()
    aws: AwsSettings = AwsSettings()
    log: LogSettings = LogSettings()
    prefetch: PrefetchSettings = PrefetchSettings()


def region_of(aws: AwsSettings, environ: Mapping[str, str]) -> str | None:
    """The region in force: the configured one, that of AWS's own variables, or that of the profile."""
    return aws.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or _profile_region(aws, environ)


def _profile_region(aws: AwsSettings, environ: Mapping[str, str]) -> str | None:
    try:
        return profile_of(aws, environ).text("region") or None
    except ConfigurationError:
        return None


def profile_of(aws: AwsSettings, environ: Mapping[str, str]) -> ProfileSettings:
    """What the profile in force says of the way to AWS: nothing where the keys are not looked for in one, either.

    Raises `ConfigurationError` for a file that is not of the form, as botocore does: it may ask for another endpoint.
    """
    if aws.auth_method != "default":
        return NO_PROFILE
    from secrets_actor.backends.aws.credentials.shared_files import profile_settings  # reads files, and rarely

    try:
        return profile_settings(environ, aws.profile)
    except CredentialsError as exc:
        text = str(exc)
    raise ConfigurationError((text,))
