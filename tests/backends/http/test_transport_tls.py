"""TLS: who is trusted, and what each refusal is called."""

import os
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from secrets_actor.backends.aws.endpoint import SETTING_NAMES
from secrets_actor.backends.http.abortable_socket import AbortableSocket
from secrets_actor.backends.http.origin import Origin
from secrets_actor.backends.http.transport import Tls
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from tests.backends.http.tls_server import TlsServer, certificate_files
from tests.backends.http.transport_rig import (
    LONG,
    Raw,
    ask,
    failing,
    transport_to,
)
from tests.servers.behaviours import Answer, Behaviour, Hang, HangUp, Reset
from tests.servers.faulty import FaultyServer

PAST = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC))
FUTURE = (datetime(2090, 1, 1, tzinfo=UTC), datetime(2091, 1, 1, tzinfo=UTC))


def test_a_server_that_the_ca_bundle_vouches_for_is_trusted(tmp_path: Path) -> None:
    authority = trustme.CA()
    ca, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("127.0.0.1"))
    tls = Tls(str(ca))
    with TlsServer(chain, key) as server:
        for _ in range(2):
            with transport_to(server.port, "https", tls=tls) as transport:
                assert [ask(transport).body for _ in range(3)] == [b"{}"] * 3

        assert server.handshakes == 2
    assert tls.context() is tls.context()


def test_what_is_large_goes_over_tls_both_ways(tmp_path: Path) -> None:
    authority, large = trustme.CA(), bytes(range(256)) * 16_000
    ca, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("127.0.0.1"))
    with TlsServer(chain, key, Answer(large)) as server:
        with transport_to(server.port, "https", tls=Tls(str(ca))) as transport:
            assert [ask(transport, body=large).body == large for _ in range(2)] == [True, True]

        assert server.handshakes == 1


def test_what_is_decrypted_already_is_not_waited_for(tmp_path: Path) -> None:
    authority = trustme.CA()
    ca, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("127.0.0.1"))
    with TlsServer(chain, key, Answer(b"0123456789")) as server:
        used = AbortableSocket(Origin("https", "127.0.0.1", server.port), SETTING_NAMES)
        used.begin(clock_now() + LONG)
        used.connect(Tls(str(ca)).context())
        assert used.read_now(1) == b""
        used.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        came = b""
        while not came.endswith(b"0123456789"):
            came += used.read(4)
        used.disconnect()
        used.end()

    assert came.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("names", "validity", "own_ca", "told"),
    [
        (("localhost",), None, True, "is for another address"),
        (("127.0.0.1",), PAST, True, "has expired"),
        (("127.0.0.1",), FUTURE, True, "is not valid yet"),
        (("127.0.0.1",), None, False, "is not trusted here"),
    ],
    ids=["other host", "expired", "not yet valid", "other CA"],
)
def test_a_server_that_must_not_be_trusted_is_not(
    tmp_path: Path, names: tuple[str, ...], validity: tuple[datetime, datetime] | None, own_ca: bool, told: str
) -> None:
    authority, other = trustme.CA(), trustme.CA()
    times = {} if validity is None else {"not_before": validity[0], "not_after": validity[1]}
    certificate = (authority if own_ca else other).issue_cert(*names, **times)
    ca, chain, key = certificate_files(tmp_path, authority, certificate)
    with TlsServer(chain, key) as server, transport_to(server.port, "https", tls=Tls(str(ca))) as transport:
        error = failing(transport)

    assert type(error) is errors.TlsFailed
    assert told in str(error)
    assert not error.retryable


def test_a_name_that_the_certificate_does_not_have_is_refused(tmp_path: Path) -> None:
    authority = trustme.CA()
    ca, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("elsewhere.example"))
    with TlsServer(chain, key) as server:
        with transport_to(server.port, "https", "localhost", Tls(str(ca))) as transport:
            error = failing(transport)

    assert type(error) is errors.TlsFailed
    assert "is for another host" in str(error)


NOW = datetime.now(UTC)
Extensions = list[tuple[x509.ExtensionType, bool]]
CA, SIGNS = x509.BasicConstraints(ca=True, path_length=None), x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
)  # fmt: skip
ADDRESS = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])


def signed(name: str, issuer: str, key: Any, by: Any, extensions: Extensions) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(by, hashes.SHA256())


