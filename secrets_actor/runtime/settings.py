"""The settings: frozen, with their defaults and limits.

Rule 1: a field's type says all that is allowed there: the validator checks by it, and its messages are made of it.
Rule 2: a class made in code takes whatever it is given, as any class does; `load` checks it as it checks a file.
Rule 3: a key, and what may hold a password, is masked as soon as the class has it.
"""

# Without `from __future__ import annotations`: the validator reads the types, and would have to evaluate each text.
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from secrets_actor.backends.aws.credentials.static import KeySource
from secrets_actor.backends.aws.sdk_settings import NO_PROFILE, ProfileSettings
from secrets_actor.backends.master_key_setting import KeyPlace, place_of
from secrets_actor.domain.errors import ConfigurationError, CredentialsError
from secrets_actor.domain.masked import MaskedText

Days = Annotated[int, Meta(ge=7, le=30)]
Text = Annotated[str, Meta(min_length=1)]


class Section(Struct, frozen=True):
    """A table of the configuration, with keys of its own."""


class LocalSettings(Section, frozen=True, kw_only=True):
    """[local]: the encrypted store in a folder of its own. *recovery_window* in days, 7 to 30.

    *key*: where the master key comes from: `"file"`, a key file in the folder; or a table, `{"env": "NAME"}` and
    others, as config/secrets_actor.toml explains them; in the environment a JSON object. A key itself is not kept.
    *make*: who makes a store where there is none: the `first_write`, the `start` of the system, or `never` but by
    `secrets-actor store init`.
    """

    path: Path = Path("~/.local/share/secrets-actor")
    make: Literal["first_write", "start", "never"] = "first_write"
    recovery_window: Days = 30
    key: KeyPlace | str | Mapping[str, Any] = KeyPlace()

    def __post_init__(self) -> None:
        """What names no place may be a key, and is dropped at once."""
        if not isinstance(self.key, KeyPlace):
            force_setattr(self, "key", place_of(self.key))


class AwsSettings(Section, frozen=True, kw_only=True):
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

    region: Text | None = None
    auth_method: Literal["default", "access_key", "iam_role"] = "default"
    profile: Text | None = None
    access_key: KeySource | None = None
    secret_key: KeySource | None = None
    session_token: KeySource | None = None
    role_arn: str | None = None
    external_id: str | None = None
    role_session_name: str | None = None
    session_duration: Annotated[int, Meta(ge=900, le=43_200)] | None = None
    role_tags: Mapping[str, str] | None = None
    timeout: Annotated[float, Meta(gt=0, le=300)] = 5.0
    recovery_window: Days = 30
    endpoint_url: str | None = None
    use_fips: bool | None = None
    use_dualstack: bool | None = None
    ca_bundle: Path | None = None
    # It may hold a password.
    proxy_url: MaskedText | str | None = None
    retry_mode: Literal["standard", "adaptive"] | None = None
    max_attempts: Annotated[int, Meta(ge=1, le=100)] | None = None

    def __post_init__(self) -> None:
        """A key given as text is masked at once, and so is a URL that may hold a password."""
        if isinstance(self.proxy_url, str):
            force_setattr(self, "proxy_url", MaskedText(self.proxy_url))
        for name in ("access_key", "secret_key", "session_token"):
            given = getattr(self, name)
            if isinstance(given, str):
                force_setattr(self, name, KeySource("text", given))


def proxy_url_of(aws: AwsSettings) -> str | None:
    """The proxy's URL, in clear."""
    return None if aws.proxy_url is None else MaskedText(aws.proxy_url).reveal()


class LogSettings(Section, frozen=True, kw_only=True):
    """[log]: *output* `logging` hands records to the standard library's logger `secrets_actor`, `stderr` writes them
    there, anything else is a file's path. *audit_hits*: a record for each cached get, one `summary` for all of the
    same version and caller in *audit_summary_seconds*, or none. *audit_buffer*: how many cached gets, and how many
    other records, may wait to be written; *audit_full*: whether one more cached get waits for room, for a second at
    most (`block`), or goes unrecorded and is counted (`drop`)."""

    format: Literal["json", "console"] = "json"
    output: Text = "logging"
    audit_hits: Literal["each", "summary", "off"] = "each"
    audit_summary_seconds: Annotated[float, Meta(ge=1, le=86_400)] = 60.0
    audit_buffer: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000
    audit_full: Literal["block", "drop"] = "drop"


class PrefetchSettings(Section, frozen=True, kw_only=True):
    """[prefetch]: what the cache is filled with, in the background, when the system starts: secrets by their *names*,
    those whose names begin with one of *prefixes*, those that have one of *tags*, each a key or `key=value`. In the
    environment a list's members are parted by commas."""

    names: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class Settings(Section, frozen=True, kw_only=True):
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
    ttl_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 300.0
    ttl_jitter: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    refresh_ahead: Annotated[float, Meta(ge=0, le=0.9)] = 0.2
    max_stale_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 3600.0
    missing_ttl_seconds: Annotated[float, Meta(ge=0, le=300)] = 5.0
    cache_entries: Annotated[int, Meta(ge=1, le=1_000_000)] = 1024
    cache_bytes: Annotated[int, Meta(ge=65_536 * 2, le=2**36)] = 64 * 2**20
    call_timeout_seconds: Annotated[float, Meta(gt=0, le=3600)] = 10.0
    max_workers: Annotated[int, Meta(ge=1, le=256)] = 16
    worker_idle_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    breaker_failures: Annotated[int, Meta(ge=0, le=100)] = 1
    max_pending: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
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
