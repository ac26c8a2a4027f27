"""Keys let one browser in, once; sessions carry who looks, and nobody else can make one."""

import base64
import hmac
from collections.abc import Iterator
from itertools import count
from typing import Final

import pytest
from msgspec.structs import replace

from secrets_actor.domain.secret import SecretValue
from secrets_actor.faces.identity import Identity
from secrets_actor.faces.live_sessions import KEY_SECONDS, MOST_KEYS, SESSION_SECONDS, LiveSessions, cookie_in
from tests.faces.asking import UNIX

KEY: Final = SecretValue(b"k" * 32)
WHO: Final = Identity(UNIX)


class Rig:
    """Sessions with a clock that the test moves, and dice that never fall the same way twice."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._numbers: Iterator[int] = count()
        self.sessions = self.restarted()

    def restarted(self, key: SecretValue = KEY) -> LiveSessions:
        return LiveSessions(key, lambda: self.now, lambda length: next(self._numbers).to_bytes(length))


def test_a_key_is_good_once_and_gives_a_session_of_who_asked_for_it() -> None:
    rig = Rig()
    key = rig.sessions.new_key(WHO)

    cookie = rig.sessions.enter(key)

    assert cookie is not None
    session = rig.sessions.find(cookie)
    assert session is not None
    # The process has ended by then, and its number may be another's.
    assert session.identity == Identity(replace(UNIX, pid=None))
    assert session.end == rig.now + SESSION_SECONDS
    assert rig.sessions.enter(key) is None
    assert rig.sessions.enter("another") is None


def test_a_key_ends_after_a_minute_and_a_session_after_a_day_of_work() -> None:
    rig = Rig()
    first, second = rig.sessions.new_key(WHO), rig.sessions.new_key(WHO)
    rig.now += KEY_SECONDS - 0.001
    cookie = rig.sessions.enter(first) or ""
    rig.now += 0.001
    assert rig.sessions.enter(second) is None

    rig.now += SESSION_SECONDS - 0.002
    assert rig.sessions.find(cookie) is not None
    rig.now += 0.001
    assert rig.sessions.find(cookie) is None


def test_so_many_keys_wait_and_the_oldest_is_forgotten_for_one_more() -> None:
    rig = Rig()
    keys = [rig.sessions.new_key(WHO) for _ in range(MOST_KEYS + 1)]

    assert repr(rig.sessions) == f"<LiveSessions [{MOST_KEYS} keys wait]>"
    assert rig.sessions.enter(keys[0]) is None
    assert rig.sessions.enter(keys[1]) is not None


def test_a_session_and_its_token_are_good_after_a_restart_with_the_same_key_and_with_no_other() -> None:
    rig = Rig()
    cookie = rig.sessions.enter(rig.sessions.new_key(WHO)) or ""
    token = rig.sessions.token_of(cookie)

    same, other = rig.restarted(), rig.restarted(SecretValue(b"o" * 32))

    assert same.find(cookie) is not None
    assert same.is_token(token, cookie)
    assert other.find(cookie) is None
    assert not other.is_token(token, cookie)


def test_nobody_can_change_a_cookie() -> None:
    rig = Rig()
    cookie = rig.sessions.enter(rig.sessions.new_key(WHO)) or ""
    content = bytearray(base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4)))

    for place in range(0, len(content), 7):
        content[place] ^= 1
        assert rig.sessions.find(base64.urlsafe_b64encode(content).decode().rstrip("=")) is None
        content[place] ^= 1
    assert rig.sessions.find(base64.urlsafe_b64encode(content).decode().rstrip("=")) is not None


@pytest.mark.parametrize("cookie", ["", "x", "A" * 44, "A" * 2001, "kürzer", "a b", "="], ids=repr)
def test_what_is_no_cookie_of_ours_is_no_session(cookie: str) -> None:
    assert Rig().sessions.find(cookie) is None


def test_a_cookie_of_another_version_of_this_program_is_no_session() -> None:
    # Its seal is right, as the key outlives a new version; what it carries has another shape.
    seal = hmac.digest(KEY.bytes(), b"live session", "sha256")
    sealed = hmac.digest(seal, b"\x93\x01", "sha256") + b"\x93\x01"

    assert Rig().sessions.find(base64.urlsafe_b64encode(sealed).decode().rstrip("=")) is None


def test_a_token_belongs_to_one_session() -> None:
    sessions = Rig().sessions

    assert sessions.is_token(sessions.token_of("one"), "one")
    assert not sessions.is_token(sessions.token_of("one"), "other")
    assert not sessions.is_token("", "one")
    assert not sessions.is_token("ü", "one")
    assert "one" not in sessions.token_of("one")


def test_a_token_is_no_seal() -> None:
    """A token is made for any text, and is shown: were it made by the key of the seals, it would seal that text."""
    seal = hmac.digest(KEY.bytes(), b"live session", "sha256")

    assert Rig().sessions.token_of("one") != hmac.digest(seal, b"one", "sha256").hex()


def test_a_cookie_that_is_too_long_is_not_looked_at() -> None:
    sessions = Rig().sessions
    cookies = [sessions.enter(sessions.new_key(Identity(replace(UNIX, unit="u" * size)))) or "" for size in (255, 2000)]

    assert [sessions.find(cookie) is not None for cookie in cookies] == [True, False]


def test_no_repr_shows_a_key() -> None:
    sessions = Rig().sessions
    key = sessions.new_key(WHO)

    assert key not in repr(sessions) + repr(vars(sessions))


def test_a_cookie_is_found_among_others_and_must_stand_once() -> None:
    assert cookie_in(("a=1; live=x=y ;b=2",), "live") == "x=y"
    assert cookie_in(("a=1", "live=x"), "live") == "x"
    assert cookie_in(("a=1; live=x; live=y",), "live") is None
    assert cookie_in(("live=x", "live=x"), "live") is None
    assert cookie_in((), "live") is None
    assert cookie_in(("alive=x; live",), "liv") is None
