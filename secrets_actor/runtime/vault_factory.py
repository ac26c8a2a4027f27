"""Makes the backend factory of OpenBao and Vault: the cluster, TLS, the login, and the doctor.

This module is loaded only if the settings name that backend. Modules that only some ways to log in need are loaded
where those are configured: a program that does not need them starts faster.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from secrets_actor.backends.http.origin import Origin, SettingNames
from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.vault.backend import vault_backend_factory
from secrets_actor.backends.vault.cluster import Cluster
from secrets_actor.backends.vault.names import Mount
from secrets_actor.clock import utc_now
from secrets_actor.domain.diagnosis import Finding
from secrets_actor.domain.ports import BackendFactory
from secrets_actor.forks import loading
from secrets_actor.otp import LifecycleEvent, Observer
from secrets_actor.runtime.settings import VaultSettings
from secrets_actor.runtime.vault_connection import DEFAULT, VaultConnection, VaultTls, mount_of

if TYPE_CHECKING:
    from secrets_actor.backends.aws_credentials import AwsCredentialSource
    from secrets_actor.backends.http.transport import Tls
    from secrets_actor.backends.vault.auth.login import LoginMethod
    from secrets_actor.backends.vault.auth.token_source import TokenSource
    from secrets_actor.backends.vault.call_runner import Connection

_ADDRESSES: Final = "vault.addresses"


class TokensNotKept(LifecycleEvent, frozen=True):
    """The life-cycle event of a KV *mount* in whose metadata the tokens of sets cannot be kept: a set that comes again
    after another program has written is not known, and is made anew."""

    mount: str
    advice: str = (
        'allow patch on the metadata of the secrets (config/vault-policy.hcl), or set vault.idempotency to "cas", '
        "which does not keep them"
    )


class ServerNotVerified(LifecycleEvent, frozen=True):
    """The life-cycle event of a system that trusts any server, because *setting* says so."""

    setting: str
    advice: str = "name the CA of the server in vault.ca_bundle: whoever is in between can read tokens and secrets"


def vault_factory_for(
    vault: VaultSettings,
    connection: VaultConnection,
    observe: Observer | None = None,
    signer: AwsCredentialSource | None = None,
) -> BackendFactory:
    """Return the factory that opens connections to the configured mount. *observe* is told what is found out about it
    on the way. *signer* has the AWS credentials of a login by `aws`."""
    links = _Links(vault, connection, observe)
    source = links.token_source(signer)
    mount = Mount(mount_of(vault), connection.namespace)

    def tokens_lost() -> None:
        if observe is not None:
            observe(TokensNotKept("vault", mount.path))

    def findings(deadline: float, prefix: str) -> Iterable[Finding]:
        with loading():
            from secrets_actor.backends.vault import diagnose

        method = vault.auth_method
        target = diagnose.Target(
            connection.nodes,
            connection.nodes_source,
            links.connect_to,
            source,
            _origin_of_the_token(vault, connection),
            mount,
            utc_now,
            logs_in=method != "token",
            uses_up=_used_up(vault),
            keeps_tokens=vault.idempotency == "metadata",
            trusts_all=connection.tls.trusts_all,
            unheeded=connection.unheeded,
        )
        return diagnose.diagnose(target, prefix, deadline)

    return vault_backend_factory(
        endpoints=links.cluster.names,
        connect=links.connect,
        mount=mount.path,
        namespace=mount.namespace,
        recovery_window=vault.recovery_window,
        write_json=vault.write_json,
        idempotency=vault.idempotency,
        credentials=source,
        diagnose=findings,
        on_tokens_lost=tokens_lost,
    )


class _Links:
    """Opens connections. All have one TLS context; those to the whole cluster also have one memory of it."""

    def __init__(self, vault: VaultSettings, connection: VaultConnection, observe: Observer | None) -> None:
        self.cluster = Cluster(connection.nodes)
        self._vault, self._connection, self._observe = vault, connection, observe
        self._proxies = dict(zip(connection.nodes, connection.proxies, strict=True))
        self._lock = threading.Lock()
        self._tls: Tls | None = None

    def connect(self) -> Connection:
        """Open a connection to the cluster, in the namespace of the mount."""
        return self._open(self.cluster, self._connection.namespace)

    def connect_to(self, nodes: Sequence[Origin], namespace: str | None) -> Connection:
        """Open a connection to some *nodes* by themselves."""
        return self._open(Cluster(nodes), namespace)

    def token_source(self, signer: AwsCredentialSource | None) -> TokenSource:
        """Return the source of the tokens, which logs in over connections of ours."""
        with loading():
            from secrets_actor.backends.vault.auth.token_source import TokenSource

        method = _method(self._vault, self._connection, signer)
        return TokenSource(method, self.connect, revoke=self._vault.revoke_on_stop)

    def _open(self, cluster: Cluster, namespace: str | None) -> Connection:
        with loading():
            from secrets_actor.backends.vault.call_runner import Connection

        return Connection(
            cluster,
            self._shared_tls(),
            namespace=namespace,
            timeout=self._connection.timeout,
            names=self._setting_names(),
            proxy_of=self._proxies.get,
        )

    def _setting_names(self) -> SettingNames:
        source, tls = self._connection.nodes_source, self._connection.tls
        asked, origin = "is anything listening there?", f"The address is from {source}"
        if source == DEFAULT:  # on a new machine, this is most often a variable that was forgotten
            source, origin = _ADDRESSES, f"No address was given: set {_ADDRESSES} or BAO_ADDR"
        return SettingNames(
            source,
            source,
            tls.ca_setting,
            "vault.proxy_url",
            not_there=f"{asked} {origin}",
            client_certificate=tls.cert_setting,
        )

    def _shared_tls(self) -> Tls:
        trusts_all = self._connection.tls.trusts_all
        with self._lock:  # several workers may connect at once
            if self._tls is None:
                self._tls = _tls(self._connection.tls)
                if trusts_all is not None and self._observe is not None:
                    self._observe(ServerNotVerified("vault", trusts_all))
            return self._tls


def _tls(given: VaultTls) -> Tls:
    with loading():
        from secrets_actor.backends.http.transport import ClientCertificate, Tls

    client = None
    if given.cert is not None:
        client = ClientCertificate(
            given.cert, given.key, certificate_setting=given.cert_setting, key_setting=given.key_setting
        )
    is_folder = given.ca_path is not None and os.path.isdir(given.ca_path)
    return Tls(
        None if is_folder else given.ca_path,
        given.ca_setting,
        ca_folder=given.ca_path if is_folder else None,
        ca_pem=given.ca_pem,
        client=client,
        server_name=given.server_name,
        verify=given.trusts_all is None,
    )


# --- the login --------------------------------------------------------------------------------------------------------


def _method(vault: VaultSettings, connection: VaultConnection, signer: AwsCredentialSource | None) -> LoginMethod:
    """Return the configured way to log in. Loads only what that needs."""
    mount = _login_mount(vault)
    if signer is None:
        return _METHODS[vault.auth_method](vault, connection, mount)
    from secrets_actor.backends.vault.auth.aws_iam import AwsIamLogin

    return AwsIamLogin(signer, vault.role, mount=mount, server_id=vault.iam_server_id, region=vault.sts_region)


def _login_mount(vault: VaultSettings) -> str:
    return (vault.auth_mount or vault.auth_method).strip("/")


def _token(_vault: VaultSettings, connection: VaultConnection, _mount: str) -> LoginMethod:
    from secrets_actor.backends.vault.auth.token import TokenLogin

    return TokenLogin(connection.tokens)


def _approle(vault: VaultSettings, _connection: VaultConnection, mount: str) -> LoginMethod:
    from secrets_actor.backends.vault.auth.approle import AppRoleLogin

    return AppRoleLogin(
        vault.role_id,
        vault.secret_id,
        mount=mount,
        wrapped_path=vault.secret_id_wrapped_path,
        remove=vault.remove_secret_id,
    )


def _kubernetes(vault: VaultSettings, _connection: VaultConnection, mount: str) -> LoginMethod:
    from secrets_actor.backends.vault.auth.kubernetes import KubernetesLogin

    return KubernetesLogin(vault.role or "", vault.jwt, mount=mount)


def _jwt(vault: VaultSettings, _connection: VaultConnection, mount: str) -> LoginMethod:
    from secrets_actor.backends.vault.auth.jwt import JwtLogin

    return JwtLogin(vault.role, vault.jwt, mount=mount)


def _cert(vault: VaultSettings, connection: VaultConnection, mount: str) -> LoginMethod:
    from secrets_actor.backends.vault.auth.cert import CertLogin

    path = connection.tls.cert
    return CertLogin(vault.role, KeySource("file", path) if isinstance(path, str) else None, mount=mount)


def _userpass(vault: VaultSettings, _connection: VaultConnection, mount: str) -> LoginMethod:
    from secrets_actor.backends.vault.auth.userpass import PasswordLogin

    return PasswordLogin(vault.username or "", vault.password, mount=mount)


_METHODS: Final[dict[str, Callable[[VaultSettings, VaultConnection, str], LoginMethod]]] = {
    "token": _token,
    "approle": _approle,
    "kubernetes": _kubernetes,
    "jwt": _jwt,
    "cert": _cert,
    "userpass": _userpass,
}


def _origin_of_the_token(vault: VaultSettings, connection: VaultConnection) -> str:
    if vault.auth_method == "token":
        return f"with a token: {', or else '.join(place.description for place in connection.tokens)}"
    return f"by {vault.auth_method}, at auth/{_login_mount(vault)}"


def _used_up(vault: VaultSettings) -> str | None:
    """Return what a login would use up that a program may need afterwards; None for nothing."""
    if vault.secret_id_wrapped_path is not None:
        return "the wrapping token of the secret id, which opens once"
    return "the file of the secret id, which is removed (vault.remove_secret_id)" if vault.remove_secret_id else None
