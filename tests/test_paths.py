"""A `~` that has no meaning, and a path that is none, are told; they never become a folder in the working directory."""

import os
import pwd
from pathlib import Path

import pytest

from secrets_actor.paths import NoPlace, absolute, expanded
from tests.forking import in_child

NO_ENTRY = 12_345  # a user id without an entry, as OpenShift gives


def test_home_is_expanded_and_all_else_is_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/of/somebody")
    monkeypatch.chdir(tmp_path)

    assert expanded("~/store") == Path("/home/of/somebody/store")
    assert expanded("~") == Path("/home/of/somebody")
    assert expanded("~root/store") == Path(pwd.getpwnam("root").pw_dir, "store")
    assert expanded("here/~/store") == Path("here/~/store")
    assert absolute("here/../store") == tmp_path / "store"
    monkeypatch.setenv("HOME", "relative")  # as somebody has said
    assert absolute("~/store") == tmp_path / "relative" / "store"


@pytest.mark.parametrize("path", ["", "  ", ".", "./", "a/..", Path()])
def test_an_empty_path_is_not_the_working_directory(path: str | Path) -> None:
    with pytest.raises(NoPlace, match="give a path"):
        absolute(path)


def test_a_home_that_is_set_to_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")

    with pytest.raises(NoPlace, match="HOME is empty"):
        expanded("~/store")
    assert expanded("~root/store") == Path(pwd.getpwnam("root").pw_dir, "store")


def test_what_cannot_be_expanded_is_told_and_not_repeated() -> None:
    with pytest.raises(NoPlace) as caught:
        expanded("~nobody-of-this-name/hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_user_whom_the_machine_does_not_know_has_no_home() -> None:
    if os.geteuid() != 0:
        pytest.skip("the kernel lets only root become a user without an entry; run the tests as root to see it")

    def asked() -> str:
        os.environ.pop("HOME", None)
        os.setuid(NO_ENTRY)
        try:
            return str(expanded("~/store"))
        except NoPlace as error:
            return str(error)

    assert f"no home of user {NO_ENTRY}" in in_child(asked)
