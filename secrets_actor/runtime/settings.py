"""The settings, with their defaults and limits. They are frozen.

Rule 1: the type of a field says all that is allowed there. The validator checks by it, and words its messages by it.
Rule 2: making one of these classes in code checks nothing. `load`, and so `start`, checks the object as it checks a
        file.
Rule 3: a key, and a text that may hold a password, is masked as soon as the object has it.
"""

# Without `from __future__ import annotations`, which makes texts of the types: the validator reads the types.
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta
from msgspec.structs import force_setattr

from secrets_actor.backends.aws.sdk_settings import NO_PROFILE, ProfileSettings, Stated
from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.master_key_setting import KeyPlace, place_of
from secrets_actor.domain.errors import ConfigurationError, CredentialsError
from secrets_actor.domain.masked import MaskedText
from secrets_actor.runtime.daemon_settings import DaemonSettings
from secrets_actor.runtime.file_settings import FileSettings
from secrets_actor.runtime.section import Section, Text

Days = Annotated[int, Meta(ge=7, le=30)]


class LocalSettings(Section, frozen=True, kw_only=True):
    """Table `[local]`: the encrypted store in a folder of its own.

    - `path`: the folder.
    - `make`: when a store that does not exist is made: at the `first_write`, at the `start` of the system, or `never`,
      except by `secrets-actor store init`.
    - `recovery_window`: days for which a deleted secret can be restored, 7 to 30.
    - `key`: the place of the master key. `"file"` means a key file in the folder; a table such as `{"env": "NAME"}`
      names another place (config/secrets_actor.toml explains them all; in the environment it is a JSON object). The key
      itself is no setting.
    - `partition`, `region`, `account`: what the ARNs of its secrets have there, in AWS's form: such as `aws`,
      `us-east-1`, and twelve digits.
    """

    path: Path = Path("~/.local/share/secrets-actor")
    make: Literal["first_write", "start", "never"] = "first_write"
    recovery_window: Days = 30
    key: KeyPlace | str | Mapping[str, Any] = KeyPlace()
    partition: Text = "aws"
    region: Text = "us-east-1"
    account: Text = "000000000000"

    def __post_init__(self) -> None:
        """Keep only the place of the key: a text that names no place may be the key itself, and is dropped at once."""
        if not isinstance(self.key, KeyPlace):
            force_setattr(self, "key", place_of(self.key))


class AwsSettings(Section, frozen=True, kw_only=True):
    """Table `[aws]`: AWS Secrets Manager.

    - `region` (None: AWS_REGION, AWS_DEFAULT_REGION, or that of the profile).
    - `auth_method`: where credentials come from. `default`: `access_key`, `secret_key` and `session_token` if one of
      them is given; else the places where AWS's own tools look, beginning with `profile` if it is given. `access_key`:
      those three, or AWS's variables if no access key is given. `iam_role`: the role of the instance this runs on.
    - `role_arn`: a role to assume with these credentials, with `external_id` and `role_session_name`, for
      `session_duration` seconds (900 to 43,200), with `role_tags` on the session (50 at most; in the environment a JSON
      object).
    - `timeout`: seconds for one attempt.
    - `recovery_window`: days for which a deleted secret can be restored, 7 to 30.
    - `endpoint_url`, `use_fips`, `use_dualstack`, `ca_bundle`, `proxy_url`, `retry_mode`, `max_attempts` (1 to 100,
    with the first one). None: as AWS's own variables or the profile say (config/README.md has the table).
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
    # Masked (rule 3), because a URL may hold a password.
    proxy_url: MaskedText | str | None = None
    retry_mode: Literal["standard", "adaptive"] | None = None
    max_attempts: Annotated[int, Meta(ge=1, le=100)] | None = None

    def __post_init__(self) -> None:
        """Mask keys that are given as text, and the proxy's URL."""
        _mask(self, "access_key", "secret_key", "session_token")

    def __reduce__(self) -> tuple[Any, ...]:
        """Put the proxy's URL into a pickle if there is no password in it. Raises `TypeError`."""
        return _with_proxy_url(self, super().__reduce__(), "aws")


