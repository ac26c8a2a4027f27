"""The settings of the two sides."""

from pathlib import Path

import pytest

from secrets_actor.cli.migration.stores import settings_for_both
from secrets_actor.runtime.settings_loader import load


@pytest.mark.parametrize(
    ("of_the_profile", "environ", "mode"),
    [
        ("", {}, "adaptive"),
        ("retry_mode = standard", {}, None),
        ("", {"AWS_RETRY_MODE": "standard"}, None),
    ],
)
def test_writes_follow_the_throttling_of_aws_unless_somebody_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_the_profile: str, environ: dict[str, str], mode: str | None
) -> None:
    shared, source, target = (tmp_path / name for name in ("config", "source.toml", "target.toml"))
    shared.write_text(f"[profile p]\nregion = us-east-1\n{of_the_profile}\n")
    source.write_text(f"[local]\npath = '{tmp_path}'\n")
    target.write_text("backend = 'aws_secrets_manager'\n[aws]\nprofile = 'p'\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(shared))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert settings_for_both(load(source).settings, load(target).settings)[1].aws.retry_mode == mode
