"""The hunt itself works: what is leaked on purpose is found, wherever and in whatever form."""

import base64
import json
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from secrets_actor import SecretValue, start
from secrets_actor.log_fields import fields
from secrets_actor.runtime.settings import LocalSettings, Settings
from tests.canaries.canary_forms import canary
from tests.canaries.canary_search import Hunt

SECRET = canary()
WHOLE_AND_PIECES: dict[str, Callable[[str], object]] = {
    "as it is": str,
    "repr": repr,
    "ascii": ascii,
    "json": json.dumps,
    "json in json": lambda text: json.dumps({"body": json.dumps({"SecretString": text})}),
    "repr of bytes": lambda text: repr(text.encode()),
    "list of bytes": lambda text: repr(list(text.encode())),
    "repr of a dict": lambda text: repr({"a": [text]}),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64 inside": lambda text: base64.b64encode(b"12" + text.encode() + b"1"),
    "hex": lambda text: text.encode().hex(),
    "urlencoded": quote,
    "utf-16": lambda text: text.encode("utf-16"),
    "first half": lambda text: text[: len(text) // 2],
    "last half": lambda text: text[len(text) // 2 :],
    "a quotation cut short": lambda text: f"unexpected {text[:30]!r}...",
}


@pytest.mark.parametrize("form", WHOLE_AND_PIECES)
def test_a_canary_is_found_in_each_form(form: str) -> None:
    hunt = Hunt()
    hunt.plant("planted", SECRET)

    leaked = WHOLE_AND_PIECES[form](SECRET)
    hunt.text("log", "here", b"before " + leaked if isinstance(leaked, bytes) else f"before {leaked} after")

    assert {leak.where for leak in hunt.leaks()} == {"log: here"}


def test_a_text_without_canary_is_let_pass() -> None:
    hunt = Hunt()
    hunt.plant("planted", SECRET)
    hunt.text("log", "here", canary())

    assert hunt.leaks() == []


def leak_to_the_log() -> None:
    logging.getLogger("secrets_actor.test").debug("value is %s", SECRET)


def leak_by_arguments() -> None:
    logging.getLogger("httpcore.test").debug("%.0s", SECRET)


def leak_by_a_field() -> None:
    logging.getLogger("secrets_actor.test").debug("no word of it", extra=fields("x", {"secret_id": SECRET}))


def leak_by_a_logged_exception() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError:
        logging.getLogger("pykka").exception("it failed")


def leak_in_a_thread() -> None:
    def fail() -> None:
        raise KeyError(SECRET)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def leak_at_the_end_of_an_object() -> None:
    class Chatty:
        def __del__(self) -> None:
            raise KeyError(SECRET)

    Chatty()


@pytest.mark.parametrize(
    "leak",
    [
        leak_to_the_log,
        leak_by_arguments,
        leak_by_a_field,
        leak_by_a_logged_exception,
        leak_in_a_thread,
        leak_at_the_end_of_an_object,
    ],
)
def test_a_leak_is_found_on_each_way_out(hunt: Hunt, leak: Callable[[], None]) -> None:
    hunt.plant("planted", SECRET)

    leak()

    assert hunt.leaks()
    with pytest.raises(AssertionError, match="planted"):
        hunt.nothing_was_found()


def test_an_exception_gives_away_its_context_and_the_locals_of_frames_that_are_not_the_tests(hunt: Hunt) -> None:
    hunt.plant("planted", SECRET)
    namespace: dict[str, Callable[[str], None]] = {}
    source = "def fail(value):\n    value = [value]\n    raise RuntimeError('no word of it')\n"
    exec(compile(source, "somewhere_else.py", "exec"), namespace)

    hunt.failure("locals", RuntimeError, lambda: namespace["fail"](SECRET))
    [where] = {leak.where for leak in hunt.leaks()}
    assert where == "traceback: locals: RuntimeError"

    hunt.plant("in context", other := canary())

    def in_context() -> None:
        try:
            raise KeyError(other)
        except KeyError:
            raise RuntimeError("no word of it") from None

    hunt.failure("context", RuntimeError, in_context)
    assert {leak.where for leak in hunt.leaks() if leak.what == "in context"} >= {"error: context: KeyError"}


def test_an_object_of_ours_that_shows_too_much_is_found(hunt: Hunt, tmp_path: Path) -> None:
    hunt.plant("planted", SECRET)
    chatty = type("Chatty", (), {"__module__": "secrets_actor.test", "__repr__": lambda _: SECRET})()

    with start(Settings(local=LocalSettings(path=tmp_path))) as system:
        hunt.objects("planted", system)

    assert {leak.where for leak in hunt.leaks()} == {f"object: planted: secrets_actor.test.{type(chatty).__name__}"}


def test_a_field_that_holds_an_object_is_found(hunt: Hunt) -> None:
    masked = SecretValue(SECRET)
    logging.getLogger("secrets_actor.test").debug("no word of it", extra=fields("x", {"found": masked}))

    assert hunt.leaks() == []
    with pytest.raises(AssertionError, match="only texts and numbers"):
        hunt.nothing_was_found()


def test_a_file_with_a_canary_is_found(hunt: Hunt, tmp_path: Path) -> None:
    hunt.plant("planted", SECRET)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "dump").write_bytes(b"\0\1" + SECRET.encode() + b"\2")

    hunt.files(tmp_path)

    assert {leak.where for leak in hunt.leaks()} == {f"file: {tmp_path / 'sub' / 'dump'}"}


def test_too_little_searched_is_a_failure(hunt: Hunt) -> None:
    hunt.text("log", "here", "nothing")

    with pytest.raises(AssertionError, match="only 1 of texts searched, not 2"):
        hunt.nothing_was_found(texts=2)


def test_the_hooks_are_given_back() -> None:
    before = threading.excepthook, sys.unraisablehook, logging.getLogger().level

    with Hunt():
        assert threading.excepthook is not before[0]

    assert (threading.excepthook, sys.unraisablehook, logging.getLogger().level) == before