class VaultSettings(Section, frozen=True, kw_only=True):
    """Table `[vault]`: OpenBao or HashiCorp Vault, secrets in a KV mount of version 2.

    With `backend = "vault"` and the variables VAULT_ADDR and VAULT_TOKEN, nothing of this is needed. A setting that is
    None is as OpenBao's and Vault's own variables say (config/README.md has the table): `BAO_x`, else `VAULT_x`.

    - `addresses`: a URL for each node of the cluster; none: BAO_ADDR, else https://127.0.0.1:8200.
    - `mount`: the path of the KV mount. `namespace`: the namespace of the mount and of the login.
    - `auth_method`: how to log in. `token`: with `token`, or else with BAO_TOKEN, or the file `~/.vault-token`.
      `approle`: with `role_id` and `secret_id`. `kubernetes` and `jwt`: as `role`, with the token in `jwt`; without it,
      `kubernetes` reads the one that Kubernetes puts into each pod. `cert`: with `client_cert`, as `role` if it is
      given. `userpass`: with `username` and `password`. `aws`: as `role` if it is given, with the credentials
      that table `[aws]` names; with `iam_server_id` if the server demands one, and `sts_region` if it asks the STS of a
      region.
    - `auth_mount`: the path of the login, below `auth/`. None: that of the method's own name.
    - `secret_id_wrapped_path`: `secret_id` is a wrapping token for the secret id, and this is the path that must have
      made it, such as `auth/approle/role/web/secret-id`. `remove_secret_id`: whether a file with it is removed after it
      was read.
    - `ca_bundle`: a file, or a folder, with the CAs to trust. `client_cert`, `client_key`: files with our certificate
      and its key (None: in the same file). `tls_server_name`: the name that the server's certificate must have.
      `skip_verify`: trust anybody.
    - `proxy_url`: the proxy on the way to a server with https.
    - `timeout`: seconds for one attempt; None: BAO_CLIENT_TIMEOUT, else 2.
    - `recovery_window`: days for which a deleted secret can be restored, 7 to 30.
    - `write_json`: how a text that is a JSON object is written: as it is, in the field `value`; or its members as
      `fields`, which other programs may expect.
    - `idempotency`: whether the tokens of sets are kept in the `metadata` of the secret, so that a late repeat is
      known; or not: `cas`, which writes once less, and needs no permission to patch metadata.
    - `revoke_on_stop`: whether the token that we logged in for is revoked when the system has stopped.
    """

    addresses: tuple[str, ...] = ()
    mount: Text = "secret"
    namespace: str | None = None
    auth_method: Literal["token", "approle", "kubernetes", "jwt", "cert", "userpass", "aws"] = "token"
    auth_mount: Text | None = None
    token: KeySource | None = None
    role: Text | None = None
    role_id: KeySource | None = None
    secret_id: KeySource | None = None
    secret_id_wrapped_path: Text | None = None
    remove_secret_id: bool = False
    jwt: KeySource | None = None
    username: Text | None = None
    password: KeySource | None = None
    iam_server_id: Text | None = None
    sts_region: Text | None = None
    ca_bundle: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    tls_server_name: Text | None = None
    skip_verify: bool | None = None
    # Masked (rule 3), because a URL may hold a password.
    proxy_url: MaskedText | str | None = None
    timeout: Annotated[float, Meta(gt=0, le=300)] | None = None
    recovery_window: Days = 30
    write_json: Literal["value", "fields"] = "value"
    idempotency: Literal["metadata", "cas"] = "metadata"
    revoke_on_stop: bool = True

    def __post_init__(self) -> None:
        """Mask keys that are given as text, and the proxy's URL."""
        _mask(self, "token", "role_id", "secret_id", "jwt", "password")

    def __reduce__(self) -> tuple[Any, ...]:
        """Put the proxy's URL into a pickle if there is no password in it. Raises `TypeError`."""
        return _with_proxy_url(self, super().__reduce__(), "vault")


