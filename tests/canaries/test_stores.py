"""Every operation on every store, by each way of logging: nothing is let out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from secrets_actor import AccessDenied, AwsSettings, LocalSettings, LogSettings, SecretsError, Settings, start
from secrets_actor.errors import ExpiredToken, InvalidSignature, UnrecognizedClient
from tests.canaries.canary_search import Hunt
from tests.canaries.planted_canaries import Values, all_operations, plant_keys, some_keys
from tests.servers.account import REGION, Account, Keys, allow_everything
from tests.servers.ministack import Ministack


def good(account: Account) -> Keys:
    """Keys with which anything may be done."""
    return account.role_session(allow_everything())


def aws(url: str, keys: Keys, **more: object) -> AwsSettings:
    """Settings with the keys in them."""
    return AwsSettings(
        region=REGION,
        endpoint_url=url,
        access_key=keys.access_key_id,
        secret_key=keys.secret_key,
        session_token=keys.session_token,
        **more,
    )


@pytest.mark.parametrize("format", ["json", pytest.param("console", marks=pytest.mark.slow)])
@pytest.mark.parametrize("output", ["logging", "stderr", "file"])
def test_the_local_store_lets_nothing_out(
    hunt: Hunt, tmp_path: Path, capfd: pytest.CaptureFixture[str], format: str, output: str
) -> None:
    values = Values.planted(hunt)
    log = LogSettings(format=format, output=str(tmp_path / "audit.log") if output == "file" else output)

    with start(Settings(local=LocalSettings(path=tmp_path / "store"), log=log), tracer=hunt.tracing) as system:
        all_operations(hunt, system, values)
        key = tmp_path / "store" / "key"
        hunt.files(tmp_path, key)  # with the write-ahead log in it
    hunt.plant("the key", key.read_bytes())
    hunt.files(tmp_path, key)
    written = "".join(capfd.readouterr())
    hunt.text("standard output and error", "local", written)
    if output == "stderr":
        assert written.count("audit") > 20
    elif output == "file":
        assert (tmp_path / "audit.log").read_text().count("audit") > 20
    else:
        assert hunt.counts["log_of_secrets_actor"] > 20

    hunt.nothing_was_found(
        texts=1000, object=200, error=100, frames=20, answer=60, system=10, file=4, metrics=4, span=40
    )


def test_aws_lets_nothing_out(hunt: Hunt, fresh_ministack: Ministack, capfd: pytest.CaptureFixture[str]) -> None:
    values, keys = Values.planted(hunt), good(fresh_ministack.account)
    plant_keys(hunt, keys)

    settings = Settings(backend="aws_secrets_manager", aws=aws(fresh_ministack.url, keys))
    with start(settings, tracer=hunt.tracing) as system:
        all_operations(hunt, system, values)
    hunt.text("standard output and error", "aws", "".join(capfd.readouterr()))

    hunt.nothing_was_found(
        texts=1000, object=200, error=100, frames=20, answer=60, system=10, log_of_secrets_actor=100,
        metrics=4, span=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "spoilt"),
    [
        (InvalidSignature, lambda account: replace(good(account), secret_key=some_keys().secret_key)),
        (UnrecognizedClient, lambda account: some_keys()),
        (UnrecognizedClient, lambda account: replace(good(account), session_token=some_keys().session_token)),
        (AccessDenied, lambda account: account.user()),
        (ExpiredToken, lambda account: account.role_session(allow_everything(), seconds=-60)),
    ],
    ids=["wrong-key", "unknown-key", "wrong-token", "no-permission", "expired-token"],
)
def test_refused_keys_are_not_let_out(
    hunt: Hunt, fresh_ministack: Ministack, error: type[SecretsError], spoilt: Callable[[Account], Keys]
) -> None:
    values, keys = Values.planted(hunt), spoilt(fresh_ministack.account)
    plant_keys(hunt, keys)

    settings = Settings(backend="aws_secrets_manager", aws=aws(fresh_ministack.url, keys))
    with start(settings, tracer=hunt.tracing) as system:
        hunt.failure("get", error, lambda: system.secrets.get("canaries/one"))
        hunt.failure("set", error, lambda: system.secrets.set("canaries/one", values.text))
        hunt.failure("list", error, system.secrets.list)
        hunt.failure("delete", error, lambda: system.secrets.delete("canaries/one"))
        hunt.failure("restore", error, lambda: system.secrets.restore("canaries/one"))
        hunt.objects("refused", system)

    hunt.nothing_was_found(texts=300, object=100, error=25, log_of_secrets_actor=10, metrics=2, span=15)
