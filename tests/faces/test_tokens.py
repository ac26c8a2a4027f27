"""Tokens and keys in files that change while the daemon runs."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from secrets_actor.backends.key_source import KeySource
from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.domain.secret import SecretValue
from secrets_actor.faces.events import TokenReadFailed, TokenRenewed
from secrets_actor.faces.identity import Identity
from secrets_actor.faces.minted_keys import Mint, Minted
from secrets_actor.faces.sigv4_check import KeyOwner
from secrets_actor.faces.tokens import (
    GRACE,
    LOOK,
    AllKeys,
    StaticKeys,
    Tokens,
    mint_key,
)
from secrets_actor.otp import ManualClock
from tests.faces.asking import UNIX

NOW: Final = datetime(2026, 11, 30, 4, 20, 22, tzinfo=UTC)


class Files:
    """A folder with files of tokens, a clock, and what the observer was told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.told = folder, ManualClock(), list[Any]()

    def write(self, name: str, content: str) -> KeySource:
        """Put a new file in the place of the old one."""
        fresh = self.folder / f".{name}"
        fresh.write_text(content)
        os.replace(fresh, self.folder / name)
        return KeySource("file", str(self.folder / name))

    def tokens(self, before: Tokens | None = None, /, **named: str) -> Tokens:
        sources = [(name, self.write(name, content)) for name, content in named.items()]
        return Tokens(sources, self.clock.now, self.told.append, before)

    def keys(self, content: str, before: StaticKeys | None = None) -> StaticKeys:
        named = [("ci", "AKLOCALCI", self.write("ci.key", content))]
        return StaticKeys(named, self.clock.now, self.told.append, before)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_token_is_found_by_its_value(files: Files) -> None:
    tokens = files.tokens(ci="for-ci\n", web="for-web")

    assert [tokens.name_of(given) for given in ("for-ci", "for-web", "for-c", "", "caf\xe9")] == [
        *("ci", "web", None, None, None)
    ]
    assert tokens.names == {"ci", "web"}


def test_without_tokens_none_is_found(files: Files) -> None:
    assert files.tokens().name_of("") is None