class DaemonClientSettings(Section, frozen=True, kw_only=True):
    """Table `[daemon_client]`: the backend `daemon`, a `secrets-actor run` on this machine that many programs share.

    - `address`: `unix:` and the path of its socket. None: `$XDG_RUNTIME_DIR/secrets-actor/api.sock`, and without that
      variable, or as root, `/run/secrets-actor/api.sock`. That is where a daemon without configuration listens.
    - `timeout`: seconds for one attempt. The daemon tries its own store several times within it.
    - `recovery_window`: days for which a deleted secret can be restored, 7 to 30. None: as the daemon's store has it.
    """

    address: Text | None = None
    timeout: Annotated[float, Meta(gt=0, le=300)] = 10.0
    recovery_window: Days | None = None


def proxy_url_of(section: AwsSettings | VaultSettings) -> str | None:
    """Return the proxy's URL in clear, or None."""
    return None if section.proxy_url is None else MaskedText(section.proxy_url).reveal()


def _mask(section: AwsSettings | VaultSettings, *keys: str) -> None:
    """Mask those of *keys* that are given as text, and the proxy's URL, which may hold a password."""
    if isinstance(section.proxy_url, str):
        force_setattr(section, "proxy_url", MaskedText(section.proxy_url))
    for name in keys:
        given = getattr(section, name)
        if isinstance(given, str):
            force_setattr(section, name, KeySource("text", given))


def _with_proxy_url(section: AwsSettings | VaultSettings, reduced: tuple[Any, ...], table: str) -> tuple[Any, ...]:
    """Return *reduced*, what `Section.__reduce__` made of *section*, with the proxy's URL in clear."""
    if "@" in (proxy_url_of(section) or ""):
        raise TypeError(
            f"settings are not pickled with a user or a password in {table}.proxy_url: leave it out, and set the "
            "variable HTTPS_PROXY for the process that uses the settings"
        )
    [made, nothing] = reduced
    return partial(made, proxy_url=proxy_url_of(section)), nothing


class LogSettings(Section, frozen=True, kw_only=True):
    """Table `[log]`: the log and the audit log.

    - `format`: of lines on standard error or in a file: `json`, or `console` for people.
    - `output`: `logging` hands records to the standard library's logger `secrets_actor`, with their facts as fields;
      `stderr` writes them there; any other text is the path of a file.
    - `audit_hits`: which cached gets have audit records. `each`: every one. `summary`: one record for all gets of the
      same version and caller within `audit_summary_seconds` (1 to 86,400). `off`: none.
    - `audit_buffer`: how many cached gets, and how many other records, may wait to be written.
    - `audit_full`: what a cached get does if no more may wait. `block`: wait for room, one second at most. `drop`: go
      without a record; the metrics count it.
    """

    format: Literal["json", "console"] = "json"
    output: Text = "logging"
    audit_hits: Literal["each", "summary", "off"] = "each"
    audit_summary_seconds: Annotated[float, Meta(ge=1, le=86_400)] = 60.0
    audit_buffer: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000
    audit_full: Literal["block", "drop"] = "drop"


