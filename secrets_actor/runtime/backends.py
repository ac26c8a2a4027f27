"""The table of the backends that the settings can name.

To add a backend: write its folder, its section in settings.py, and a row in `BACKENDS`.

Rule 1: `prepare` finds out, once, all that can be known without opening anything, and reports every mistake. Its
        findings go on to the backend factory, so nothing is computed a second time.
Rule 2: modules that only one backend needs are imported inside the functions of its row: a program with one backend
        does not load the others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.backends.master_key_setting import place_of
from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.domain.ports import BackendFactory, CredentialSource
from secrets_actor.otp import Observer
from secrets_actor.paths import NoPlace, expanded
from secrets_actor.runtime.daemon_settings import default_socket
from secrets_actor.runtime.settings import Settings, VaultSettings, profile_of, region_of

if TYPE_CHECKING:
    from secrets_actor.backends.aws_credentials import AwsCredentials

Environ = Mapping[str, str]
# The number of the user whose daemon is that of the machine.
ROOT: Final = 0
# A function that makes the backend factory, and opens nothing. The observer is told what the backend finds out about
# this machine, such as a clock that is wrong.
MakeFactory = Callable[[Observer | None], BackendFactory]


class BackendRow(Struct, frozen=True):
    """One backend: *section* is the name of its table in the settings. Most others are functions of the settings.

    *check* yields the mistakes in the section that count even while another backend is in use. *prepare* returns the
    function that makes the backend factory; it raises `ConfigurationError` with all mistakes that count only while this
    backend is in use.

    Four are for migrations. *identity* returns equal tuples for two settings that mean the same store. *is_there*
    tells whether the store exists, without opening it. *paced* returns the settings for writing many secrets in a row.
    *puts_stages*: whether the store can put a stage on any version.
    """

    section: str
    check: Callable[[Settings], Iterator[str]]
    prepare: Callable[[Settings, Environ], MakeFactory]
    identity: Callable[[Settings, Environ], tuple[Any, ...]]
    is_there: Callable[[Settings], bool]
    paced: Callable[[Settings, Environ], Settings]
    puts_stages: bool = True


def path_mistakes(setting: str, path: str | os.PathLike[str]) -> Iterator[str]:
    """Yield the mistakes in a path. A `~` without a home is one: it would become a folder in the working directory."""
    try:
        expanded(path)
    except NoPlace as error:
        yield f"{setting}: {error}"
    if "\0" in os.fspath(path):
        yield f"{setting}: holds a NUL character; give a path"


# --- the local store --------------------------------------------------------------------------------------------------


# What the parts of an ARN must look like for AWS's tools: Terraform's provider, for one, checks all three.
_ARN_PARTS: Final = (
    ("partition", re.compile(r"aws(-[a-z]+)*"), "aws, or aws- and a word, such as aws-cn"),
    ("region", re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}"), "a region such as eu-central-1"),
    ("account", re.compile(r"[0-9]{12}"), "twelve digits, as text"),
)


def _no_check(_settings: Settings) -> Iterator[str]:
    return iter(())


def _local_check(settings: Settings) -> Iterator[str]:
    for name, form, allowed in _ARN_PARTS:
        if form.fullmatch(getattr(settings.local, name)) is None:
            yield f"local.{name}: {allowed}"


def _local_prepare(settings: Settings, _environ: Environ) -> MakeFactory:
    local = settings.local
    mistakes = [*path_mistakes("local.path", local.path)]
    key = place_of(local.key)
    if key.kind in ("made_at", "file", "passphrase_file"):
        mistakes += path_mistakes("local.key", key.reveal())
    if mistakes:
        raise ConfigurationError(tuple(mistakes))

    def make(observe: Observer | None) -> BackendFactory:
        from secrets_actor.runtime.local_factory import local_factory_for

        return local_factory_for(local, observe)

    return make


def _local_folder(settings: Settings) -> Path:
    return Path(os.path.realpath(expanded(settings.local.path)))


# --- AWS --------------------------------------------------------------------------------------------------------------


def _aws_check(settings: Settings) -> Iterator[str]:
    aws = settings.aws
    if aws.profile is not None and aws.auth_method != "default":
        yield 'aws.profile: only with auth_method "default"'
    if aws.role_arn is not None:
        from secrets_actor.backends.aws.credentials.assume_role import Role

        role = Role(aws.role_arn, aws.role_session_name, aws.external_id, aws.session_duration, aws.role_tags or {})
        yield from (f"aws.{mistake}" for mistake in role.mistakes())


def _aws_prepare(settings: Settings, environ: Environ) -> MakeFactory:
    from secrets_actor.runtime.aws_connection import aws_connection_for

    aws, found = settings.aws, None
    mistakes = [] if aws.ca_bundle is None else [*path_mistakes("aws.ca_bundle", aws.ca_bundle)]
    try:
        found = aws_connection_for(aws, environ)
    except ConfigurationError as error:
        mistakes += error.mistakes
    if mistakes or found is None:
        raise ConfigurationError(tuple(mistakes))
    connection = found

    def make(observe: Observer | None) -> BackendFactory:
        from secrets_actor.runtime.aws_factory import aws_factory_for

        return aws_factory_for(aws, connection, observe)

    return make


def _aws_identity(settings: Settings, environ: Environ) -> tuple[Any, ...]:
    aws = settings.aws
    return region_of(aws, environ), aws.endpoint_url, aws.profile, aws.role_arn, aws.access_key


def _aws_paced(settings: Settings, environ: Environ) -> Settings:
    """Return the settings with adaptive retries, which follow AWS's throttling, unless a retry mode was chosen.

    A migration writes faster than AWS allows: 50 a second (service quotas: CreateSecret, PutSecretValue, UpdateSecret).
    """
    aws = settings.aws
    if aws.retry_mode or environ.get("AWS_RETRY_MODE") or profile_of(aws, environ).text("retry_mode"):
        return settings
    return replace(settings, aws=replace(aws, retry_mode="adaptive"))


# --- OpenBao and Vault ------------------------------------------------------------------------------------------------


def _vault_check(settings: Settings) -> Iterator[str]:
    if settings.vault == VaultSettings():
        return
    from secrets_actor.runtime.vault_connection import vault_mistakes

    yield from vault_mistakes(settings.vault)


def _vault_prepare(settings: Settings, environ: Environ) -> MakeFactory:
    from secrets_actor.runtime.vault_connection import vault_connection_for

    vault, connection = settings.vault, vault_connection_for(settings.vault, environ)
    signs = _signer(settings, environ) if vault.auth_method == "aws" else None

    def make(observe: Observer | None) -> BackendFactory:
        from secrets_actor.runtime.vault_factory import vault_factory_for

        return vault_factory_for(vault, connection, observe, None if signs is None else signs())

    return make


def _signer(settings: Settings, environ: Environ) -> Callable[[], CredentialSource[AwsCredentials]]:
    """Return the function that makes the source of the AWS credentials of a login. Raises `ConfigurationError`."""
    from secrets_actor.runtime.aws_connection import aws_connection_for

    aws = settings.aws
    if region_of(aws, environ) is None:  # only roles that are assumed on the way are asked for there
        aws = replace(aws, region="us-east-1")
    connection = aws_connection_for(aws, environ)

    def make() -> CredentialSource[AwsCredentials]:
        from secrets_actor.runtime.aws_factory import aws_credentials_for

        return aws_credentials_for(aws, connection)

    return make


def _vault_identity(settings: Settings, environ: Environ) -> tuple[Any, ...]:
    from secrets_actor.runtime.vault_connection import mount_of, vault_connection_for

    found = vault_connection_for(settings.vault, environ)
    return frozenset(found.nodes), found.namespace, mount_of(settings.vault)


# --- a daemon on this machine -----------------------------------------------------------------------------------------


def asked_socket(environ: Environ, uid: int | None = None) -> Path:
    """Return the path of the socket that the user *uid* (None: this process's) asks if no address is configured.

    It is that of the user's own daemon, or of the machine's for a user without a place for one, as in a systemd unit.
    """
    try:
        return default_socket(environ, uid)
    except ConfigurationError:
        return default_socket(environ, ROOT)


def _socket_path(settings: Settings, environ: Environ) -> str | None:
    """Return the path of the daemon's socket; None for an address that names none."""
    address = settings.daemon_client.address
    if address is None:
        return str(asked_socket(environ))
    path = address.removeprefix("unix:")
    return path if path != address and path.startswith("/") and "\0" not in path else None


def daemon_socket(settings: Settings, environ: Environ) -> Path | None:
    """Return the socket of the daemon that is the store of a program with these *settings*; None if another store
    is."""
    found = _socket_path(settings, environ) if settings.backend == "daemon" else None
    return None if found is None else Path(found)


def _daemon_prepare(settings: Settings, environ: Environ) -> MakeFactory:
    from secrets_actor.backends.http.origin import MAX_SOCKET_PATH

    found, section = _socket_path(settings, environ), settings.daemon_client
    if found is None or len(os.fsencode(found)) > MAX_SOCKET_PATH:
        text = f"unix: and the absolute path of the daemon's socket, {MAX_SOCKET_PATH} bytes at most"
        raise ConfigurationError((f"daemon_client.address: {text}",))
    path = found

    def make(_observe: Observer | None) -> BackendFactory:
        from secrets_actor.backends.aws.daemon_backend import daemon_backend_factory

        return daemon_backend_factory(path=path, timeout=section.timeout, recovery_window=section.recovery_window)

    return make


BACKENDS: Final[Mapping[str, BackendRow]] = {
    "local_encrypted": BackendRow(
        section="local",
        check=_local_check,
        prepare=_local_prepare,
        identity=lambda settings, _environ: (_local_folder(settings),),
        is_there=lambda settings: _local_folder(settings).exists(),
        paced=lambda settings, _environ: settings,
    ),
    "aws_secrets_manager": BackendRow(
        section="aws",
        check=_aws_check,
        prepare=_aws_prepare,
        identity=_aws_identity,
        is_there=lambda _settings: True,
        paced=_aws_paced,
    ),
    "vault": BackendRow(
        section="vault",
        check=_vault_check,
        prepare=_vault_prepare,
        identity=_vault_identity,
        is_there=lambda _settings: True,
        paced=lambda settings, _environ: settings,
        puts_stages=False,
    ),
    "daemon": BackendRow(
        section="daemon_client",
        check=_no_check,
        prepare=_daemon_prepare,
        identity=lambda settings, environ: (_socket_path(settings, environ),),
        is_there=lambda _settings: True,
        paced=lambda settings, _environ: settings,
    ),
}
# The settings that `System.configure` may change while a system runs.
OF_THE_BACKEND: Final = ("backend", *(row.section for row in BACKENDS.values()))
