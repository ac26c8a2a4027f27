"""What is right at a glance is what pydantic makes of it; what is not is left to it."""

from pathlib import Path
from typing import Any

import pytest

from secrets_actor import AwsSettings, LocalSettings, LogSettings, Settings
from secrets_actor.records import fields
from secrets_actor.runtime.plain_settings import plain
from secrets_actor.runtime.settings import PrefetchSettings
from secrets_actor.runtime.settings_loader import APART, _from_model, _model

GIVEN: list[Any] = [
    *(0, 1, -1, 7, 30, 31, 299, 300, 301, 899, 900, 86_400, 86_401, 10**9, 10**400, True, False),
    *(0.0, 0.5, 0.9, 1.0, 2.5, 5.0, -0.1, float("nan"), float("inf"), None),
    *("", " ", "eu-central-1", "default", "iam_role", "adaptive", "json", "refuse", "aws_secrets_manager", "true", "5"),
    *(
        "~/x",
        "/var/lib",
        "\x00",
        "\udcff",
        "naïve",
        "a\nb",
        b"x",
        Path("/var/lib"),
        [],
        ["a"],
        {},
        {"a": "b"},
        {"a": 1},
    ),
]
SECTIONS: dict[str | None, Any] = {
    None: Settings,
    "local": LocalSettings,
    "aws": AwsSettings,
    "log": LogSettings,
    "prefetch": PrefetchSettings,
}
FIELDS = [(section, one.name) for section, cls in SECTIONS.items() for one in fields(cls) if one.name not in APART]
MODEL = _model(Settings)


def by_pydantic(raw: dict[str, Any]) -> Settings | None:
    """What pydantic makes of *raw*; None if it is wrong."""
    try:
        made: Settings = _from_model(MODEL(**raw), Settings, {})
    except ValueError:
        return None
    return made


def typed(section: Any) -> list[Any]:
    """The values of a section, with their types."""
    values = [getattr(section, one.name) for one in fields(section)]
    return [typed(value) if type(value) in SECTIONS.values() else (type(value), value) for value in values]


@pytest.mark.parametrize(("section", "name"), FIELDS)
def test_what_is_taken_comes_to_what_pydantic_makes_of_it(section: str | None, name: str) -> None:
    for given in GIVEN:
        raw = {name: given} if section is None else {section: {name: given}}
        found = plain(Settings, raw, {})
        if found is not None:
            expected = by_pydantic(raw)
            assert expected is not None, given
            assert typed(found) == typed(expected), given


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"ttl_seconds": 60},
        {"ttl_seconds": 0.5, "max_workers": 2, "after_fork": "refuse"},
        {"backend": "aws_secrets_manager", "aws": {"region": "eu-central-1", "timeout": 2.5, "use_fips": True}},
        {"local": {"path": "/var/lib/secrets", "recovery_window": 7}, "log": {"output": "stderr"}},
        {"prefetch": {"names": ["db/password"], "tags": ()}},
        {"local": {"path": Path("/var/lib/secrets")}, "aws": {"retry_mode": "standard", "max_attempts": 100}},
    ],
    ids=str,
)
def test_what_is_plain_is_taken(raw: dict[str, Any]) -> None:
    found = plain(Settings, raw, {})

    assert found is not None
    assert found == by_pydantic(raw)


@pytest.mark.parametrize(
    "raw",
    [
        {"ttl_seconds": "60"},
        {"max_workers": 2.0},
        {"max_workers": True},
        {"max_workers": 0},
        {"unknown": 1},
        {"aws": {"unknown": 1}},
        {"aws": 3},
        {"aws": {"region": ""}},
        {"aws": {"role_tags": {"a": "b"}}},
        {"backend": "vault"},
        {"prefetch": {"names": "a,b"}},
        {"prefetch": {"names": ["a", 1]}},
        {"log": {"output": "naïve"}},
    ],
    ids=str,
)
def test_what_is_not_plain_is_left_to_pydantic(raw: dict[str, Any]) -> None:
    assert plain(Settings, raw, {}) is None


def test_what_was_looked_at_apart_goes_to_its_fields() -> None:
    found = plain(Settings, {"aws": {"region": "eu-central-1"}}, {"access_key": "a"})

    assert found == Settings(aws=AwsSettings(region="eu-central-1", access_key="a"))  # type: ignore[arg-type]
    assert plain(Settings, {"aws": {"access_key": "a"}}, {"access_key": "a"}) is None
