"""Each way to log in, at a real OpenBao."""

import base64
import contextlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from secrets_actor.backends.http.transport import ClientCertificate, Tls
from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.vault.auth.approle import AppRoleLogin
from secrets_actor.backends.vault.auth.cert import CertLogin
from secrets_actor.backends.vault.auth.jwt import JwtLogin
from secrets_actor.backends.vault.auth.kubernetes import KubernetesLogin
from secrets_actor.backends.vault.auth.userpass import PasswordLogin
from secrets_actor.clock import utc_now
from secrets_actor.domain.errors import (
    AccessDenied,
    InvalidParameter,
    LoginIncomplete,
    LoginRefused,
    LoginUnavailable,
)
from tests.backends.vault.auth.rig import HOUR, Rig, enabled, in_text, is_alive, text
from tests.backends.vault.auth.test_token_source import Role, failure
from tests.servers.openbao import Administrator, OpenBaoCluster, OpenBaoDev, Refused, until
from tests.servers.tls import Certificates
from tests.servers.token_review import TokenReviews

pytestmark = pytest.mark.vault


@pytest.fixture
def root(openbao: OpenBaoDev) -> Administrator:
    return openbao.root


# --- AppRole: files, and wrapped secret ids -------------------------------------------------------------------------


@pytest.fixture
def role(openbao: OpenBaoDev) -> Iterator[Role]:
    yield (made := Role(openbao))
    made.root.delete(f"sys/auth/{made.mount}")


def test_a_file_with_a_secret_id_is_removed_and_the_secret_id_is_known_on(role: Role, tmp_path: Path) -> None:
    place = tmp_path / "secret-id"
    place.write_text(role.secret_id())
    rig = Rig(
        AppRoleLogin(in_text(role.role_id), KeySource("file", str(place)), mount=role.mount, remove=True), role.url
    )
    first = rig.fetch()
    assert not place.exists()

    role.root.write("auth/token/revoke", token=text(first))
    second = rig.fetch()
    assert second != first

    place.write_text("another")
    role.root.write("auth/token/revoke", token=text(second))
    assert type(failure(rig)) is LoginRefused, "what is in the file now counts"


