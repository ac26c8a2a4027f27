"""Tokens are renewed, replaced and revoked at a real OpenBao, by a clock that the test moves."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.vault.auth.approle import AppRoleLogin
from secrets_actor.backends.vault.auth.jwt import JwtLogin
from secrets_actor.backends.vault.auth.token import TokenLogin
from secrets_actor.backends.vault.auth.token_source import TokenSource
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.errors import (
    AccessDenied,
    ConnectionFailed,
    ExpiredToken,
    LoginIncomplete,
    LoginRefused,
    SecretsError,
)
from tests.backends.vault.auth.rig import HOUR, Clock, Rig, connector, enabled, in_text, is_alive, text
from tests.servers.behaviours import Answer
from tests.servers.faulty import FaultyServer
from tests.servers.openbao import OpenBaoDev
from tests.servers.vault_node import VaultNode, asked, header, refused, said

pytestmark = pytest.mark.vault


class Role:
    """An AppRole of one server, and what logs in as it."""

    def __init__(self, openbao: OpenBaoDev, **settings: object) -> None:
        self.root, self.url = openbao.root, openbao.url
        self.mount = enabled(self.root, "approle")
        self.path = f"auth/{self.mount}/role/app"
        self.root.write(self.path, **{"token_ttl": "1h", **settings})
        self.role_id = self.root.read(f"{self.path}/role-id")["role_id"]

    def secret_id(self, **more: object) -> str:
        return str(self.root.write(f"{self.path}/secret-id", **more)["data"]["secret_id"])

    def login(self, secret_id: str | None = None) -> AppRoleLogin:
        return AppRoleLogin(in_text(self.role_id), in_text(secret_id or self.secret_id()), mount=self.mount)

    def rig(self, secret_id: str | None = None) -> Rig:
        return Rig(self.login(secret_id), self.url)


@pytest.fixture
def role(openbao: OpenBaoDev) -> Iterator[Role]:
    yield (made := Role(openbao))
    made.root.delete(f"sys/auth/{made.mount}")


def failure(rig: Rig) -> SecretsError:
    with pytest.raises(SecretsError) as caught:
        rig.fetch()
    assert caught.value.__context__ is None
    return caught.value


def test_a_login_brings_a_token_with_its_dates(role: Role) -> None:
    rig = role.rig()

    found = rig.fetch()

    assert is_alive(role.root, text(found))
    assert found.accessor
    assert found.expires_at == rig.clock.wall() + timedelta(hours=1)
    assert found.renew_at == rig.clock.wall() + timedelta(minutes=40)


def test_the_token_is_kept_and_renewed_when_it_is_due_and_there_is_no_other_login(role: Role) -> None:
    rig = role.rig(role.secret_id(num_uses=1))
    first = rig.fetch()
    assert rig.fetch() == first

    for _ in range(30):
        rig.clock.now += HOUR * 2 / 3
        found = rig.fetch()
        assert found == first
        assert found.expires_at is not None
        assert timedelta(minutes=59) < found.expires_at - rig.clock.wall() <= timedelta(hours=1)
    assert rig.method.logins == 1


def test_a_token_that_was_revoked_from_outside_is_replaced_by_the_next_fetch(role: Role) -> None:
    rig = role.rig()
    first = rig.fetch()
    role.root.write("auth/token/revoke", token=text(first))

    second = rig.fetch()

    assert second != first
    assert is_alive(role.root, text(second))
    assert rig.method.logins == 2


def test_a_token_that_was_revoked_is_found_out_by_its_renewal_too(role: Role) -> None:
    rig = role.rig()
    first = rig.fetch()
    role.root.write("auth/token/revoke", token=text(first))
    rig.clock.now += HOUR

    assert rig.fetch() != first


def test_at_the_maximum_life_there_is_another_login_and_the_token_before_is_used_until_then(
    openbao: OpenBaoDev,
) -> None:
    role = Role(openbao, token_ttl="2s", token_max_ttl="3s")
    method = Rig(role.login(), role.url).method
    source = TokenSource(method, connector(role.url), dice=lambda: 0.0)
    first = source.fetch(clock_now() + 5.0)
    assert first.renew_at is not None
    assert first.expires_at is not None
    kinds, pause = [], threading.Event()
    until, found = clock_now() + 10.0, first
    while found == first:  # the server counts real seconds
        assert clock_now() < until
        pause.wait(0.05)
        found = source.fetch(clock_now() + 5.0)
        kinds.append(found.renew_at is not None)

    assert method.logins == 2
    assert is_alive(role.root, text(found))


def test_a_token_that_cannot_be_renewed_is_replaced_when_it_is_due(openbao: OpenBaoDev) -> None:
    role = Role(openbao, token_type="batch", token_ttl="1h")
    rig = role.rig()
    first = rig.fetch()
    assert first.renew_at is None
    assert rig.fetch() == first

    rig.clock.now += HOUR * 2 / 3
    assert rig.fetch() != first
    rig.release()
    assert rig.method.logins == 2


def test_a_periodic_token_lives_as_long_as_it_is_renewed(openbao: OpenBaoDev) -> None:
    role = Role(openbao, token_period="1h", token_ttl="0", token_max_ttl="2h")
    rig = role.rig()
    first = rig.fetch()
    for _ in range(6):
        rig.clock.now += HOUR * 2 / 3
        assert rig.fetch() == first


def test_a_token_of_few_uses_spends_none_on_questions(openbao: OpenBaoDev) -> None:
    role = Role(openbao, token_num_uses=2)
    rig = role.rig()
    first = rig.fetch()
    for _ in range(3):
        assert rig.fetch() == first
    assert role.root.write("auth/token/lookup", token=text(first))["data"]["num_uses"] == 2


def test_a_token_that_may_not_renew_itself_is_used_until_it_is_due_and_replaced(openbao: OpenBaoDev) -> None:
    role = Role(openbao, token_no_default_policy=True)
    rig = role.rig()
    first = rig.fetch()
    assert rig.fetch() == first

    rig.clock.now += HOUR * 2 / 3
    assert rig.fetch() != first
    assert rig.method.logins == 2


# --- refusals and outages -------------------------------------------------------------------------------------------


def test_a_login_that_was_refused_is_tried_again_soon_once_and_then_after_a_quarter_of_an_hour(role: Role) -> None:
    rig = role.rig("hunter2-is-no-secret-id")
    logins = []
    for seconds in (0, 4, 1, 900, 60):
        rig.clock.now += seconds
        error = failure(rig)
        assert type(error) is LoginRefused
        assert (error.status, error.refused, error.outage) == (400, False, False)
        assert "hunter2" not in str(error)
        logins.append((rig.method.logins, round(error.retry_after)))

    assert logins == [(1, 5), (1, 1), (2, 960), (2, 60), (3, 960)]


def test_another_secret_id_is_tried_at_once(role: Role, tmp_path: Path) -> None:
    place = tmp_path / "secret-id"
    place.write_text("wrong\n")
    rig = Rig(AppRoleLogin(in_text(role.role_id), KeySource("file", str(place)), mount=role.mount), role.url)
    assert type(failure(rig)) is LoginRefused

    place.write_text(role.secret_id() + "\n")

    assert is_alive(role.root, text(rig.fetch()))


def test_an_outage_changes_nothing_and_brings_no_login(role: Role, tmp_path: Path) -> None:
    with OpenBaoDev(tmp_path / "own") as own:
        away = Role(own)
        rig = away.rig()
        first = rig.fetch()
        own.node.stop()
        try:
            assert rig.fetch(0.3) == first, "it is not due yet"
            rig.clock.now += HOUR * 2 / 3
            with pytest.raises(SecretsError) as caught:
                rig.fetch(0.3)
            assert caught.value.retryable
            held = rig.source.held()
            assert held is not None
            assert text(held) == text(first), "a secrets actor that is started anew now uses it on"
        finally:
            own.node.resume()
        assert rig.fetch() == first
        assert rig.method.logins == 1
        own.node.kill()
        rig.clock.now += 10 * HOUR
        with pytest.raises(ConnectionFailed):
            rig.fetch(0.3)
        assert rig.method.logins == 1
        assert rig.source.held() is None, "it has ended"


# --- the end --------------------------------------------------------------------------------------------------------


def test_a_release_revokes_what_we_logged_in_for_and_the_next_fetch_logs_in(role: Role) -> None:
    rig = role.rig()
    first = rig.fetch()
    rig.release()
    assert not is_alive(role.root, text(first))
    assert rig.source.held() is None
    rig.release()

    assert is_alive(role.root, text(rig.fetch()))
    assert rig.method.logins == 2


def test_a_release_revokes_the_token_before_too_as_long_as_it_lives(openbao: OpenBaoDev) -> None:
    role = Role(openbao, token_no_default_policy=True, token_policies=[openbao.root.policy(REVOKES)])
    rig = role.rig()
    first = rig.fetch()
    rig.clock.now += HOUR * 2 / 3
    second = rig.fetch()
    assert second != first

    rig.release()

    assert [is_alive(role.root, text(one)) for one in (first, second)] == [False, False]


REVOKES = 'path "auth/token/revoke-self" { capabilities = ["update"] }'


def test_a_token_that_has_ended_meanwhile_is_no_failure_of_a_release(role: Role) -> None:
    rig = role.rig()
    role.root.write("auth/token/revoke", token=text(rig.fetch()))

    rig.release()


def test_a_token_that_may_not_revoke_itself_is_told(openbao: OpenBaoDev) -> None:
    rig = Role(openbao, token_no_default_policy=True).rig()
    rig.fetch()

    with pytest.raises(AccessDenied):
        rig.release()


def granted(token: str) -> Answer:
    return said({"auth": {"client_token": token, "accessor": "a", "lease_duration": int(HOUR), "renewable": False}})


def test_a_release_tries_all_though_the_first_is_not_revoked() -> None:
    table = {
        "POST auth/jwt/login": [granted("hvs.1"), granted("hvs.2")],
        "POST auth/token/revoke-self": [refused(403, "1 error occurred:\n\t* permission denied"), Answer(b"", 204)],
    }
    with FaultyServer(VaultNode(table)) as server:
        rig = Rig(JwtLogin(None, in_text("a.b.c")), server.url)
        rig.fetch()
        rig.clock.now += HOUR * 2 / 3
        rig.fetch()
        with pytest.raises(AccessDenied):
            rig.release()

        revoked = [header(one, "X-Vault-Token") for one in server.requests if asked(one).endswith("revoke-self")]
        assert revoked == ["hvs.1", "hvs.2"]


def test_after_a_login_that_succeeded_the_pauses_begin_anew() -> None:
    wrong = refused(400, "error validating token")
    with FaultyServer(VaultNode({"POST auth/jwt/login": [wrong, granted("hvs.1"), wrong]})) as server:
        rig = Rig(JwtLogin(None, in_text("a.b.c")), server.url)
        pauses = []
        for _ in range(2):
            with pytest.raises(LoginRefused) as caught:
                rig.fetch()
            pauses.append(caught.value.retry_after)
            rig.clock.now += HOUR
            if len(pauses) == 1:
                rig.fetch()
                rig.clock.now += HOUR

        assert pauses == [1.0, 1.0]


def test_a_release_can_be_switched_off(role: Role) -> None:
    rig = Rig(role.login(), role.url, revoke=False)
    first = rig.fetch()
    rig.release()

    assert is_alive(role.root, text(first))


# --- tokens that somebody else has made -----------------------------------------------------------------------------


def test_a_token_of_somebody_else_is_renewed_and_never_revoked(openbao: OpenBaoDev) -> None:
    token = openbao.root.make_token("default", ttl="1h")
    rig = Rig(TokenLogin([in_text(token)]), openbao.url)
    found = rig.fetch()
    assert text(found) == token
    for _ in range(2):
        assert found.renew_at is not None
        assert timedelta(minutes=39) < found.renew_at - rig.clock.wall() <= timedelta(minutes=40)
        rig.clock.now += HOUR * 2 / 3
        found = rig.fetch()

    rig.release()

    assert is_alive(openbao.root, token)


def test_the_root_token_has_no_end(openbao: OpenBaoDev) -> None:
    found = Rig(TokenLogin([in_text(openbao.token)]), openbao.url).fetch()

    assert (found.expires_at, found.renew_at) == (None, None)


def test_a_token_that_cannot_be_renewed_or_replaced_is_used_until_it_ends(openbao: OpenBaoDev) -> None:
    token = openbao.root.make_token("default", ttl="1h", renewable=False)
    rig = Rig(TokenLogin([in_text(token)]), openbao.url)
    assert rig.fetch().renew_at is None
    rig.clock.now += HOUR * 0.9
    assert text(rig.fetch()) == token

    openbao.root.write("auth/token/revoke", token=token)
    error = failure(rig)
    assert type(error) is ExpiredToken
    assert token not in str(error)
    assert rig.method.logins == 2, "the first, and the one that found it dead"
    failure(rig)
    assert rig.method.logins == 2, "a dead token is not asked for again at once"


def test_a_token_with_an_explicit_maximum_is_used_to_its_end(openbao: OpenBaoDev) -> None:
    token = openbao.root.make_token("default", ttl="1h", explicit_max_ttl="1h")
    rig = Rig(TokenLogin([in_text(token)]), openbao.url)
    rig.fetch()
    rig.clock.now += HOUR * 2 / 3

    assert text(rig.fetch()) == token


def test_the_sink_of_an_agent_is_read_at_each_fetch(openbao: OpenBaoDev, tmp_path: Path) -> None:
    sink = tmp_path / "sink"
    tokens = [openbao.root.make_token("default", ttl="1h") for _ in range(2)]
    rig = Rig(TokenLogin([KeySource("env", "NO_SUCH_VARIABLE"), KeySource("file", str(sink))]), openbao.url)
    assert type(failure(rig)) is LoginIncomplete
    for token in tokens:
        sink.write_text(token + "\n")
        assert text(rig.fetch()) == token


def test_a_token_that_may_ask_nothing_about_itself_is_used_until_it_is_refused(openbao: OpenBaoDev) -> None:
    token = openbao.root.make_token(openbao.root.policy(REVOKES), ttl="1h", no_default_policy=True)
    rig = Rig(TokenLogin([in_text(token)]), openbao.url)

    for _ in range(2):
        found = rig.fetch()
        assert (text(found), found.expires_at) == (token, None)


def test_a_token_of_one_use_is_spent_by_the_question_about_it(openbao: OpenBaoDev) -> None:
    rig = Rig(TokenLogin([in_text(openbao.root.make_token("default", num_uses=1))]), openbao.url)

    assert "one more request" in str(failure(rig))


@pytest.mark.parametrize("token", ["hunter2 hunter2", "hünter2", "hunter2\nhunter2"])
def test_what_can_be_no_token_is_not_sent(openbao: OpenBaoDev, token: str) -> None:
    error = failure(Rig(TokenLogin([in_text(token)]), openbao.url))

    assert type(error) is LoginIncomplete
    assert "nter2" not in str(error)


def test_no_repr_shows_what_a_source_holds(role: Role) -> None:
    rig = role.rig()
    token = text(rig.fetch())

    assert Clock()() == 1000.0
    for part in (token, role.role_id):
        assert part not in repr(rig.source)
