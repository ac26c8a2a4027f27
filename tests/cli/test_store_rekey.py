"""`store rekey`, by the real command: cut off in the middle, and from one place of the key to another."""

import signal
from pathlib import Path

import pytest

from secrets_actor.backends.local.keys.sources import source_for
from secrets_actor.backends.master_key_setting import KeyPlace
from tests.cli.program import Program, finished
from tests.cli.stores import (
    CANARY,
    FOLDER,
    MANY,
    all_of_it,
    copy_of,
    fill,
    quiet,
    stopped_halfway,
    stops_halfway,
    values,
)
from tests.cli.test_export import private

DEEP = ("store", "rekey", "--deep")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled") / "store"
    fill(folder)
    return folder


@pytest.fixture
def user(filled: Path, tmp_path: Path) -> Program:
    return copy_of(filled, tmp_path / "home")


def test_what_is_killed_in_the_middle_goes_on_when_it_is_run_again(user: Program) -> None:
    folder = user.home / FOLDER
    before = (folder / "key").read_bytes()
    with stops_halfway(user).start(*DEEP) as process, stopped_halfway(user, process):
        process.send_signal(signal.SIGKILL)
        assert quiet(finished(process)).status == -signal.SIGKILL

    assert values(folder) == all_of_it()
    found, doctor = map(quiet, user.at_once(("store", "verify", "--json"), ("doctor",)))
    assert (found.status, found.json["damage"]) == (0, [])
    assert found.json["unfinished"] == "a change of all keys: run secrets-actor store rekey --deep again"
    assert "rekey" in doctor.text
    assert "if it broke off, run secrets-actor store rekey --deep again" in doctor.text
    again = quiet(user(*DEEP, "--json"))

    assert again.status == 0
    assert (again.json["changed"], again.json["left"], "resumed" in again.json) == (True, 0, True)
    assert 0 < again.json["versions"] < MANY
    assert (folder / "key").read_bytes() != before
    assert values(folder) == all_of_it()
    last = quiet(user("store", "verify"))
    assert (last.status, "unfinished" in last.text) == (0, False)


def test_an_interrupt_leaves_a_store_that_works_and_says_what_to_do(user: Program) -> None:
    folder = user.home / FOLDER
    with stops_halfway(user).on_terminal(*DEEP) as terminal:
        with stopped_halfway(user, terminal.process):
            terminal.type("\x03")
        assert terminal.wait_for_end() == 130

    assert "rows  [" in terminal.transcript
    assert "the store works: run the same command again" in terminal.transcript
    assert "Traceback" not in terminal.transcript
    assert CANARY not in terminal.transcript
    assert values(folder) == all_of_it()


def config(path: Path, folder: Path, key: str) -> str:
    path.write_text(f'[local]\npath = "{folder}"\nkey = {key}\n')
    return str(path)


@pytest.mark.slow
def test_the_key_moves_to_another_place(user: Program, tmp_path: Path) -> None:
    folder, words = user.home / FOLDER, private(tmp_path / "words", f"{CANARY} correct\n".encode())
    new = config(tmp_path / "new.toml", folder, f'{{ passphrase = {{ file = "{words}" }} }}')
    same = config(tmp_path / "same.toml", folder, '"file"')
    elsewhere = config(tmp_path / "elsewhere.toml", tmp_path / "elsewhere", '{ file = "/dev/null" }')
    wrong = {
        ("--to", same): (6, "names the place where the key is now"),
        ("--to", elsewhere): (6, f"must name the same folder, {folder}"),
        ("--to", new, "--to-passphrase"): (2, "not both"),
        ("--to-passphrase",): (2, "no terminal to ask for a passphrase"),
    }
    for (status, told), done in zip(
        wrong.values(), user.at_once(*[("store", "rekey", *one) for one in wrong]), strict=True
    ):
        assert (done.status, told in done.complaint) == (status, True), done

    moved = quiet(user("store", "rekey", "--to", new, "--json"))

    assert moved.status == 0
    assert moved.json["key"] == f"the passphrase in the file {words}"
    assert moved.json["changed"]
    assert f"in the key file {folder / 'key'}" in moved.json["former_backups"]
    assert "put the new local.key into the configuration" in moved.json["next"]
    assert values(folder, source_for(KeyPlace("passphrase_file", words), folder)) == all_of_it()
    before, once_more, after = map(
        quiet,
        user.at_once(
            ("store", "verify"),
            ("store", "rekey", "--to", new, "--json"),  # as if it had broken off at its end
            ("--config", new, "store", "rekey"),
        ),
    )
    assert (before.status, once_more.status, after.status) == (6, 0, 6)
    assert "this store is sealed with a passphrase, and the key is looked for in the key file" in before.complaint
    assert not once_more.json["changed"]
    assert "holds one key at a time" in after.complaint
    back = quiet(user("--config", new, "store", "rekey", "--to", same, "--json"))
    assert (back.status, back.json["changed"]) == (0, True)
    assert "was there already" in back.json["taken"]
    assert values(folder) == all_of_it()


@pytest.mark.slow
def test_passphrases_are_typed_and_never_shown(user: Program, tmp_path: Path) -> None:
    folder, words = user.home / FOLDER, private(tmp_path / "words", f"{CANARY} typed".encode())
    unset = user.with_settings(SECRETS_ACTOR_LOCAL__KEY='{"passphrase": {"env": "NOT_SET"}}')
    with user.on_terminal("store", "rekey", "--to-passphrase") as terminal:
        for prompt in ("The new passphrase: ", "Repeat for confirmation: "):
            terminal.wait_for(prompt)
            terminal.type(f"{CANARY} typed\n")
        assert terminal.wait_for_end() == 0
    with unset.on_terminal("store", "verify", "--ask-passphrase") as asked:
        asked.wait_for("The store's passphrase: ")
        asked.type(f"{CANARY} typed\n")
        assert asked.wait_for_end() == 0

    assert CANARY not in terminal.transcript + asked.transcript
    assert f"versions  {MANY}" in asked.transcript
    assert values(folder, source_for(KeyPlace("passphrase_file", words), folder)) == all_of_it()