class PrefetchSettings(Section, frozen=True, kw_only=True):
    """Table `[prefetch]`: the secrets that are put into the cache, in the background, when the system starts.

    - `names`: names of secrets.
    - `prefixes`: beginnings of names.
    - `tags`: tags that a secret has, each a key or `key=value`.

    In the environment, commas separate the members of a list. A secret that cannot be fetched is reported in the log,
    and nothing fails for it. `Secrets.prefetch` does the same at any time.

        import secrets_actor
        from secrets_actor import PrefetchSettings, Settings

        settings = Settings(prefetch=PrefetchSettings(names=("db/password",), prefixes=("smtp/",)))
        with secrets_actor.start(settings) as system:
            system.secrets.prefetch(["api/key"], tags=["team=payments"])
    """

    names: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class Settings(Section, frozen=True, kw_only=True):
    """All settings of a system. Make them in code, or in a TOML file with the same keys. To make them checks nothing:
    `start` and `configure` do, and raise `ConfigurationError` with all mistakes at once.

    - `backend`: which store: `local_encrypted`, `aws_secrets_manager`, `vault` (OpenBao and HashiCorp Vault), or
      `daemon`, which is that of a daemon.
    - `ttl_seconds`: how long the cache answers (0: never). `ttl_jitter`: a random share of that, up to this much (0 to
      0.5), is taken off for each secret. `refresh_ahead`: in this last share of the TTL (0 to 0.9), a cached get is
      answered, and the secret is fetched again in the background.
    - `max_stale_seconds`: how old a value may be that is returned, marked stale, if the store cannot answer (0: none
      is). `missing_ttl_seconds`: how long the cache remembers that a secret does not exist.
    - `cache_entries`, `cache_bytes`: how much the cache keeps. The least recently used secrets are dropped first.
    - `call_timeout_seconds`: how long a caller waits that gives no timeout.
    - `max_workers`: how many connections there are at most. `worker_idle_seconds`: a worker without work for this long
      is let go, at the latest after twice this time.
    - `breaker_failures`: after so many operations in a row that could not reach the store, the store is left alone for
      a while (0: never).
    - `max_pending`: how many callers may wait at a time; one more gets `Overloaded`.
    - `after_fork`: whether the first use in the child of a fork starts a tree there (`restart`), or raises
      `ForkedProcess` (`refuse`).
    - `local`, `aws`, `vault`, `daemon_client`, `log`, `prefetch`: the tables. `daemon`: what `secrets-actor run`
      serves; None: the defaults. `file`: what it, and `secrets-actor render`, make of secrets.
    """

    # A plain text, and no Literal: the names stand once, in the table BACKENDS, by which `load` checks this.
    backend: str = "local_encrypted"
    # 300 s as in the AWS Secrets Manager Agent. The 3600 s of AWS's caching client would serve a rotated password for
    # an hour.
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
    vault: VaultSettings = VaultSettings()
    daemon_client: DaemonClientSettings = DaemonClientSettings()
    log: LogSettings = LogSettings()
    prefetch: PrefetchSettings = PrefetchSettings()
    daemon: DaemonSettings | None = None
    file: tuple[FileSettings, ...] = ()


def region_of(aws: AwsSettings, environ: Mapping[str, str]) -> str | None:
    """Return the region in force; None if none is named, or if the profile cannot be read."""
    try:
        found = stated_region(aws, environ, profile_of(aws, environ))
    except ConfigurationError:
        found = stated_region(aws, environ, NO_PROFILE)
    return None if found is None else found.value


def stated_region(aws: AwsSettings, environ: Mapping[str, str], profile: ProfileSettings) -> Stated | None:
    """Return the region in force, and what names it: the settings, one of AWS's own variables, or the *profile*."""
    named = (
        (aws.region, "aws.region"),
        *((environ.get(variable), variable) for variable in ("AWS_REGION", "AWS_DEFAULT_REGION")),
        (profile.text("region"), profile.source("region")),
    )
    return next((Stated(region, source) for region, source in named if region), None)


def profile_of(aws: AwsSettings, environ: Mapping[str, str]) -> ProfileSettings:
    """Return what the profile in force says about reaching AWS. If credentials are not looked for in a profile, neither
    is this: then the answer is empty.

    Raises `ConfigurationError` for a file that cannot be parsed, as botocore does: the file may ask for another
    endpoint, so to go on without it could send requests to the wrong one.
    """
    if aws.auth_method != "default":
        return NO_PROFILE
    # Loaded here, because few settings need it.
    from secrets_actor.backends.aws.credentials.shared_files import profile_settings

    try:
        return profile_settings(environ, aws.profile)
    except CredentialsError as exc:
        text = str(exc)
    raise ConfigurationError((text,))
