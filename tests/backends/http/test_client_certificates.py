"""TLS for stores of one's own: our certificate, CAs in a folder or in a text, another name, and no verification."""

import contextlib
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from secrets_actor import SecretValue
from secrets_actor.backends.http.transport import MAX_CLIENT_PEM, ClientCertificate, Tls
from secrets_actor.domain import errors
from tests.backends.http.tls_server import TlsServer, certificate_files
from tests.backends.http.transport_rig import ask, failing, transport_to


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA) -> tuple[Path, Path, Path]:
    """The authority, and the server's chain and key."""
    return certificate_files(tmp_path, authority, authority.issue_cert("127.0.0.1"))


def serial(certificate: trustme.LeafCert) -> int:
    return x509.load_pem_x509_certificate(certificate.cert_chain_pems[0].bytes()).serial_number


def written(folder: Path, certificate: trustme.LeafCert) -> tuple[str, str]:
    """The files of *certificate* and of its key."""
    folder.mkdir(exist_ok=True)
    chain, key = folder / "client.pem", folder / "client.key"
    chain.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(str(key))
    return str(chain), str(key)


def given_as(how: str, folder: Path, certificate: trustme.LeafCert) -> ClientCertificate:
    chain, key = written(folder, certificate)
    if how == "files":
        return ClientCertificate(chain, key)
    if how == "one file":
        Path(chain).write_bytes(certificate.private_key_and_cert_chain_pem.bytes())
        return ClientCertificate(chain)
    if how == "one text":
        return ClientCertificate(certificate.private_key_and_cert_chain_pem.bytes())
    return ClientCertificate(Path(chain).read_bytes(), SecretValue(Path(key).read_text()))


@pytest.mark.parametrize("how", ["files", "one file", "texts", "one text"])
def test_a_server_that_wants_a_certificate_gets_ours(
    tmp_path: Path, authority: trustme.CA, files: tuple[Path, Path, Path], how: str
) -> None:
    ca, chain, key = files
    ours = authority.issue_cert("client.example")
    tls = Tls(str(ca), client=given_as(how, tmp_path / "client", ours))
    with TlsServer(chain, key, clients=ca) as server:
        for _ in range(2):
            with transport_to(server.port, "https", tls=tls) as transport:
                assert ask(transport).status == 200

        assert server.serials == [serial(ours)] * 2
    assert tls.context() is tls.context()


def test_the_next_connection_has_the_certificate_that_is_in_the_files_then(
    tmp_path: Path, authority: trustme.CA, files: tuple[Path, Path, Path]
) -> None:
    ca, chain, key = files
    first, second = authority.issue_cert("client.example"), authority.issue_cert("client.example")
    tls = Tls(str(ca), client=ClientCertificate(*written(tmp_path, first)))
    with TlsServer(chain, key, clients=ca) as server:
        with transport_to(server.port, "https", tls=tls) as transport:
            ask(transport)
            its_chain, its_key = written(tmp_path, second)
            ask(transport)  # over the connection that there is
            transport.hang_up()
            ask(transport)
            # They are replaced one after the other: until both are, the pair that fits is shown.
            Path(its_chain).write_bytes(b"".join(part.bytes() for part in first.cert_chain_pems))
            transport.hang_up()
            ask(transport)
            Path(its_key).unlink()
            transport.hang_up()
            ask(transport)

        assert server.serials == [serial(first), *[serial(second)] * 3]


@pytest.mark.parametrize("newest", [True, False])
def test_a_server_that_does_not_accept_our_certificate_says_so(
    tmp_path: Path, files: tuple[Path, Path, Path], newest: bool
) -> None:
    ca, chain, key = files
    stranger = ClientCertificate(*written(tmp_path, trustme.CA().issue_cert("client.example")))
    with TlsServer(chain, key, clients=ca, newest=newest) as server:
        with transport_to(server.port, "https", tls=Tls(str(ca), client=stranger)) as transport:
            error = failing(transport)

    assert type(error) is errors.TlsFailed
    assert "does not accept our certificate" in str(error)
    assert "the client certificate" in str(error)


def test_a_server_that_wants_a_certificate_and_gets_none_says_so(files: tuple[Path, Path, Path]) -> None:
    ca, chain, key = files
    with TlsServer(chain, key, clients=ca) as server:
        with transport_to(server.port, "https", tls=Tls(str(ca))) as transport:
            error = failing(transport)

    assert (type(error), error.retryable) == (errors.TlsFailed, False)
    assert "wants a client certificate" in str(error)


