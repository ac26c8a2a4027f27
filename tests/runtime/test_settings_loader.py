"""A file and the environment become settings; all mistakes are told at once, each with its key, none with its value."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import AwsSettings, ConfigurationError, LocalSettings, LogSettings, Settings
from secrets_actor.backends.key_source import KeySource
from secrets_actor.runtime.settings import region_of
from secrets_actor.runtime.settings_loader import load, named

CANARY = "hunter2-must-not-show"


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    """Write a configuration file."""

    def write(text: str) -> Path:
        path = tmp_path / "secrets_actor.toml"
        path.write_text(text)
        return path

    return write


def mistakes(source: Any, environ: dict[str, str] | None = None) -> list[str]:
    """What is wrong with *source*."""
    with pytest.raises(ConfigurationError) as caught:
        load(source, environ or {})
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert str(caught.value) == "; ".join(caught.value.mistakes)
    assert "\n" not in str(caught.value)
    return list(caught.value.mistakes)


def test_without_file_and_variables_the_defaults_hold() -> None:
    assert load(None, {}).settings == Settings()


def test_people_are_told_which_file_was_read_whoever_has_named_it() -> None:
    variable = {"SECRETS_ACTOR_CONFIG": "/etc/one.toml"}

    assert named(None, {}) == "the defaults"
    assert named(None, variable) == "/etc/one.toml"
    assert named(Path("/etc/other.toml"), variable) == "/etc/other.toml"


def test_settings_cost_nothing_heavy(file: Callable[[str], Path]) -> None:
    path = file('ttl_seconds = 60\nbackend = "aws_secrets_manager"\n[aws]\naccess_key = "AKIDEXAMPLE"')
    code = (
        "import sys, secrets_actor; from secrets_actor.runtime.settings_loader import load; load(None, {});"
        "aws = secrets_actor.AwsSettings(region='eu-central-1'); load(secrets_actor.Settings(aws=aws), {});"
        f"load({str(path)!r}, {{'SECRETS_ACTOR_AWS__REGION': 'eu-central-1', 'SECRETS_ACTOR_TTL_SECONDS': '60'}});"
        "print(*{'pydantic', 'httpx', 'cryptography'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == []


def test_a_file_sets_what_it_names_and_leaves_the_rest(file: Callable[[str], Path]) -> None:
    path = file(
        """
        backend = "aws_secrets_manager"
        ttl_seconds = 60
        max_workers = 2
        [local]
        path = "/var/lib/secrets"
        recovery_window = 7
        [aws]
        region = "eu-central-1"
        auth_method = "iam_role"
        timeout = 2.5
        endpoint_url = "http://127.0.0.1:1"
        ca_bundle = "/etc/ca.pem"
        [log]
        format = "console"
        output = "stderr"
        """
    )
    assert load(path, {}).settings == Settings(
        backend="aws_secrets_manager",
        ttl_seconds=60.0,
        max_workers=2,
        local=LocalSettings(path=Path("/var/lib/secrets"), recovery_window=7),
        aws=AwsSettings(
            region="eu-central-1",
            auth_method="iam_role",
            timeout=2.5,
            endpoint_url="http://127.0.0.1:1",
            ca_bundle=Path("/etc/ca.pem"),
        ),
        log=LogSettings(format="console", output="stderr"),
    )
    assert load(str(path), {}).settings == load(path, {}).settings
    assert load(None, {"SECRETS_ACTOR_CONFIG": str(path)}).settings == load(path, {}).settings


def test_keys_come_from_text_a_variable_or_a_file(file: Callable[[str], Path]) -> None:
    path = file(f'[aws]\naccess_key = "{CANARY}"\nsecret_key = {{ env = "KEY" }}\nsession_token = {{ file = "/t" }}\n')
    aws = load(path, {"KEY": CANARY}).settings.aws

    assert aws.access_key == KeySource("text", CANARY)
    assert aws.secret_key == KeySource("env", "KEY")
    assert aws.session_token == KeySource("file", "/t")
    assert CANARY not in repr(aws)


def test_the_environment_stands_over_the_file(file: Callable[[str], Path]) -> None:
    path = file("ttl_seconds = 1\nmax_workers = 3\n[local]\nrecovery_window = 8\npath = '/a'\n")
    found = load(
        path,
        {
            "SECRETS_ACTOR_TTL_SECONDS": "2.5",
            "SECRETS_ACTOR_LOCAL__PATH": "/b",
            "SECRETS_ACTOR_AWS__SECRET_KEY": CANARY,
            "SECRETS_ACTOR_LOG__OUTPUT": "stderr",
            "SECRETS_ACTOR_LIVE_PREFIX": "not a setting",
            "OTHER": "x",
        },
    ).settings

    assert (found.ttl_seconds, found.max_workers) == (2.5, 3)
    assert (found.local.path, found.local.recovery_window) == (Path("/b"), 8)
    assert found.aws.secret_key == KeySource("text", CANARY)
    assert found.log.output == "stderr"


def test_all_mistakes_are_told_at_once_each_with_its_key(file: Callable[[str], Path]) -> None:
    path = file(
        f"""
        backend = "aws_secrets_manager"
        ttl_seconds = -1
        cache_entries = 0
        call_timeout_seconds = 0
        max_workers = true
        max_pending = "many"
        frobnicate = "{CANARY}"
        [local]
        path = 5
        recovery_window = 31
        [aws]
        auth_method = "{CANARY}"
        access_key = 5
        secret_key = {{ env = "NOT_SET" }}
        session_token = {{ file = "a", env = "{CANARY}" }}
        timeout = inf
        recovery_window = 6
        password = "{CANARY}"
        [log]
        format = "{CANARY}"
        output = ""
        [{CANARY.replace("-", "_")}]
        """
    )
    told = mistakes(path, {"SECRETS_ACTOR_FOO": CANARY, "SECRETS_ACTOR_AWS__BAR": CANARY})
    keys = [line.partition(":")[0] for line in told]

    assert sorted(keys) == sorted(
        [
            "SECRETS_ACTOR_FOO",
            "SECRETS_ACTOR_AWS__BAR",
            "ttl_seconds",
            "cache_entries",
            "call_timeout_seconds",
            "max_workers",
            "max_pending",
            "frobnicate",
            "local.path",
            "local.recovery_window",
            "aws.auth_method",
            "aws.access_key",
            "aws.secret_key",
            "aws.session_token",
            "aws.timeout",
            "aws.recovery_window",
            "aws.password",
            "aws.region",
            "log.format",
            "log.output",
            "****",  # looks like none of ours, and so may be a key
        ]
    )
    assert all(line.partition(": ")[2] for line in told), "what is allowed"
    assert CANARY not in " ".join(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ttl_seconds = nan", "ttl_seconds: a number from 0 to 86400"),
        ("ttl_seconds = false", "ttl_seconds: a number from 0 to 86400"),
        ("local = 5", "local: a table, with keys of its own"),
        ("aws = []", "aws: a table, with keys of its own"),
        ("backend = 'x'", 'backend: "local_encrypted", "aws_secrets_manager", "vault" or "daemon"'),
        ("max_workers = 257", "max_workers: a whole number from 1 to 256"),
        ("[local]\nrecovery_window = 7.5", "local.recovery_window: a whole number from 7 to 30"),
        ("[local]\npartition = 'local'", "local.partition: aws, or aws- and a word"),
        ("[local]\nregion = 'here'", "local.region: a region such as eu-central-1"),
        ("[local]\naccount = '1234'", "local.account: twelve digits, as text"),
        ("[local]\naccount = 123456789012", "local.account: "),
        ("[aws]\nregion = ''", "aws.region: a text that is not empty"),
        ("[aws]\naccess_key = ' '", 'aws.access_key: allowed: text, { env = "NAME" } or { file = "PATH" }'),
        ("[aws]\naccess_key = { env = '' }", "aws.access_key: allowed: text"),
        ("[aws]\naccess_key = { env = 'NO' }", "aws.access_key: the environment variable NO is not set"),
    ],
)
def test_a_mistake_says_what_is_allowed(file: Callable[[str], Path], text: str, told: str) -> None:
    (found,) = mistakes(file(text))

    assert found.startswith(told)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRETS_ACTOR_TTL_SECONDS__REAL", "1"),
        ("SECRETS_ACTOR_NOWHERE__PATH", "1"),
        ("SECRETS_ACTOR___CLASS__", "1"),
        ("SECRETS_ACTOR_", "1"),
        ("SECRETS_ACTOR_LOCAL__PATH__PARENT", "1"),
    ],
)
def test_an_unknown_variable_is_a_mistake(file: Callable[[str], Path], name: str, value: str) -> None:
    (found,) = mistakes(file("ttl_seconds = 5\n"), {name: value})

    assert found.startswith(f"{name}: unknown")


def links(service: str, port: int, address: str, port_name: str | None = None) -> dict[str, str]:
    """What Kubernetes sets for *service*: envvars.go, `FromServices` and `makeLinkVariables`."""
    prefix = service.upper().replace("-", "_")
    shown = f"[{address}]" if ":" in address else address
    found = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(port)}
    if port_name is not None:
        found[f"{prefix}_SERVICE_PORT_{port_name.upper().replace('-', '_')}"] = str(port)
    found[f"{prefix}_PORT"] = f"tcp://{shown}:{port}"
    for protocol in ("tcp", "udp", "sctp"):
        link = f"{prefix}_PORT_{port}_{protocol.upper()}"
        found |= {link: f"{protocol}://{shown}:{port}", f"{link}_PROTO": protocol, f"{link}_PORT": str(port)}
        found[f"{link}_ADDR"] = address
    return found


@pytest.mark.parametrize(
    "service",
    [
        *("secrets-actor", "secrets-actor-aws", "secrets-actor-local", "secrets-actor-log", "secrets-actor-prefetch"),
        *("secrets-actor--aws", "secrets-actor-aws--region", "secrets-actor-local--path", "secrets-actor-x--y--z"),
        *(
            "secrets-actor-config",
            "secrets-actor-2",
            "secrets-actor-service",
            "secrets-actor-port",
            "secrets-actor-key",
        ),
    ],
)
@pytest.mark.parametrize("address", ["10.0.48.109", "fd00::1"])
def test_the_service_links_of_kubernetes_are_not_for_us(
    file: Callable[[str], Path], service: str, address: str
) -> None:
    path = file("ttl_seconds = 5\n[local]\npath = '/p'\n")

    found = load(
        path, {**links(service, 8080, address, "metrics-http"), "SECRETS_ACTOR_AWS__REGION": "eu-west-1"}
    ).settings

    assert found == load(path, {"SECRETS_ACTOR_AWS__REGION": "eu-west-1"}).settings
    assert found.aws.region == "eu-west-1"


@pytest.mark.parametrize("alias", ["secrets-actor", "secrets_actor_1", "secrets-actor-aws", "secrets-actor-v1.2"])
def test_what_docker_sets_for_a_linked_container_is_not_for_us(file: Callable[[str], Path], alias: str) -> None:
    """links.go, `ToEnv`: each port, the ports in a row as one, the container's name and all of its own variables."""
    prefix = alias.upper().replace("-", "_")
    ports = {
        f"{prefix}_PORT_{port}_{protocol.upper()}{what}": "x"
        for port in (53, 8080)
        for protocol in ("tcp", "udp", "sctp")
        for what in ("", "_ADDR", "_PORT", "_PROTO", "_START", "_END", "_PORT_START", "_PORT_END")
    }
    own = {f"{prefix}_ENV_{name}": "x" for name in ("LANG", "http_proxy", "SECRETS_ACTOR_AWS__REGION", "a.b", "A-B")}
    name = {f"{prefix}_PORT": "udp://172.17.0.5:53", f"{prefix}_NAME": f"/web/{alias}"}

    assert load(file("ttl_seconds = 5\n"), {**ports, **own, **name}).settings.ttl_seconds == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRETS_ACTOR_PORT", "8080"),
        ("SECRETS_ACTOR_NAME", "web"),
        ("SECRETS_ACTOR_AWS__NAME", "/web/db"),
        ("SECRETS_ACTOR_ENV", "prod"),
        ("SECRETS_ACTOR_ENV_", "prod"),
        ("SECRETS_ACTOR_AWS__ENV_REGION", "eu-west-1"),
        ("SECRETS_ACTOR_AWS__SERVICE_HOST", "10.0.0.1"),  # no service's name ends in a hyphen
        ("SECRETS_ACTOR_AWS__PORT", "tcp://10.0.0.1:80"),
        ("SECRETS_ACTOR_AWS_REGION", "eu-west-1"),
        ("SECRETS_ACTOR_SERVICE", "x"),
        ("SECRETS_ACTOR_SERVICE_HOSTS", "x"),
        ("SECRETS_ACTOR_PORT_X_TCP", "tcp://10.0.0.1:80"),
        ("SECRETS_ACTOR_TTL__SECONDS", "1"),
    ],
)
def test_what_is_like_a_service_link_and_none_is_a_mistake(file: Callable[[str], Path], name: str, value: str) -> None:
    (found,) = mistakes(file("ttl_seconds = 5\n"), {name: value})

    assert found.startswith(f"{name}: unknown")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("TTL_SECONDS", CANARY, "ttl_seconds: a number from 0 to 86400 (from SECRETS_ACTOR_TTL_SECONDS)"),
        ("BACKEND", CANARY, 'backend: "local_encrypted", '),
        ("AWS__MAX_ATTEMPTS", "0", "aws.max_attempts: a whole number from 1 to 100"),
        ("AWS__ENDPOINT_URL", CANARY, "aws.endpoint_url: http:// or https://"),
        ("AWS__REGION", "us east", "aws.region: the name of an AWS region"),
        ("AWS__ROLE_ARN", CANARY, "aws.role_arn: such as arn:aws:iam"),
        ("AWS__ROLE_TAGS", CANARY, "aws.role_tags: a table of texts; in the environment, a JSON object"),
        ("AWS__CA_BUNDLE", "~no-such-user/ca", "aws.ca_bundle: begins with ~"),
        ("AWS__ACCESS_KEY", " ", "aws.access_key: allowed: text"),
        ("LOG__OUTPUT", "~no-such-user/log", "log.output: begins with ~"),
        ("LOG__FORMAT", CANARY, 'log.format: "json" or "console" (from SECRETS_ACTOR_LOG__FORMAT)'),
        ("PREFETCH__TAGS", "=", "prefetch.tags: "),
    ],
)
def test_a_mistake_of_a_variable_names_it(file: Callable[[str], Path], name: str, value: str, told: str) -> None:
    path = file('backend = "aws_secrets_manager"\n[aws]\nregion = "eu-west-1"\n')

    (found,) = mistakes(path, {f"SECRETS_ACTOR_{name}": value})

    assert found.startswith(told)
    assert CANARY not in found


