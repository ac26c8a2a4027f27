"""Shell completion: a script that a shell takes, and the names of secrets behind TAB."""

import shutil
import subprocess

import pytest

from tests.cli.program import Done, Program


def completed(program: Program, line: str) -> list[str]:
    """What a bash offers behind *line*, by the protocol of click."""
    words = line.split(" ")
    asking = program.with_settings(
        _SECRETS_ACTOR_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1)
    )
    done: Done = asking()
    assert (done.status, done.stderr) == (0, "")
    return [one.partition(",")[2] for one in done.text.splitlines() if one]


def test_commands_options_and_names_of_secrets_are_completed(program: Program) -> None:
    for name in ("db/one", "db/two", "other"):
        program("set", name, stdin=b"v")

    assert completed(program, "secrets-actor ver") == ["versions"]
    assert "--reveal" in completed(program, "secrets-actor get --re")
    assert completed(program, "secrets-actor get db/") == ["db/one", "db/two"]
    assert completed(program, "secrets-actor delete db/t") == ["db/two"]
    assert completed(program, "secrets-actor generate --set o") == ["other"]


def test_a_store_that_cannot_tell_offers_nothing_and_none_is_made(program: Program) -> None:
    assert completed(program, "secrets-actor get db/") == []
    assert not (program.home / ".local").exists()
    broken = program.with_settings(SECRETS_ACTOR_CONFIG="/no/such/file")
    assert completed(broken, "secrets-actor get db/") == []


def test_the_names_are_those_of_the_configured_store(program: Program) -> None:
    (program.home / "other.toml").parent.mkdir(parents=True)
    (program.home / "other.toml").write_text(f'[local]\npath = "{program.home}/elsewhere"\n')
    program("--config", f"{program.home}/other.toml", "set", "there", stdin=b"v")

    assert completed(program, f"secrets-actor --config {program.home}/other.toml get t") == ["there"]
    assert completed(program, "secrets-actor get t") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell_and_the_shell_takes_it(program: Program, shell: str) -> None:
    script = program("completion", shell)

    assert script.status == 0
    assert "_SECRETS_ACTOR_COMPLETE" in script.text
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script.stdout, check=True, timeout=30)