def test_a_variable_holds_one_as_well(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_TOKEN", "from-a-variable")

    tokens = Tokens([("ci", KeySource("env", "AWS_TOKEN"))], files.clock.now, files.told.append)
    files.clock.advance(LOOK)

    assert tokens.name_of("from-a-variable") == "ci"


def test_a_file_that_has_changed_is_read_anew_and_the_old_token_is_good_for_a_while(files: Files) -> None:
    tokens = files.tokens(ci="old")
    files.write("ci", "new")
    assert tokens.name_of("new") is None  # it is not looked at for each request

    files.clock.advance(LOOK)

    assert [tokens.name_of("new"), tokens.name_of("old")] == ["ci", "ci"]
    assert files.told == [TokenRenewed("faces", "token ci")]
    files.clock.advance(GRACE - 0.5)
    assert tokens.name_of("old") == "ci"
    files.clock.advance(LOOK)
    assert [tokens.name_of("new"), tokens.name_of("old")] == ["ci", None]


def test_a_file_that_was_touched_alone_changes_nothing(files: Files) -> None:
    tokens = files.tokens(ci="same")
    files.write("ci", "same\n")
    files.clock.advance(LOOK)

    assert tokens.name_of("same") == "ci"
    assert files.told == []


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.unlink(), "no value in file"),
        (lambda path: path.write_text(" \n"), "no value in file"),
        (lambda path: path.write_text("two\nlines"), "holds a line break"),
        (lambda path: path.write_text("x" * 5000), "more than 4096 characters"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_leaves_the_token_as_it_was_and_is_told_once(
    files: Files, spoil: Callable[[Path], object], problem: str
) -> None:
    tokens = files.tokens(ci="good")
    spoil(files.folder / "ci")

    for _ in range(3):
        files.clock.advance(LOOK)
        assert tokens.name_of("good") == "ci"

    [told] = files.told
    assert isinstance(told, TokenReadFailed)
    assert problem in told.problem
    assert tokens.name_of("two\nlines") is None


def test_a_file_that_changes_and_is_still_wrong_is_told_once(files: Files) -> None:
    tokens = files.tokens(ci="good")
    for content in ("two\nlines", "two\nother lines", "two\nmore of them"):
        files.write("ci", content)
        files.clock.advance(LOOK)
        assert tokens.name_of("good") == "ci"

    assert [type(one) for one in files.told] == [TokenReadFailed]


def test_files_are_looked_at_once_in_a_while_however_many_ask(files: Files) -> None:
    tokens = files.tokens(ci="first")
    for content, since in (("second", 0.0), ("third", LOOK)):
        files.clock.advance(since)
        tokens.name_of("any")
        files.write("ci", content)
        assert tokens.name_of(content) is None

    files.clock.advance(LOOK)
    assert tokens.name_of("third") == "ci"


def test_a_file_that_is_good_again_is_read_again(files: Files) -> None:
    tokens = files.tokens(ci="good")
    for content in ("", "new", ""):
        files.write("ci", content)
        files.clock.advance(LOOK)
        tokens.name_of("")

    assert tokens.name_of("new") == "ci"
    assert [type(one) for one in files.told] == [TokenReadFailed, TokenRenewed, TokenReadFailed]


@pytest.mark.parametrize("content", ["", "\n", "two\nlines", "caf\xe9"])
def test_at_the_start_it_is_a_mistake(files: Files, content: str) -> None:
    with pytest.raises(ConfigurationError, match="daemon: token ci: "):
        files.tokens(ci=content)


def test_a_place_that_is_no_path_is_a_mistake(files: Files) -> None:
    with pytest.raises(ConfigurationError):
        Tokens([("ci", KeySource("file", "~nobody-of-that-name/token"))], files.clock.now, files.told.append)
    with pytest.raises(ConfigurationError):
        Tokens([("ci", KeySource("file", "a\0b"))], files.clock.now, files.told.append)


def test_two_tokens_cannot_be_the_same(files: Files) -> None:
    with pytest.raises(ConfigurationError, match="token web: the same as token ci"):
        files.tokens(ci="one", web="one")


def test_a_configuration_that_is_read_anew_leaves_the_tokens_before_good_for_a_while(files: Files) -> None:
    before = files.tokens(ci="old", web="for-web", gone="x")
    tokens = files.tokens(before, ci="new", web="for-web")

    found = [tokens.name_of(given) for given in ("new", "old", "for-web", "x")]
    files.clock.advance(GRACE + 1)
    later = [tokens.name_of(given) for given in ("new", "old", "for-web")]

    assert found == ["ci", "ci", "web", None]
    assert later == ["ci", None, "web"]


def test_a_token_that_another_name_has_now_is_that_names(files: Files) -> None:
    before = files.tokens(ci="one", web="two")

    tokens = files.tokens(before, ci="new", web="one")

    assert [tokens.name_of(given) for given in ("one", "two", "new")] == ["web", "web", "ci"]


def test_what_was_good_for_a_while_before_stays_so_after_a_configuration_is_read_anew(files: Files) -> None:
    first = files.tokens(ci="1")
    second = files.tokens(first, ci="2")
    files.clock.advance(GRACE / 2)

    third = files.tokens(second, ci="3")

    assert [third.name_of(given) for given in ("1", "2", "3")] == ["ci", "ci", "ci"]
    files.clock.advance(GRACE / 2 + 1)
    assert [third.name_of(given) for given in ("1", "2", "3")] == [None, "ci", "ci"]


def test_no_repr_and_no_error_shows_a_token(files: Files) -> None:
    tokens = files.tokens(ci="hunter2")

    assert repr(tokens) == "<Tokens [ci]>"
    with pytest.raises(ConfigurationError) as caught:
        files.tokens(ci="hunter2", web="hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_static_key_is_found_by_its_id_without_a_session_token(files: Files) -> None:
    keys = files.keys("secret")

    found = keys.find("AKLOCALCI", None, NOW)

    assert found is not None
    assert (found.owner, found.secret_keys) == (KeyOwner("ci"), (SecretValue("secret"),))
    assert keys.find("AKLOCALCI", "token", NOW) is None
    assert keys.find("AKOTHER", None, NOW) is None
    assert repr(keys) == "<StaticKeys [ci]>"


def test_while_a_secret_key_is_replaced_both_are_good(files: Files) -> None:
    keys = files.keys("old")
    files.write("ci.key", "new")
    files.clock.advance(LOOK)

    found = [keys.find("AKLOCALCI", None, NOW)]
    found.append(files.keys("newest", keys).find("AKLOCALCI", None, NOW))

    assert [one and one.secret_keys for one in found] == [
        (SecretValue("new"), SecretValue("old")),
        (SecretValue("newest"), SecretValue("new"), SecretValue("old")),
    ]


def minted_for(mint: Mint, token: str | None) -> Minted:
    return mint.mint(Identity(UNIX, token), NOW, b"nonce")


def test_a_key_is_found_where_it_was_made(files: Files) -> None:
    mint = Mint(SecretValue(b"k" * 32))
    keys = AllKeys(files.keys("secret"), mint, files.tokens(ci="token"))
    minted = minted_for(mint, "ci")

    found = [
        keys.find("AKLOCALCI", None, NOW),
        keys.find(minted.access_key_id, minted.session_token, NOW),
        keys.find("AKLOCALCI", minted.session_token, NOW),
    ]

    assert [one and one.owner.key for one in found] == ["ci", "minted", None]


def test_a_minted_key_ends_with_the_token_that_it_was_minted_for(files: Files) -> None:
    mint = Mint(SecretValue(b"k" * 32))
    keys = AllKeys(files.keys("secret"), mint, files.tokens(web="token"))
    minted, without = minted_for(mint, "ci"), minted_for(mint, None)

    assert keys.find(minted.access_key_id, minted.session_token, NOW) is None
    assert keys.find(without.access_key_id, without.session_token, NOW) is not None


def test_the_key_of_the_mint_stays_the_same(tmp_path: Path) -> None:
    path = tmp_path / "mint.key"

    first = mint_key(path)

    assert mint_key(path) == first
    assert len(first.bytes()) == 32
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.chmod(0o640), "open to others"),
        # A link: who may write to the folder could point it elsewhere between two looks at it.
        (lambda path: path.symlink_to(path.rename(path.with_name("elsewhere"))), "cannot be read"),
        (lambda path: path.write_bytes(b"short"), "has 5 bytes"),
        (lambda path: path.write_bytes(b"x" * 33), "is larger than 32 bytes"),
    ],
)
def test_a_key_of_the_mint_that_is_not_ours_alone_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object], problem: str
) -> None:
    path = tmp_path / "mint.key"
    mint_key(path)
    spoil(path)

    with pytest.raises(ConfigurationError, match=problem):
        mint_key(path)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be made .*: see that the daemon may write"):
        mint_key(tmp_path / "missing" / "mint.key")
