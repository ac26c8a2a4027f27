"""The daemon's table: all its mistakes are told at once, each with its row, and none with a token or a key."""

from pathlib import Path

import pytest

import secrets_actor
from secrets_actor import ConfigurationError, Settings
from secrets_actor.backends.key_source import KeySource
from secrets_actor.faces.policy import Rule
from secrets_actor.runtime.daemon_settings import (
    AllowSettings,
    DaemonSettings,
    ListenSettings,
    TokenSettings,
    default_socket,
    rules_of,
)
from secrets_actor.runtime.settings_loader import load

WORDS = (*("get", "describe", "list", "put", "create", "delete", "restore", "rotate", "tag", "read", "write", "admin"),)
CANARY = "hunter2-must-not-show"


def mistakes(text: str, tmp_path: Path, environ: dict[str, str] | None = None) -> list[str]:
    path = tmp_path / "daemon.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(path, {} if environ is None else environ)
    assert CANARY not in str(caught.value)
    return list(caught.value.mistakes)


def test_all_mistakes_of_the_daemon_are_told_at_once_each_with_its_row(tmp_path: Path) -> None:
    text = f"""
        ttl_seconds = -1
        [daemon]
        drain_seconds = -1
        hosts = ["secrets.internal", "http://x", "[::1]", "x:80"]
        [[daemon.listen]]
        address = "unix:/run/a.sock"
        faces = ["aws", "ssh"]
        [[daemon.listen]]
        address = "unix:/run/a.sock"
        mode = "rw-rw----"
        group = "no-such-group-here"
        port = 5
        [[daemon.listen]]
        address = "127.0.0.1:2773"
        tls = {{ cert = "/tls.pem" }}
        dialect = "french"
        [[daemon.listen]]
        address = "0.0.0.0:2773"
        mode = "0660"
        group = "root"
        [[daemon.listen]]
        address = "systemd:api"
        tls = {{ cert = "/tls.pem", key = "~no-such-user-here/tls.key" }}
        [[daemon.listen]]
        [[daemon.token]]
        name = "ci"
        value = "{CANARY}"
        [[daemon.token]]
        name = "ci"
        [[daemon.token]]
        name = "c i+x"
        value = {{ file = "/t" }}
        [[daemon.key]]
        name = "ci"
        access_key_id = "AK LOCAL"
        secret_key = {{ env = "NOT_SET" }}
        [[daemon.allow]]
        who = ["unit:a.service"]
        secrets = ["arn:aws:x"]
        may = ["get", "eat"]
    """

    assert sorted(mistakes(text, tmp_path)) == sorted(
        [
            "ttl_seconds: a number from 0 to 86400",
            "daemon.drain_seconds: a number from 0 to 3600",
            "daemon.hosts[1]: the name of a host or an IP address, without a port",
            "daemon.hosts[3]: the name of a host or an IP address, without a port",
            "daemon.listen[0].faces: some of aws, agent, health, metrics, live, each once; or systemd alone",
            "daemon.listen[1].address: the same as that of daemon.listen[0]",
            'daemon.listen[1].mode: an octal mode as text, such as "0660"',
            "daemon.listen[1].group: this machine knows no group of that name",
            "daemon.listen[1].port: unknown key",
            "daemon.listen[2].tls.key: missing; the path of a PEM file",
            'daemon.listen[2].dialect: "agent" or "lambda"',
            "daemon.listen[3].tls: missing; other machines can reach this address",
            "daemon.listen[3].group: only for an address unix:PATH",
            "daemon.listen[3].mode: only for an address unix:PATH",
            "daemon.listen[4].tls: only for an address of TCP",
            "daemon.listen[4].tls.key: begins with ~ and the name of a user that this machine does not know; "
            "give an absolute path",
            "daemon.listen[5].address: give unix:/run/secrets-actor/api.sock, 127.0.0.1:2773, [::1]:2773 or "
            "systemd:NAME",
            'daemon.token[0].value: allowed: { env = "NAME" } or { file = "PATH" }',
            "daemon.token[1].name: the same as that of daemon.token[0]",
            'daemon.token[1].value: missing; { file = "PATH" } or { env = "NAME" }',
            "daemon.token[2].name: 1 to 64 letters, digits and . _ @ -",
            "daemon.key[0].access_key_id: 4 to 128 letters, digits and _",
            "daemon.key[0].secret_key: the environment variable NOT_SET is not set",
            "daemon.allow[0].secrets[0]: the name of a secret, no ARN: a rule holds for both",
            f"daemon.allow[0].may[1]: one of {', '.join(WORDS)}",
        ]
    )