@pytest.mark.parametrize(
    ("of_ca", "leaves_out", "told"),
    [
        ([(CA, True), (SIGNS, True)], None, None),
        ([(CA, True), (SIGNS, True)], "authority key", "the authority key identifier is missing"),
        ([(CA, False), (SIGNS, True)], None, "its CA's basic constraints are not marked critical"),
        ([(CA, True)], None, "its CA's has no key usage"),
        ([(CA, True), (SIGNS, True)], "subject key", "the subject key identifier is missing"),
    ],
    ids=["as it should be", "no AKI", "not critical", "no key usage", "no SKI"],
)
def test_what_strict_verification_refuses_is_put_into_words(
    tmp_path: Path, of_ca: Extensions, leaves_out: str | None, told: str | None
) -> None:
    """Python 3.13 is strict by default; here any Python is."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    known = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    root = signed("ca", "ca", ca_key, ca_key, [*of_ca, *([] if leaves_out == "subject key" else [(known, False)])])
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    leaf = signed(
        "leaf",
        "ca",
        key,
        ca_key,
        [(ADDRESS, False), (own, False), *([] if leaves_out == "authority key" else [(by, False)])],
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "ca.pem").write_bytes(root.public_bytes(pem))
    (tmp_path / "chain.pem").write_bytes(leaf.public_bytes(pem))
    plain, open_ = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(pem, plain, open_))
    tls = Tls(str(tmp_path / "ca.pem"))
    tls.context().verify_flags |= ssl.VERIFY_X509_STRICT
    with TlsServer(tmp_path / "chain.pem", tmp_path / "key.pem") as server:
        with transport_to(server.port, "https", tls=tls) as transport:
            if told is None:
                assert ask(transport).status == 200
                return
            error = failing(transport)

    assert type(error) is errors.TlsFailed
    assert told in str(error)
    assert "Have it issued anew" in str(error)
    assert not error.retryable


def test_a_certificate_for_something_else_and_one_that_openssl_alone_can_name_are_told(tmp_path: Path) -> None:
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = signed("ca", "ca", ca_key, ca_key, [(CA, True), (SIGNS, True)])
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    client = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH])
    pem = serialization.Encoding.PEM
    (tmp_path / "ca.pem").write_bytes(root.public_bytes(pem))
    plain, open_ = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(pem, plain, open_))
    for extension, critical, told in (
        (client, False, "for something else than servers"),
        (odd, True, "OpenSSL says: unhandled critical extension"),
    ):
        leaf = signed("leaf", "ca", key, ca_key, [(ADDRESS, False), (extension, critical)])
        (tmp_path / "chain.pem").write_bytes(leaf.public_bytes(pem))
        tls = Tls(str(tmp_path / "ca.pem"))
        tls.context().verify_flags &= ~ssl.VERIFY_X509_STRICT
        with TlsServer(tmp_path / "chain.pem", tmp_path / "key.pem") as server:
            with transport_to(server.port, "https", tls=tls) as transport:
                assert told in str(failing(transport))


def test_a_ca_bundle_may_lie_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    ca, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("127.0.0.1"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with TlsServer(chain, key) as server:
        with transport_to(server.port, "https", tls=Tls(f"~/{ca.name}")) as transport:
            assert ask(transport).status == 200


@pytest.mark.parametrize("setting", ["AWS_CA_BUNDLE", "ca_bundle of profile p"])
def test_a_ca_bundle_that_will_not_do_is_told_with_who_names_it(tmp_path: Path, setting: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbf-----BEGIN CERTIFICATE-----\n")
    for place, told in (
        (tmp_path / "fifo", "it is a pipe, not a plain file"),
        (tmp_path, "it is a folder, not a plain file"),
        (tmp_path / "none", "it is not there"),
        (tmp_path / "marked", "it begins with a byte order mark: save it without"),
        ("/dev/zero", "it is a device, not a plain file"),
        ("~no-such-user/ca.pem", "it is no path: it begins with ~"),
        (" ", "it is no path: it is empty"),
    ):
        with pytest.raises(errors.ConfigurationError) as caught:
            Tls(str(place), setting).context()
        assert str(caught.value).startswith(f"{setting}: a readable file of CA certificates in PEM form; {told}")


def test_openssls_own_variable_is_not_waited_for_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "fifo"))

    with pytest.raises(errors.ConfigurationError, match=r"^SSL_CERT_FILE: .* it is a pipe, not a plain file"):
        Tls().context()


def test_a_private_ca_is_not_trusted_without_a_bundle(tmp_path: Path) -> None:
    authority = trustme.CA()
    _, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("127.0.0.1"))
    with TlsServer(chain, key) as server, transport_to(server.port, "https") as transport:
        assert type(failing(transport)) is errors.TlsFailed


def test_plain_http_behind_an_https_url_is_a_tls_failure() -> None:
    with FaultyServer(Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        with transport_to(server.port, "https") as transport:
            error = failing(transport)

    assert type(error) is errors.TlsFailed
    assert "https" in str(error)


def test_an_https_server_behind_an_http_url_is_a_request_failure(tmp_path: Path) -> None:
    authority = trustme.CA()
    _, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("127.0.0.1"))
    with TlsServer(chain, key) as server, transport_to(server.port) as transport:
        assert type(failing(transport)) is errors.RequestFailed


@pytest.mark.parametrize(
    ("behaviour", "told"), [(HangUp(), "hung up"), (Reset(), "broke during TLS"), (Hang(), "not come about in time")]
)
def test_a_handshake_that_breaks_off_may_be_tried_again(behaviour: Behaviour, told: str) -> None:
    class OnFirstBytes:
        def serve(self, connection: object) -> None:
            connection.client.recv(1)  # type: ignore[attr-defined]
            if isinstance(behaviour, Hang):
                connection.ended.wait()  # type: ignore[attr-defined]
            elif isinstance(behaviour, Reset):
                Reset(read_first=False).serve(connection)  # type: ignore[arg-type]
            else:
                while connection.client.recv(4096, socket.MSG_DONTWAIT):  # type: ignore[attr-defined]
                    pass

    with FaultyServer(OnFirstBytes()) as server, transport_to(server.port, "https") as transport:
        error = failing(transport, 1.0)

    assert type(error) is errors.ConnectionFailed
    assert told in str(error)


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "it is not there"), (b"", "it holds none"), (b"no certificate", "it holds none")],
)
def test_a_ca_bundle_that_cannot_be_read_is_a_configuration_error(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_bytes(content)
    with (
        FaultyServer(Answer()) as server,
        transport_to(server.port, "https", tls=Tls(str(bundle), "aws.ca_bundle")) as transport,
    ):
        error = failing(transport)
        assert server.connections == 0

    assert isinstance(error, errors.ConfigurationError)
    assert error.mistakes == (f"aws.ca_bundle: a readable file of CA certificates in PEM form; {told}",)


def test_one_context_is_made_however_many_threads_ask_for_it() -> None:
    tls, made = Tls(), []
    barrier = threading.Barrier(8)

    def run() -> None:
        barrier.wait(LONG)
        made.append(tls.context())

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)

    assert len(made) == 8
    assert len({id(context) for context in made}) == 1
