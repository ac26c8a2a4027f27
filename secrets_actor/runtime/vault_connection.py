"""Decides how OpenBao or Vault is reached: nodes, namespace, TLS, proxy and token, from the settings and the variables
of their own tools.

Rule 1: a setting stands over a variable.
Rule 2: a value is passed on together with its source, so that an error can name the place to mend.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

from secrets_actor.backends.http.origin import MAX_SOCKET_PATH, UNIX, Origin, parse_origin
from secrets_actor.backends.http.proxy import Proxy, proxy_for
from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.vault import environment
from secrets_actor.backends.vault.environment import Variable, variable
from secrets_actor.domain.errors import ConfigurationError, InvalidSecretValue
from secrets_actor.domain.secret import MAX_VALUE_BYTES, SecretValue
from secrets_actor.paths import NoPlace, expanded
from secrets_actor.runtime.settings import VaultSettings, proxy_url_of
from secrets_actor.structs import SelectiveStruct

T = TypeVar("T")
_REGION: Final = re.compile(r"[a-z0-9-]+")  # it becomes a part of a host name
_PATH: Final = "a path such as team/payments, without . and .. and without // in it"
# Seconds for one attempt. A server answers in milliseconds; a node that was stopped must leave time for another one.
TIMEOUT: Final = 2.0
# Where an address comes from that nobody gave.
DEFAULT: Final = "the default"
# Which ways to log in take a setting, and which of them cannot do without it.
_TAKEN_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "token": ("token",),
    "role": ("kubernetes", "jwt", "cert", "aws"),
    "role_id": ("approle",),
    "secret_id": ("approle",),
    "secret_id_wrapped_path": ("approle",),
    "remove_secret_id": ("approle",),
    "jwt": ("jwt", "kubernetes"),
    "username": ("userpass",),
    "password": ("userpass",),
    "iam_server_id": ("aws",),
    "sts_region": ("aws",),
    "auth_mount": ("approle", "kubernetes", "jwt", "cert", "userpass", "aws"),
}
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "token": (),
    "approle": ("role_id",),  # a role may ask for no secret id
    "kubernetes": ("role",),
    "jwt": ("jwt",),  # the mount may have a default role
    "cert": (),
    "userpass": ("username", "password"),
    "aws": (),
}


class VaultTls(SelectiveStruct, frozen=True):
    """What decides about TLS. Each is None if nothing says it.

    CAs: *ca_path*, a file or a folder, or *ca_pem*, which *ca_setting* names. Our certificate and its key: two files,
    or two texts in PEM form, which *cert_setting* and *key_setting* name; without a key, it is with the certificate.
    *server_name*: which name the certificate of a server must have. *trusts_all* is the setting or the variable that
    says to trust any server.
    """

    ca_path: str | None = None
    ca_pem: bytes | None = None
    ca_setting: str = "vault.ca_bundle"
    cert: str | bytes | None = None
    key: str | SecretValue | None = None
    cert_setting: str = "vault.client_cert"
    key_setting: str = "vault.client_key"
    server_name: str | None = None
    trusts_all: str | None = None


class VaultConnection(SelectiveStruct, frozen=True):
    """How the server is reached.

    *nodes* come from *nodes_source*, a setting, a variable, or a default. *proxies* are those on the way to each of
    them, None where there is none. *tokens*: the places of the token, with the method `token`; the first that has one
    counts. *timeout*: seconds for one attempt. *unheeded*: the variables that are set and have no effect.
    """

    nodes: tuple[Origin, ...]
    nodes_source: str
    proxies: tuple[Proxy | None, ...]
    namespace: str | None
    tls: VaultTls
    tokens: tuple[KeySource, ...]
    timeout: float
    unheeded: tuple[str, ...] = ()


def vault_mistakes(vault: VaultSettings) -> Iterator[str]:
    """Yield the mistakes in the section that no variable can mend."""
    for name, path in (("mount", vault.mount), ("auth_mount", vault.auth_mount), ("namespace", vault.namespace)):
        if path and not _is_path(path):
            yield f"vault.{name}: {_PATH}"
    for name, methods in _TAKEN_BY.items():
        if getattr(vault, name) and vault.auth_method not in methods:
            yield f"vault.{name}: only with auth_method " + " or ".join(f'"{one}"' for one in methods)
    if vault.username in (".", ".."):
        yield "vault.username: a name other than . and .., which would lead to another path of the server"
    if vault.sts_region is not None and _REGION.fullmatch(vault.sts_region) is None:
        yield "vault.sts_region: the name of a region of AWS, such as eu-west-1"
    if vault.iam_server_id is not None and not (vault.iam_server_id.isascii() and vault.iam_server_id.isprintable()):
        yield "vault.iam_server_id: printable ASCII, because it is sent in a header"
    if vault.secret_id_wrapped_path is not None and vault.secret_id is None:
        yield "vault.secret_id_wrapped_path: only with secret_id, the wrapping token"
    if vault.remove_secret_id and (vault.secret_id is None or vault.secret_id.kind != "file"):
        yield 'vault.remove_secret_id: only with secret_id = { file = "PATH" }'


def vault_connection_for(vault: VaultSettings, environ: Mapping[str, str]) -> VaultConnection:
    """Return how the server is reached. Raises `ConfigurationError` with all mistakes. They quote no URL, which may
    hold a password."""
    mistakes = [
        f'vault.{name}: required with auth_method "{vault.auth_method}"'
        for name in _NEEDED[vault.auth_method]
        if getattr(vault, name) is None
    ]
    source, nodes = "", tuple[Origin, ...]()
    found = _or_mistake(mistakes, lambda: _nodes(vault, environ))
    if found is not None:
        source, nodes = found
    tls = _or_mistake(mistakes, lambda: _tls(vault, environ))
    namespace = _or_mistake(mistakes, lambda: _namespace(vault, environ))
    proxies = _or_mistake(mistakes, lambda: tuple(_proxy(vault, environ, node) for node in nodes))
    timeout = vault.timeout or _or_mistake(mistakes, lambda: environment.client_timeout(environ)) or TIMEOUT
    if mistakes or tls is None or proxies is None:
        raise ConfigurationError(tuple(mistakes))
    return VaultConnection(
        nodes,
        source,
        proxies,
        namespace,
        tls,
        _tokens(vault, environ),
        timeout,
        environment.not_honoured(environ),
    )


def mount_of(vault: VaultSettings) -> str:
    """Return the path of the KV mount, without slashes at its ends."""
    return vault.mount.strip("/")


def _is_path(path: str) -> bool:
    """Whether *path* can stand in a URL, and means there what it says: `..` would lead out of it. A slash at its end,
    as the tools have it, is no matter."""
    parts = path.strip("/").split("/")
    return path.isascii() and path.isprintable() and " " not in path and not {"", ".", ".."} & set(parts)


def _nodes(vault: VaultSettings, environ: Mapping[str, str]) -> tuple[str, tuple[Origin, ...]]:
    if vault.addresses:
        nodes = tuple(_node(url, "vault.addresses") for url in vault.addresses)
        return "vault.addresses", tuple(dict.fromkeys(nodes))  # a node that is named twice is one
    found = environment.address(environ) or Variable(DEFAULT, environment.DEFAULT_ADDRESS)
    return found.name, (_node(found.value, found.name),)


def _node(url: str, source: str) -> Origin:
    path = url.removeprefix("unix://")
    if path == url:
        return parse_origin(url, source)
    if not path.startswith("/") or "\0" in path or len(path.encode(errors="surrogateescape")) > MAX_SOCKET_PATH:
        raise ConfigurationError(
            (f"{source}: unix:// and the absolute path of a socket, {MAX_SOCKET_PATH} bytes at most",)
        )
    return Origin(UNIX, path, 0)


def _proxy(vault: VaultSettings, environ: Mapping[str, str], node: Origin) -> Proxy | None:
    url, source = proxy_url_of(vault), "vault.proxy_url"
    if url is None and (found := environment.proxy(environ)) is not None:
        url, source = found.value, found.name
    return proxy_for(node, url, environ, source)


def _namespace(vault: VaultSettings, environ: Mapping[str, str]) -> str | None:
    found = variable(environ, "NAMESPACE")
    named = vault.namespace if vault.namespace is not None else "" if found is None else found.value
    path = named.strip("/") or None
    if found is not None and vault.namespace is None and path is not None and not _is_path(path):
        raise ConfigurationError((f"{found.name}: {_PATH}",))
    return path


def _tokens(vault: VaultSettings, environ: Mapping[str, str]) -> tuple[KeySource, ...]:
    if vault.token is not None:
        return (vault.token,)
    path, named = variable(environ, "TOKEN_PATH"), variable(environ, "TOKEN")
    file = KeySource("file", environment.LOGIN_FILE if path is None else path.value)
    return (file,) if named is None else (KeySource("env", named.name), file)


def _tls(vault: VaultSettings, environ: Mapping[str, str]) -> VaultTls:
    file, text, folder = (variable(environ, word) for word in ("CACERT", "CACERT_BYTES", "CAPATH"))
    ca = Variable("vault.ca_bundle", str(vault.ca_bundle)) if vault.ca_bundle is not None else file or text or folder
    ca_bytes = ca if ca is text else None
    name = variable(environ, "TLS_SERVER_NAME")
    trusts_all = environment.skip_verify(environ)
    if vault.skip_verify is not None:
        trusts_all = Variable("vault.skip_verify", "true") if vault.skip_verify else None
    tls = VaultTls(
        ca_path=None if ca is None or ca_bytes is not None else _checked_path(ca),
        ca_pem=None if ca_bytes is None else ca_bytes.value.encode(errors="replace"),
        ca_setting="vault.ca_bundle" if ca is None else ca.name,
        server_name=vault.tls_server_name or (None if name is None else name.value),
        trusts_all=None if trusts_all is None else trusts_all.name,
        **_certificate(vault, environ),
    )
    if vault.auth_method == "cert" and tls.cert is None:
        raise ConfigurationError(('vault.client_cert: required with auth_method "cert"',))
    return tls


def _certificate(vault: VaultSettings, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of `VaultTls` about our certificate. Files go before texts, as in the tools."""
    if vault.client_cert is not None or vault.client_key is not None:
        if vault.client_cert is None:
            raise ConfigurationError(("vault.client_key: only with client_cert",))
        key = vault.client_key
        return {
            "cert": _checked_path(Variable("vault.client_cert", str(vault.client_cert))),
            "key": None if key is None else _checked_path(Variable("vault.client_key", str(key))),
        }
    for suffix in ("", "_BYTES"):
        cert, key_variable = (variable(environ, f"{word}{suffix}") for word in ("CLIENT_CERT", "CLIENT_KEY"))
        if cert is None and key_variable is None:
            continue
        if cert is None or key_variable is None:
            given = [one.name for one in (cert, key_variable) if one is not None]
            raise ConfigurationError((f"{given[0]}: a certificate and its key, both or none",))
        return {
            "cert": cert.value.encode(errors="replace") if suffix else _checked_path(cert),
            "key": _masked(key_variable) if suffix else _checked_path(key_variable),
            "cert_setting": cert.name,
            "key_setting": key_variable.name,
        }
    return {}


def _masked(found: Variable) -> SecretValue:
    with suppress(InvalidSecretValue):
        return SecretValue(found.value)
    raise ConfigurationError((f"{found.name}: a key in PEM form, which is a text of {MAX_VALUE_BYTES} bytes at most",))


def _checked_path(found: Variable) -> str:
    """Return the path in *found*. Raises `ConfigurationError` for one that cannot be a path."""
    try:
        return str(expanded(found.value))
    except NoPlace as error:
        text = str(error)
    raise ConfigurationError((f"{found.name}: {text}",))


def _or_mistake(mistakes: list[str], make: Callable[[], T]) -> T | None:
    try:
        return make()
    except ConfigurationError as error:
        mistakes += error.mistakes
        return None
