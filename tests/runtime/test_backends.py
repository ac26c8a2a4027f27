"""The table of backends: each has its section, and says what a migration asks of it."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from secrets_actor import AwsSettings, ConfigurationError, DaemonClientSettings, LocalSettings, Settings, VaultSettings
from secrets_actor.runtime.backends import BACKENDS, OF_THE_BACKEND, asked_socket, daemon_socket
from secrets_actor.runtime.settings_loader import load
from secrets_actor.runtime.settings_validator import sections_of

AWS = Settings(backend="aws_secrets_manager", aws=AwsSettings(region="eu-west-1"))


def test_a_row_is_all_that_a_backend_s_name_needs() -> None:
    [kind] = [field.type for field in structs.fields(Settings) if field.name == "backend"]

    assert kind is str  # no second list of names beside the table
    assert Settings().backend in BACKENDS


@pytest.mark.parametrize("given", [object(), [], {}, b"7", 5, True, None, "", "LOCAL_ENCRYPTED", "\udcff", "canary"])
def test_a_backend_without_a_row_is_a_mistake_that_names_those_with_one(given: Any) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(Settings(backend=given, max_workers=0), {})

    assert refused.value.mistakes[0] == 'backend: "local_encrypted", "aws_secrets_manager", "vault" or "daemon"'
    assert len(refused.value.mistakes) == 2  # all mistakes at once


def test_each_row_has_a_section_of_its_own() -> None:
    sections = [row.section for row in BACKENDS.values()]

    assert set(sections) <= set(sections_of(Settings))
    assert (*OF_THE_BACKEND,) == ("backend", *dict.fromkeys(sections))


VAULT = Settings(backend="vault", vault=VaultSettings(addresses=("https://a", "https://b:8200")))


@pytest.mark.parametrize("settings", [Settings(), AWS, VAULT, Settings(backend="daemon")], ids=lambda one: one.backend)
def test_a_row_makes_the_factory_of_its_backend_and_opens_nothing(settings: Settings, tmp_path: Path) -> None:
    settings = structs.replace(settings, local=LocalSettings(path=tmp_path / "store"))

    factory = load(settings, {}).make_factory(None)

    assert factory.name == settings.backend
    assert not (tmp_path / "store").exists()


def identity(settings: Settings, environ: dict[str, str] | None = None) -> tuple[Any, ...]:
    return BACKENDS[settings.backend].identity(settings, environ or {})


def test_two_settings_of_one_store_have_one_identity(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    local = [Settings(local=LocalSettings(path=tmp_path / name)) for name in ("a", "link/a", "b")]
    from_variable = structs.replace(AWS, aws=AwsSettings(), ttl_seconds=1.0)
    elsewhere = structs.replace(AWS, aws=AwsSettings(region="us-east-1"))

    assert identity(local[0]) == identity(local[1]) != identity(local[2])
    same = structs.replace(VAULT, vault=VaultSettings(addresses=("https://b:8200", "https://a/"), mount="secret/"))
    other = structs.replace(VAULT, vault=structs.replace(VAULT.vault, mount="kv"))
    assert identity(VAULT) == identity(same) != identity(other)
    assert identity(VAULT) != identity(VAULT, {"VAULT_NAMESPACE": "team"})
    assert identity(AWS) == identity(from_variable, {"AWS_REGION": "eu-west-1"}) != identity(elsewhere)


def test_a_store_far_away_is_there_and_a_local_one_once_it_has_a_folder(tmp_path: Path) -> None:
    here = [Settings(local=LocalSettings(path=path)) for path in (tmp_path, tmp_path / "none")]

    assert [BACKENDS[one.backend].is_there(one) for one in (AWS, VAULT, *here)] == [True, True, True, False]
    assert BACKENDS["daemon"].is_there(Settings(backend="daemon"))


def through(address: str | None) -> Settings:
    return Settings(backend="daemon", daemon_client=DaemonClientSettings(address=address))


def test_a_daemon_is_asked_at_the_socket_of_the_user_or_of_the_machine() -> None:
    machine, own = "/run/secrets-actor/api.sock", "/run/user/7/secrets-actor/api.sock"

    assert str(asked_socket({"XDG_RUNTIME_DIR": "/run/user/7"}, 7)) == own
    for environ, uid in (({"XDG_RUNTIME_DIR": "/run/user/7"}, 0), ({}, 7), ({"XDG_RUNTIME_DIR": "x"}, 7)):
        assert str(asked_socket(environ, uid)) == machine


def test_two_addresses_of_one_daemon_have_one_identity() -> None:
    default = str(asked_socket({}))

    assert identity(through(None)) == identity(through(f"unix:{default}")) != identity(through("unix:/run/other"))


@pytest.mark.parametrize(
    "address", ["", "/run/x.sock", "unix:", "unix:x.sock", "unix:/a\0b", "unix:/" + "x" * 107, "127.0.0.1:2773"]
)
def test_an_address_that_is_no_unix_socket_is_a_mistake_that_says_what_is_allowed(address: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(through(address), {})

    [mistake] = refused.value.mistakes
    assert mistake.startswith("daemon_client.address: ")
    assert "127.0" not in mistake


def test_the_longest_path_of_a_socket_is_taken() -> None:
    factory = load(through("unix:/" + "x" * 106), {}).make_factory(None)

    assert factory.endpoints == ("unix:/" + "x" * 106,)


def test_the_socket_of_the_daemon_that_is_the_store_is_known_and_of_another_store_there_is_none() -> None:
    asks = Settings(backend="daemon", daemon_client=DaemonClientSettings(address="unix:/run/x/s"))

    assert str(daemon_socket(asks, {})) == "/run/x/s"
    assert daemon_socket(Settings(backend="daemon"), {}) == asked_socket({})
    assert daemon_socket(Settings(), {}) is None