def wrong(case: str, folder: Path, authority: trustme.CA) -> tuple[Any, Any]:
    chain, key = written(folder, authority.issue_cert("client.example"))
    match case:
        case "no file":
            return str(folder / "none"), key
        case "no key file":
            return chain, str(folder / "none")
        case "a folder":
            return str(folder), key
        case "no PEM":
            Path(chain).write_text("never-show-this")
            return chain, key
        case "another key":
            authority.issue_cert("other.example").private_key_pem.write_to_path(key)
            return chain, key
        case "a passphrase":
            known = serialization.load_pem_private_key(Path(key).read_bytes(), None)
            sealed = serialization.BestAvailableEncryption(b"never-show-this")
            pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
            Path(key).write_bytes(known.private_bytes(pem, form, sealed))
            return chain, key
        case "too long":
            return Path(chain).read_bytes() + b"#" * MAX_CLIENT_PEM, SecretValue(Path(key).read_bytes())
    return b"never-show-this", SecretValue("never-show-this")


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("no file", "vault.client_cert: a readable file in PEM form; it is not there"),
        ("no key file", "vault.client_key: a readable file in PEM form; it is not there"),
        ("a folder", "vault.client_cert: a readable file in PEM form; it is a folder, not a plain file"),
        ("no PEM", "vault.client_cert, vault.client_key: a certificate in PEM form and its own key"),
        ("another key", "vault.client_cert, vault.client_key: "),
        ("a passphrase", "which no passphrase protects"),
        ("too long", "vault.client_cert, vault.client_key: "),
        ("texts", "vault.client_cert, vault.client_key: "),
    ],
)
def test_a_certificate_that_cannot_be_used_is_a_configuration_error(
    tmp_path: Path, authority: trustme.CA, case: str, told: str
) -> None:
    certificate, key = wrong(case, tmp_path, authority)
    client = ClientCertificate(
        certificate, key, certificate_setting="vault.client_cert", key_setting="vault.client_key"
    )
    with pytest.raises(errors.ConfigurationError) as caught:
        Tls(client=client).context()

    assert told in str(caught.value)
    assert "never-show-this" not in f"{caught.value!r} {client!r}"
    assert caught.value.__context__ is None


def test_a_certificate_without_a_key_is_told_by_its_own_setting(tmp_path: Path, authority: trustme.CA) -> None:
    chain, _ = written(tmp_path, authority.issue_cert("client.example"))
    with pytest.raises(errors.ConfigurationError, match=r"^vault\.client_cert, vault\.client_cert: "):
        Tls(client=ClientCertificate(chain, certificate_setting="vault.client_cert")).context()


# --- whom we trust ------------------------------------------------------------------------------------------------


def test_cas_may_be_in_a_folder(tmp_path: Path, files: tuple[Path, Path, Path]) -> None:
    ca, chain, key = files
    folder = tmp_path / "authorities"
    (folder / "below").mkdir(parents=True)
    (folder / "a-other.crt").write_bytes(trustme.CA().cert_pem.bytes())
    (folder / "b-note.txt").write_text("the authorities of the house: Müller")
    (folder / "c-ours.pem").symlink_to(ca)
    with TlsServer(chain, key) as server:
        with transport_to(server.port, "https", tls=Tls(ca_folder=str(folder))) as transport:
            assert ask(transport).status == 200


def test_cas_may_be_given_as_a_text(files: tuple[Path, Path, Path]) -> None:
    ca, chain, key = files
    pem = trustme.CA().cert_pem.bytes() + ca.read_bytes()
    with TlsServer(chain, key) as server:
        with transport_to(server.port, "https", tls=Tls(ca_pem=pem)) as transport:
            assert ask(transport).status == 200
        with transport_to(server.port, "https", tls=Tls(ca_pem=trustme.CA().cert_pem.bytes())) as transport:
            assert type(failing(transport)) is errors.TlsFailed


@pytest.mark.parametrize("how", ["empty folder", "no folder", "no PEM"])
def test_cas_that_cannot_be_read_are_a_configuration_error(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path))  # not asked, where CAs are given
    given: dict[str, Any] = {"ca_pem": b"none"} if how == "no PEM" else {"ca_folder": str(tmp_path / "folder")}
    if how == "empty folder":
        (tmp_path / "folder").mkdir()
    with pytest.raises(errors.ConfigurationError, match=r"^vault\.ca_bundle: .*; it holds none"):
        Tls(setting="vault.ca_bundle", **given).context()


def test_a_server_may_have_a_certificate_for_another_name(tmp_path: Path, authority: trustme.CA) -> None:
    ca, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("vault.service"))
    with TlsServer(chain, key) as server:
        with transport_to(server.port, "https", tls=Tls(str(ca), server_name="vault.service")) as transport:
            assert ask(transport).status == 200
        with transport_to(server.port, "https", tls=Tls(str(ca), server_name="other.service")) as transport:
            assert "is for another host" in str(failing(transport))


def test_who_verifies_nobody_trusts_anybody(tmp_path: Path) -> None:
    other = trustme.CA()
    _, chain, key = certificate_files(tmp_path, other, other.issue_cert("elsewhere.example"))
    tls = Tls(verify=False)
    with TlsServer(chain, key) as server:
        with transport_to(server.port, "https", tls=tls) as transport:
            assert ask(transport).status == 200
    assert tls.context().verify_mode is ssl.CERT_NONE


def test_no_file_is_left_open(tmp_path: Path, authority: trustme.CA) -> None:
    ours = authority.issue_cert("client.example")
    before = len(list(Path("/dev/fd").iterdir()))
    for how in ("one text", "texts"):
        Tls(client=given_as(how, tmp_path, ours)).context()
    with contextlib.suppress(errors.ConfigurationError):
        Tls(client=ClientCertificate(b"#" * MAX_CLIENT_PEM * 2)).context()

    assert len(list(Path("/dev/fd").iterdir())) == before
