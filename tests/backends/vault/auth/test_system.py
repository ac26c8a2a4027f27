"""A whole system over a real OpenBao, and what becomes of its token."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import System
from secrets_actor.backends.vault.auth.approle import AppRoleLogin
from secrets_actor.backends.vault.auth.token import TokenLogin
from secrets_actor.backends.vault.auth.token_source import TokenSource
from secrets_actor.backends.vault.backend import vault_backend_factory
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.ports import BackendFactory
from secrets_actor.errors import ExpiredToken, LoginRefused, LoginUnavailable
from tests.actor.rig import eventually, failure, settings
from tests.backends.vault.auth.rig import Counting, connector, in_text, is_alive
from tests.backends.vault.auth.test_token_source import Role
from tests.cli.program import Program
from tests.daemon.rig import ask, configuration
from tests.servers.daemon import Daemon, toml
from tests.servers.openbao import OpenBaoDev

pytestmark = pytest.mark.vault


class Place:
    """A mount, and a role that may do anything in it. `login` counts logins."""

    def __init__(self, openbao: OpenBaoDev, mount: str, **role: object) -> None:
        self.openbao, self.mount = openbao, mount
        policy = openbao.root.policy(f'path "{mount}/*" {{ capabilities = ["create", "read", "update", "patch"] }}')
        self.role = Role(openbao, token_policies=[policy], **role)
        self.login = Counting(self.role.login())

    def factory(self) -> BackendFactory:
        """The backend, with a source of tokens of its own."""
        connect = connector(self.openbao.url)
        name = self.openbao.url.partition("://")[2]
        source = TokenSource(self.login, connect)
        return vault_backend_factory(
            endpoints=(name,), connect=connect, mount=self.mount, recovery_window=30, credentials=source
        )

    def tokens(self) -> set[str]:
        """The accessors of the tokens of this role that are alive."""
        found = self.openbao.root.ask("LIST", "auth/token/accessors")["data"]["keys"]
        looked_up = [self.openbao.root.write("auth/token/lookup-accessor", accessor=one)["data"] for one in found]
        return {one["accessor"] for one in looked_up if one["path"] == f"auth/{self.role.mount}/login"}


@pytest.fixture
def place(openbao: OpenBaoDev, kv_mount: str) -> Iterator[Place]:
    yield (made := Place(openbao, kv_mount))
    openbao.root.delete(f"sys/auth/{made.role.mount}")


def test_a_system_logs_in_once_for_all_who_wait_and_a_drained_stop_revokes(place: Place, tmp_path: Path) -> None:
    with System(settings(tmp_path), backend=place.factory()) as system:
        system.secrets.set("a", "v")
        assert system.secrets.get("a", refresh=True).reveal() == "v"
        assert place.login.logins == 1
        assert len(place.tokens()) == 1
        system.stop(drain=10)

    assert not place.tokens()


def test_a_token_that_is_revoked_under_a_running_system_costs_one_login_and_no_caller(
    place: Place, tmp_path: Path
) -> None:
    with System(settings(tmp_path, ttl_seconds=0), backend=place.factory()) as system:
        system.secrets.set("a", "v")
        for logins in (2, 3):
            [accessor] = place.tokens()
            place.openbao.root.write("auth/token/revoke-accessor", accessor=accessor)
            assert system.secrets.get("a").reveal() == "v"
            assert place.login.logins == logins


def test_a_token_that_nobody_uses_is_renewed(openbao: OpenBaoDev, kv_mount: str, tmp_path: Path) -> None:
    place = Place(openbao, kv_mount, token_ttl="2s", token_period="2s")
    with System(settings(tmp_path, ttl_seconds=0), backend=place.factory()) as system:
        system.secrets.set("a", "v")
        [accessor] = place.tokens()
        look_up = "auth/token/lookup-accessor"
        first = openbao.root.write(look_up, accessor=accessor)["data"]["expire_time"]
        eventually(lambda: openbao.root.write(look_up, accessor=accessor)["data"]["expire_time"] > first)
        assert place.login.logins == 1


def test_a_login_that_is_refused_is_told_to_callers_and_not_tried_by_each(place: Place, tmp_path: Path) -> None:
    place.login = Counting(AppRoleLogin(in_text(place.role.role_id), in_text("wrong"), mount=place.role.mount))
    with System(settings(tmp_path), backend=place.factory()) as system:
        for _ in range(10):
            assert type(failure(lambda: system.secrets.get("a"))) is LoginRefused
        assert place.login.logins == 1


def test_what_was_cached_is_served_while_the_token_is_gone_and_no_login_can_be_checked(
    place: Place, tmp_path: Path
) -> None:
    given = settings(tmp_path, ttl_seconds=0.01, max_stale_seconds=1000)
    with System(given, backend=place.factory()) as system:
        system.secrets.set("a", "v")
        system.secrets.get("a")
        place.openbao.root.delete(f"sys/auth/{place.role.mount}")  # its tokens end with it; a login answers 403 now
        eventually(lambda: system.secrets.get("a").stale)  # the server revokes them beside its answer
        assert system.secrets.get("a").reveal() == "v"
        error = failure(lambda: system.secrets.set("a", "w"))
        assert type(error) is LoginUnavailable


def test_a_token_of_few_uses_is_replaced_when_they_are_up(openbao: OpenBaoDev, kv_mount: str, tmp_path: Path) -> None:
    place = Place(openbao, kv_mount, token_num_uses=4)
    with System(settings(tmp_path, ttl_seconds=0), backend=place.factory()) as system:
        system.secrets.set("a", "v")
        for _ in range(12):
            assert system.secrets.get("a").reveal() == "v"
        assert 2 <= place.login.logins <= 8


def test_a_given_token_that_ends_is_told(openbao: OpenBaoDev, kv_mount: str, tmp_path: Path) -> None:
    place = Place(openbao, kv_mount)
    token = openbao.root.make_token("default", *openbao.root.read(place.role.path)["token_policies"], ttl="1h")
    place.login = Counting(TokenLogin([in_text(token)]))
    with System(settings(tmp_path, ttl_seconds=0), backend=place.factory()) as system:
        system.secrets.set("a", "v")
        system.stop(drain=5)
        assert is_alive(openbao.root, token), "it is not ours"
    with System(settings(tmp_path, ttl_seconds=0), backend=place.factory()) as system:
        assert system.secrets.get("a").reveal() == "v"
        openbao.root.write("auth/token/revoke", token=token)
        assert type(failure(lambda: system.secrets.get("a"))) is ExpiredToken


# --- programs of ours -----------------------------------------------------------------------------------------------


def configured(place: Place, folder: Path) -> dict[str, Any]:
    """The settings of a program that logs in at *place*."""
    return {
        "backend": "vault",
        "vault": {
            "addresses": [place.openbao.url],
            "mount": place.mount,
            "auth_method": "approle",
            "auth_mount": place.role.mount,
            "role_id": place.role.role_id,
            "secret_id": place.role.secret_id(),
        },
        "log": {"output": str(folder / "log")},
    }


def test_a_command_leaves_no_token_behind(place: Place, tmp_path: Path) -> None:
    config = tmp_path / "vault.toml"
    config.write_text(toml(configured(place, tmp_path)))
    program = Program(tmp_path)

    done = program("--config", str(config), "set", "a", stdin=b"v")

    assert done.status == 0, done.stderr
    assert program("--config", str(config), "get", "a").status == 0
    assert program("--config", str(config), "get", "missing").status == 3
    assert not place.tokens()


def test_a_daemon_that_ends_answers_what_is_under_way_and_then_revokes_its_token(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    place.openbao.root.write(f"{place.mount}/data/a", data={"value": "v"})
    with Daemon(tmp_path, configuration(tmp_path, f"unix:{path}", **configured(place, tmp_path)), count=1) as daemon:
        found = ask(path, "/secretsmanager/get?secretId=a")
        assert found.status == 200, found.body
        assert len(place.tokens()) == 1
        begun = clock_now()
        assert daemon.stop() == 0
        assert clock_now() - begun < 10.0

    assert not place.tokens()
