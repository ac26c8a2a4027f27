"""From the settings to an open store, and what `doctor` says of it."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from keyrings.alt.file import PlaintextKeyring

from secrets_actor import LocalSettings, LogSettings, Settings, start
from secrets_actor.backends.local.diagnose import key_finding
from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.keys.sources import source_for
from secrets_actor.backends.master_key_setting import place_of
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.diagnosis import Finding, Verdict
from secrets_actor.errors import KeyFileError, WrongKey
from secrets_actor.runtime.settings_loader import load

TEXT = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.b64encode(bytes(range(1, 33))).decode()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Settings]:
    """Settings of a store with a master key from somewhere."""
    monkeypatch.setenv("STORE_KEY", TEXT)
    (tmp_path / "given").touch(0o600)
    (tmp_path / "given").write_text(TEXT)

    def of(key: Any) -> Settings:
        return Settings(
            local=LocalSettings(path=tmp_path / "store", key=key), log=LogSettings(output=str(tmp_path / "log"))
        )

    return of


def findings(settings: Settings) -> list[Finding]:
    diagnose = load(settings).make_factory(None).diagnose
    assert diagnose is not None
    return list(diagnose(clock_now() + 30, ""))


def key_findings(settings: Settings) -> list[Finding]:
    return [one for one in findings(settings) if one.check == "key"]


@pytest.mark.parametrize("key", ["file", "made", "given", "env", "phrase", "keyring"])
def test_a_store_opens_with_a_key_from_each_place(
    settings: Callable[[Any], Settings], tmp_path: Path, ring: PlaintextKeyring, key: str
) -> None:
    tables: dict[str, Any] = {
        "made": {"file": str(tmp_path / "keys" / "key"), "make": True},
        "given": {"file": str(tmp_path / "given")},
        "env": {"env": "STORE_KEY"},
        "phrase": {"passphrase": {"env": "STORE_KEY"}},
        "keyring": {"keyring": "my-daemon"},
    }
    configured = settings(tables.get(key, "file"))
    with start(configured) as first:
        first.secrets.set("db/password", "hunter2")
    with start(configured) as second:
        assert second.secrets.get("db/password").reveal() == "hunter2"

    assert (tmp_path / "store" / "key").exists() == (key == "file")
    assert (tmp_path / "keys" / "key").exists() == (key == "made")
    assert {one.check: one.verdict for one in findings(configured)} == dict.fromkeys(
        ("folder", "disk", "key", "data"), Verdict.OK
    )


def test_another_or_no_key_is_told_and_opens_nothing(
    settings: Callable[[Any], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = settings({"env": "STORE_KEY"})
    with start(configured) as system:
        system.secrets.set("a", "v")
        monkeypatch.setenv("STORE_KEY", OTHER)
        with pytest.raises(WrongKey, match="the key in the environment variable STORE_KEY is not the one"):
            system.secrets.set("a", "w")
        monkeypatch.delenv("STORE_KEY")
        with pytest.raises(KeyFileError, match="STORE_KEY holds nothing; set it"):
            system.secrets.set("a", "w")
        monkeypatch.setenv("STORE_KEY", TEXT)
        assert system.secrets.get("a", refresh=True).reveal() == "v"


def test_a_given_key_that_is_not_there_makes_no_store(settings: Callable[[Any], Settings], tmp_path: Path) -> None:
    (tmp_path / "given").unlink()
    configured = settings({"file": str(tmp_path / "given")})

    with start(configured) as system, pytest.raises(KeyFileError, match="holds nothing; make it"):
        system.secrets.set("a", "v")

    assert not (tmp_path / "given").exists()
    assert not (tmp_path / "store" / "secrets.db").exists()


def test_doctor_tells_of_a_given_key_before_there_is_a_store_and_makes_nothing(
    settings: Callable[[Any], Settings], tmp_path: Path, ring: PlaintextKeyring
) -> None:
    given = tmp_path / "given"
    configured = settings({"file": str(given)})
    assert key_findings(configured) == [Finding("key", Verdict.OK, f"the file {given}")]
    given.chmod(0o644)
    [loose] = key_findings(configured)
    assert loose.verdict is Verdict.FAULT
    assert f"chmod 600 {given}" in loose.fact
    given.unlink()
    [missing] = key_findings(configured)
    assert missing.verdict is Verdict.FAULT
    assert "make it, with mode 0600" in missing.fact

    [ringed] = key_findings(settings({"keyring": "my-daemon"}))
    assert ringed.verdict is Verdict.OK
    assert "no store yet" in ringed.fact
    assert key_findings(settings({"passphrase": {"env": "STORE_KEY"}}))[0].verdict is Verdict.OK
    assert key_findings(settings("file")) == [], "the folder's finding has said it"
    assert sorted(path.name for path in tmp_path.iterdir()) == []


def test_a_missing_key_is_a_fault_only_where_there_is_data(tmp_path: Path) -> None:
    source = source_for(place_of("file"), tmp_path)

    assert key_finding(source, has_data=False)[0].verdict is Verdict.OK
    finding, go_on = key_finding(source, has_data=True)
    assert (finding.verdict, go_on) == (Verdict.FAULT, False)
    assert "put the key back from a copy" in finding.fact
    source.create()
    assert key_finding(source, has_data=True) == (Finding("key", Verdict.OK, f"the key file {tmp_path}/key"), True)


def test_a_store_whose_change_of_keys_broke_off_opens_by_the_next_key(
    settings: Callable[[Any], Settings], tmp_path: Path
) -> None:
    with start(settings("file")) as system:
        system.secrets.set("a", "v")
    key = tmp_path / "store" / "key"
    key.rename(tmp_path / "store" / "key.next")
    KeyFile(key).create()

    with start(settings("file")) as system:
        assert system.secrets.get("a").reveal() == "v"


def test_where_a_source_is_does_not_move_with_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    sources = [
        source_for(place_of("file"), Path("store")),
        source_for(place_of({"file": "~/key", "make": True}), Path("store")),
    ]
    monkeypatch.chdir("/")
    for source in sources:
        source.create()

    assert [str(source) for source in sources] == [f"the key file {tmp_path}/{name}" for name in ("store/key", "key")]
    assert (tmp_path / "store" / "key").exists()