def test_a_file_that_cannot_be_removed_is_told(role: Role, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    source = KeySource("file", str(folder))
    method = AppRoleLogin(in_text(role.role_id), source, mount=role.mount, remove=True)

    assert type(failure(Rig(method, role.url))) is LoginIncomplete


def test_a_role_may_ask_for_no_secret_id(openbao: OpenBaoDev) -> None:
    role = Role(openbao, bind_secret_id=False, secret_id_bound_cidrs=[], token_bound_cidrs=["127.0.0.1/32"])
    rig = Rig(AppRoleLogin(in_text(role.role_id), None, mount=role.mount), role.url)

    assert is_alive(role.root, text(rig.fetch()))


def wrapped(role: Role, path: str | None = None) -> str:
    """A wrapping token for a secret id of *role*, or for what another *path* answers."""
    answer = role.root.ask("POST", path or f"{role.path}/secret-id", {}, {"X-Vault-Wrap-TTL": "60s"})
    return str(answer["wrap_info"]["token"])


def unwrapping(role: Role, source: KeySource) -> Rig:
    method = AppRoleLogin(in_text(role.role_id), source, mount=role.mount, wrapped_path=f"{role.path}/secret-id")
    return Rig(method, role.url)


def test_a_wrapped_secret_id_is_opened_once_and_known_on(role: Role) -> None:
    rig = unwrapping(role, in_text(wrapped(role)))
    first = rig.fetch()
    role.root.write("auth/token/revoke", token=text(first))

    assert rig.fetch() != first


def test_a_wrapping_token_that_somebody_has_opened_is_told_and_not_tried_again(role: Role) -> None:
    token = wrapped(role)
    role.root.with_token(token).ask("POST", "sys/wrapping/unwrap", {})
    rig = unwrapping(role, in_text(token))

    error = failure(rig)

    assert type(error) is LoginRefused
    assert "SOMEBODY ELSE MAY HAVE OPENED IT" in str(error)
    assert token not in str(error)
    assert failure(rig).retry_after == 5.0  # type: ignore[attr-defined]
    assert rig.method.logins == 1


def test_a_wrapping_token_of_another_path_is_not_opened(role: Role) -> None:
    other = Role.__new__(Role)
    other.__dict__.update(role.__dict__)
    role.root.write(f"auth/{role.mount}/role/other", token_ttl="1h")
    token = wrapped(other, f"auth/{role.mount}/role/other/secret-id")

    error = failure(unwrapping(role, in_text(token)))

    assert type(error) is LoginRefused
    assert str(error).startswith("SECURITY")
    assert role.root.with_token(token).ask("POST", "sys/wrapping/unwrap", {})["data"]["secret_id"]


def test_a_wrapping_token_that_holds_something_else_is_refused(role: Role, tmp_path: Path) -> None:
    place = tmp_path / "wrapping-token"
    place.write_text("hunter2 hunter2")
    rig = unwrapping(role, KeySource("file", str(place)))
    assert type(failure(rig)) is LoginIncomplete

    place.write_text(wrapped(role))
    assert is_alive(role.root, text(rig.fetch()))


# --- user and password ----------------------------------------------------------------------------------------------


@pytest.fixture
def userpass(root: Administrator) -> Iterator[str]:
    path = enabled(root, "userpass")
    root.write(f"auth/{path}/users/a.user", password="hunter2", token_ttl="1h")
    yield path
    root.delete(f"sys/auth/{path}")


def test_a_user_logs_in(openbao: OpenBaoDev, userpass: str) -> None:
    rig = Rig(PasswordLogin("a.user", in_text("hunter2"), mount=userpass), openbao.url)

    assert is_alive(openbao.root, text(rig.fetch()))


def test_a_day_of_a_wrong_password_locks_nobody_out(openbao: OpenBaoDev, userpass: str) -> None:
    rigs = [Rig(PasswordLogin("a.user", in_text("wrong"), mount=userpass), openbao.url) for _ in range(2)]
    for rig in rigs:
        for _ in range(30):  # a quarter of an hour, in which the server counts
            failure(rig)
            rig.clock.now += 30.0
        assert rig.method.logins == 2

    assert Rig(PasswordLogin("a.user", in_text("hunter2"), mount=userpass), openbao.url).fetch()


def test_a_user_who_is_locked_out_has_no_verdict_and_keeps_the_token_that_there_is(
    openbao: OpenBaoDev, userpass: str
) -> None:
    rig = Rig(PasswordLogin("a.user", in_text("hunter2"), mount=userpass), openbao.url)
    held = rig.fetch()
    for _ in range(5):
        failure(Rig(PasswordLogin("a.user", in_text("wrong"), mount=userpass), openbao.url))
    other = Rig(PasswordLogin("a.user", in_text("hunter2"), mount=userpass), openbao.url)

    error = failure(other)

    assert type(error) is LoginUnavailable
    assert (error.status, error.outage, error.retry_after) == (403, True, 1.0)
    assert rig.fetch() == held
    failure(other)
    other.clock.now += 1.0
    assert failure(other).retry_after == 2.0  # type: ignore[attr-defined]
    assert other.method.logins == 2


def test_a_mount_that_is_not_there_is_no_verdict_either(openbao: OpenBaoDev) -> None:
    error = failure(Rig(PasswordLogin("a", in_text("hunter2"), mount="nowhere"), openbao.url))

    assert type(error) is LoginUnavailable
    assert "vault.auth_mount" in str(error)


def test_a_mount_may_be_a_path_and_one_that_is_no_path_is_refused(openbao: OpenBaoDev, root: Administrator) -> None:
    path = f"team/{uuid.uuid4().hex[:12]}"
    root.write(f"sys/auth/{path}", type="userpass")
    root.write(f"auth/{path}/users/a", password="hunter2")
    assert Rig(PasswordLogin("a", in_text("hunter2"), mount=f"{path}/"), openbao.url).fetch()
    # A name is quoted: as it is, this one would be another path.
    error = failure(Rig(PasswordLogin("../users/a", in_text("hunter2"), mount=path), openbao.url))
    assert type(error) in (LoginRefused, LoginUnavailable)

    for mount in ("..", "a//b", "a/../token", ""):
        with pytest.raises(InvalidParameter):
            PasswordLogin("a", None, mount=mount)
    for name in (".", "..", ""):
        with pytest.raises(InvalidParameter):
            PasswordLogin(name, None)


def test_a_namespace_is_the_logins_too(openbao: OpenBaoDev, root: Administrator) -> None:
    name = f"team-{uuid.uuid4().hex[:8]}"
    root.write(f"sys/namespaces/{name}")
    inside = root.in_namespace(name)
    path = enabled(inside, "userpass")
    inside.write(f"auth/{path}/users/a", password="hunter2")
    method = PasswordLogin("a", in_text("hunter2"), mount=path)

    assert Rig(method, openbao.url, namespace=name).fetch()
    assert type(failure(Rig(method, openbao.url))) is LoginUnavailable
    assert type(failure(Rig(method, openbao.url, namespace="nowhere"))) is LoginRefused


# --- tokens of others -----------------------------------------------------------------------------------------------


class Issuer:
    """Signs tokens with a key of its own (ES256)."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_pem(self) -> str:
        """The public key."""
        kind, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(kind, form).decode()

    def token(self, **claims: Any) -> str:
        """A token of the account `default/app`, good for ten minutes."""
        now = int(utc_now().timestamp())
        claims = {
            "iss": "issuer",
            "sub": "system:serviceaccount:default:app",
            "aud": ["openbao"],
            "iat": now,
            "exp": now + 600,
            "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "app", "uid": "uid-1"}},
            "jti": uuid.uuid4().hex,
            **claims,
        }
        head = ".".join(map(_segment, (json.dumps({"alg": "ES256"}).encode(), json.dumps(claims).encode())))
        r, s = decode_dss_signature(self._key.sign(head.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{head}.{_segment(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _segment(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def test_a_token_of_an_identity_provider_logs_in_and_is_read_at_each_login(
    openbao: OpenBaoDev, root: Administrator, tmp_path: Path
) -> None:
    path, issuer, place = enabled(root, "jwt"), Issuer(), tmp_path / "token"
    root.write(f"auth/{path}/config", jwt_validation_pubkeys=[issuer.public_pem], bound_issuer="issuer")
    root.write(
        f"auth/{path}/role/app",
        role_type="jwt",
        bound_audiences=["openbao"],
        user_claim="sub",
        token_ttl="1h",
        token_type="batch",
    )
    rig = Rig(JwtLogin("app", KeySource("file", str(place)), mount=path), openbao.url)
    assert type(failure(rig)) is LoginIncomplete
    place.write_text(issuer.token(exp=1_000_000_000))
    error = failure(rig)
    assert type(error) is LoginRefused
    assert place.read_text() not in str(error)

    place.write_text(issuer.token() + "\n")
    first = rig.fetch()
    rig.clock.now += HOUR
    place.write_text(issuer.token(aud=["another"]))
    assert type(failure(rig)) is LoginRefused
    place.write_text(issuer.token())
    assert rig.fetch() != first

    for role in ("nobody", None):
        assert (
            type(failure(Rig(JwtLogin(role, KeySource("file", str(place)), mount=path), openbao.url))) is LoginRefused
        )


def kubernetes(root: Administrator, url: str) -> str:
    """An auth method whose Kubernetes is at *url*, with a role `app`."""
    path = enabled(root, "kubernetes")
    authority = trustme.CA().cert_pem.bytes().decode()
    root.write(
        f"auth/{path}/config",
        kubernetes_host=url,
        token_reviewer_jwt=Issuer().token(),
        disable_local_ca_jwt=True,
        kubernetes_ca_cert=authority,
    )
    root.write(
        f"auth/{path}/role/app",
        bound_service_account_names=["app"],
        bound_service_account_namespaces=["default"],
        token_ttl="1h",
    )
    return path


def test_a_service_account_logs_in_and_kubernetes_out_of_reach_is_no_verdict(
    openbao: OpenBaoDev, root: Administrator, tmp_path: Path
) -> None:
    issuer, place = Issuer(), tmp_path / "token"
    place.write_text(issuer.token())
    with TokenReviews(place.read_text()) as reviews:
        path = kubernetes(root, reviews.url)
        rig = Rig(KubernetesLogin("app", KeySource("file", str(place)), mount=path), openbao.url)
        first = rig.fetch()
        assert is_alive(root, text(first))
        place.write_text(issuer.token())  # the projected token was replaced
        reviews.good.add(place.read_text())
        root.write("auth/token/revoke", token=text(first))
        second = rig.fetch()
        assert second != first
        assert reviews.asked == 2
        reviews.stop()

        other = Rig(KubernetesLogin("app", KeySource("file", str(place)), mount=path), openbao.url)
        error = failure(other)
        assert type(error) is LoginUnavailable
        assert error.outage
        assert rig.fetch() == second
        nobody = Rig(KubernetesLogin("nobody", KeySource("file", str(place)), mount=path), openbao.url)
        assert type(failure(nobody)) is LoginRefused


def test_outside_of_a_pod_the_place_of_the_token_is_named(openbao: OpenBaoDev) -> None:
    error = failure(Rig(KubernetesLogin("app"), openbao.url))

    assert type(error) is LoginIncomplete
    assert "/var/run/secrets/kubernetes.io/serviceaccount/token" in str(error)


# --- certificates ---------------------------------------------------------------------------------------------------


class Authority:
    """An authority of our own, the server's certificate, and those of clients, as files."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._ca = folder, trustme.CA()
        server = self._ca.issue_cert("127.0.0.1", "localhost")
        self.server = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
        self._ca.cert_pem.write_to_path(str(self.server.ca))
        server.private_key_pem.write_to_path(str(self.server.key))
        self.server.chain.write_bytes(b"".join(part.bytes() for part in server.cert_chain_pems))

    def client(self, name: str) -> Path:
        """A file with a client's certificate and key. OpenBao wants a common name in it."""
        made = self._ca.issue_cert(name, common_name=name)
        path = self._folder / f"{name}.pem"
        made.private_key_and_cert_chain_pem.write_to_path(str(path))
        return path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def with_tls(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[OpenBaoDev]:
    with OpenBaoDev(tmp_path_factory.mktemp("with-tls"), certificates=authority.server) as server:
        yield server


def test_a_client_certificate_logs_in_and_renews(with_tls: OpenBaoDev, authority: Authority) -> None:
    root, mine = with_tls.root, authority.client("app.example.com")
    path = enabled(root, "cert")
    root.write(
        f"auth/{path}/certs/app",
        certificate=authority.server.ca.read_text(),
        allowed_common_names=["app.example.com"],
        token_ttl="1h",
    )

    def rig(certificate: Path | None, role: str | None = None) -> Rig:
        client = None if certificate is None else ClientCertificate(str(certificate))
        shown = None if certificate is None else KeySource("file", str(certificate))
        tls = Tls(str(authority.server.ca), client=client)
        return Rig(CertLogin(role, shown, mount=path), with_tls.url, tls=tls)

    logged_in = rig(mine)
    first = logged_in.fetch()
    logged_in.clock.now += HOUR * 2 / 3
    assert logged_in.fetch() == first
    assert logged_in.method.logins == 1
    assert is_alive(root, text(rig(mine, "app").fetch()))

    for refused in (rig(None), rig(authority.client("another.example.com")), rig(mine, "nobody")):
        error = failure(refused)
        assert type(error) in (LoginRefused, LoginUnavailable, AccessDenied)
        assert "vault.client_cert" in str(error)


# --- a cluster ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_login_a_renewal_and_a_release_go_through_a_standby(whole_cluster: OpenBaoCluster) -> None:
    admin = whole_cluster.admin()
    path = enabled(admin, "userpass")
    admin.write(f"auth/{path}/users/a", password="hunter2", token_ttl="1h")
    standby = whole_cluster.standbys()[0]
    known_there = standby.seen_by(whole_cluster.admin_token())
    until(lambda: _has(known_there, f"auth/{path}/users/a"), "the user on the standby")
    rig = Rig(PasswordLogin("a", in_text("hunter2"), mount=path), standby.url)

    first = rig.fetch()
    rig.clock.now += HOUR * 2 / 3
    assert rig.fetch() == first
    assert is_alive(admin, text(first))
    rig.release()
    assert not is_alive(admin, text(first))


def _has(seen: Administrator, path: str) -> bool:
    with contextlib.suppress(Refused):
        return bool(seen.read(path))
    return False


@pytest.mark.slow
def test_a_user_who_was_just_made_is_let_in_whatever_node_comes_first(whole_cluster: OpenBaoCluster) -> None:
    admin, urls = whole_cluster.admin(), whole_cluster.urls
    path = enabled(admin, "userpass")
    for number in range(30):
        admin.write(f"auth/{path}/users/u{number}", password="hunter2")
        order = urls[number % 3 :] + urls[: number % 3]
        assert Rig(PasswordLogin(f"u{number}", in_text("hunter2"), mount=path), *order).fetch()


@pytest.mark.slow
def test_a_login_during_a_step_down_waits_for_the_next_leader(whole_cluster: OpenBaoCluster) -> None:
    admin = whole_cluster.admin()
    path = enabled(admin, "userpass")
    admin.write(f"auth/{path}/users/a", password="hunter2", token_ttl="1h")
    rig = Rig(PasswordLogin("a", in_text("hunter2"), mount=path), *whole_cluster.urls)
    whole_cluster.step_down()

    assert rig.fetch(30.0), "a leader that has stepped down lately does not stand for election for 10 s"
    assert rig.method.logins == 1


@pytest.mark.slow
def test_a_renewal_waits_for_the_next_leader_when_the_leader_is_killed_and_nobody_logs_in(
    whole_cluster: OpenBaoCluster,
) -> None:
    admin = whole_cluster.admin()
    path = enabled(admin, "userpass")
    admin.write(f"auth/{path}/users/a", password="hunter2", token_ttl="1h")
    rig = Rig(PasswordLogin("a", in_text("hunter2"), mount=path), *whole_cluster.urls)
    first = rig.fetch()
    whole_cluster.leader().kill()
    assert rig.fetch(0.05) == first, "it is not due, and asking takes too long"
    rig.clock.now += HOUR * 2 / 3

    assert rig.fetch(30.0) == first
    assert rig.method.logins == 1