def test_the_face_systemd_is_alone_on_a_unix_socket_and_its_rows_are_checked(tmp_path: Path) -> None:
    text = """
        [[daemon.listen]]
        address = "unix:/run/a.sock"
        faces = ["systemd"]
        [[daemon.listen]]
        address = "systemd:credentials"
        faces = ["systemd"]
        [[daemon.listen]]
        address = "unix:/run/b.sock"
        faces = ["aws", "systemd"]
        [[daemon.listen]]
        address = "127.0.0.1:0"
        faces = ["systemd"]
        [[daemon.systemd_credential]]
        secret = "db/password"
        [[daemon.systemd_credential]]
        unit = "a/b"
        secret = "db/{user}"
        [[daemon.systemd_credential]]
        credential = "key"
    """

    assert sorted(mistakes(text, tmp_path)) == sorted(
        [
            "daemon.listen[2].faces: some of aws, agent, health, metrics, live, each once; or systemd alone",
            "daemon.listen[3].faces: systemd only at unix:PATH or systemd:NAME",
            "daemon.systemd_credential[1].unit: printable ASCII without blanks and /; * is any run of characters",
            "daemon.systemd_credential[1].secret: of placeholders there are {unit_name}, {instance} and {credential}",
            "daemon.systemd_credential[2].secret: a secret name is empty; give 1 to 512 characters",
        ]
    )


def test_a_wrong_row_hides_no_mistake_of_another_and_is_told_once(tmp_path: Path) -> None:
    assert mistakes("[daemon]\ntoken = [5, {name = 'a'}]\n", tmp_path) == [
        "daemon.token[0]: a table, with keys of its own",
        'daemon.token[1].value: missing; { file = "PATH" } or { env = "NAME" }',
    ]


def test_the_environment_gives_lists_of_tables_as_json(tmp_path: Path) -> None:
    listen = '[{"address": "127.0.0.1:2773", "faces": ["aws"]}]'

    found = load(None, {"SECRETS_ACTOR_DAEMON__LISTEN": listen, "SECRETS_ACTOR_DAEMON__DRAIN_SECONDS": "3"}).settings

    assert found.daemon == DaemonSettings(
        drain_seconds=3, listen=(ListenSettings(address="127.0.0.1:2773", faces=("aws",)),)
    )


def test_settings_made_in_code_are_checked_as_a_file_is_and_a_token_in_clear_is_masked_and_refused() -> None:
    token = TokenSettings(name="ci", value=CANARY)  # type: ignore[arg-type]  # as users do
    settings = Settings(daemon=DaemonSettings(listen=(ListenSettings(address="127.0.0.1:2773"),), token=(token,)))

    assert CANARY not in repr(settings)
    with pytest.raises(ConfigurationError) as caught:
        load(settings, {})
    assert caught.value.mistakes == ('daemon.token[0].value: allowed: { env = "NAME" } or { file = "PATH" }',)

    right = Settings(daemon=DaemonSettings(token=(TokenSettings(name="ci", value=KeySource("file", "/t")),)))
    assert load(right, {}).settings == right


def test_a_running_system_does_not_mind_another_table_of_the_daemon(tmp_path: Path) -> None:
    local = secrets_actor.LocalSettings(path=tmp_path)
    with secrets_actor.start(Settings(local=local)) as system:
        other = Settings(local=local, daemon=DaemonSettings(drain_seconds=1))
        system.configure(other)
        assert system.settings == other


def test_the_default_socket_is_in_a_folder_that_is_the_users_own() -> None:
    assert default_socket({}, 0) == Path("/run/secrets-actor/api.sock")
    assert default_socket({"XDG_RUNTIME_DIR": "/run/user/7"}, 7) == Path("/run/user/7/secrets-actor/api.sock")
    for unusable in ({}, {"XDG_RUNTIME_DIR": ""}, {"XDG_RUNTIME_DIR": "run"}):
        with pytest.raises(ConfigurationError, match="XDG_RUNTIME_DIR"):
            default_socket(unusable, 7)


def test_the_rules_are_those_of_the_table_or_that_the_daemons_own_user_may_do_all() -> None:
    row = AllowSettings(who=("user:a",), secrets=("b",), may=("get",))

    assert rules_of(DaemonSettings(allow=(row,)), 1000) == (Rule(("user:a",), ("b",), ("get",)),)
    assert rules_of(DaemonSettings(), 1000) == (Rule(("uid:1000",), ("**",), ("admin",)),)
    assert rules_of(DaemonSettings(allow=(row,)), 65534) == rules_of(DaemonSettings(allow=(row,)), 1000)
    with pytest.raises(ConfigurationError, match="nobody needs rules"):
        rules_of(DaemonSettings(), 65534)
