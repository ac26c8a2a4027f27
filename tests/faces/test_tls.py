"""A listener with TLS: what it needs, who it takes clients for, and what does not hold it up."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from secrets_actor import ConfigurationError
from secrets_actor.faces.address import TcpAddress
from secrets_actor.faces.connection import Limits
from secrets_actor.faces.exchange import Request, Response
from secrets_actor.faces.tls import server_tls
from tests.faces.served import Client, Served, served
from tests.servers.tls import Certificates, issue


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The certificates of a server, and its authority."""
    return issue(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def clients() -> trustme.CA:
    """An authority of clients."""
    return trustme.CA()


async def who(asked: Request) -> Response:
    return Response(200, (), str(asked.peer.certificate).encode())


@contextmanager
def connected(one: Served, files: Certificates, certificate: trustme.LeafCert | None = None) -> Iterator[Client]:
    context = ssl.create_default_context(cafile=str(files.ca))
    if certificate is not None:
        certificate.configure_cert(context)
    with one.client() as client:
        client.socket = context.wrap_socket(client.socket, server_hostname="127.0.0.1")
        yield client


def test_a_listener_with_tls_serves_clients_that_trust_it(files: Certificates) -> None:
    tls = server_tls(certificate=files.chain, key=files.key)
    with served(who, TcpAddress("127.0.0.1", 0), tls=tls) as one:
        with connected(one, files) as client:
            assert [client.get().body for _ in range(3)] == [b"None"] * 3
            assert client.post(b"x" * 1_000_000).status == 413
        with one.client() as plain:
            assert plain.send(b"GET / HTTP/1.1\r\n\r\n").is_closed()
        one.kill()
        with connected(one, files) as client:
            assert client.get().status == 200


def test_a_client_is_known_by_the_name_in_its_certificate(
    files: Certificates, clients: trustme.CA, tmp_path: Path
) -> None:
    clients.cert_pem.write_to_path(str(tmp_path / "clients.pem"))
    tls = server_tls(certificate=files.chain, key=files.key, client_authority=tmp_path / "clients.pem")
    with served(who, TcpAddress("127.0.0.1", 0), tls=tls) as one:
        with connected(one, files, clients.issue_cert(common_name="ci")) as client:
            assert client.get().body == b"ci"
        for stranger in (None, trustme.CA().issue_cert(common_name="ci")):
            with pytest.raises((ssl.SSLError, ConnectionResetError, EOFError, BrokenPipeError)):
                with connected(one, files, stranger) as client:
                    client.get()
        assert one.meter.refusals() == {}


def test_a_handshake_that_is_slow_holds_nothing_up(files: Certificates) -> None:
    tls = server_tls(certificate=files.chain, key=files.key)
    with served(who, TcpAddress("127.0.0.1", 0), tls=tls, limits=Limits(head_seconds=0.3)) as one:
        with one.client() as slow:
            slow.send(b"\x16\x03\x01")
            with connected(one, files) as client:
                assert client.get().status == 200
            assert slow.is_closed()
        with one.client() as half:
            half.send(b"\x16\x03\x01")
            one.kill()
            assert half.is_closed(), "a handshake that is under way ends with its listener"


def test_old_versions_of_tls_are_refused(files: Certificates) -> None:
    tls = server_tls(certificate=files.chain, key=files.key)
    assert tls.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("certificate", "key", "authority", "says"),
    [
        ("none.pem", "server.key", None, "tls.cert: .*none.pem is not there"),
        ("server.pem", ".", None, "tls.key: .* is a folder"),
        ("server.pem", "other.key", None, "the key is that of another certificate"),
        ("server.pem", "locked.key", None, "the key has a passphrase"),
        ("server.pem", "text", None, "no certificate chain and key in PEM"),
        ("server.pem", "server.key", "text", "tls.client_ca: .* has no certificate"),
    ],
)
def test_files_that_are_wrong_are_told(
    files: Certificates, certificate: str, key: str, authority: str | None, says: str
) -> None:
    folder = files.ca.parent
    (folder / "text").write_text("canary")
    (folder / "other.key").write_bytes(trustme.CA().issue_cert("x").private_key_pem.bytes())
    (folder / "locked.key").write_bytes(locked(files.key.read_bytes()))

    with pytest.raises(ConfigurationError, match=says) as told:
        server_tls(
            certificate=folder / certificate,
            key=folder / key,
            client_authority=None if authority is None else folder / authority,
        )
    assert "canary" not in str(told.value)


def locked(key: bytes) -> bytes:
    """A private key with a passphrase."""
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    plain = load_pem_private_key(key, None)
    return plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
