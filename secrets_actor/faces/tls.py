"""The TLS of a listener, from the files of its configuration. The faces' door to ssl.

A certificate that was renewed is taken up by a listener that is made anew, as a reload of the configuration does.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.small_files import read

# Bytes. A bundle of all public authorities has a quarter of that.
_LONGEST: Final = 1 << 20


def server_tls(
    *, certificate: str | Path, key: str | Path, client_authority: str | Path | None = None
) -> ssl.SSLContext:
    """Return the TLS of a server, version 1.2 or later, from PEM files: the chain of the *certificate*, its *key*
    without a passphrase, and with *client_authority* the authorities of clients, each of which must then show a
    certificate. Raises `ConfigurationError`."""
    for name, path in (("cert", certificate), ("key", key), ("client_ca", client_authority)):
        found = b"" if path is None else read(path, _LONGEST)
        if not isinstance(found, bytes):
            raise ConfigurationError((f"tls.{name}: {path} {'is not there' if found is None else found}",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key with a passphrase would be asked for on the terminal, and the daemon would hang.
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise ConfigurationError((f"tls.cert, tls.key: {_words(error)}",)) from None
    if client_authority is not None:
        try:
            context.load_verify_locations(client_authority)
        except (ssl.SSLError, OSError):
            raise ConfigurationError((f"tls.client_ca: {client_authority} has no certificate in PEM",)) from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase: give one without")


def _words(error: Exception) -> str:
    """Return what is wrong in words; OpenSSL's text says where in its source."""
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the key is that of another certificate"
        return "they are no certificate chain and key in PEM"
    return str(error)
