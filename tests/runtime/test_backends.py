"""The table of backends: each has its section, and says what a migration asks of it."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from secrets_actor import AwsSettings, ConfigurationError, LocalSettings, Settings
from secrets_actor.runtime.backends import BACKENDS, OF_THE_BACKEND
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

    assert refused.value.mistakes[0] == 'backend: "local_encrypted" or "aws_secrets_manager"'
    assert len(refused.value.mistakes) == 2  # all mistakes at once


def test_each_row_has_a_section_of_its_own() -> None:
    sections = [row.section for row in BACKENDS.values()]

    assert set(sections) <= set(sections_of(Settings))
    assert (*OF_THE_BACKEND,) == ("backend", *dict.fromkeys(sections))


@pytest.mark.parametrize("settings", [Settings(), AWS], ids=lambda one: one.backend)
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
    assert identity(AWS) == identity(from_variable, {"AWS_REGION": "eu-west-1"}) != identity(elsewhere)


def test_a_store_far_away_is_there_and_a_local_one_once_it_has_a_folder(tmp_path: Path) -> None:
    here = [Settings(local=LocalSettings(path=path)) for path in (tmp_path, tmp_path / "none")]

    assert [BACKENDS[one.backend].is_there(one) for one in (AWS, *here)] == [True, True, False]