@pytest.mark.parametrize("key", ["{", '{"env": "NOT_SET"}', '{"passphrase": {"env": "NO"}}', '{"file": "~no-user/k"}'])
def test_a_mistake_of_the_keys_place_names_the_variable(file: Callable[[str], Path], key: str) -> None:
    (found,) = mistakes(file("[local]\npath = '/p'\n"), {"SECRETS_ACTOR_LOCAL__KEY": key})

    assert found.startswith("local.key")
    assert found.endswith(" (from SECRETS_ACTOR_LOCAL__KEY)")


def test_a_variable_for_a_whole_section_is_a_mistake_that_hides_none_of_the_others(
    file: Callable[[str], Path],
) -> None:
    told = mistakes(
        file("local = 5\n"), {"SECRETS_ACTOR_LOCAL__PATH": "/x", "SECRETS_ACTOR_AWS": CANARY, "SECRETS_ACTOR_X": "1"}
    )

    assert sorted(line.partition(":")[0] for line in told) == ["SECRETS_ACTOR_X", "aws", "local"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing, bad, binary = tmp_path / "none.toml", tmp_path / "bad.toml", tmp_path / "binary.toml"
    bad.write_text(f'a = "{CANARY}"\nb = [= {CANARY}')
    binary.write_bytes(b"\xff\xfe")

    assert mistakes(missing) == [f"configuration file {missing}: no such file"]
    assert mistakes(tmp_path) == [f"configuration file {tmp_path}: is a folder, not a plain file"]
    assert mistakes(bad) == [f"configuration file {bad}: is not TOML: at line 2, column 6"]
    assert mistakes(binary) == [f"configuration file {binary}: is not UTF-8, but UTF-16; save it as UTF-8"]
    [told] = mistakes("~no-such-user/x.toml")
    assert told.startswith("the path of the configuration file begins with ~ and the name of a user that")


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes(b"\xef\xbb\xbfttl_seconds = 5\r\n")

    assert load(tmp_path / "c.toml", {}).settings.ttl_seconds == 5


def test_a_file_may_be_what_a_shell_pipes_in_and_nobody_waits_for_another(tmp_path: Path) -> None:
    source, sink = os.pipe()
    os.write(sink, b"ttl_seconds = 5\n")
    os.close(sink)

    assert load(f"/dev/fd/{source}", {}).settings.ttl_seconds == 5
    [told] = mistakes(f"/dev/fd/{source}")
    os.close(source)
    assert "is a pipe that gave nothing" in told
    assert mistakes("/dev/zero") == ["configuration file /dev/zero: is a device, not a plain file"]
    (tmp_path / "long").write_bytes(b"#" * 1_048_577)
    assert "is larger than 1048576 bytes" in mistakes(tmp_path / "long")[0]


def test_aws_needs_a_region_from_somewhere(file: Callable[[str], Path]) -> None:
    path = file('backend = "aws_secrets_manager"\nmax_workers = 0\n')

    assert [line.partition(":")[0] for line in mistakes(path)] == ["max_workers", "aws.region"]
    assert [line.partition(":")[0] for line in mistakes(path, {"AWS_REGION": "eu-west-1"})] == ["max_workers"]
    good = file('backend = "aws_secrets_manager"\n')
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        assert region_of(load(good, {name: "eu-west-1"}).settings.aws, {name: "eu-west-1"}) == "eu-west-1"
    assert region_of(AwsSettings(region="us-east-2"), {"AWS_REGION": "eu-west-1"}) == "us-east-2"
    assert region_of(AwsSettings(), {}) is None


@pytest.mark.parametrize(("method", "enough"), [("default", True), ("access_key", False), ("iam_role", False)])
def test_a_profiles_region_counts_only_where_its_keys_do(
    file: Callable[[str], Path], tmp_path: Path, method: str, enough: bool
) -> None:
    (tmp_path / "config").write_text("[default]\nregion = eu-west-1\n")
    environment = {"AWS_CONFIG_FILE": str(tmp_path / "config")}
    path = file(f'backend = "aws_secrets_manager"\n[aws]\nauth_method = "{method}"\n')

    if enough:
        assert region_of(load(path, environment).settings.aws, environment) == "eu-west-1"
    else:
        assert [line.partition(":")[0] for line in mistakes(path, environment)] == ["aws.region"]


def test_the_way_to_the_store_is_looked_at_even_if_other_settings_are_wrong_and_no_key_is_told_twice(
    file: Callable[[str], Path],
) -> None:
    text = (
        'backend = "aws_secrets_manager"\nttl_seconds = -1\n[aws]\nregion = ""\ntimeout = 0\n'
        'profile = "p"\nauth_method = "iam_role"\n[log]\noutput = "~no-such-user/log"\n'
    )
    of_region = mistakes(file(text))
    of_url = mistakes(file(text.replace('region = ""', 'region = "eu-west-1"\nendpoint_url = "ftp://h"')))

    common = ["ttl_seconds", "aws.timeout", "aws.profile", "log.output"]
    assert sorted(one.partition(":")[0] for one in of_region) == sorted([*common, "aws.region"])
    assert sorted(one.partition(":")[0] for one in of_url) == sorted([*common, "aws.endpoint_url"])


def test_an_endpoint_that_is_none_is_a_mistake_of_the_configuration(file: Callable[[str], Path]) -> None:
    text = 'backend = "aws_secrets_manager"\n[aws]\nregion = "eu-west-1"\nendpoint_url = "{}"\n'

    (told,) = mistakes(file(text.format(f"ftp://{CANARY}@localhost")))
    assert told.startswith("aws.endpoint_url: ")
    assert CANARY not in told
    load(file(text.format("http://127.0.0.1:4566")), {})


def test_settings_made_in_code_are_checked_like_a_file() -> None:
    made = Settings(max_workers=0, local=LocalSettings(recovery_window=2), aws=AwsSettings(timeout=-1))

    assert sorted(line.partition(":")[0] for line in mistakes(made)) == [
        "aws.timeout",
        "local.recovery_window",
        "max_workers",
    ]
    with_key = Settings(aws=AwsSettings(secret_key=KeySource("env", "NOT_SET")))
    assert mistakes(with_key) == ["aws.secret_key: the environment variable NOT_SET is not set"]


def test_settings_made_in_code_may_give_text_where_a_path_or_a_key_is_meant() -> None:
    made = Settings(
        local=LocalSettings(path="/a"),  # type: ignore[arg-type]
        aws=AwsSettings(
            region="eu-west-1",
            access_key="AKIA",  # type: ignore[arg-type]
            secret_key=CANARY,  # type: ignore[arg-type]
            session_token=KeySource("file", "/t"),
        ),
    )
    assert CANARY not in repr(made), "masked from the start"

    found = load(made, {}).settings
    assert found.local.path == Path("/a")
    assert found.aws.secret_key == KeySource("text", CANARY)
    assert found.aws.session_token == KeySource("file", "/t")
    assert load(found, {}).settings == found


NOWHERE = ["", " ", ".", "~nobody-of-this-name/store", "a\\u0000b"]


@pytest.mark.parametrize("path", NOWHERE)
def test_a_store_at_no_place_is_a_mistake_that_names_setting_and_variable(
    path: str, file: Callable[[str], Path]
) -> None:
    in_file = file(f'[local]\npath = "{path}"\nkey = {{ file = "~nobody-of-this-name/key" }}')

    assert [one.partition(": ")[0] for one in mistakes(in_file)] == ["local.path", "local.key"]
    [from_variable] = mistakes(None, {"SECRETS_ACTOR_LOCAL__PATH": path.replace("\\u0000", "\0")})
    assert from_variable.startswith("local.path: ")
    assert from_variable.endswith(" (from SECRETS_ACTOR_LOCAL__PATH)")
    [from_code] = mistakes(
        Settings(local=LocalSettings(path=Path(path.replace("\\u0000", "\0")))),
        {"SECRETS_ACTOR_LOCAL__PATH": "/unused"},
    )
    assert from_code.startswith("local.path: ")


def test_the_default_store_without_a_home_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")

    assert [one.partition(": ")[0] for one in mistakes(None)] == ["local.path"]
    assert [one.partition(": ")[0] for one in mistakes(Settings())] == ["local.path"]
    aws = AwsSettings(region="eu-central-1")
    assert load(Settings(backend="aws_secrets_manager", aws=aws)).settings.aws == aws  # it has no use for the folder


def test_a_variable_for_the_file_that_is_set_to_nothing_is_named() -> None:
    [told] = mistakes(None, {"SECRETS_ACTOR_CONFIG": ""})

    assert told.startswith("the path of the configuration file in SECRETS_ACTOR_CONFIG is empty")
